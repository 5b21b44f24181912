"""Checkpoints: variables by name, the form of version 0.1.0, and files of another model."""

import numpy as np
import pytest

from keras_acn._base.errors import UserError
from keras_acn.experiment import checkpoint, load_config
from keras_acn.experiment.build import build_model

SHAPE, IMAGES = (8, 8, 1), 40
TINY = ["encoder.hidden=[8, 6]", "decoder.hidden=[8]", "training.batch_size=10"]
TINY += ["model.latent_dim=3"]


def build(*overrides):
    """A tiny model: an ACN, or what the overrides make of it."""
    words = " ".join(overrides)
    base = TINY if "prior=null" in words else [*TINY, "prior.hidden=[6]"]
    base = [each for each in base if not ("PixelCNN" in words and each.startswith("decoder"))]
    return build_model(load_config("digits", overrides=[*base, *overrides]), SHAPE, IMAGES)


def by_position(arrays):
    """The arrays as version 0.1.0 stored them: numbered, each kind on its own."""
    counts, old = {}, {}
    for name, array in arrays.items():
        kind = name.partition("/")[0]
        old[f"{kind}/{counts.setdefault(kind, 0):05d}"] = array
        counts[kind] += 1
    return old


def filled(model):
    """A state in which every array has values of its own."""
    return {
        name: np.full(array.shape, i).astype(array.dtype)
        for i, (name, array) in enumerate(checkpoint.state(model).items())
    }


@pytest.mark.parametrize(
    "overrides",
    [
        ["training.ema=0.9"],
        ["training.precision=mixed_float16"],
        ["model.name=VHE", "prior=null"],
        ["model.name=VAE", "prior=null", "decoder={name: GatedPixelCNN, filters: 4, layers: 2}"],
    ],
    ids=["ema", "loss scale", "vhe", "pixelcnn"],
)
def test_every_variable_has_a_name_and_another_model_of_the_process_has_the_same(overrides):
    models = [build(*overrides) for _ in range(2)]
    one, other = (checkpoint.variables_of(model) for model in models)
    assert list(one) == list(other)
    model = models[0]
    every = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    assert {id(v) for v in one.values()} == {id(v) for v in every} and len(one) == len(every)
    assert all("optimizer/" in name for name in one if name.endswith(("momentum", "velocity")))


def test_names_say_what_a_variable_is():
    names = checkpoint.variables_of(build())
    for name in (
        "model/encoder/dense/kernel",
        "model/encoder/dense_1/kernel",
        "model/decoder/dense/bias",
        "optimizer/adam/encoder/dense_1/kernel/velocity",
        "metrics/loss/total",
    ):
        assert name in names
    assert any(name.startswith("model/codebook/") for name in names)


def test_arrays_are_put_back_by_name_in_whatever_order(tmp_path):
    model = build()
    arrays = filled(model)
    shuffled = dict(sorted(arrays.items(), key=lambda pair: pair[0][::-1]))
    checkpoint.save(tmp_path / "last.npz", shuffled, checkpoint.Progress(epoch=3))
    progress, read = checkpoint.read(tmp_path / "last.npz")
    assert progress.epoch == 3
    checkpoint.restore(model, read, tmp_path / "last.npz")
    for name, array in checkpoint.state(model).items():
        np.testing.assert_array_equal(array, arrays[name], err_msg=name)


def test_the_form_of_the_version_before_is_read(tmp_path):
    model = build("training.ema=0.9")
    arrays = filled(model)
    checkpoint.restore(model, by_position(arrays), tmp_path)
    for name, array in checkpoint.state(model).items():
        np.testing.assert_array_equal(array, arrays[name], err_msg=name)
    weights = {key: v for key, v in by_position(arrays).items() if key.startswith("model/")}
    np.savez(tmp_path / "best.npz", **{key: (v + 1).astype(v.dtype) for key, v in weights.items()})
    checkpoint.restore_weights(tmp_path / "best.npz", model)
    after = checkpoint.state(model)
    for name in (name for name in after if name.startswith("model/")):
        np.testing.assert_array_equal(after[name], (arrays[name] + 1).astype(after[name].dtype))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["encoder.hidden=[8, 7]"], r"model/encoder/mean/kernel has the shape \[6, 3\], not \[7"),
        (["encoder.hidden=[8, 6, 6]"], "it has no model/encoder/dense_2/kernel"),
        (["encoder.hidden=[8]"], "model/encoder/.* has the shape|the model has no model/encoder"),
        (["training.optimizer=sgd"], "it has no optimizer/sgd|the model has no optimizer/adam"),
        (["model.name=VAE", "prior=null"], "it has no model/vae/random_step"),
    ],
)
def test_a_checkpoint_of_another_model_is_one_sentence(overrides, words, tmp_path):
    arrays, other = filled(build()), build(*overrides)
    before = checkpoint.state(other)
    with pytest.raises(UserError, match=f"belongs to another model.*({words})") as caught:
        checkpoint.restore(other, arrays, tmp_path / "last.npz")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="belongs to another model"):
        checkpoint.restore(other, by_position(arrays), tmp_path / "last.npz")
    for name, array in checkpoint.state(other).items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_the_history_comes_back_as_it_was(tmp_path):
    rows = [{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 2.0}]
    checkpoint.save(tmp_path / "last.npz", {}, checkpoint.Progress(epoch=2, history=rows))
    # Its text as well, which is what history.csv is made of.
    assert repr(checkpoint.read(tmp_path / "last.npz")[0].history) == repr(rows)
