"""From grey to black and white: by a threshold, or by a Bernoulli draw for every pixel.

`static` draws once (the convention of binarized MNIST, Salakhutdinov and Murray 2008);
`dynamic` draws anew each time an image is seen in training.
"""

import numpy as np

from keras_acn._base.errors import UserError, unknown_name

BINARIZATIONS = ("none", "threshold", "static", "dynamic")
_CHUNK = 4096


def check_binarize(binarize, threshold):
    """Raises `UserError` unless the pair is a known binarization and a threshold in [0, 1)."""
    if binarize not in BINARIZATIONS:
        raise unknown_name("binarization", binarize, BINARIZATIONS)
    is_number = isinstance(threshold, (int, float, np.number)) and not isinstance(threshold, bool)
    if not is_number or not 0 <= threshold < 1:
        raise UserError(f"threshold must be a number in [0, 1), not {threshold!r}.")


def to_unit(images, scale):
    """Returns float32 images in [0, 1]: `images / scale`."""
    return np.asarray(images, np.float32) / np.float32(scale)


def by_threshold(images, scale, threshold):
    """Returns uint8 0/1 images: 1 where `images / scale > threshold`."""
    out = np.empty(images.shape, np.uint8)
    for at in range(0, len(images), _CHUNK):
        out[at : at + _CHUNK] = to_unit(images[at : at + _CHUNK], scale) > threshold
    return out


def by_draw(images, scale, seed):
    """Returns uint8 0/1 images, each pixel 1 with probability `images / scale`.

    Args:
      images: `[N, H, W, C]`.
      scale: The value that stands for 1.
      seed: A sequence of ints. The draw of a row depends on the seed, the row's number
        and the image size alone.
    """
    rng = np.random.default_rng(seed)
    out = np.empty(images.shape, np.uint8)
    for at in range(0, len(images), _CHUNK):
        unit = to_unit(images[at : at + _CHUNK], scale)
        # The uniform is in [0, 1), so 0 never and 1 always turns into a 1.
        out[at : at + _CHUNK] = rng.random(unit.shape, np.float32) < unit
    return out


def draw_batch(image, seed, epoch, step):
    """Draws a batch inside a graph, as a pure function of `(seed, epoch, step)`.

    Args:
      image: float32 tensor `[B, H, W, C]` in [0, 1].
      seed: Python int.
      epoch, step: integer scalars.

    Returns:
      float32 `[B, H, W, C]` of 0 and 1.
    """
    import tensorflow as tf

    key = tf.random.fold_in(tf.constant([seed, 0], tf.int64), epoch)
    key = tf.random.fold_in(key, step)
    uniform = tf.random.stateless_uniform(tf.shape(image), key)
    return tf.cast(uniform < image, tf.float32)
