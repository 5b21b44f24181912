"""The checks of an image's shape and of layers' widths, each with one sentence for the user."""

from __future__ import annotations

from collections.abc import Iterable

from keras_acn._base.checks import check_count
from keras_acn._base.errors import UserError


def check_widths(values, what: str, fewest: int = 0) -> tuple[int, ...]:
    """Return `values` as a tuple of positive ints, such as the widths of layers.

    Args:
      values: What the user gave.
      what: What it is, as the subject of the error's sentence.
      fewest: How many there must be at least.

    Raises:
      UserError: If it is no list of positive whole numbers, or too short.
    """
    try:
        if isinstance(values, (str, bytes, dict)) or not isinstance(values, Iterable):
            raise UserError("no list")
        widths = tuple(check_count(value, what, 1) for value in values)
        if len(widths) < fewest:
            raise UserError("too short")
    except UserError:
        length = f" with at least {fewest}" if fewest else ""
        raise UserError(
            f"{what} must be a list of positive whole numbers{length}, such as [64, 32], not "
            f"{values!r}."
        ) from None
    return widths


def check_image_shape(image_shape) -> tuple[int, int, int]:
    """Return `image_shape` as a tuple of ints `(H, W, C)`.

    Raises:
      UserError: If it is not three positive whole numbers.
    """
    try:
        height, width, channels = check_widths(image_shape, "image_shape")
    except ValueError:
        raise UserError(
            "image_shape must be (height, width, channels), three positive whole numbers such as "
            f"(28, 28, 1), not {image_shape}."
        ) from None
    return height, width, channels
