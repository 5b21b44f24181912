"""Model files that are damaged or a stranger's: one sentence each, and no code is run."""

import io
import json
import os
import zipfile

import h5py
import keras
import numpy as np
import pytest

from keras_acn import VAE, UserError, load_model
from keras_acn.encoders import MLPEncoder

IMAGES = np.random.default_rng(0).random((20, 4, 4, 1), dtype=np.float32)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The members of a good file, by name."""
    model = VAE((4, 4, 1), 2, encoder={"name": "mlp", "hidden": [8]}, decoder="mlp")
    model.compile("adam")
    model.fit(IMAGES, verbose=0)
    path = tmp_path_factory.mktemp("good") / "model.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path, parts, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def with_config(parts, change):
    config = json.loads(parts["config.json"])
    change(config)
    return {**parts, "config.json": json.dumps(config).encode()}


def with_weights(parts, change):
    file = io.BytesIO(parts["model.weights.h5"])
    with h5py.File(file, "r+") as weights:
        change(weights)
    return {**parts, "model.weights.h5": file.getvalue()}


def first(weights):
    found = []
    weights.visititems(lambda name, each: found.append(each) if hasattr(each, "shape") else None)
    return max(found, key=lambda each: each.size)


def set_nan(weights):
    dataset = first(weights)
    dataset[(0,) * dataset.ndim] = np.nan


def link(weights):
    name = first(weights).name
    del weights[name]
    weights[name] = h5py.ExternalLink("/etc/passwd", "/x")


def bomb(weights):
    name = first(weights).name
    del weights[name]
    weights.create_dataset(name, (2**20, 2**10), "f4", chunks=(2**10, 2**10), compression="gzip")


def piece(weights):
    """A weight of a few numbers in one piece of 128 MB, which is unpacked whole."""
    name, values = first(weights).name, first(weights)[()]
    del weights[name]
    packed = weights.create_dataset(
        name, values.shape, "f4", chunks=(2**13, 2**12), maxshape=(None, None), compression="gzip"
    )
    packed[: len(values), : values.shape[1]] = values


def of_type(dtype, value=0.0):
    def change(weights):
        name, values = first(weights).name, first(weights)[()].astype(dtype)
        values.flat[0] = value
        del weights[name]
        weights[name] = values

    return change


def metric(name, **options):
    part = {"module": "keras.metrics", "class_name": name, "config": options}
    return lambda config: config["compile_config"].update(metrics=[part])


def compiled(**options):
    return lambda config: config["compile_config"].update(options)


def of_encoder(**options):
    return lambda config: config["config"]["encoder"]["config"].update(options)


def words(weights):
    name = first(weights).name
    del weights[name]
    weights[name] = ["a", "b"]


def named(module, name, registered=None):
    part = {"module": module, "class_name": name, "config": {}, "registered_name": registered}
    return lambda config: config["config"].update(encoder=part)


def called(module, function):
    """A function that is named as one of a module, under the name of a class that is known."""

    def change(config):
        part = {"module": module, "class_name": "function", "config": function}
        config["config"]["encoder"] = {**part, "registered_name": config["registered_name"]}

    return change


def doubling(weights):
    """Each group holds the next one twice: a few names, and 2**60 ways to the last."""
    group = weights
    for _ in range(60):
        group["a"] = inner = weights.create_group(None)
        group["b"] = inner
        group = inner


def deep(config):
    config["config"]["x"] = json.loads("[" * 500 + "]" * 500)


def width(size):
    return lambda config: config["config"]["encoder"]["config"].update(hidden=[size, size])


HOSTILE = {
    "another part": (lambda p: {**p, "../evil.py": b"x"}, "part called"),
    "no config": (lambda p: {k: v for k, v in p.items() if k != "config.json"}, "one config.json"),
    "no JSON": (lambda p: {**p, "config.json": b"["}, "no JSON"),
    "deep JSON": (lambda p: {**p, "config.json": b"[" * 100_000}, "no JSON"),
    "nested": (lambda p: with_config(p, deep), "nested more"),
    "a list": (lambda p: {**p, "config.json": b"[]"}, "no model"),
    "no HDF5": (lambda p: {**p, "model.weights.h5": b"x" * 999}, "damaged"),
    "NaN": (lambda p: with_weights(p, set_nan), "not finite"),
    "a link": (lambda p: with_weights(p, link), "somewhere else"),
    "packed zeros": (lambda p: with_weights(p, bomb), "larger than the file"),
    "words": (lambda p: with_weights(p, words), "no numbers"),
    "a large piece": (lambda p: with_weights(p, piece), "larger than the file"),
    "fields": (lambda p: with_weights(p, of_type([("a", "f4")], (0,))), "no numbers"),
    "too large a number": (lambda p: with_weights(p, of_type("f8", 1e300)), "not finite as float"),
    "a large metric": (
        lambda p: with_config(p, metric("MeanIoU", num_classes=10**6)),
        "metric MeanIoU of 1000000",
    ),
    "a long metric": (
        lambda p: with_config(p, metric("AUC", num_thresholds=1e9)),
        "metric AUC of 1000000000",
    ),
    "no steps": (lambda p: with_config(p, compiled(steps_per_execution=0)), "steps_per_execution"),
    "steps of words": (
        lambda p: with_config(p, compiled(steps_per_execution="x")),
        "steps_per_execution",
    ),
    "a part in float64": (lambda p: with_config(p, of_encoder(dtype="float64")), "float64"),
    "no activation": (
        lambda p: with_config(
            p, of_encoder(activation={"class_name": "function", "config": "get", "module": None})
        ),
        'function "get"',
    ),
    "a schedule of words": (
        lambda p: with_config(
            p,
            lambda c: c["config"].update(
                beta={
                    "module": "keras.optimizers.schedules",
                    "class_name": "PolynomialDecay",
                    "config": {"initial_learning_rate": "x", "decay_steps": 5},
                    "registered_name": None,
                }
            ),
        ),
        ".",
    ),
    "wide": (lambda p: with_config(p, width(10**9)), "larger networks"),
    "a float": (lambda p: with_config(p, width(1e9)), "."),
    "a shell": (lambda p: with_config(p, named("os", "system")), "os.system"),
    "a module": (lambda p: with_config(p, named("not_installed.x", "Y", "Y")), "registers it"),
    "a function": (lambda p: with_config(p, named("builtins", "function", "function")), "function"),
    "a function of the system": (lambda p: with_config(p, called("os", "system")), '"system"'),
    "a module under a known name": (
        lambda p: with_config(p, called("antigravity", "relu")),
        'function "relu"',
    ),
    "a file of words": (lambda p: with_config(p, named("keras.layers", "StringLookup")), "Lookup"),
    "groups that double": (lambda p: with_weights(p, doubling), "20,000 names"),
    "Lambda": (lambda p: with_config(p, named("keras.layers", "Lambda")), "Lambda"),
    "a loader": (lambda p: with_config(p, named("keras.layers", "TFSMLayer")), "TFSMLayer"),
    "a download": (lambda p: with_config(p, named("keras.utils", "get_file")), "get_file"),
    "another module": (lambda p: with_config(p, named("kerasx", "Dense")), "kerasx.Dense"),
    "a layer": (lambda p: with_config(p, named("keras.layers", "Dense")), "."),
    "no class": (lambda p: with_config(p, lambda c: c.update(registered_name=5)), "."),
    "keras": (
        lambda p: with_config(p, lambda c: c.update(registered_name="x", class_name="y")),
        "",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_sentence(name, parts, tmp_path):
    make, word = HOSTILE[name]
    path = packed(tmp_path / "model.keras", make(parts))
    with pytest.raises(UserError, match=word) as caught:
        load_model(path)
    sentence = str(caught.value)
    assert "\n" not in sentence and len(sentence) < 600
    assert keras.Layer.add_weight.__name__ == "add_weight"


def test_archives_that_cannot_be_unpacked(parts, tmp_path):
    path = packed(tmp_path / "model.keras", parts, zipfile.ZIP_DEFLATED)
    good = path.read_bytes()
    assert isinstance(load_model(path), VAE)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    central = good.index(b"PK\x01\x02")
    for offset, value in ((8, 1), (10, 99)):  # encrypted; a method that nobody has
        broken = bytearray(good)
        for entry in entries:
            broken[entry.header_offset + offset - 2] = value
        at = central
        while (at := good.find(b"PK\x01\x02", at)) >= 0:
            broken[at + offset] = value
            at += 4
        path.write_bytes(broken)
        with pytest.raises(UserError, match="encrypted|method"):
            load_model(path)
    for cut in (0, 10, len(good) // 2, len(good) - 5):
        path.write_bytes(good[:cut])
        with pytest.raises(UserError, match="damaged"):
            load_model(path)
    path = packed(tmp_path / "bomb.keras", {**parts, "config.json": b" " * (2 * 10**7)}, 8)
    with pytest.raises(UserError, match="would unpack to"):
        load_model(path)


@pytest.mark.fast(every=2)
@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
def test_flipped_bits_are_one_sentence_or_a_model(member, parts, tmp_path):
    rng = np.random.default_rng(1)
    for _ in range(30):
        content = bytearray(parts[member])
        content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        path = packed(tmp_path / "model.keras", {**parts, member: bytes(content)})
        try:
            assert isinstance(load_model(path), VAE)
        except UserError as error:
            assert "\n" not in str(error)


@keras.saving.register_keras_serializable("hostile_test")
class MyEncoder(MLPEncoder):
    pass


def test_classes_that_the_user_registered_are_loaded(tmp_path):
    encoder = MyEncoder(image_shape=(4, 4, 1), latent_dim=2, hidden=[8])
    model = VAE((4, 4, 1), 2, encoder=encoder, decoder="mlp")
    model.compile(keras.optimizers.AdamW(keras.optimizers.schedules.ExponentialDecay(1e-3, 5, 0.9)))
    model.fit(IMAGES, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert type(loaded.encoder) is MyEncoder
    np.testing.assert_array_equal(loaded.codes(IMAGES), model.codes(IMAGES))
    assert os.listdir(tmp_path) == ["model.keras"]
