"""Checks that every part must pass, so that the test file of a new part stays short."""

import keras
import numpy as np
import tensorflow as tf


def check_config(part):
    """A part round-trips through its config, and keeps every init argument's name."""
    config = part.get_config()
    again = type(part).from_config(config)
    assert again.get_config() == config
    described = keras.saving.serialize_keras_object(part)
    assert keras.saving.deserialize_keras_object(described).get_config() == config


def check_save(part, inputs, output_of, path):
    """A part inside a saved model gives bit-identical outputs after loading."""

    holder = _Holder(part)
    holder.save(path / "part.keras")
    loaded = keras.saving.load_model(path / "part.keras").part
    np.testing.assert_array_equal(output_of(loaded(inputs)), output_of(part(inputs)))


def check_precision(make, inputs, output_of):
    """Under mixed precision the parameters come out as float32, near the float32 ones."""
    keras.utils.set_random_seed(0)
    full = make()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        keras.utils.set_random_seed(0)
        mixed = make()
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(full.get_weights())
    got, want = output_of(mixed(inputs)), output_of(full(inputs))
    assert got.dtype == tf.float32
    # bfloat16 has 8 bits of mantissa; a few layers deep that is a few percent.
    scale = np.abs(want.numpy()).max() + 1e-3
    np.testing.assert_allclose(got, want, atol=0.1 * scale)


@keras.saving.register_keras_serializable("keras_acn_tests")
class _Holder(keras.Model):
    def __init__(self, part, **kwargs):
        super().__init__(**kwargs)
        self.part = part
        self.built = True

    def get_config(self):
        return {"part": keras.saving.serialize_keras_object(self.part)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["part"]))
