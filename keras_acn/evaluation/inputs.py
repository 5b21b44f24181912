"""The data that an evaluation is given, as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_acn._base.checks import check_count
from keras_acn._base.errors import UserError, short
from keras_acn.data import ImageSet
from keras_acn.data.checks import white_of
from keras_acn.data.image_set import UnitRows
from keras_acn.data.readers import open_source


def rows_and_labels(
    part: Any, limit: int | None, seed: int, word: str
) -> tuple[UnitRows, np.ndarray | None]:
    """Return `(images [N, H, W, C], labels [N] or None)` of one part of the data.

    Of the images, float32 in [0, 1], only the rows that are asked for are made.

    Args:
      part: An `ImageSet`, `(images, labels)`, or images: floats, or integers that
        `keras_acn.data.to_unit` brings to [0, 1] as `model.evaluate` does.
      limit: At most so many images, drawn from `seed`; `None` for all.
      seed: Integer seed.
      word: What to call the part in an error.

    Raises:
      UserError: If there are no images, or they are of another shape.
    """
    if part is None:
        raise UserError(f"There are no {word} images: evaluation needs a training and a test part.")
    if isinstance(part, ImageSet):
        unit, labels = part.unit_rows(), part.labels
    else:
        images, labels = part if isinstance(part, tuple) else (part, None)
        images = np.asarray(images)
        if images.ndim != 4 or not len(images):
            raise UserError(
                f"The {word} images must be [N, H, W, C] with N >= 1, not {images.shape}."
            )
        # White is that of all images, whichever are taken of them.
        unit = UnitRows(images, white_of([images]))
    labels = None if labels is None else np.asarray(labels)
    rows = some_rows(len(unit), limit, seed)
    if len(rows) < len(unit):
        unit = UnitRows(unit.array[rows], unit.white)
        labels = None if labels is None else labels[rows]
    return unit, labels


def images_and_labels(
    part: Any, limit: int | None, seed: int, word: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return what `rows_and_labels` does, with all images made: float32 `[N, H, W, C]`."""
    images, labels = rows_and_labels(part, limit, seed, word)
    return np.asarray(images), labels


def is_mnist(part: Any) -> bool:
    """Return whether images are MNIST: whether some of them are in the piece that is built in.

    That has a tenth of all images of MNIST. They are compared in black and white, so that it
    does not matter whether they were binarized by a threshold.

    Args:
      part: As for `images_and_labels`. Of an `ImageSet` it does not matter how it is binarized.
    """
    images = part[0] if isinstance(part, tuple) else part
    images = np.asarray(images.images if isinstance(images, ImageSet) else images)
    if images.shape[1:] != (28, 28, 1):
        return False
    known = open_source("mnist-mini")
    blocks = (block for source in (known.train, known.test) if source for block in source.blocks(1))
    keys = {_key(block, 255) for block in blocks}
    white = white_of([images])
    return sum(_key(image, white) in keys for image in images) >= 0.03 * len(images)


def _key(image, white):
    return np.packbits(image > 0.5 * white).tobytes()


def some_rows(count: int, limit: int | None, seed: int) -> np.ndarray:
    """Return `limit` of the rows `0 .. count-1` in order, drawn from `seed`, or all."""
    check_count(seed, "The seed")  # the test part's may be 2**31, one more than the user's
    if limit is None or check_count(limit, "The number of images to evaluate", 1) >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, limit, replace=False))


def check_shapes(model: Any, train_images: UnitRows, images: np.ndarray) -> None:
    """Raise a `UserError` if images are of another shape than the model takes."""
    if not hasattr(model, "image_shape"):
        raise UserError(
            f"The model must be one of this package, such as load_model() returns, not "
            f"{short(model, to_text=repr)}."
        )
    expected = tuple(model.image_shape)
    for each in (train_images, images):
        if each.shape[1:] != expected:
            raise UserError(
                f"The model takes images of shape {expected}, not {each.shape[1:]}: evaluate it "
                "on the data that it was trained for."
            )
