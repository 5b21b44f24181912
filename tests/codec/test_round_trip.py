import functools

import numpy as np
import pytest
from codec_models import DECODERS, FAMILIES, as_set, noise, small_model

import keras_acn
from keras_acn import codec
from keras_acn._base.errors import UserError
from keras_acn.codec.blocks import BlockCodec
from keras_acn.codec.container import MODES
from keras_acn.codec.modes import Set, Tour

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
    job = BlockCodec(model, "stream", lanes=4, nearest=16)
    coded = job.encode(images)
    np.testing.assert_array_equal(job.decode(coded.block), images)
    # The networks of the other modes are the same, and need no making ready again.
    for mode in (Set, Tour):
        job.mode = mode(job.networks, job.mode.index)
        coded = job.encode(images)
        np.testing.assert_array_equal(job.decode(coded.block), images[coded.order])
        assert sorted(coded.order) == list(range(13))


@pytest.mark.fast(every=4)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_few_images(count, mode):
    model = model_of()
    images = noise(count)
    data = codec.compress(images, model, mode=mode, lanes=3)
    assert as_set(codec.decompress(data, model)) == as_set(images)
    assert data.report.images == count
    assert len(data) < 400


@pytest.mark.fast(every=4)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("decoder", ["mlp", "pixelcnn"])
@pytest.mark.parametrize("level", [0, 1])
def test_all_black_and_all_white(level, decoder, mode):
    model = model_of(decoder)
    images = np.full((30, 6, 5, 1), level, np.uint8)
    data = codec.compress(images, model, mode=mode, lanes=4)
    np.testing.assert_array_equal(codec.decompress(data, model), images)


@pytest.mark.parametrize("kind", ["VAE", "ACN"])
def test_a_prior_of_one_gaussian(kind):
    options = {} if kind == "VAE" else {"prior": {"name": "mixture", "components": 1}}
    model = small_model(kind=kind, **options)
    images = noise(40)
    data = codec.compress(images, model, lanes=4)
    np.testing.assert_array_equal(codec.decompress(data, model), images)


@pytest.mark.fast(every=4)
@pytest.mark.parametrize("components", [1, 7])
@pytest.mark.parametrize("prior", ["learned_mixture", "vamp"])
def test_a_prior_that_is_a_mixture_over_whole_latents(tmp_path, prior, components):
    model = small_model(kind="VAE", prior={"name": prior, "components": components})
    images = noise(41)
    for mode in ("stream", "set"):
        data = codec.compress(images, model, mode=mode, lanes=4)
        assert as_set(codec.decompress(data, model)) == as_set(images)
    data = codec.compress(images, model, lanes=4)
    np.testing.assert_array_equal(codec.decompress(data, model), images)
    model.save(tmp_path / "model.keras")
    again = keras_acn.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(codec.decompress(data, again), images)


def test_a_prior_that_is_no_mixture_is_refused_before_any_work():
    model = small_model(kind="VAE", prior="fitted_normal")
    with pytest.raises(UserError, match="LearnedMixture or VampPrior, not FittedNormal"):
        codec.compress(noise(3), model)


def test_a_codebook_of_one_code():
    model = small_model(codes=1)
    for mode in MODES:
        data = codec.compress(noise(9), model, mode=mode, lanes=2)
        assert as_set(codec.decompress(data, model)) == as_set(noise(9))


@pytest.mark.slow
def test_latents_that_fall_off_the_grid(monkeypatch):
    # A grid that ends at two cells, half a standard deviation: nearly all latents are off it.
    from keras_acn.codec import grid

    monkeypatch.setattr(grid, "MIN_REACH", 1)
    monkeypatch.setattr(grid, "MAX_REACH", 2)
    cases = [("VAE", "stream"), ("VAE", "set"), *(("ACN", mode) for mode in MODES)]
    for kind, mode in cases:
        model = model_of(kind=kind)
        data = codec.compress(noise(50), model, mode=mode, lanes=4)
        assert as_set(codec.decompress(data, model)) == as_set(noise(50))


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("lanes", [1, 5, 64])
@pytest.mark.parametrize("mode", MODES)
def test_lanes_and_blocks(lanes, mode):
    model, images = model_of(), noise(37)
    data = codec.compress(images, model, mode=mode, lanes=lanes, block_images=11, nearest=3)
    assert as_set(codec.decompress(data, model)) == as_set(images)
    if mode == "stream":
        np.testing.assert_array_equal(codec.decompress(data, model), images)


@pytest.mark.fast("set")
@pytest.mark.parametrize("mode", ["set", "tour"])
def test_keep_order(mode):
    model, images = model_of(), noise(600)
    plain = codec.compress(images, model, mode=mode, lanes=4, verify=False)
    kept = codec.compress(images, model, mode=mode, lanes=4, keep_order=True, block_images=400)
    np.testing.assert_array_equal(codec.decompress(kept, model), images)
    assert not np.array_equal(codec.decompress(plain, model), images)
    bits = 2 * np.sum(np.log2(np.arange(1, 301)))
    assert kept.report.order_bits == round(bits)
    # The order lies at the bottom of the stack, so that latents are drawn with its bits.
    assert kept.report.initial_bits == 0 < plain.report.initial_bits
    # Other bits draw other latents: about 10 bits of noise an image.
    assert 8 * len(kept) - bits == pytest.approx(8 * len(plain), abs=4 * 10 * np.sqrt(600))


@pytest.mark.slow
def test_the_same_input_gives_the_same_file():
    model, images = model_of(), noise(60)
    for mode in MODES:
        one, other = (codec.compress(images, model, mode=mode, lanes=4) for _ in range(2))
        assert one == other


def test_verification_finds_a_file_that_does_not_come_back(tmp_path, monkeypatch):
    from keras_acn.codec.blocks import BlockCodec

    decode = BlockCodec.decode
    monkeypatch.setattr(BlockCodec, "decode", lambda *arguments: 1 - decode(*arguments))
    with pytest.raises(UserError, match="do not come back"):
        codec.compress(noise(5), model_of(), tmp_path / "x.acn")
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing(tmp_path):
    def interrupt(done, total):
        # Of the second block, after all of the first: 20 images, encoded and compressed.
        if done > 60:
            raise KeyboardInterrupt

    (tmp_path / "x.acn").write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt):
        codec.compress(
            model_of(), noise(60), tmp_path / "x.acn", lanes=4, block_images=20, progress=interrupt
        )
    assert [path.name for path in tmp_path.iterdir()] == ["x.acn"]
    assert (tmp_path / "x.acn").read_bytes() == b"before"


def test_progress_goes_from_nothing_to_all():
    told = []

    def progress(done, total):
        told.append((done, total))

    options = {"mode": "set", "lanes": 4, "block_images": 25, "progress": progress}
    data = codec.compress(noise(50), model_of(), **options)
    # Encoded, compressed and verified: three times 50 images, in steps of 4 at most.
    assert told[-1] == (150, 150) and told == sorted(told)
    assert np.diff([done for done, _ in told]).max() == 4
    told.clear()
    codec.decompress(data, model_of(), progress=progress)
    assert told[-1] == (50, 50) and told == sorted(told)
    told.clear()
    codec.compress(noise(50), model_of(), verify=False, progress=progress)
    assert told[-1] == (100, 100)


def test_public_names():
    assert keras_acn.compress is codec.compress and keras_acn.decompress is codec.decompress
    with pytest.raises(AttributeError, match="nothing"):
        codec.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mode": "sett"}, 'Did you mean "set"'),
        ({"keep_order": True}, "keeps the order anyway"),
        ({"lanes": 0}, "lanes must be at "),
        ({"block_images": 0}, "block_images must be at "),
        ({"nearest": 0}, "nearest must be at least 1"),
        ({"binarize": "dynamic"}, "--binarize static"),
        ({"binarize": "sttic"}, 'Did you mean "static"'),
    ],
)
def test_wrong_options(options, sentence):
    with pytest.raises(UserError, match=sentence):
        codec.compress(noise(3), model_of(), **options)


def test_models_that_cannot():
    vae = model_of(kind="VAE")
    with pytest.raises(UserError, match='take the mode "set"'):
        codec.compress(noise(3), vae, mode="tour")
    with pytest.raises(UserError, match="an ACN or a VAE, not a str"):
        codec.compress(noise(3), "model")
    untrained = keras_acn.ACN((6, 5, 1), latent_dim=4, decoder="mlp")
    with pytest.raises(UserError, match="codebook is empty"):
        codec.compress(noise(3), untrained)


def test_a_file_takes_the_place_of_the_bytes(tmp_path):
    model, images = model_of(), noise(9)
    data = codec.compress(images, model, lanes=2)
    written = codec.compress(images, model, tmp_path / "x.acn", lanes=2)
    assert (tmp_path / "x.acn").read_bytes() == data and written.file == tmp_path / "x.acn"
    assert written.report.file_bytes == len(data) and data.file is None
    for each in (data, written, tmp_path / "x.acn", str(tmp_path / "x.acn")):
        np.testing.assert_array_equal(codec.decompress(each, model), images)
        assert codec.info(each)[1].images == 9
    again = codec.decompress(data, model, tmp_path / "x.npy")
    assert isinstance(again, np.ndarray)
    np.testing.assert_array_equal(again, images)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), images)
    empty = codec.compress(images[:0], model)
    assert codec.decompress(empty, model, tmp_path / "e.npy").shape == (0, 6, 5, 1)


def test_calls_of_version_0_1_still_work(tmp_path):
    model, images = model_of(), noise(9)
    with pytest.warns(DeprecationWarning, match=r"compress\(images, model\)") as caught:
        data = codec.compress(model, images, tmp_path / "x.acn", lanes=2)
    assert caught[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="compress.*report.images") as caught:
        assert data.images == 9
    assert caught[0].filename == __file__
    with pytest.raises(AttributeError, match="nothing"):
        data.nothing  # noqa: B018
    stages = []
    with pytest.warns(DeprecationWarning, match="done, total"):
        codec.compress(images, model, progress=lambda stage, done, total: stages.append(stage))
    assert set(stages) == {"priors of the codes", "encode", "compress", "verify"}
