"""`BernoulliMLP` and `BernoulliConv`: names that stand for decoders with Bernoulli pixels."""

import pathlib

import keras
import numpy as np
import pytest

import keras_acn
from keras_acn import ConvDecoder, MLPDecoder, UserError, codec
from keras_acn.decoders import registry
from keras_acn.decoders.families import Bernoulli, Categorical256

# Saved, and compressed with, by a version in which they were classes of their own.
GOLDEN = pathlib.Path(__file__).parent / "golden"


@pytest.mark.parametrize("name, cls", [("mlp", MLPDecoder), ("conv", ConvDecoder)])
def test_old_files_load_and_decode(name, cls, tmp_path):
    model = keras_acn.load_model(GOLDEN / f"bernoulli-{name}.keras")
    want = np.load(GOLDEN / f"bernoulli-{name}.npz")
    assert type(model.decoder) is cls and model.decoder.likelihood == Bernoulli()
    np.testing.assert_allclose(model.decoder.parameters(want["z"]), want["logits"], rtol=1e-5)
    images = codec.decompress(GOLDEN / f"bernoulli-{name}.acn", model)
    np.testing.assert_array_equal(images, want["images"])
    model.save(tmp_path / "again.keras")
    again = keras_acn.load_model(tmp_path / "again.keras").decoder
    np.testing.assert_array_equal(again.parameters(want["z"]), model.decoder.parameters(want["z"]))


@pytest.mark.parametrize(
    "alias, cls", [("BernoulliMLP", MLPDecoder), ("BernoulliConv", ConvDecoder)]
)
def test_names(alias, cls):
    assert getattr(keras_acn, alias) is getattr(keras_acn.decoders, alias) is cls
    snake = {"BernoulliMLP": "bernoulli_mlp", "BernoulliConv": "bernoulli_conv"}[alias]
    for name in (alias, snake):
        part = registry.get(name, image_shape=(4, 4, 1))
        assert type(part) is cls and part.likelihood == Bernoulli()
        with pytest.raises(UserError, match=f'"likelihood" of the decoder {alias}'):
            registry.get({"name": name, "likelihood": "categorical"}, image_shape=(4, 4, 1))
    assert alias in registry.names()
    old = {"class_name": alias, "registered_name": f"keras_acn>{alias}", "module": "gone"}
    config = {"image_shape": (4, 4, 1), "latent_dim": 3}
    assert type(keras.saving.deserialize_keras_object({**old, "config": config})) is cls


def test_where_the_default_is_an_alias_another_family_can_be_given():
    given = {"likelihood": "categorical"}
    part = registry.get(given, "bernoulli_conv", image_shape=(4, 4, 1))
    assert type(part) is ConvDecoder and part.likelihood == Categorical256()
    assert registry.get({"filters": [2]}, "bernoulli_conv", image_shape=(4, 4, 1)).filters == (2,)
