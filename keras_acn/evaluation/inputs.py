"""The data that an evaluation is given, as arrays."""

import numpy as np

from keras_acn._base.errors import UserError


def images_and_labels(part, limit, seed, word):
    """Returns `(images float32 [N, H, W, C], labels [N] or None)` of one part of the data."""
    if part is None:
        raise UserError(f"There are no {word} images: evaluation needs a training and a test part.")
    if hasattr(part, "arrays"):
        images, labels = part.arrays()
    elif isinstance(part, tuple):
        images, labels = part
    else:
        images, labels = part, None
    images = np.asarray(images)
    if images.ndim != 4 or not len(images):
        raise UserError(f"The {word} images must be [N, H, W, C] with N >= 1, not {images.shape}.")
    rows = some_rows(len(images), limit, seed)
    scale = 255.0 if images.dtype == np.uint8 else 1.0
    images = images[rows].astype(np.float32) / np.float32(scale)
    return images, None if labels is None else np.asarray(labels)[rows]


def some_rows(count, limit, seed):
    """Returns `limit` of the rows `0 .. count-1` in order, drawn from `seed`, or all."""
    if limit is None or limit >= count:
        return np.arange(count)
    if limit < 1:
        raise UserError(f"At least 1 image must be evaluated, not {limit}.")
    return np.sort(np.random.default_rng(seed).choice(count, limit, replace=False))


def check_shapes(model, train_images, images):
    """Raises a `UserError` if images are of another shape than the model takes."""
    expected = tuple(model.image_shape)
    for each in (train_images, images):
        if each.shape[1:] != expected:
            raise UserError(
                f"The model takes images of shape {expected}, not {each.shape[1:]}: evaluate it "
                "on the data that it was trained for."
            )
