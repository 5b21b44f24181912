"""What arrays of images and labels must look like, and what their numbers mean.

One sentence for each way to be wrong, and one rule for which number stands for white.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_acn._base.errors import UserError

_MOST_CHANNELS = 4
_ROUNDING = 1e-6


def check_header(shape: Iterable[int], dtype: Any, where: str = "The images") -> None:
    """Check what is known of images before they are read: their shape and dtype.

    Args:
      shape: Of the whole array; it must be `[N, H, W]` or `[N, H, W, C]`.
      dtype: It must be uint8, bool or a floating-point type.
      where: Subject of the sentence when something is wrong, in the plural.

    Raises:
      UserError: If the shape or the dtype is not as described.
    """
    shape, dtype = list(shape), np.dtype(dtype)
    if len(shape) not in (3, 4):
        hint = (
            "reshape the flattened images"
            if len(shape) == 2
            else "give an array with one axis for the images"
        )
        raise UserError(
            f"{where} must have the shape [N, H, W] or [N, H, W, C], not {shape}: {hint}."
        )
    if shape[0] == 0:
        raise UserError(f"{where} are empty: give at least one image.")
    if 0 in shape:
        raise UserError(f"{where} have no pixels (shape {shape}): give non-empty images.")
    if len(shape) == 4 and shape[3] > _MOST_CHANNELS:
        hint = (
            " move the channels last with numpy.moveaxis(images, 1, -1)."
            if shape[1] <= _MOST_CHANNELS
            else " the last axis is the channel."
        )
        raise UserError(
            f"{where} have {shape[3]} channels (shape {shape}), more than {_MOST_CHANNELS}:{hint}"
        )
    if dtype != np.uint8 and dtype.kind not in "bf":
        raise UserError(
            f'{where} are {dtype}: convert them with astype("uint8") (values 0 to 255) '
            "or to floats in [0, 1]."
        )


def check_range(images: np.ndarray, where: str = "The images") -> None:
    """Raise a `UserError` unless all floats are numbers in [0, 1], up to rounding."""
    # A NaN makes both the least and the greatest value NaN.
    least, most = float(images.min()), float(images.max())
    if np.isnan(least) or np.isnan(most):
        raise UserError(f"{where} hold NaN values: remove or replace them.")
    if least >= -_ROUNDING and most <= 1 + _ROUNDING:
        return
    if least >= 0 and most <= 255:
        fix = "divide by 255"
    elif least >= -1 - _ROUNDING and most <= 1 + _ROUNDING:
        fix = "map them with (x + 1) / 2"
    else:
        fix = "scale them"
    raise UserError(
        f"{where} hold floats from {least:g} to {most:g} where [0, 1] is expected: {fix}."
    )


def check_images(images: Any, where: str = "The images") -> np.ndarray:
    """Return images as this package holds them in memory.

    Args:
      images: `[N, H, W]` or `[N, H, W, C]`, uint8, bool, or floats in [0, 1].
      where: Subject of the sentence when something is wrong, in the plural.

    Returns:
      uint8 or float32 `[N, H, W, C]`.

    Raises:
      UserError: If the shape, the dtype or a value is not as described.
    """
    try:
        images = np.asarray(images)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{where} do not form one array: give images of the same size, [N, H, W, C]."
        ) from error
    if images.dtype == object:
        raise UserError(
            f"{where} do not form one array of numbers: give images of the same size, "
            "uint8 or floats in [0, 1]."
        )
    check_header(images.shape, images.dtype, where)
    if images.dtype == bool:
        images = images.astype(np.uint8)
    elif images.dtype.kind == "f":
        check_range(images, where)
        images = np.clip(images.astype(np.float32, copy=False), 0.0, 1.0)
    return images if images.ndim == 4 else images[..., np.newaxis]


def check_labels(labels: Any, count: int, where: str = "The labels") -> np.ndarray | None:
    """Return labels as int32 `[N]`, or `None` for `None`.

    Args:
      labels: `None`, or integers from 0, `[N]` or `[N, 1]`.
      count: N, the number of images.
      where: Subject of the sentence when something is wrong, in the plural.

    Raises:
      UserError: If the shape, the number, the dtype or a value is not as described.
    """
    if labels is None:
        return None
    try:
        labels = np.asarray(labels)
    except (ValueError, TypeError) as error:
        raise UserError(f"{where} do not form one array: give one integer an image.") from error
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise UserError(
            f"{where} have the shape {list(labels.shape)}: give one integer an image, [N]."
        )
    check_label_count(len(labels), count, where)
    if not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f'{where} are {labels.dtype}: convert them with astype("int32").')
    if labels.min() < 0 or labels.max() >= 2**31:
        raise UserError(
            f"{where} run from {labels.min()} to {labels.max()}: number the classes from 0."
        )
    return labels.astype(np.int32)


def check_label_count(found: int, count: int, where: str = "The labels") -> None:
    """Raise a `UserError` unless there are as many labels as images."""
    if found != count:
        raise UserError(f"{where} number {found} but the images {count}: give one label an image.")


def white_of(blocks: Iterable[np.ndarray]) -> int:
    """Return the number that stands for white in one set of images.

    Floats are in [0, 1], so it is 1; so it is for booleans. For integers it is 255, unless no
    pixel of the **whole set** exceeds 1: then they are 0/1 images and it is 1. Never ask for a
    part of a set: a dark 8-bit picture, whose largest value may be 1, is not white.

    Args:
      blocks: Arrays that make up the set. They are gone through until a pixel exceeds 1.

    Example:

    >>> import numpy as np
    >>> dark, bright = np.full((1, 8, 8), 1, "uint8"), np.full((1, 8, 8), 200, "uint8")
    >>> white_of([dark]), white_of([dark, bright]), white_of([bright / 255])
    (1, 255, 1)
    """
    for block in blocks:
        if block.dtype.kind in "ui" and block.size and block.max() > 1:
            return 255
    return 1


def to_unit(images: Any, white: int | None = None) -> np.ndarray:
    """Return images as float32 in [0, 1]: `images / white`.

    Every way in goes through here: `fit`, `evaluate`, `predict`, tables and image sets.

    Args:
      images: Numbers of any shape.
      white: The number that stands for white; by default `white_of` these images, which must
        then be the whole set.

    Example:

    >>> import numpy as np
    >>> to_unit(np.array([0, 1], "uint8")), to_unit(np.array([0, 51, 255], "uint8"))
    (array([0., 1.], dtype=float32), array([0. , 0.2, 1. ], dtype=float32))
    """
    images = np.asarray(images)
    if white is None:
        white = white_of([images])
    unit = images.astype(np.float32)
    unit /= np.float32(white)
    return unit


def is_black_and_white(images: np.ndarray, white: int = 1) -> bool:
    """Return whether every number is 0 or `white`.

    Args:
      images: Numbers of any shape, the images along the first axis.
      white: The number that stands for white.

    Example:

    >>> is_black_and_white(np.array([0.0, 1.0])), is_black_and_white(np.array([0, 7]), 255)
    (True, False)
    """
    # Grey values are found in the first images, where there are any.
    return all(
        bool(np.all((block == 0) | (block == white)))
        for block in (images[at : at + 1024] for at in range(0, len(images), 1024))
    )
