"""Arrays in whatever form Keras takes them as one argument: packs, dicts, tensors, tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.data import streams
from keras_acn.data.image_set import ImageSet
from keras_acn.data.indexed import from_arrays


def as_image_set(x: Any, y: Any = None, image_shape: tuple | None = None) -> ImageSet:
    """Return arrays or an `ImageSet` as an `ImageSet`, checked against a model's image shape.

    Args:
      x: Images; `(images, labels)`; a dict of arrays with `"image"` and perhaps `"label"`; or an
        `ImageSet`.
      y: Labels.
      image_shape: `(H, W, C)` that the images must have.

    Raises:
      UserError: If they are no images, or of another shape.
    """
    x, y = unpacked(x, y)
    if isinstance(x, ImageSet):
        images = x
    else:
        _refuse_what_is_no_array(x)
        if image_shape is not None:
            _refuse_one_image(x, tuple(image_shape))
        images = from_arrays(x, streams.without_copies(x, y))
    if image_shape is not None and images.image_shape != tuple(image_shape):
        raise UserError(
            f"The images have shape {images.image_shape}, but the model was built for "
            f"{tuple(image_shape)}: build it with image_shape={images.image_shape}."
        )
    return images


def unpacked(x: Any, y: Any = None) -> tuple[Any, Any]:
    """Return `(images, labels)` of what Keras takes as one argument.

    Args:
      x: Images; `(images,)`, `(images, labels)` or `(images, labels, None)`, as a tuple or a
        list; a dict of arrays; or what has batches already, which comes back as it is.
      y: Labels.

    Raises:
      UserError: If there are sample weights, or labels twice.
    """
    if isinstance(x, dict):
        return _of_dict(x, y)
    if not _is_pack(x):
        return x, y
    images, labels, weights = (*x, None, None)[:3]
    if weights is not None:
        raise UserError(streams.NO_WEIGHTS)
    if labels is not None and y is not None:
        raise UserError("There are labels twice: give (images, labels), or images and labels.")
    return images, y if labels is None else labels


def _is_pack(x):
    """Return whether a tuple or a list holds images, labels and weights, and not images."""
    if not isinstance(x, (tuple, list)) or not 1 <= len(x) <= 3:
        return False
    try:
        ranks = [None if each is None else np.ndim(each) for each in x]
    except ValueError:
        return False
    if isinstance(x[0], ImageSet) or ranks[0] == 4:
        return True
    others_are_labels = any(rank is None or rank < 3 for rank in ranks[1:])
    return ranks[0] == 3 and len(x) > 1 and (isinstance(x, tuple) or others_are_labels)


def _of_dict(x, y):
    """Return `(images, labels)` of a dict of arrays."""
    if "image" not in x:
        raise UserError(
            f'The dict has {", ".join(map(str, x)) or "nothing"} and no "image": give '
            '{"image": images}, with "label" where there are labels.'
        )
    if x.get("index") is not None:
        index = np.asarray(x["index"])
        if not np.array_equal(index, np.arange(len(x["image"]))):
            raise UserError(
                'The "index" of arrays is their order, 0, 1, 2 and so on: leave it out, or give '
                "other rows by tf.data.Dataset.from_tensor_slices(...).batch(...)."
            )
    return x["image"], x.get("label") if y is None else y


def _refuse_what_is_no_array(x):
    if x is None:
        raise UserError("There are no images: give arrays, an ImageSet or a tf.data.Dataset.")
    if isinstance(x, (str, bytes)) or hasattr(x, "__fspath__"):
        raise UserError(
            f"{str(x)!r} is a name and no images: load them by keras_acn.data.load, such as "
            'load("images:FOLDER").train.'
        )


def _refuse_one_image(x, image_shape):
    """Raise a `UserError` where a single image is given, or images are flat."""
    try:
        shape = np.shape(x)
    except ValueError:
        return
    height, width, channels = image_shape
    single = shape == image_shape or (channels == 1 and shape == (height, width))
    # Images [N, H, W] may look like a single image as well, and then they are what they are.
    if single and (*shape[1:], 1) != image_shape:
        raise UserError(
            f"This is a single image {list(shape)}: give a batch of it, such as x[None] or x[:1]."
        )
    if len(shape) == 2 and shape[1] == math.prod(image_shape):
        raise UserError(
            f"The images are flat, {list(shape)}: reshape them by "
            f"numpy.reshape(x, (-1, {height}, {width}, {channels}))."
        )
