"""What arrays of images and labels must look like, one sentence for each way to be wrong."""

import operator

import numpy as np

from keras_acn._base.errors import UserError

_MOST_CHANNELS = 4
_ROUNDING = 1e-6


def _check_shape(images, where):
    shape = images.shape
    if images.ndim not in (3, 4):
        hint = (
            "reshape the flattened images"
            if images.ndim == 2
            else "give an array with one axis for the images"
        )
        raise UserError(
            f"{where} must have the shape [N, H, W] or [N, H, W, C], not {list(shape)}: {hint}."
        )
    if shape[0] == 0:
        raise UserError(f"{where} are empty: give at least one image.")
    if 0 in shape:
        raise UserError(f"{where} have no pixels (shape {list(shape)}): give non-empty images.")
    if images.ndim == 4 and shape[3] > _MOST_CHANNELS:
        hint = (
            " move the channels last with numpy.moveaxis(images, 1, -1)."
            if shape[1] <= _MOST_CHANNELS
            else " the last axis is the channel."
        )
        raise UserError(
            f"{where} have {shape[3]} channels (shape {list(shape)}), more than "
            f"{_MOST_CHANNELS}:{hint}"
        )


def _check_range(images, where):
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


def check_images(images, where="The images"):
    """Returns images as this package holds them in memory.

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
    _check_shape(images, where)
    if images.dtype == bool:
        images = images.astype(np.uint8)
    elif np.issubdtype(images.dtype, np.floating):
        _check_range(images, where)
        images = np.clip(images.astype(np.float32, copy=False), 0.0, 1.0)
    elif images.dtype != np.uint8:
        raise UserError(
            f'{where} are {images.dtype}: convert them with astype("uint8") (values 0 to 255) '
            "or to floats in [0, 1]."
        )
    return images if images.ndim == 4 else images[..., np.newaxis]


def check_labels(labels, count, where="The labels"):
    """Returns labels as int32 `[N]`, or `None` for `None`.

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
    if len(labels) != count:
        raise UserError(
            f"{where} number {len(labels)} but the images {count}: give one label an image."
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f'{where} are {labels.dtype}: convert them with astype("int32").')
    if labels.min() < 0 or labels.max() >= 2**31:
        raise UserError(
            f"{where} run from {labels.min()} to {labels.max()}: number the classes from 0."
        )
    return labels.astype(np.int32)


def check_count(value, what, least=0):
    """Returns `value` as an int that is at least `least`, or raises `UserError`."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise UserError(
            f"{what} must be a whole number of at least {least}, not {value!r}."
        ) from None
    if number < least:
        raise UserError(f"{what} must be at least {least}, not {number}.")
    return number


def check_seed(value):
    """Returns the seed as an int in [0, 2**31), or raises `UserError`."""
    seed = check_count(value, "The seed")
    if seed >= 2**31:
        raise UserError(f"The seed must be less than 2**31, not {seed}.")
    return seed
