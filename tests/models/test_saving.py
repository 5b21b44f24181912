"""Every way that Keras has to save, load and copy a model, for every model of the family."""

import copy
import json
import pickle

import keras
import numpy as np
import pytest
from family import FAMILY, IMAGES, LABELS, assert_same_weights, made

from keras_acn import UserError

KERAS = tuple(map(int, keras.__version__.split(".")[:2]))


@pytest.fixture(scope="module", params=FAMILY)
def name(request):
    return request.param


@pytest.fixture(scope="module", params=[False, True], ids=["new", "trained"])
def model(request, name):
    return made(name, fit=request.param)


def as_weights(model, name, folder):
    model.save_weights(folder / "a.weights.h5")
    fresh = made(name)
    fresh.load_weights(folder / "a.weights.h5")
    model.load_weights(folder / "a.weights.h5")
    return fresh


def as_shards(model, name, folder):
    model.save_weights(folder / "a.weights.json", max_shard_size=1e-6)
    fresh = made(name)
    fresh.load_weights(folder / "a.weights.json")
    return fresh


def as_file(model, name, folder):
    model.save(folder / "a.keras")
    return keras.saving.load_model(folder / "a.keras")


def as_folder(model, name, folder):
    model.save(folder / "a", zipped=False)
    return keras.saving.load_model(folder / "a")


WAYS = {
    "save_weights": as_weights,
    "save_weights in shards": as_shards,
    "save": as_file,
    "save as a folder": as_folder,
    "pickle": lambda model, name, folder: pickle.loads(pickle.dumps(model)),
    "deepcopy": lambda model, name, folder: copy.deepcopy(model),
    "copy": lambda model, name, folder: copy.copy(model),
}


@pytest.mark.fast(*(f"trained-acn-{way}" for way in WAYS), "new-acn-save")
@pytest.mark.slow_sample(every=4)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_keeps_every_weight(model, name, way, tmp_path):
    if way == "save_weights in shards" and KERAS < (3, 13):
        pytest.skip("Keras before 3.13 does not find all that it wrote in shards")
    before = [weight.numpy() for weight in model.weights]
    again = WAYS[way](model, name, tmp_path)
    assert_same_weights(again, model)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    if not way.startswith("save_weights"):
        assert again.get_config() == model.get_config()
        for a, b in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.fast("new-acn", "trained-acn")
def test_configs(model):
    config = model.get_config()
    for again in (
        type(model).from_config(config),
        keras.models.model_from_json(model.to_json()),
        keras.models.clone_model(model),
    ):
        assert json.dumps(again.get_config()) == json.dumps(config)
        assert [w.shape for w in again.weights] == [w.shape for w in model.weights]


BAD = {
    "a.h5": r"old HDF5.*a\.keras.*a\.weights\.h5",
    "a.hdf5": "old HDF5",
    "a.weights.h5": "save_weights",
    "a": r"a\.keras.*export",
    "a.tf": r"a\.tf\.keras",
}


@pytest.mark.fast(*(f"trained-acn-{file}" for file in BAD))
@pytest.mark.parametrize("file", BAD)
def test_other_formats_are_refused_and_leave_no_file(model, file, tmp_path):
    for path in (tmp_path / file, str(tmp_path / file)):
        with pytest.raises(UserError, match=BAD[file]):
            model.save(path)
    assert not list(tmp_path.iterdir())
    # Nor do they touch one that is there.
    (tmp_path / file).write_text("mine")
    with pytest.raises(UserError):
        model.save(tmp_path / file)
    assert (tmp_path / file).read_text() == "mine"


def test_export_takes_the_arguments_that_keras_has(name, tmp_path):
    model = made(name)
    with pytest.raises(UserError, match='no option "format"'):
        model.export(tmp_path / "a", format="onnx")
    if model.codebook is not None:
        with pytest.raises(UserError, match="call fit first"):
            model.export(tmp_path / "a", format="tf_saved_model", verbose=False)
        assert not (tmp_path / "a").exists()


@pytest.mark.slow_sample("acn")
def test_export_after_a_training(name, tmp_path):
    made(name, fit=True).export(tmp_path / "a", format="tf_saved_model", verbose=False)
    assert (tmp_path / "a" / "1" / "saved_model.pb").is_file()


def test_quantize_is_refused(name):
    with pytest.raises(UserError, match="export"):
        made(name).quantize("int8")


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("part", ["encoder", "decoder", "prior", None])
def test_what_is_frozen_stays_frozen_in_a_file(part, tmp_path):
    """The layers of a frozen part trained again in the loaded model, and the optimizer was new."""
    model = made("acn")
    (model if part is None else getattr(model, part)).trainable = False
    model.compile(keras.optimizers.Adam(1e-2))
    if part == "encoder":
        model.fit(IMAGES, LABELS, verbose=0)
    model.save(tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras")
    assert len(again.trainable_weights) == len(model.trainable_weights)
    for a, b in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)
