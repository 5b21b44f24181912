"""The checks of sizes that every part shares, each with one sentence for the user."""

from __future__ import annotations

import operator
from collections.abc import Iterable

from keras_acn._base.errors import UserError


def _whole(value) -> int | None:
    """Returns `value` as an int, or `None` if it is no whole number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def check_count(name: str, value, least: int = 1) -> int:
    """Returns the option `value` as an int of at least `least`.

    Args:
      name: The option's name, for the message.
      value: What the user gave.
      least: The smallest number allowed.

    Raises:
      UserError: If it is no whole number, or too small.
    """
    count = _whole(value)
    if count is None:
        raise UserError(f"{name} must be a whole number of at least {least}, not {value!r}.")
    if count < least:
        raise UserError(f"{name} must be at least {least}, not {count}.")
    return count


def check_widths(name: str, values, fewest: int = 0) -> tuple[int, ...]:
    """Returns the option `values` as a tuple of positive ints, such as the widths of layers.

    Args:
      name: The option's name, for the message.
      values: What the user gave.
      fewest: How many there must be at least.

    Raises:
      UserError: If it is no list of positive whole numbers, or too short.
    """
    is_list = isinstance(values, Iterable) and not isinstance(values, (str, bytes, dict))
    counts = [_whole(value) for value in values] if is_list else None
    if counts is None or len(counts) < fewest or any(n is None or n < 1 for n in counts):
        length = f" with at least {fewest}" if fewest else ""
        raise UserError(
            f"{name} must be a list of positive whole numbers{length}, such as [64, 32], not "
            f"{values!r}."
        )
    return tuple(counts)


def check_image_shape(image_shape) -> tuple[int, int, int]:
    """Returns `image_shape` as a tuple of ints `(H, W, C)`.

    Raises:
      UserError: If it is not three positive whole numbers.
    """
    try:
        height, width, channels = check_widths("image_shape", image_shape)
    except ValueError:
        raise UserError(
            "image_shape must be (height, width, channels), three positive whole numbers such as "
            f"(28, 28, 1), not {image_shape}."
        ) from None
    return height, width, channels
