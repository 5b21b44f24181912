"""Optimizers and activations by Keras's names, told by the nearest one where none is meant."""

from __future__ import annotations

from typing import Any

import keras

from keras_acn._base.errors import UserError, short, unknown_name

_NO_NAMES = ("get", "serialize", "deserialize", "legacy", "schedules")


def check_optimizer(optimizer: Any) -> Any:
    """Return what names, describes or is an optimizer as it is.

    None is made here: the model that trains makes it, with its variables where they belong.

    Args:
      optimizer: As for `keras.Model.compile`.

    Raises:
      UserError: If it is none.
    """
    if isinstance(optimizer, str):
        known = _names(keras.optimizers)
        if optimizer.lower() not in known and not keras.saving.get_registered_object(optimizer):
            raise unknown_name("optimizer", optimizer, known)
        return optimizer
    if isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer
    if isinstance(optimizer, dict) and "class_name" in optimizer:
        return optimizer
    raise UserError(
        'The optimizer must be a Keras optimizer or the name of one, such as "adam", not '
        f"{short(optimizer, to_text=repr)}."
    )


def check_activation(activation: Any) -> Any:
    """Return what names, describes or is an activation as it is; `None` is the identity.

    Args:
      activation: As for `keras.layers.Dense`.

    Raises:
      UserError: If it is none.
    """
    try:
        keras.activations.get(activation)
    except (ValueError, TypeError, KeyError):
        if isinstance(activation, str):
            raise unknown_name("activation", activation, _names(keras.activations)) from None
        raise UserError(
            'activation must be the name of an activation, such as "relu", or a function, not '
            f"{short(activation, to_text=repr)}."
        ) from None
    return activation


def _names(module):
    """Return the names that Keras knows the classes or functions of a module by."""
    return sorted({name.lower() for name in dir(module) if not name.startswith("_")} - {*_NO_NAMES})
