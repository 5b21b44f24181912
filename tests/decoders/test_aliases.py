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
    name = getattr(keras_acn, alias)
    assert name is getattr(keras_acn.decoders, alias)
    for channels in (1, 3):
        part = name((4, 4, channels), 3)
        assert type(part) is cls and part.likelihood == Bernoulli()
        assert isinstance(part, name) and isinstance(cls((4, 4, 1)), name)
    assert not isinstance(cls((4, 4, 3)), name)
    assert name((4, 4, 3), likelihood="categorical").likelihood == Categorical256()
    snake = {"BernoulliMLP": "bernoulli_mlp", "BernoulliConv": "bernoulli_conv"}[alias]
    for name in (alias, snake):
        part = registry.get(name, image_shape=(4, 4, 1))
        assert type(part) is cls and part.likelihood == Bernoulli()
        with pytest.raises(UserError, match=f'"likelihood" of the decoder {alias}'):
            registry.get({"name": name, "likelihood": "categorical"}, image_shape=(4, 4, 1))
    assert alias in registry.names()
    old = {"class_name": alias, "registered_name": f"keras_acn>{alias}", "module": "gone"}
    config = {"image_shape": (4, 4, 3), "latent_dim": 3}
    part = keras.saving.deserialize_keras_object({**old, "config": config})
    assert type(part) is cls and part.likelihood == Bernoulli()


@keras.saving.register_keras_serializable("mine")
class OfOnesOwn(keras_acn.BernoulliMLP):
    """A class that a user made of the name."""


def test_the_names_can_be_made_classes_of():
    part = OfOnesOwn((4, 4, 3), 2)
    assert type(part) is OfOnesOwn and isinstance(part, MLPDecoder)
    assert isinstance(part, OfOnesOwn) and part.likelihood == Bernoulli()


def test_where_the_default_is_an_alias_another_family_can_be_given():
    given = {"likelihood": "categorical"}
    part = registry.get(given, "bernoulli_conv", image_shape=(4, 4, 1))
    assert type(part) is ConvDecoder and part.likelihood == Categorical256()
    assert registry.get({"filters": [2]}, "bernoulli_conv", image_shape=(4, 4, 1)).filters == (2,)
