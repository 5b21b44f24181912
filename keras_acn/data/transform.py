"""Centre crop, resizing and grey, one image at a time, in memory."""

import numpy as np

from keras_acn._base.errors import UserError

# Luma of ITU-R BT.601, the weights of every common RGB-to-grey conversion.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def check_size(size, what):
    """Returns `(height, width)` for an int or a pair, `None` for `None`.

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


def _crop(image, size):
    height, width = image.shape[:2]
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
    from PIL import Image

    def scaled(plane):
        # Pillow's bilinear filter widens with the reduction, so it does not alias.
        return np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR))

    if image.shape[:2] == size:
        return image
    if image.dtype == np.uint8 and image.shape[2] == 3:
        return scaled(np.ascontiguousarray(image))
    planes = [scaled(np.ascontiguousarray(image[..., c])) for c in range(image.shape[2])]
    return np.stack(planes, axis=-1)


def transform_image(image, crop=None, resize=None, grey=False):
    """Crops, then greys, then resizes one image.

    Args:
      image: uint8 or float32 `[H, W, C]`.
      crop: `(height, width)` kept around the centre, or `None`.
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


def transform_images(images, levels, crop=None, resize=None, grey=False):
    """Crops, greys and resizes `[N, H, W, C]`.

    Images of fewer than 256 levels are brought to 256 first when they are mixed from
    several pixels, as resizing and grey do: in their own levels the mean of two
    neighbours would be lost to rounding.

    Returns:
      `(images, levels)`.
    """
    if crop is None and resize is None and not grey:
        return images, levels
    mixes = resize is not None or (grey and images.shape[-1] >= 3)
    if mixes and levels is not None and levels != 256:
        images = np.rint(images.astype(np.float32) * 255 / (levels - 1)).astype(np.uint8)
        levels = 256
    images = np.stack([transform_image(i, crop, resize, grey) for i in images])
    return images, levels
