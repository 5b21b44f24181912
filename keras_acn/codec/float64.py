"""Copies of a model's parts that compute in float64."""

from __future__ import annotations

from typing import Any

import keras

from keras_acn._base.errors import UserError, first_line
from keras_acn._base.precision import built_in

DTYPE_POLICIES = (
    "DTypePolicy",
    "FloatDTypePolicy",
    "QuantizedDTypePolicy",
    "QuantizedFloat8DTypePolicy",
    "DTypePolicyMap",
)


def exact_copy(part: Any) -> Any:
    """Return a copy of a part of a model that computes in float64, with the same weights.

    What a sender and a receiver compute must agree, and float32 results do not: they change
    with the batch, the number of threads and the machine, by about 1e-6. In float64 what
    changes is about 1e-15, so that numbers which are then rounded to a coarse grid are the
    same on both sides, save once in a great many millions.

    No other thread sees anything of it, so models may be trained and served meanwhile.

    Args:
      part: An encoder, a prior or a decoder, of any precision.

    Raises:
      UserError: If it cannot be built from its config.

    Example:
      >>> from keras_acn import MixturePrior
      >>> exact_copy(MixturePrior(latent_dim=4, hidden=[8])).output_layer.kernel.dtype
      'float64'
    """
    try:
        config = _in_float64(keras.saving.serialize_keras_object(part))
        with built_in("float64"):
            copy = keras.saving.deserialize_keras_object(config)
        copy.set_weights([weight.astype("float64") for weight in part.get_weights()])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{type(part).__name__} cannot be copied in float64, which compressing needs: give it "
            f"get_config() and from_config() ({first_line(error)})."
        ) from error
    return copy


def _in_float64(config):
    """Return a serialised object with every dtype policy in it set to float64."""
    if isinstance(config, dict):
        if config.get("class_name") in DTYPE_POLICIES:
            return "float64"
        return {
            key: "float64" if key == "dtype" and isinstance(value, str) else _in_float64(value)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        return type(config)(_in_float64(each) for each in config)
    return config
