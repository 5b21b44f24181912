"""Keras models of the user's own that become parts: built, tried once, and kept in files."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_acn._base.errors import UserError, first_line, short


def saved_network(network: Any) -> Any:
    """Return a network that is given as it is, or as `serialize_keras_object` wrote it."""
    if isinstance(network, dict):
        return keras.saving.deserialize_keras_object(network)
    return network


def first_answer(network: Any, kind: str, *shapes: tuple[int, ...]) -> Any:
    """Return what a network answers to a batch of one, all zeros; it is built then if it was not.

    An optimizer must know all weights before the first step, and a file when it is read.

    Args:
      network: A Keras model or layer.
      kind: What it is to be, such as `"encoder"`.
      *shapes: The shape of each input, without the batch.

    Raises:
      UserError: If it is no such thing, or cannot take the inputs.
    """
    if not isinstance(network, keras.Layer):
        raise UserError(
            f"The {kind} must be a part of this package, a Keras model, a name or a dict with a "
            f'"name", not {type(network).__name__}.'
        )
    inputs = [ops.zeros((1, *shape)) for shape in shapes]
    try:
        return network(inputs[0] if len(inputs) == 1 else inputs, training=False)
    except Exception as error:  # whatever a network of someone else's may raise
        wanted = " and ".join(f"[batch, {', '.join(map(str, shape))}]" for shape in shapes)
        raise UserError(
            f"The {kind}'s network ({type(network).__name__}) cannot take {wanted}: "
            f"{short(first_line(error))}."
        ) from error


def returning(
    network: Any,
    found: Any,
    base: Any,
    event: tuple[int, ...],
    *,
    kind: str,
    events: str,
    mend: str,
) -> Any:
    """Return a network that returns distributions as a part: with what the kind's base declares.

    Nothing further on need ask then whether it has these attributes.

    Args:
      network: A Keras model or layer.
      found: The distribution that it returned.
      base: The base class of such parts, whose `declared` names attributes.
      event: The shape of the events that the distribution must be over.
      kind: What it is to be, such as `"decoder"`.
      events: What the events are called.
      mend: What else than to wrap the distribution an error advises.

    Raises:
      UserError: If it is over other events.
    """
    if tuple(found.event_shape) != tuple(event):
        raise UserError(
            f"The {kind} ({type(network).__name__}) returns a distribution over "
            f"{tuple(found.event_shape)} for a code, but {events} are {tuple(event)}: wrap it as "
            f"tfd.Independent(..., {len(event)}), or {mend}."
        )
    for name in base.declared:
        if not hasattr(network, name):
            setattr(network, name, getattr(base, name))
    return network
