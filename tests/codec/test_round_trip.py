import functools

import numpy as np
import pytest
from codec_models import DECODERS, FAMILIES, as_set, noise, small_model

import keras_acn
from keras_acn import codec
from keras_acn._base.errors import UserError
from keras_acn.codec.codec import Codec
from keras_acn.codec.tour_mode import TourMode

model_of = functools.cache(small_model)


@pytest.mark.fast(
    "mlp-bernoulli-1",
    "mlp-categorical-3",
    "conv-logistic-3",
    "pixelcnn-categorical-1",
    "pixelcnn-logistic-3",
    "blocks-bernoulli-1",
)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("decoder", DECODERS)
def test_every_decoder(decoder, family, channels):
    shape = (4 if decoder == "blocks" else 3, 4, channels)
    model = model_of(decoder, family, shape)
    images = noise(13, shape, model.decoder.likelihood.levels)
    job = Codec(model, "stream", lanes=4, nearest=16)
    coded = job.encode(images)
    np.testing.assert_array_equal(job.decode(coded.block), images)
    # The networks of the other mode are the same, and need no making ready again.
    job.prepare()
    job._made = TourMode(job.networks, job._coder, job._made.index)
    coded = job.encode(images)
    np.testing.assert_array_equal(job.decode(coded.block), images[coded.order])
    assert sorted(coded.order) == list(range(13))


@pytest.mark.parametrize("mode", ["stream", "set"])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_few_images(count, mode):
    model = model_of()
    images = noise(count)
    data = codec.compress(model, images, mode=mode, lanes=3)
    assert as_set(codec.decompress(data, model)) == as_set(images)
    assert data.report.images == count
    assert len(data) < 400


@pytest.mark.parametrize("mode", ["stream", "set"])
@pytest.mark.parametrize("decoder", ["mlp", "pixelcnn"])
@pytest.mark.parametrize("level", [0, 1])
def test_all_black_and_all_white(level, decoder, mode):
    model = model_of(decoder)
    images = np.full((30, 6, 5, 1), level, np.uint8)
    data = codec.compress(model, images, mode=mode, lanes=4)
    np.testing.assert_array_equal(codec.decompress(data, model), images)


@pytest.mark.parametrize("kind", ["VAE", "ACN"])
def test_a_prior_of_one_gaussian(kind):
    options = {} if kind == "VAE" else {"prior": {"name": "mixture", "components": 1}}
    model = small_model(kind=kind, **options)
    images = noise(40)
    data = codec.compress(model, images, lanes=4)
    np.testing.assert_array_equal(codec.decompress(data, model), images)


def test_a_codebook_of_one_code():
    model = small_model(codes=1)
    for mode in ("stream", "set"):
        data = codec.compress(model, noise(9), mode=mode, lanes=2)
        assert as_set(codec.decompress(data, model)) == as_set(noise(9))


def test_latents_that_fall_off_the_grid(monkeypatch):
    # A grid that ends at two cells, half a standard deviation: nearly all latents are off it.
    from keras_acn.codec import grid

    monkeypatch.setattr(grid, "MIN_REACH", 1)
    monkeypatch.setattr(grid, "MAX_REACH", 2)
    for kind, mode in (("VAE", "stream"), ("ACN", "stream"), ("ACN", "set")):
        model = model_of(kind=kind)
        data = codec.compress(model, noise(50), mode=mode, lanes=4)
        assert as_set(codec.decompress(data, model)) == as_set(noise(50))


@pytest.mark.parametrize("lanes", [1, 5, 64])
@pytest.mark.parametrize("mode", ["stream", "set"])
def test_lanes_and_blocks(lanes, mode):
    model, images = model_of(), noise(37)
    data = codec.compress(model, images, mode=mode, lanes=lanes, block_images=11, nearest=3)
    assert as_set(codec.decompress(data, model)) == as_set(images)
    if mode == "stream":
        np.testing.assert_array_equal(codec.decompress(data, model), images)


def test_keep_order():
    model, images = model_of(), noise(600)
    plain = codec.compress(model, images, mode="set", lanes=4, verify=False)
    kept = codec.compress(model, images, mode="set", lanes=4, keep_order=True, block_images=400)
    np.testing.assert_array_equal(codec.decompress(kept, model), images)
    assert not np.array_equal(codec.decompress(plain, model), images)
    bits = 2 * np.sum(np.log2(np.arange(1, 301)))
    assert kept.report.order_bits == round(bits)
    # The order lies at the bottom of the stack, so that latents are drawn with its bits.
    assert kept.report.initial_bits == 0 < plain.report.initial_bits
    # Other bits draw other latents: about 10 bits of noise an image.
    assert 8 * len(kept) - bits == pytest.approx(8 * len(plain), abs=4 * 10 * np.sqrt(600))


def test_the_same_input_gives_the_same_file():
    model, images = model_of(), noise(60)
    for mode in ("stream", "set"):
        one, other = (codec.compress(model, images, mode=mode, lanes=4) for _ in range(2))
        assert one == other


def test_verification_finds_a_file_that_does_not_come_back(tmp_path, monkeypatch):
    from keras_acn.codec.bits_back import BitsBack

    pop = BitsBack.pop

    def wrong(self, prior):
        levels, q = pop(self, prior)
        return 1 - levels, q

    monkeypatch.setattr(BitsBack, "pop", wrong)
    with pytest.raises(UserError, match="do not come back"):
        codec.compress(model_of(), noise(5), tmp_path / "x.acn")
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing(tmp_path):
    def interrupt(stage, done, total):
        if stage == "compress" and done > 20:
            raise KeyboardInterrupt

    (tmp_path / "x.acn").write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt):
        codec.compress(
            model_of(), noise(60), tmp_path / "x.acn", lanes=4, block_images=20, progress=interrupt
        )
    assert [path.name for path in tmp_path.iterdir()] == ["x.acn"]
    assert (tmp_path / "x.acn").read_bytes() == b"before"


def test_progress_goes_from_nothing_to_all():
    told = {}

    def progress(stage, done, total):
        told.setdefault(stage, []).append((done, total))

    codec.compress(model_of(), noise(50), mode="set", lanes=4, block_images=25, progress=progress)
    for stage in ("encode", "compress", "verify"):
        assert told[stage][-1] == (50, 50)
        assert told[stage] == sorted(told[stage])


def test_public_names():
    assert keras_acn.compress is codec.compress and keras_acn.decompress is codec.decompress
    with pytest.raises(AttributeError, match="nothing"):
        codec.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mode": "sett"}, 'Did you mean "set"'),
        ({"keep_order": True}, "keeps the order anyway"),
        ({"lanes": 0}, "lanes must be from 1"),
        ({"block_images": 0}, "block_images must be from 1"),
        ({"nearest": 0}, "nearest must be from 1"),
        ({"binarize": "dynamic"}, "--binarize static"),
        ({"binarize": "sttic"}, 'Did you mean "static"'),
    ],
)
def test_wrong_options(options, sentence):
    with pytest.raises(UserError, match=sentence):
        codec.compress(model_of(), noise(3), **options)


def test_models_that_cannot():
    vae = model_of(kind="VAE")
    with pytest.raises(UserError, match="use the stream mode"):
        codec.compress(vae, noise(3), mode="set")
    with pytest.raises(UserError, match="an ACN or a VAE, not a str"):
        codec.compress("model", noise(3))
    untrained = keras_acn.ACN((6, 5, 1), latent_dim=4, decoder="mlp")
    with pytest.raises(UserError, match="codebook is empty"):
        codec.compress(untrained, noise(3))
