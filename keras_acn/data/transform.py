"""What is done to images: centre crop, grey and resizing, then black and white.

Binarization is by a threshold, or by a Bernoulli draw for every pixel: `static` draws once (the
convention of binarized MNIST, Salakhutdinov and Murray 2008); `dynamic` draws anew each time an
image is seen in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_acn._base import lazy
from keras_acn._base.checks import check_number
from keras_acn._base.errors import UserError, unknown_name
from keras_acn._base.host_memory import aligned_empty
from keras_acn._base.reading import require_memory
from keras_acn.data.checks import to_unit

tf = lazy.module("tensorflow")
Image = lazy.module("PIL.Image")

BINARIZATIONS = ("none", "threshold", "static", "dynamic")
# A crop to the largest square around the centre, whatever the size of each image.
SQUARE = "square"
_CHUNK = 4096

# Luma of ITU-R BT.601, the weights of every common RGB-to-grey conversion.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def check_size(size: Any, what: str) -> tuple[int, int] | None:
    """Return `(height, width)` for an int or a pair, `None` for `None`.

    Raises:
      UserError: If it is neither, or not positive.
    """
    if size is None:
        return None
    pair = list(size) if isinstance(size, (list, tuple)) else [size, size]
    if len(pair) != 2 or not all(
        isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0 for n in pair
    ):
        raise UserError(
            f"{what} must be a number of pixels or a pair (height, width), not {size!r}."
        )
    return int(pair[0]), int(pair[1])


def check_crop(crop: Any) -> tuple[int, int] | str | None:
    """Return `(height, width)` for an int or a pair, `"square"` and `None` as they are.

    Raises:
      UserError: If it is none of these.

    Example:

    >>> check_crop(8), check_crop("square")
    ((8, 8), 'square')
    """
    if isinstance(crop, str) and crop == SQUARE:
        return crop
    try:
        return check_size(crop, "crop")
    except UserError:
        raise UserError(
            f'crop must be a number of pixels, a pair (height, width) or "{SQUARE}", the largest '
            f"square, not {crop!r}."
        ) from None


def _crop(image, size):
    height, width = image.shape[:2]
    if size == SQUARE:
        size = (min(height, width),) * 2
    if size[0] > height or size[1] > width:
        raise UserError(
            f"crop={size[0]}x{size[1]} is larger than an image of {height}x{width}: "
            "give a smaller crop."
        )
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return image[top : top + size[0], left : left + size[1]]


def _grey(image):
    luma = image[..., :3].astype(np.float32) @ _LUMA
    if image.dtype == np.uint8:
        luma = np.rint(luma)
    return luma.astype(image.dtype)[..., np.newaxis]


def _resize(image, size):
    def scaled(plane):
        # Pillow's bilinear filter widens with the reduction, so it does not alias.
        return np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR))

    if image.shape[:2] == size:
        return image
    values = max(size[0] * size[1], image.shape[0] * image.shape[1]) * image.shape[2]
    require_memory(
        values * image.dtype.itemsize,
        f"Images of {image.shape[0]}x{image.shape[1]}, resized to {size[0]}x{size[1]},",
    )
    if image.dtype == np.uint8 and image.shape[2] == 3:
        return scaled(np.ascontiguousarray(image))
    planes = [scaled(np.ascontiguousarray(image[..., c])) for c in range(image.shape[2])]
    return np.stack(planes, axis=-1)


def transform_image(
    image: np.ndarray,
    crop: tuple[int, int] | str | None = None,
    resize: tuple[int, int] | None = None,
    grey: bool = False,
) -> np.ndarray:
    """Crop, then grey, then resize one image.

    Args:
      image: uint8 or float32 `[H, W, C]`.
      crop: `(height, width)` kept around the centre, `"square"` for as much of it as is square,
        or `None`.
      resize: `(height, width)` of the result, or `None`. Bilinear, antialiased.
      grey: Whether three or four channels become one (luma, BT.601).

    Returns:
      An image of the same dtype.

    Raises:
      UserError: If the crop is larger than the image.
    """
    if crop is not None:
        image = _crop(image, crop)
    if grey and image.shape[-1] >= 3:
        image = _grey(image)
    if resize is not None:
        image = _resize(image, resize)
    return image


def transformed_header(
    shape: tuple[int, ...],
    dtype: np.dtype,
    crop: tuple[int, int] | str | None = None,
    resize: tuple[int, int] | None = None,
    grey: bool = False,
) -> tuple[tuple[int, int, int], np.dtype, bool]:
    """Return what `transform_images` makes of images, without any.

    Args:
      shape: `(H, W, C)`.
      dtype: uint8 or a floating-point type.
      crop, resize, grey: As for `transform_image`.

    Returns:
      `(shape, dtype, whether pixels are mixed from several)`.

    Raises:
      UserError: If the crop is larger than the image.
    """
    # A view of one number, which takes no memory whatever its shape.
    image = np.broadcast_to(np.zeros((), np.uint8), shape)
    if crop is not None:
        image = _crop(image, crop)
    height, width, channels = image.shape
    mixes = resize is not None or (grey and channels >= 3)
    if grey and channels >= 3:
        channels = 1
    if resize is not None:
        height, width = resize
    if mixes:
        dtype = np.dtype(np.float32 if dtype.kind == "f" else np.uint8)
    return (height, width, channels), dtype, mixes


def transform_images(
    images: np.ndarray,
    levels: int | None,
    crop: tuple[int, int] | str | None = None,
    resize: tuple[int, int] | None = None,
    grey: bool = False,
) -> tuple[np.ndarray, int | None]:
    """Crop, grey and resize images, as `transform_image` does each of them.

    Images of fewer than 256 levels are brought to 256 first when they are mixed from
    several pixels, as resizing and grey do: in their own levels the mean of two
    neighbours would be lost to rounding.

    Args:
      images: `[N, H, W, C]`.
      levels: How many values a pixel can take, k / (levels - 1); `None` for floats.
      crop, resize, grey: As for `transform_image`.

    Returns:
      `(images, levels)`.
    """
    if crop is None and resize is None and not grey:
        return images, levels
    if resize is not None or (grey and images.shape[-1] >= 3):
        if levels is None:
            images = images.astype(np.float32, copy=False)
        elif levels != 256:
            # By a table, as floats of a large image would take four times its memory.
            to_eight_bits = np.rint(np.arange(256, dtype=np.float32) * 255 / (levels - 1))
            images = to_eight_bits.astype(np.uint8)[images]
            levels = 256
    images = np.stack([transform_image(i, crop, resize, grey) for i in images])
    return images, levels


def check_binarize(binarize: str, threshold: float) -> None:
    """Raise a `UserError` unless the pair is a known binarization and a threshold in [0, 1)."""
    if binarize not in BINARIZATIONS:
        raise unknown_name("binarization", binarize, BINARIZATIONS)
    check_number(threshold, "threshold", "a number in [0, 1)", lambda number: 0 <= number < 1)


def by_threshold(images: np.ndarray, white: int, threshold: float) -> np.ndarray:
    """Return uint8 0/1 images: 1 where `images / white > threshold`."""
    out = aligned_empty(images.shape, np.uint8)
    for at in range(0, len(images), _CHUNK):
        out[at : at + _CHUNK] = to_unit(images[at : at + _CHUNK], white) > threshold
    return out


def by_draw(
    images: np.ndarray, white: int, seed: int | Sequence[int] | np.random.Generator
) -> np.ndarray:
    """Return uint8 0/1 images, each pixel 1 with probability `images / white`.

    Args:
      images: `[N, H, W, C]`.
      white: The number that stands for 1.
      seed: An int or ints, or a generator that drew for the rows before. The draw of a row
        depends on the seed, the row's number and the image size alone.
    """
    rng = np.random.default_rng(seed)
    out = aligned_empty(images.shape, np.uint8)
    for at in range(0, len(images), _CHUNK):
        unit = to_unit(images[at : at + _CHUNK], white)
        # The uniform is in [0, 1), so 0 never and 1 always turns into a 1.
        out[at : at + _CHUNK] = rng.random(unit.shape, np.float32) < unit
    return out


def draw_batch(image, seed: int, epoch, step):
    """Draw a batch inside a graph, as a pure function of `(seed, epoch, step)`.

    Args:
      image: float32 tensor `[B, H, W, C]` in [0, 1].
      seed: Python int.
      epoch, step: Integer scalars.

    Returns:
      float32 `[B, H, W, C]` of 0 and 1.
    """
    key = tf.random.fold_in(tf.constant([seed, 0], tf.int64), epoch)
    key = tf.random.fold_in(key, step)
    uniform = tf.random.stateless_uniform(tf.shape(image), key)
    return tf.cast(uniform < image, tf.float32)
