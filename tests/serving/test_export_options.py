"""The options of an export, its sizes, and what it says when something does not fit."""

import ast
import json
import pathlib
import shlex
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from python_answers import png
from served_models import DECODER, MLP, make_acn, make_autoencoder, make_vae, pictures
from served_process import Served

from keras_acn import ACN, VAE, MLPEncoder, UserError, cli
from keras_acn._base import lazy
from keras_acn.experiment import load_config
from keras_acn.serving import warmup
from keras_acn.serving.weights import StoredWeights

# Two channels, which no file holds: a model with few signatures is exported quickly.
BARE = (4, 4, 2)


@pytest.fixture(scope="module")
def model():
    return make_acn()


@pytest.mark.slow
def test_what_is_in_a_version(exported):
    export = exported("acn").export
    files = {str(p.relative_to(export.path)) for p in export.path.rglob("*") if p.is_file()}
    extra = {"tf_serving_warmup_requests", "model_card.md", "config.yaml", "recorded_requests.npz"}
    assert {f"assets.extra/{name}" for name in extra} <= files
    assert {"saved_model.pb", "variables/variables.index"} <= files
    assert export.total_bytes == sum((export.path / name).stat().st_size for name in files)
    config = load_config(file=export.path / "assets.extra" / "config.yaml")
    assert config == load_config("digits")
    card = (export.path / "assets.extra" / "model_card.md").read_text()
    assert "binarized: 1 above 0.5" in card and "64 codes, k = 3" in card
    # Which neighbour it was is not paid for; a VAE's cost bounds -log p(x).
    assert "No code length" in card and "upper bound" not in card
    card = (exported("vae").export.path / "assets.extra" / "model_card.md").read_text()
    assert "No code length" not in card and "upper bound of -log p(x)" in card


@pytest.mark.slow
def test_the_model_is_as_it_was(tmp_path):
    model = ACN(BARE, 2, encoder=MLP, decoder=DECODER, codebook={"k": 3})
    model.recode(pictures(8, shape=BARE))
    before = [weight.copy() for weight in model.get_weights()]
    images = pictures(6, seed=9, shape=BARE)
    codes = model.codes(images)
    export = model.export(tmp_path, quantize="float16", examples=images)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(model.codes(images), codes)
    # And it still draws, by functions that are its own.
    assert model.daydream(images, steps=1).shape == (2, 6, *BARE)
    # The examples are what the server warms up with.
    stored = warmup.read_recorded(export.path / "assets.extra" / warmup.RECORDED)
    np.testing.assert_array_equal(stored["encode"][0]["image"], images[: warmup.ROWS])


@pytest.mark.slow
def test_float16_halves_the_weights_and_keeps_the_answers(tmp_path):
    # Large enough that the vectors, which stay as they are, do not count.
    keras.utils.set_random_seed(0)
    wide, shape = {"name": "mlp", "hidden": [256]}, (8, 8, 2)
    model = ACN(shape, 4, encoder=wide, decoder=DECODER, codebook={"k": 3})
    model.recode(pictures(500, seed=1, shape=shape))
    export = model.export(tmp_path, quantize="float16")
    assert 0.5 <= export.weight_bytes / export.full_weight_bytes < 0.52
    images = pictures(20, shape=shape)
    served = Served(export.path)
    # float16 keeps 11 bits: 5e-4 of each weight, and as much of a sum of them.
    codes = served("encode", {"image": images})["mean"]
    exact = model.codes(images)
    assert 0 < np.abs(codes - exact).max() < 5e-3 * np.abs(exact).max()
    near = served("neighbors", {"image": images})
    distance, index = model.neighbors(images)
    np.testing.assert_allclose(near["distance"], distance, atol=2e-2)
    assert (near["index"] == index).mean() > 0.9
    assert "stored as float16" in (export.path / "assets.extra/model_card.md").read_text()


def test_float16_leaves_moments_alone():
    # A covariance whose elements are rounded may be one no more.
    model = make_autoencoder()
    stored = StoredWeights(model, "float16")
    moment, kernel = model.prior.covariance, model.encoder.mean_head.kernel

    @tf.function(autograph=False)
    def read():
        with stored.scope():
            return tf.convert_to_tensor(moment.value), tf.convert_to_tensor(kernel.value)

    same, half = read()
    np.testing.assert_array_equal(same, moment.numpy())
    np.testing.assert_array_equal(half, kernel.numpy().astype(np.float16).astype(np.float32))
    assert (half.numpy() != kernel.numpy()).any()


def test_too_large_for_float16(tmp_path):
    model = make_vae()
    kernel = model.encoder.mean_head.kernel
    kernel.assign(kernel + 1e5)
    with pytest.raises(UserError, match="too large for float16: export without quantize"):
        model.export(tmp_path, quantize="float16")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_without_the_codebook(model, tmp_path, exported):
    whole = exported("acn").export
    export = model.export(tmp_path, codebook=False)
    missing = {"neighbors", "neighbors_png", "nats", "nats_png"}
    assert set(export.signatures) == set(whole.signatures) - missing
    assert export.weight_bytes == whole.weight_bytes - 64 * 4 * 4
    assert export.full_weight_bytes == whole.full_weight_bytes
    card = (export.path / "assets.extra/model_card.md").read_text()
    assert "codebook was left out" in card and "### `neighbors`" not in card


@pytest.mark.slow
def test_without_the_codebook_no_training_is_needed(tmp_path):
    model = ACN(BARE, 2, encoder=MLP, decoder=DECODER)
    with pytest.raises(UserError, match="codebook is empty"):
        model.export(tmp_path)
    assert "sample_prior" in model.export(tmp_path, codebook=False).signatures


def test_images_that_no_file_holds(tmp_path):
    model = VAE(BARE, 2, encoder=MLP, decoder=DECODER)
    export = model.export(tmp_path / "deep" / "..")
    assert export.name == tmp_path.name
    assert "encode" in export.signatures
    assert not any(name.endswith("_png") for name in export.signatures)


@pytest.mark.slow
def test_a_crop_larger_than_the_image(tmp_path):
    config = load_config("digits", overrides=["data.crop=20", "data.resize=8"])
    export = make_vae().export(tmp_path, config=config)
    served = Served(export.path)
    recorded = warmup.read_recorded(export.path / "assets.extra" / warmup.RECORDED)
    inputs, outputs = recorded["encode_png"]
    np.testing.assert_allclose(served("encode_png", inputs)["mean"], outputs["mean"], atol=1e-6)
    with pytest.raises(Exception, match="image_bytes must hold images of at least 20x20"):
        served("encode_png", {"image_bytes": np.array([png(pictures(1)[0])], object)})


def test_a_model_with_a_loss_of_its_own(tmp_path):
    class Doubled(VAE):
        def nats(self, image, index, seed, training=False):
            reconstruction, kl = super().nats(image, index, seed, training)
            return 2 * reconstruction, kl

    model = Doubled(BARE, 2, encoder=MLP, decoder=DECODER)
    served = Served(model.export(tmp_path).path)
    images, seed = pictures(3, shape=BARE), np.array([5, 6, 5], np.int32)
    nats = served("nats", {"image": images, "seed": seed})
    for i in range(3):
        want = model.nats(images[i : i + 1], None, np.array([seed[i], 0], np.int32))
        np.testing.assert_allclose(nats["reconstruction"][i], want[0][0], rtol=1e-5)
        np.testing.assert_allclose(nats["kl"][i], want[1][0], rtol=1e-5)


def test_a_loss_that_uses_its_noise_as_a_seed_is_told_how_to_draw(tmp_path):
    class Dropped(VAE):
        def nats(self, image, index, seed, training=False):
            reconstruction, kl = super().nats(image, index, seed, training)
            return reconstruction, kl + tf.random.stateless_uniform(tf.shape(kl), seed)

    model = Dropped(BARE, 2, encoder=MLP, decoder=DECODER)
    # TensorFlow puts a few words before it, in a `ValueError` of its own.
    with pytest.raises(ValueError, match=r"as a TensorFlow seed.* draw by noise\.uniform\(like"):
        model.export(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"quantize": "float8"}, "float16"),
        ({"verzion": 3}, 'no option "verzion".*Did you mean "version"'),
        ({"format": "onnx"}, 'no option "format"'),
        ({"version": 0}, "at least 1"),
    ],
)
def test_options_that_do_not_fit(model, tmp_path, given, sentence):
    with pytest.raises(UserError, match=sentence):
        model.export(tmp_path, **given)
    assert not list(tmp_path.iterdir())


def test_a_part_that_runs_python(tmp_path):
    class Sine(MLPEncoder):
        def features(self, image, context=None, training=False):
            hidden = super().features(image, training=training)
            return tf.ensure_shape(tf.numpy_function(np.sin, [hidden], tf.float32), hidden.shape)

    model = VAE(BARE, 2, encoder=Sine(BARE, 2, hidden=[8]), decoder=DECODER)
    with pytest.raises(UserError, match="runs Python inside the graph .*PyFunc.* which a server"):
        model.export(tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_codebook_to_leave_out(tmp_path):
    with pytest.raises(UserError, match="VAE has no codebook"):
        make_vae().export(tmp_path, codebook=False)


def test_exporting_is_imported_when_it_is_called():
    # That no room imports one above it is a rule of the house; this file is in no room.
    nodes = list(ast.walk(ast.parse(pathlib.Path(lazy.__file__).read_text())))
    imported = [each.name for node in nodes if isinstance(node, ast.Import) for each in node.names]
    imported += [
        each.module for node in nodes if isinstance(node, ast.ImportFrom) for each in [node]
    ]
    assert {name.split(".")[0] for name in imported} <= set(sys.stdlib_module_names)


@pytest.mark.slow
def test_the_command(tmp_path, capsys):
    VAE(BARE, 2, encoder=MLP, decoder=DECODER).save(tmp_path / "vae.keras")
    served = tmp_path / "models served"
    command = ["export", str(tmp_path / "vae.keras"), str(served)]
    assert cli.main(command) == 0
    out = capsys.readouterr().out
    assert f"{served / '1'}  " in out and "MB (weights" in out
    assert "daydream_step    image, seed -> image" in out
    # Its line can be pasted into a shell.
    words = shlex.split(out.splitlines()[-1])
    assert "docker" in words and "tensorflow/serving" in words
    assert f"{served}:/models/models served" in words and "MODEL_NAME=models served" in words

    assert cli.main([*command, "--quantize", "float16", "--name", "v", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["version"] == 2 and report["name"] == "v"
    assert report["weight_bytes"] < report["full_weight_bytes"]
    assert report["signatures"]["decode"]["inputs"] == {"latent": ["float32", [None, 2]]}

    assert cli.main([*command, "--version", "2"]) == 2
    assert "has a version 2 already" in capsys.readouterr().err
    assert cli.main([*command, "--no-codebook"]) == 2
    assert "has no codebook" in capsys.readouterr().err
    assert sorted(p.name for p in served.iterdir()) == ["1", "2"]
