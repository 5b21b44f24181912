"""What a config leaves open is chosen by the data and the time; the run keeps it, and goes on."""

import json
import warnings

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_acn
from keras_acn import UserError, data
from keras_acn._base.errors import DataWarning
from keras_acn.cli import main
from keras_acn.decoders.families import Bernoulli, DiscretizedLogisticMixture
from keras_acn.experiment import auto, load_config, open_run, precision, train
from keras_acn.experiment.build import build_data
from keras_acn.experiment.run import tell_of_lost_values
from keras_acn.models import sizes

RNG = np.random.default_rng(0)


def images(count, shape, levels=256):
    return (RNG.integers(0, levels, (count, *shape)) * (255 // (levels - 1))).astype("uint8")


@pytest.fixture
def steps_take(monkeypatch):
    """`steps_take(small, feed_forward)`: what is measured, in seconds, instead of a clock."""

    def set_to(small, feed_forward=0.001):
        def measured(self, size, autoregressive):
            if not autoregressive:
                return feed_forward
            return small * auto._work(size) / auto._work(sizes.SIZES[0])

        monkeypatch.setattr(auto._Chooser, "_measured", measured)

    return set_to


def config(minutes=5, overrides=()):
    return load_config("auto", overrides=[f"training.minutes={minutes}", *overrides])


def chosen(array, labels=None, *, minutes=5, overrides=(), validation=0):
    found = data.from_arrays(array, labels)
    train, held = found.split(validation) if validation else (found, None)
    classes = None if labels is None else int(np.max(labels)) + 1
    loaded = data.Data(train, held, None, "x", train.image_shape, classes)
    return auto.complete(config(minutes, overrides), loaded)


@pytest.mark.parametrize(
    ("array", "family"),
    [
        (images(60, (6, 6, 1), 2), "bernoulli"),
        (images(60, (6, 6, 1)) // 255, "bernoulli"),
        (images(60, (6, 6, 1)), "discretized logistic mixture"),
        (images(60, (6, 6, 3)), "discretized logistic mixture"),
        (RNG.random((60, 6, 6, 1), "float32"), "discretized logistic mixture"),
    ],
    ids=["black and white", "zeros and ones", "grey", "colour", "floats"],
)
def test_the_likelihood_fits_the_images(array, family, steps_take):
    steps_take(1e9)
    choice = chosen(array)
    likelihood = choice.config.decoder.as_dict()["likelihood"]
    name = likelihood["name"] if isinstance(likelihood, dict) else likelihood
    assert name.replace("_", " ") == family
    assert len(choice.lines) == 5 and choice.lines[0].lower().startswith(f"likelihood  {family}")
    assert ("rounded to 8 bits" in choice.lines[0]) == (array.dtype == np.float32)


def test_the_decoder_goes_by_the_time_of_a_step(steps_take):
    many = images(30000, (8, 8, 1), 2)
    found = []
    for small in (1.0, 0.1, 0.01, 0.0001):
        steps_take(small)
        decoder = chosen(many).config.decoder.as_dict()
        found.append((decoder["name"], decoder["filters"]))
    # 300 seconds are 300 steps of the smallest PixelCNN in the first case, of the 800 it needs.
    assert [name for name, _ in found] == ["conv", "pixelcnn", "pixelcnn", "pixelcnn"]
    filters = [each for _, each in found[1:]]
    assert filters == sorted(set(filters)) and filters[0] == sizes.SIZES[0].filters
    # Few images get a small model, whatever the time.
    steps_take(0.0001)
    assert chosen(images(40, (8, 8, 1), 2)).config.decoder.as_dict()["filters"] < filters[-1]
    # Grey values are worth a PixelCNN earlier.
    steps_take(1.0)
    assert chosen(images(3000, (8, 8, 1))).config.decoder.as_dict()["name"] == "pixelcnn"


def test_values_of_eight_bits_are_centred_on_a_prediction(steps_take):
    steps_take(0.0001)
    grey = images(60, (6, 6, 1))
    likelihood = "decoder.likelihood=categorical"
    found = [
        chosen(array, overrides=overrides).config.decoder.as_dict()
        for array, overrides in (
            (images(60, (6, 6, 3)), []),
            (grey, ["decoder.layers=2"]),
            (grey, ["decoder.layers=2", likelihood]),
            (grey, ["decoder.prediction=none"]),
            (images(60, (6, 6, 1), 2), []),
        )
    ]
    assert [decoder["name"] for decoder in found] == ["pixelcnn"] * 5
    given = [decoder.get("prediction", "none") for decoder in found]
    assert given == ["linear", "linear", "none", "none", "none"]


def test_the_epochs_take_about_the_time_that_there_is(steps_take):
    steps_take(1e9, feed_forward=0.02)
    array = images(1000, (8, 8, 1), 2)
    for minutes in (0.5, 1.5):
        training = chosen(array, minutes=minutes).config.training
        steps = training.epochs * (training.steps_per_epoch or 16)
        assert steps * 0.02 == pytest.approx(60 * minutes, rel=0.1)
        assert training.kl_warmup_epochs == training.epochs / 4
        assert training.minutes is None
    held = chosen(array, minutes=0.5, validation=0.2).config.training
    assert held.keep_best and not training.keep_best
    assert held.epochs * (held.steps_per_epoch or 13) < 1500


def test_what_is_given_is_kept(steps_take):
    steps_take(1e9)
    given = [
        "model.latent_dim=3",
        "encoder={name: mlp, hidden: [7]}",
        "decoder.name=mlp",
        "decoder.hidden=[5]",
        "training.epochs=2",
        "training.batch_size=9",
        "training.learning_rate=0.5",
        "codebook.k=2",
    ]
    found = chosen(images(60, (6, 6, 1)), overrides=given).config
    assert (found.model.latent_dim, found.training.epochs, found.training.batch_size) == (3, 2, 9)
    assert found.encoder.as_dict() == {"name": "mlp", "hidden": [7]}
    decoder = found.decoder.as_dict()
    # The likelihood is not among what was given.
    assert decoder.pop("likelihood")["name"] == "discretized_logistic_mixture"
    assert decoder == {"name": "mlp", "hidden": [5]}
    assert found.codebook.k == 2 and found.training.learning_rate == 0.5
    by_options = [each for each in given if "name" not in each]
    again = chosen(images(60, (6, 6, 1)), overrides=[*by_options, "encoder.hidden=[7]"]).config
    assert again.encoder.as_dict()["name"] == again.decoder.as_dict()["name"] == "mlp"
    named = chosen(images(60, (6, 6, 1)), overrides=["decoder.name=bernoulli_mlp"]).config
    assert named.decoder.as_dict() == {"name": "bernoulli_mlp"}
    vae = chosen(images(60, (6, 6, 1)), overrides=["model.name=VAE"]).config
    assert vae.encoder.as_dict()["variance"] == "learned"
    assert vae.codebook is None and vae.prior is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sixty pictures in colour, of many sizes and two classes, some transparent."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(60):
        height, width = 20 + number % 7, 24 + number % 5
        place = root / ("ants" if number % 2 else "bees")
        place.mkdir(exist_ok=True)
        Image.fromarray(images(1, (height, width, 3))[0]).save(place / f"{number:02d}.png")
    return root


def test_pictures_of_several_sizes_are_brought_to_one_and_it_is_said(folder):
    with pytest.warns(DataWarning, match=r"35 sizes, from 20x24 to 26x28: they are cropped to"):
        found = auto.prepared(config(overrides=[f"data.source=images:{folder}"])).data
    assert (found.crop, found.resize, found.validation) == ("square", 20, 0.1)
    loaded = data.load(found.source, crop=found.crop, resize=found.resize)
    assert loaded.image_shape == (20, 20, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given = [f"data.source=images:{folder}", "data.resize=8", "data.validation=0"]
        found = auto.prepared(config(overrides=given)).data
    assert (found.crop, found.resize, found.validation) == (None, 8, 0)


def test_large_pictures_are_reduced_and_it_is_said(tmp_path):
    np.save(tmp_path / "large.npy", images(4, (80, 70, 3)))
    with pytest.warns(DataWarning, match=r"are 80x70.*--set data.resize=64"):
        found = auto.prepared(config(overrides=[f"data.source=npy:{tmp_path / 'large.npy'}"])).data
    assert (found.crop, found.resize, found.validation) == ("square", 32, 0)


@pytest.mark.slow
def test_a_source_alone_is_looked_at_and_the_run_goes_on(folder, tmp_path, capsys, steps_take):
    steps_take(1e9, feed_forward=10.0)
    run = tmp_path / "run"
    given = ["--set", "training.epochs=1", "--set", "data.resize=8", "--no-figures"]
    assert main(["train", f"images:{folder}", "--minutes", "1", *given, "--out", str(run)]) == 0
    told = capsys.readouterr()
    for word in ("likelihood", "encoder", "decoder", "training", "held out"):
        assert f"\n{word}  " in f"\n{told.out}".replace("   ", "  ").replace("   ", "  ")
    opened = open_run(run)
    assert opened.settings.preset == "auto" and opened.settings.training.minutes is None
    assert opened.model.decoder.likelihood == DiscretizedLogisticMixture(components=5)
    assert opened.data.train.class_names == ("ants", "bees")
    assert main(["train", "--resume", str(run), "--epochs", "2", "--no-figures", "-q"]) == 0
    assert open_run(run).metrics["epochs"] == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "digits", "--minutes", "1"], "--minutes is for the preset auto"),
        (["train", "--minutes", "1"], "name a SOURCE and no preset"),
        (["train", "mnist-mini:x"], 'Unknown preset "mnist-mini:x"'),
        (["train", "npy:x.npy", "--data", "digits"], "are both a source"),
        (["train", "."], 'write "images:."'),
        (["sweep", "auto", "--grid", "beta=0,1"], "sweep what that came to"),
    ],
)
def test_bad_words(words, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["data.resize=8"], True),
        (["data.resize=8", "data.binarize=none"], False),
        (["data.resize=8", "data.binarize=static"], False),
    ],
    ids=["by the preset", "not at all", "as asked for"],
)
def test_a_preset_that_makes_other_images_black_and_white_says_so(options, said, folder):
    given = load_config("digits", overrides=[f"data.source=images:{folder}", *options])
    loaded = build_data(given)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        tell_of_lost_values(given, loaded)
        tell_of_lost_values(load_config("digits"), data.load("digits", binarize="threshold"))
    sentences = [str(each.message) for each in found]
    assert bool(sentences) == said
    assert all("in colour, and the preset digits makes them black" in each for each in sentences)


def test_the_precision_is_chosen_before_anything_is_measured(steps_take, monkeypatch):
    steps_take(1e9)
    monkeypatch.setattr(precision, "seconds", lambda dtype: 2.0 if dtype == tf.float32 else 1.0)
    found = chosen(images(60, (6, 6, 1)), overrides=["training.precision=auto"]).config
    assert found.training.precision == "mixed_bfloat16"


def test_workers_do_not_choose_each_for_itself(monkeypatch, tmp_path):
    team = {"worker": ["localhost:1", "localhost:2"]}
    task = {"type": "worker", "index": 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": team, "task": task}))
    with pytest.raises(UserError, match="each measure and choose for themselves"):
        train(config(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_model_for_data(steps_take):
    steps_take(1e9, feed_forward=1.0)
    labels = np.arange(60) % 3
    model = keras_acn.ACN.for_data((images(60, (6, 6, 3)), labels), minutes=1)
    assert isinstance(model, keras_acn.ACN) and model.compiled
    assert model.decoder.likelihood == DiscretizedLogisticMixture(components=5)
    assert len(str(model.choice).splitlines()) == 5
    assert model.choice.fit == {"batch_size": 32, "epochs": 30}

    class Mine(keras_acn.VAE):
        """A model of a user's own."""

    mine = Mine.for_data(images(60, (6, 6, 1), 2), minutes=1)
    assert type(mine) is Mine and mine.decoder.likelihood == Bernoulli()
    assert mine.encoder.variance == "learned"
    with pytest.raises(UserError, match="minutes"):
        keras_acn.VAE.for_data(images(60, (6, 6, 1), 2), minutes=0)


def test_a_step_is_measured():
    model = keras_acn.VAE((6, 6, 1), 2, encoder="mlp", decoder="mlp")
    model.compile()
    taken = sizes.seconds_per_step(model, data.from_arrays(images(10, (6, 6, 1), 2)), 4)
    assert 0 < taken < 10


@pytest.mark.parametrize("autoregressive", [True, False])
@pytest.mark.parametrize("size", [sizes.SIZES[1], sizes.SIZES[-1]], ids=["small", "large"])
def test_the_rough_count_is_about_right(size, autoregressive):
    shape = (28, 28, 1)
    decoder = sizes.decoder_of(size, shape, 2, autoregressive=autoregressive)
    model = keras_acn.VAE(shape, 16, encoder=sizes.encoder_of(size, dense=64), decoder=decoder)
    rough = sizes.roughly(size, shape, autoregressive=autoregressive, dense=64)
    assert 0.5 < rough / sizes.count_weights(model) < 2
