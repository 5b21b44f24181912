"""Priors that learn from the images that a receiver has: densities, weights, what they save."""

import functools

import numpy as np
import pytest
from codec_models import as_set, noise, small_model

import keras_acn
from keras_acn import codec
from keras_acn._base.errors import UserError
from keras_acn.codec.grid import LatentGrid
from keras_acn.codec.learned import LearnedPrior, _ranking, scale_of
from keras_acn.codec.networks import Networks
from keras_acn.codec.priors import CodeIndex
from keras_acn.codec.stack import Stack
from keras_acn.priors.codes_mixture import moment_ranking

model_of = functools.cache(small_model)


@functools.cache
def networks():
    return Networks(model_of(), lanes=8)


def codes_of(count, seed=0, far=0.0):
    return np.random.default_rng(seed).normal(size=(count, 4)) * 1.5 + far


def learned(codes, index=None):
    grid = LatentGrid.around(codes, np.ones_like(codes))
    return LearnedPrior(networks(), grid, scale_of(codes), len(codes), 1000, index)


def log_normal(z, mean, stddev):
    return -0.5 * np.square((z - mean) / stddev) - np.log(stddev) - 0.5 * np.log(2 * np.pi)


def exact_nats(codes, z):
    """-log of the mean of p(z|c) over all codes, by brute force: [n]."""
    log_weight, mean, stddev = networks().given(codes)
    each = log_weight[:, None] + log_normal(z[None, :, :, None], mean[:, None], stddev[:, None])
    density = np.exp(each).sum(-1).prod(-1)  # [codes, n]
    return -np.log(density.mean(0))


def cost_bits(prior, cells, grid):
    """What pushing latents costs, on a stack that holds enough to draw by."""
    stack = Stack(np.random.default_rng(0).integers(1, 2**32, 5000).astype(np.uint32))
    before, words = stack.bits, stack.words()
    prior.on(grid).push(stack, cells)
    bits = stack.bits - before
    np.testing.assert_array_equal(prior.on(grid).pop(stack), cells)
    np.testing.assert_array_equal(stack.words(), words)
    return bits


@pytest.mark.parametrize("trained", [False, True])
def test_latents_cost_the_mixtures_density(trained):
    codes, images = codes_of(60), 2000
    stored = np.asarray(model_of().codebook.codes, float)
    index = CodeIndex(networks(), stored, 1000) if trained else None
    prior = learned(codes, index=index)
    prior.add(codes, np.arange(len(codes)))
    grid = prior.grid
    rng = np.random.default_rng(1)
    z = codes[rng.integers(0, 60, images)] + rng.normal(size=(images, 4))
    cells = np.clip(np.rint(z * 2.0 ** np.array(grid.exponents)), -grid.reach, grid.reach)
    given = prior.given(np.arange(60), images)
    z = grid.values(cells)
    # The oracle: the three parts in float64, with codes and priors that were not rounded.
    broad = log_normal(z, *given.there.broad).sum(-1)
    parts = [broad, -exact_nats(codes, z)]
    weights = [given.weights[0], given.weights[2]]
    if trained:
        parts.append(-exact_nats(stored, z))
        weights.append(given.weights[1])
    assert sum(weights) == pytest.approx(1, abs=1e-5) and min(weights) > 0
    nats = -np.logaddexp.reduce(np.stack(parts) + np.log(weights)[:, None])
    expected = np.sum(nats) / np.log(2) + images * np.sum(grid.exponents)
    got = cost_bits(given, cells.astype(np.int32), grid)
    # Which component is drawn makes no noise: the posterior over them is exact.
    assert got == pytest.approx(expected, rel=0.003)


def test_the_broad_part_has_the_codes_moments():
    codes = codes_of(4000, far=3.0)
    prior = learned(codes)
    prior.add(codes, np.arange(len(codes)))
    mean, stddev = prior.given(np.arange(4000), 1).there.broad
    np.testing.assert_allclose(mean, codes.mean(0), atol=0.02)
    np.testing.assert_allclose(stddev, np.sqrt(codes.var(0) + 1), rtol=0.05)
    # Of nobody, it is as broad as the file says.
    mean, stddev = prior.given(np.arange(0), 1).there.broad
    assert not mean.any()
    np.testing.assert_allclose(stddev, np.sqrt(np.mean(codes**2) + 1), rtol=0.1)


def test_the_ranking_is_that_of_the_mixture_of_codes():
    log_weight, mean, stddev = networks().given(codes_of(11))
    weights, offset = moment_ranking(log_weight, mean, stddev)
    expected = np.concatenate([weights.numpy().T, offset.numpy()[:, None]], axis=1)
    np.testing.assert_allclose(_ranking(log_weight, mean, stddev), expected, rtol=1e-12)


def test_what_is_learned_depends_on_no_batch_and_no_order():
    """A sender has all codes at once and sorted, a receiver a few at a time, as they come."""
    codes = codes_of(50)
    order = np.random.default_rng(2).permutation(50)
    sender, receiver, asked = learned(codes), learned(codes), []

    class OtherDigits:
        """What another batch, or another machine, makes of the last digits, and more than that."""

        latent_dim = 4

        def given(self, code):
            asked.append(code)
            log_weight, mean, stddev = networks().given(code)
            return log_weight + 1e-9, mean * (1 + 1e-9), stddev * (1 + 1e-9)

    receiver.networks = OtherDigits()
    sender.add(codes, np.arange(50))
    for start in range(0, 50, 7):
        arrived = order[start : start + 7]
        receiver.add(codes[arrived] * (1 + 1e-9), np.arange(start, start + len(arrived)))
    place = np.argsort(order)
    # The networks are asked for the very codes.
    units = 64 * 2.0 ** np.array(sender.grid.exponents)
    np.testing.assert_array_equal(np.concatenate(asked)[place] * units, sender._codes)
    for mine, theirs in zip(sender._tables, receiver._tables, strict=True):
        np.testing.assert_array_equal(mine, theirs[place])
    np.testing.assert_array_equal(sender._codes, receiver._codes[place])
    np.testing.assert_array_equal(sender._ranking, receiver._ranking[place])
    rows = np.sort(np.random.default_rng(3).choice(50, 30, replace=False))
    one, other = sender.given(rows, 3), receiver.given(place[rows], 3)
    np.testing.assert_array_equal(one.weights, other.weights)
    z = codes[:9] + 0.3
    for mine, theirs in zip(one.there.densities(z), other.there.densities(z), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.fixture(scope="module")
def digits():
    data = keras_acn.load_data("digits", binarize="threshold")
    train, test = data.train.arrays()[0], data.test.arrays()[0]
    model = keras_acn.ACN(
        (8, 8, 1),
        latent_dim=6,
        encoder={"name": "mlp", "hidden": [64]},
        decoder={"name": "mlp", "hidden": [64]},
    )
    model.compile()
    model.fit(train, epochs=25, verbose=0)
    images = np.concatenate([train, test]).astype(np.uint8)
    return model, images[np.random.default_rng(0).permutation(len(images))]


@pytest.mark.slow
def test_the_weights_follow_the_codes(digits):
    model, images = digits
    parts = Networks(model, lanes=16)
    index = CodeIndex(parts, np.asarray(model.codebook.codes, float), 256)

    def weights(images):
        mean, stddev = parts.encode(images)
        prior = LearnedPrior(
            parts, LatentGrid.around(mean, stddev), scale_of(mean), len(mean), 256, index
        )
        prior.add(mean, np.arange(len(mean)))
        return prior.given(np.arange(len(mean)), 1).weights

    # Images like the training data; then some that are not; then copies of those.
    assert weights(images[:200])[1] > 0.8
    drifted = weights(images[:200, ::-1, ::-1])
    assert drifted[1] < 0.4
    copies = weights(np.repeat(images[:100, ::-1, ::-1], 2, axis=0))
    assert copies[2] > 0.6
    # Of one alone there is not much to tell.
    assert weights(images[:1])[1] > 0.5


def rates(model, images, **options):
    return {
        codes: codec.compress(
            images, model, codes=codes, lanes=16, verify=False, **options
        ).report.net_nats_per_image
        for codes in ("training", "seen", "both")
    }


def nats(model, images, mode, codes):
    data = codec.compress(images, model, mode=mode, codes=codes, lanes=64, verify=False)
    return data.report.net_nats_per_image


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["set", "stream"])
def test_what_learning_costs_and_saves(digits, mode):
    model, images = digits[0], digits[1][:900]
    training, seen, both = (
        nats(model, images, mode, codes) for codes in ("training", "seen", "both")
    )
    # A set that is its own codebook costs little more than with one, and both together
    # cost no more; 2.5 nats of noise an image.
    noise_nats = 3 * 2.5 / np.sqrt(len(images))
    assert seen < training + 1.2 + noise_nats
    assert both < training + noise_nats
    # Upside down and left to right they are unlike all that the model learned from.
    images = images[:, ::-1, ::-1]
    training, seen, both = (
        nats(model, images, mode, codes) for codes in ("training", "seen", "both")
    )
    assert seen < training - 0.5 and both < training - 0.5


def test_a_model_that_has_forgotten_its_codes(tmp_path):
    model, images = model_of(), noise(30)
    small = codec.without_codes(model)
    small.save(tmp_path / "small.keras")
    small = keras_acn.load_model(tmp_path / "small.keras")
    assert not small.codebook.built
    for mode in ("stream", "set"):
        one, other = (
            codec.compress(images, each, mode=mode, codes="seen", lanes=4)
            for each in (model, small)
        )
        assert one == other
        for each in (model, small):
            assert as_set(codec.decompress(one, each)) == as_set(images)
    # The network is the same, the codes are not asked for: another network is another model.
    with pytest.raises(UserError, match="compressed with another model"):
        codec.decompress(one, small_model(seed=2))
    with pytest.raises(UserError, match="--codes seen"):
        codec.compress(images, small)
    data = codec.compress(images, model)
    with pytest.raises(UserError, match="codebook is empty"):
        codec.decompress(data, small)
    with pytest.raises(UserError, match="keeps no codes"):
        codec.without_codes(model_of(kind="VAE"))


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        ("VAE", {"codes": "seen"}, "cannot learn from them"),
        ("ACN", {"codes": "seen", "mode": "tour"}, "--mode set --codes seen"),
        ("ACN", {"codes": "sen"}, 'Did you mean "seen"'),
    ],
)
def test_wrong_codes_are_one_sentence(kind, options, sentence):
    with pytest.raises(UserError, match=sentence):
        codec.compress(noise(3), model_of(kind=kind), **options)


def test_the_report_says_whose_codes():
    data = codec.compress(noise(9), model_of(), codes="both", mode="set")
    header, report = codec.info(data)
    assert header.codes == report.codes == report.to_dict()["codes"] == "both"
    assert "codes    of the images before, too" in report.to_text()
