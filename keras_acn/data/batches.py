"""Whatever `fit`, `evaluate` and `predict` are given, as batches."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_acn._base import lazy
from keras_acn._base.errors import UserError
from keras_acn.data.checks import check_images
from keras_acn.data.image_set import ImageSet
from keras_acn.data.indexed import check_batch_spec, from_arrays

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy.module("tensorflow")

# As in Keras.
DEFAULT_BATCH_SIZE = 32


@dataclasses.dataclass
class Batches:
    """A dataset of batches, and the images that it was made from where they are known.

    `model.fit` takes it like a dataset. A model that looks further images up while it trains,
    as a homoencoder does, finds them in `images`.

    Attributes:
      dataset: Batches `{"image": float32 [B, H, W, C], "index": int32 [B]}`, with `"label"`
        where there are labels.
      images: The `ImageSet` behind them, or `None`.

    Example:
      >>> images = from_arrays(np.zeros([6, 4, 4, 1], "float32"))
      >>> Batches.of(images, 3).dataset.element_spec["image"].shape
      TensorShape([3, 4, 4, 1])
    """

    dataset: tf.data.Dataset
    images: ImageSet | None = None

    @classmethod
    def of(cls, images: ImageSet, batch_size: int | None = None, **options: Any) -> Batches:
        """Return the batches of an `ImageSet`.

        Args:
          images: The images.
          batch_size: Images of a batch, 32 by default.
          **options: As for `ImageSet.dataset`.
        """
        return cls(images.dataset(batch_size or DEFAULT_BATCH_SIZE, **options), images)

    def collect(self) -> ImageSet:
        """Return the images behind the batches: as known, or collected from the dataset.

        Raises:
          UserError: If the dataset is empty or has no end, or its indices leave gaps.
        """
        if self.images is None:
            self.images = collected(self.dataset)
        return self.images

    def size(self) -> int:
        """Return the number of data: the largest index plus one.

        Raises:
          UserError: If the dataset is empty or has no end.
        """
        if self.images is not None:
            return len(self.images)
        if int(self.dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
            raise UserError(
                "The dataset has no end, so the number of data is unknown: give the model a "
                "codebook=KNNCodebook(size=...)."
            )
        largest = self.dataset.map(lambda batch: tf.reduce_max(batch["index"])).reduce(
            tf.constant(-1), lambda a, b: tf.maximum(a, tf.cast(b, tf.int32))
        )
        if int(largest) < 0:
            raise UserError("The dataset is empty: there is nothing to train on.")
        return int(largest) + 1


def as_image_set(x: Any, y: Any = None, image_shape: tuple | None = None) -> ImageSet:
    """Return arrays or an `ImageSet` as an `ImageSet`, checked against a model's image shape.

    Raises:
      UserError: If they are no images, or of another shape.
    """
    images = x if isinstance(x, ImageSet) else from_arrays(x, y)
    if image_shape is not None and images.image_shape != tuple(image_shape):
        raise UserError(
            f"The images have shape {images.image_shape}, but the model was built for "
            f"{tuple(image_shape)}: build it with image_shape={images.image_shape}."
        )
    return images


def as_batches(
    x: Any,
    y: Any = None,
    *,
    image_shape: tuple | None = None,
    batch_size: int | None = None,
    **options: Any,
) -> Batches:
    """Return images, a pair of images and labels, or a dataset as `Batches`.

    Args:
      x: Images, `(images, labels)`, an `ImageSet`, a `tf.data.Dataset` or `Batches`.
      y: Labels.
      image_shape: `(H, W, C)` that the images must have.
      batch_size: Images of a batch, 32 by default; not for what has batches already.
      **options: As for `ImageSet.dataset`, likewise.

    Raises:
      UserError: If the data cannot be used; the sentence names the fix.
    """
    if isinstance(x, Batches):
        check_dataset(x.dataset, image_shape)
        return x
    if isinstance(x, tf.data.Dataset):
        check_dataset(x, image_shape)
        return Batches(x)
    if y is None and isinstance(x, tuple) and len(x) == 2:
        x, y = x
    return Batches.of(as_image_set(x, y, image_shape), batch_size, **options)


def check_dataset(dataset: tf.data.Dataset, image_shape: tuple | None = None) -> None:
    """Raise a `UserError` unless a dataset yields batches that a model takes."""
    check_batch_spec(dataset.element_spec, image_shape)
    # The first batch tells of values that no later one would be free of, such as 0..255.
    for batch in dataset.take(1):
        check_images(batch["image"].numpy(), "The dataset's images")


def collected(dataset: tf.data.Dataset) -> ImageSet:
    """Return the images of a dataset of batches, in the order of their index.

    Raises:
      UserError: If the dataset is empty or has no end, or its indices leave gaps.
    """
    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise UserError(
            "A VHE looks up other members of a class, which a dataset without an end does not "
            "allow: give arrays or an ImageSet."
        )
    rows, images, labels = [], [], []
    for batch in dataset:
        rows.append(batch["index"].numpy())
        images.append(batch["image"].numpy())
        if "label" in batch:
            labels.append(batch["label"].numpy())
    if not rows:
        raise UserError("The dataset is empty: give at least one image.")
    found, first = np.unique(np.concatenate(rows), return_index=True)
    if found[0] != 0 or found[-1] != len(found) - 1:
        raise UserError(
            f"The dataset's indices leave gaps between 0 and {found[-1]}, so a VHE cannot look "
            "images up: number all of them by keras_acn.data.index_dataset(dataset)."
        )
    every = np.concatenate(labels)[first] if labels else None
    return from_arrays(np.concatenate(images)[first], every)


def held_out(
    x: Any, y: Any, share: float, image_shape: tuple | None = None
) -> tuple[ImageSet, ImageSet]:
    """Return `(training, validation)` as two image sets, the latter from the end.

    Raises:
      UserError: If the data have batches already, or one part would be empty.
    """
    if isinstance(x, (tf.data.Dataset, Batches)):
        raise UserError("validation_split takes arrays or an ImageSet, not batches.")
    return as_image_set(x, y, image_shape).split(share)
