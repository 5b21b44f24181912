"""Arrays as the pictures take them: images as uint8, codes as float, labels that match."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.data.checks import white_of

# A decoder's float32 sigmoid may leave [0, 1] by a rounding error, never by more.
TOLERANCE = 1e-5


def as_array(values: Any, what: str) -> np.ndarray:
    """Return `values` as a numeric NumPy array, or raises `UserError` naming `what`."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"The {what} must be one array of numbers: {type(values).__name__} is not."
        ) from error
    if array.dtype.kind not in "biuf":
        raise UserError(f"The {what} must be one array of numbers, not {type(values).__name__}.")
    return array


def as_images(
    values: Any, what: str = "images", axes: str = "NHWC", white: int | None = None
) -> np.ndarray:
    """Return images as uint8 from black 0 to white 255, after checking what they are.

    Args:
      values: Floats in [0, 1], booleans, or uint8, with one letter of `axes` an axis.
      what: The word for them in an error sentence.
      axes: The axes expected, ending in `"HWC"`; C is 1 (grey) or 3 (colour).
      white: The uint8 that stands for white; by default, as everywhere in the package, 1 in
        images without a pixel above 1, and 255 in others.

    Returns:
      A uint8 array of the same shape; a float x becomes round(255 * x).

    Raises:
      UserError: For the wrong rank, no images, NaN, values outside [0, 1], an integer
        type other than uint8, or a number of channels that is neither 1 nor 3.
    """
    array = as_array(values, what)
    expected = "[" + ", ".join(axes) + "]"
    if array.ndim != len(axes):
        hint = " Add the channel axis with `[..., None]`." if array.ndim == len(axes) - 1 else ""
        raise UserError(f"The {what} must have shape {expected}, not {list(array.shape)}.{hint}")
    if array.size == 0:
        raise UserError(f"There are no {what} to draw: the array has shape {list(array.shape)}.")
    if array.shape[-1] not in (1, 3):
        raise UserError(
            f"The {what} must have 1 channel (grey) or 3 (colour), not {array.shape[-1]}."
        )
    if array.dtype == np.uint8:
        return array * np.uint8(255 // (white or white_of([array])))
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind in "iu":
        raise UserError(
            f"The {what} are {array.dtype}: give uint8 in [0, 255] or floats in [0, 1]."
        )
    if np.isnan(array).any():
        raise UserError(f"The {what} hold NaN: look for the step that made it before drawing.")
    low, high = float(array.min()), float(array.max())
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise UserError(
            f"The {what} must be floats in [0, 1], but they run from {low:.4g} to {high:.4g}: "
            "scale them, or give uint8."
        )
    return np.round(np.clip(array.astype(np.float64), 0, 1) * 255).astype(np.uint8)


def as_image_sets(sets: Sequence[Any], names: Sequence[str]) -> list[np.ndarray]:
    """Return several sets of images, each as `as_images` does, with one white for all of them.

    Args:
      sets: Arrays `[N, H, W, C]`; N may differ.
      names: The word for each in an error sentence.
    """
    arrays = [as_array(each, name) for each, name in zip(sets, names, strict=True)]
    white = white_of(arrays)
    return [as_images(each, name, white=white) for each, name in zip(arrays, names, strict=True)]


def as_codes(values: Any, what: str = "codes") -> np.ndarray:
    """Return codes as float64 [N, d] with d >= 2, or raises `UserError`."""
    array = as_array(values, what).astype(np.float64)
    if array.ndim != 2:
        raise UserError(f"The {what} must have shape [N, d], not {list(array.shape)}.")
    if array.shape[0] == 0:
        raise UserError(f"There are no {what} to draw: the array has shape {list(array.shape)}.")
    if array.shape[1] < 2:
        raise UserError(f"The {what} have {array.shape[1]} dimension: a scatter needs at least 2.")
    if not np.isfinite(array).all():
        raise UserError(f"The {what} hold NaN or infinity: look for the step that made it.")
    return array


def as_labels(values: Any, count: int) -> tuple[np.ndarray | None, list[str]]:
    """Return class labels as strings [count] and the distinct ones in order.

    Returns:
      `(labels, classes)`, or `(None, [])` when `values` is `None`.
    """
    if values is None:
        return None, []
    array = np.asarray(values)
    if array.ndim != 1:
        raise UserError(f"The labels must have shape [N], not {list(array.shape)}.")
    same_count("labels", len(array), "codes", count)
    classes = np.unique(array)
    return array.astype(str), [str(c) for c in classes]


def same_count(what: str, count: int, other: str, other_count: int) -> None:
    """Raise `UserError` unless there are as many of `what` as of `other`."""
    if count != other_count:
        raise UserError(f"There are {count} {what} for {other_count} {other}: give one for each.")
