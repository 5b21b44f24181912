"""The one check of an image's shape."""

from keras_acn._base.errors import UserError


def check_image_shape(image_shape):
    """Returns `image_shape` as a tuple of ints `(H, W, C)`.

    Raises:
      UserError: If it is not three positive numbers.
    """
    if len(tuple(image_shape)) != 3 or min(image_shape) < 1:
        raise UserError(f"image_shape must be (height, width, channels), not {image_shape}.")
    return tuple(int(n) for n in image_shape)
