"""PNG and JPEG bytes into the images that a model was trained on, inside the graph."""

import types

import tensorflow as tf

from keras_acn._base.errors import UserError
from keras_acn.data.readers.picture import check_background
from keras_acn.data.transform import SQUARE, check_binarize, check_crop, check_size

_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_LUMA = (0.299, 0.587, 0.114)  # BT.601, as in training
# Of the one draw that turns grey into black and white; see `ImageDecoder`.
_DRAW_SEED = (0x706E67, 0)
_NO_OPTIONS = types.SimpleNamespace(
    crop=None, resize=None, binarize="none", threshold=None, background=None
)


class ImageDecoder:
    """Decodes, crops, greys, resizes and binarizes encoded images as training did.

    The steps and their order are those of `keras_acn.data.load`: decode to 8 bits, crop
    around the centre, grey (BT.601), resize (bilinear, antialiased, rounded to 8 bits in
    each direction), divide by 255, binarize. Differences to Pillow, which reads the
    training images: an orientation noted by a camera is not applied, and 16-bit files may
    differ by a level.

    Where training binarized by a draw (`static`, `dynamic`), every image is compared with
    one fixed field of uniform numbers: so each pixel is 1 with the probability of its
    grey value, the same bytes always give the same image, and an image that is black and
    white already stays as it is.

    Args:
      image_shape: `(H, W, C)` that the model takes, C 1 or 3.
      data: An object with the options of the data as attributes: `crop`, `resize`,
        `binarize`, `threshold`, `background`. `None` for images of H x W, not binarized.

    Raises:
      UserError: If the options would not give images of that shape.
    """

    def __init__(self, image_shape, data=None):
        self.image_shape = tuple(image_shape)
        data = _NO_OPTIONS if data is None else data
        self.crop = check_crop(data.crop)
        self.resize = check_size(data.resize, "resize")
        self.binarize = data.binarize
        self.threshold = 0.5 if data.threshold is None else data.threshold
        check_binarize(self.binarize, self.threshold)
        self.background = check_background(data.background) or (255, 255, 255)
        size = self.resize or self.crop
        if size not in (None, SQUARE) and size != self.image_shape[:2]:
            raise UserError(
                f"The config's data are brought to {size[0]}x{size[1]}, but the model takes "
                f"{self.image_shape[0]}x{self.image_shape[1]}: export with the config that the "
                "model was trained with."
            )

    @staticmethod
    def can_decode(image_shape):
        """Return whether files can hold images of that shape: grey or RGB."""
        return image_shape[-1] in (1, 3)

    @property
    def source_size(self):
        """`(H, W)` of the smallest file that can be decoded."""
        return self.image_shape[:2] if self.crop in (None, SQUARE) else self.crop

    def describe(self):
        """Return in words what is done to a file."""
        height, width, channels = self.image_shape
        steps = ["decoded to 8 bits"]
        if self.crop == SQUARE:
            steps.append("cropped to the largest square around the centre")
        elif self.crop:
            steps.append(f"cropped to {self.crop[0]}x{self.crop[1]} around the centre")
        steps.append("made grey (BT.601)" if channels == 1 else "as RGB")
        if self.resize:
            steps.append(f"resized to {height}x{width} (bilinear, antialiased)")
        elif self.crop in (None, SQUARE):
            steps.append(f"refused unless {height}x{width}")
        if self.binarize == "threshold":
            steps.append(f"binarized: 1 above {self.threshold:g}")
        elif self.binarize != "none":
            steps.append("binarized by one fixed draw, a pixel being 1 with its grey's probability")
        return ", ".join(steps)

    def __call__(self, image_bytes):
        """Return float32 `[B, H, W, C]` in [0, 1] of strings `[B]`."""
        unit = tf.map_fn(
            self._decode,
            (tf.range(tf.size(image_bytes)), image_bytes),
            fn_output_signature=tf.TensorSpec(self.image_shape, tf.float32),
        )
        if self.binarize == "none":
            return unit
        if self.binarize == "threshold":
            return tf.cast(unit > self.threshold, tf.float32)
        field = tf.random.stateless_uniform(self.image_shape, _DRAW_SEED)
        return tf.cast(field < unit, tf.float32)

    def _decode(self, row):
        index, data = row
        known = [tf.strings.substr(data, 0, len(magic)) == magic for magic in _MAGIC]
        is_image = tf.debugging.Assert(
            tf.reduce_any(known), ["image_bytes must be PNG or JPEG files, unlike row", index]
        )
        with tf.control_dependencies([is_image]):
            data = tf.identity(data)
        # This op decodes PNG as well, and unlike `decode_image` it can be told to decode JPEG to
        # the very pixels of Pillow. The name stands in the error of a file that is cut off or
        # damaged.
        pixels = tf.io.decode_jpeg(
            data, channels=3, dct_method="INTEGER_ACCURATE", name="image_bytes"
        )
        pixels = tf.cond(known[0], lambda: self._laid_on(pixels, _alpha(data)), lambda: pixels)
        pixels = tf.ensure_shape(pixels, [None, None, 3])
        if self.crop == SQUARE:
            pixels = _square(pixels)
        pixels = tf.cast(self._cropped(pixels, index), tf.float32)
        if self.image_shape[-1] == 1:
            pixels = tf.round(tf.reduce_sum(pixels * _LUMA, axis=-1, keepdims=True))
        if self.resize:
            pixels = _resized(pixels, self.resize)
        return tf.ensure_shape(pixels / 255.0, self.image_shape)

    def _laid_on(self, pixels, alpha):
        """Return RGB pixels over the background, as `read_image` of the folders does."""
        pixels, alpha = tf.cast(pixels, tf.int32), tf.cast(alpha, tf.int32)
        over = pixels * alpha + self.background * (255 - alpha)
        return tf.cast((2 * over + 255) // 510, tf.uint8)

    def _cropped(self, pixels, index):
        shape = tf.shape(pixels)
        has_size = self.crop not in (None, SQUARE)
        if not (has_size or self.resize):
            height, width = self.image_shape[:2]
            fits = tf.reduce_all(shape[:2] == [height, width])
            sentence = f"image_bytes must hold images of {height}x{width}, not"
        elif has_size:
            height, width = self.crop
            fits = tf.reduce_all(shape[:2] >= [height, width])
            sentence = f"image_bytes must hold images of at least {height}x{width}, not"
        else:
            return pixels
        assertion = tf.debugging.Assert(fits, [sentence, shape[:2], "as row", index])
        with tf.control_dependencies([assertion]):
            top, left = (shape[0] - height) // 2, (shape[1] - width) // 2
            return pixels[top : top + height, left : left + width]


def _alpha(data):
    """Return the alpha channel of a PNG file, 255 where it has none, uint8 `[h, w, 1]`."""
    alpha = tf.io.decode_png(data, channels=4, name="image_bytes")[..., 3:]
    # Grey of 1, 2 or 4 bits is not brought to 8 here, nor is its alpha, which is all or nothing.
    depth, kind = tf.unstack(tf.io.decode_raw(tf.strings.substr(data, 24, 2), tf.uint8), 2)
    is_shallow = tf.logical_and(depth < 8, tf.equal(kind, 0))
    return tf.where(tf.logical_and(is_shallow, alpha > 0), tf.constant(255, tf.uint8), alpha)


def _square(pixels):
    """Return the largest square around the centre of `[h, w, C]`."""
    shape = tf.shape(pixels)
    side = tf.minimum(shape[0], shape[1])
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    return pixels[top : top + side, left : left + side]


def _resized(pixels, size):
    """Return `[h, w, C]`: as Pillow, first along the rows, then down, each time rounded."""
    height = tf.shape(pixels)[0]
    for stage in ((height, size[1]), size):
        pixels = tf.image.resize(pixels, stage, method="bilinear", antialias=True)
        pixels = tf.clip_by_value(tf.floor(pixels + 0.5), 0.0, 255.0)
    return pixels
