"""What a file costs, against what the model says that it should."""

import numpy as np
import pytest

import keras_acn
from keras_acn import codec
from keras_acn.codec.blocks import BlockCodec
from keras_acn.codec.container import Header, Reader
from keras_acn.evaluation.code_length import code_lengths
from keras_acn.evaluation.unconditional import OwnPrior, StandardNormalPrior
from keras_acn.priors.codes_mixture import MixtureOfCodes

COPIES = 4


@pytest.fixture(scope="module")
def digits():
    data = keras_acn.load_data("digits", binarize="threshold")
    return data.train.arrays()[0], data.test.arrays()[0]


def trained(kind, train, prior=None, **options):
    model = kind(
        (8, 8, 1),
        latent_dim=6,
        encoder={"name": "mlp", "hidden": [64], **options},
        prior=prior,
        decoder={"name": "mlp", "hidden": [64]},
    )
    model.compile()
    model.fit(train, epochs=10, verbose=0)
    return model


@pytest.fixture(scope="module")
def acn(digits):
    return trained(keras_acn.ACN, digits[0])


def net_nats(model, images, mode, lanes=16):
    """Net nats an image, by the words on the stack, without what a container adds."""
    coded = BlockCodec(model, mode, lanes, nearest=512).encode(images.astype(np.uint8))
    bits = 32 * len(coded.block.words) - coded.initial_bits
    return bits * np.log(2) / len(images)


@pytest.mark.slow
def test_stream_is_the_mixture_of_all_codes(acn, digits):
    images = np.concatenate([digits[1]] * COPIES)
    prior = {"mixture": MixtureOfCodes(acn.prior, np.asarray(acn.codebook.codes), nearest=None)}
    lengths = code_lengths(acn, images, prior, neighbors=(), samples=8)
    expected = lengths.mean("unordered_nats")
    # The images are coded at one z each, the expectation is over eight: about 2.5 nats of
    # noise an image.
    noise = 2.5 / np.sqrt(len(images))
    assert net_nats(acn, images, "stream") == pytest.approx(expected, abs=0.005 * expected + noise)


@pytest.mark.slow
def test_a_tour_is_the_greedy_tour(acn, digits):
    images = np.concatenate([digits[0], digits[1]])
    prior = {"mixture": MixtureOfCodes(acn.prior, np.asarray(acn.codebook.codes), nearest=None)}
    lengths = code_lengths(acn, images, prior, neighbors=(), samples=4)
    expected = lengths.mean("ordered_nats")
    unordered = lengths.mean("unordered_nats")
    got = net_nats(acn, images, "tour", lanes=4)
    assert got == pytest.approx(expected, abs=0.005 * expected + 2.5 / np.sqrt(len(images)))
    assert got < unordered - 0.5
    # No set is worth more than its order.
    assert net_nats(acn, images, "stream") - got < lengths.ordering_bound_nats


@pytest.mark.slow
def test_a_vae_with_learned_variances(digits):
    model = trained(keras_acn.VAE, digits[0], variance="learned")
    images = np.concatenate([digits[1]] * COPIES)
    lengths = code_lengths(model, images, {"normal": StandardNormalPrior()}, samples=8)
    expected = lengths.mean("unordered_nats")
    noise = 2.5 / np.sqrt(len(images))
    assert net_nats(model, images, "stream") == pytest.approx(
        expected, abs=0.005 * expected + noise
    )


@pytest.mark.fast("learned_mixture")
@pytest.mark.parametrize("prior", ["learned_mixture", "vamp"])
def test_a_vae_with_a_learned_prior(digits, prior):
    given = {"name": prior, "components": 30}
    model = trained(keras_acn.VAE, digits[0], variance="learned", prior=given)
    images = np.concatenate([digits[1]] * COPIES)
    lengths = code_lengths(model, images, {"own_prior": OwnPrior(model.prior)}, samples=8)
    expected = lengths.mean("unordered_nats")
    noise = 2.5 / np.sqrt(len(images))
    assert net_nats(model, images, "stream") == pytest.approx(
        expected, abs=0.005 * expected + noise
    )


def test_the_report_adds_up(acn, digits):
    images = digits[1].astype(np.uint8)
    data = codec.compress(images, acn, mode="set", keep_order=True, lanes=8)
    report = data.report
    assert report.file_bytes == len(data)
    values = images.size
    assert report.gross_bits_per_dim == pytest.approx(8 * len(data) / values)
    net = 8 * len(data) - report.initial_bits - report.order_bits
    assert report.net_bits_per_dim == pytest.approx(net / values)
    assert report.net_nats_per_image == pytest.approx(net * np.log(2) / len(images))
    _, told = codec.info(data)
    for name in ("file_bytes", "initial_bits", "lane_bits", "order_bits", "images", "lanes"):
        assert getattr(told, name) == getattr(report, name)
    assert "order    as it was" in told.to_text() and report.verified


def test_initial_bits_are_few_and_paid_once(acn, digits):
    images = np.concatenate([digits[0]] * 2).astype(np.uint8)
    half, whole = (
        codec.compress(each, acn, lanes=16, verify=False) for each in (images[:1437], images)
    )
    # About a bit for each latent dimension of the first images of 16 lanes, which a fine grid
    # would have charged with 4, and again until there is enough to draw from.
    assert 0 < half.report.initial_bits < 16 * 6 * 4
    assert abs(whole.report.initial_bits - half.report.initial_bits) < 16 * 6


@pytest.mark.slow
def test_what_lanes_cost_is_told(acn, digits):
    images = digits[0].astype(np.uint8)
    few, many = (
        codec.compress(images, acn, mode="tour", lanes=lanes, verify=False) for lanes in (2, 32)
    )
    assert 0 < many.report.lane_bits < 32 * 12
    told = [each.report.lane_bits + each.report.initial_bits for each in (few, many)]
    # Other latents are drawn: about 3 bits of noise an image.
    noise = 3 * np.sqrt(2 * len(images))
    assert 8 * (len(many) - len(few)) == pytest.approx(told[1] - told[0], abs=3 * noise)


@pytest.mark.parametrize("decoder, codes", [("pixelcnn", 512), ("mlp", 128)])
def test_a_slow_decoder_has_more_codes_considered(decoder, codes):
    """Beside it they take no time that counts, and in tight clusters many matter."""
    small = {"layers": 1, "filters": 2, "kernel_size": 3} if decoder == "pixelcnn" else {}
    model = keras_acn.ACN(
        (4, 4, 1),
        latent_dim=2,
        encoder="mlp",
        decoder={"name": decoder, **small},
        codebook={"k": 1},
    )
    images = np.zeros((3, 4, 4, 1), np.uint8)
    model.memorize(images.astype("float32"))
    for given, want in ((None, codes), (7, 7)):
        data = codec.compress(images, model, nearest=given)
        assert Header.read(Reader(bytes(data), "x.acn")).nearest == want
        assert not np.any(codec.decompress(bytes(data), model))
