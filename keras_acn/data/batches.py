"""Whatever `fit`, `evaluate` and `predict` are given, as batches."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_acn._base import lazy
from keras_acn._base.checks import check_count
from keras_acn._base.errors import UserError
from keras_acn.data import streams
from keras_acn.data.arguments import as_image_set, unpacked
from keras_acn.data.checks import check_images
from keras_acn.data.image_set import ImageSet, UnitRows
from keras_acn.data.indexed import check_batch_spec, count_rows, from_arrays

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
      once: Whether the dataset can be gone through only once, as a generator's can.
      at_most: How many batches can be gone through to count them, `None` for any number.
      failures: What was raised by Python code that makes the batches.

    Example:
      >>> images = from_arrays(np.zeros([6, 4, 4, 1], "float32"))
      >>> Batches.of(images, 3).dataset.element_spec["image"].shape
      TensorShape([3, 4, 4, 1])
    """

    dataset: tf.data.Dataset
    images: ImageSet | None = None
    once: bool = False
    at_most: int | None = None
    failures: list[Exception] = dataclasses.field(default_factory=list)

    @classmethod
    def of(cls, images: ImageSet, batch_size: int | None = None, **options: Any) -> Batches:
        """Return the batches of an `ImageSet`.

        Args:
          images: The images.
          batch_size: Images of a batch, 32 by default.
          **options: As for `ImageSet.dataset`.
        """
        batch_size = DEFAULT_BATCH_SIZE if batch_size is None else batch_size
        return cls(images.dataset(batch_size, **options), images)

    @property
    def has_no_end(self) -> bool:
        """Whether the dataset is known to have no end."""
        return int(self.dataset.cardinality()) == tf.data.INFINITE_CARDINALITY

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """A context that raises what the batches raised, instead of TensorFlow's error of it."""
        try:
            yield
        except tf.errors.OpError as error:
            if self.failures:
                raise self.failures[-1] from error
            raise

    def collect(self) -> ImageSet:
        """Return the images behind the batches: as known, or collected from the dataset.

        Raises:
          UserError: If the dataset is empty or has no end, or its indices leave gaps.
        """
        if self.images is None:
            self.images, batch_size = collected(self)
            if self.once:
                # What was gone through once is gone: from here on, the batches are these.
                self.dataset, self.once = self.images.dataset(batch_size), False
        return self.images

    def image_rows(self) -> np.ndarray | UnitRows:
        """Return the images of `all_images`, to be asked for by rows where that spares memory.

        Raises:
          UserError: If the dataset is empty or has no end.
        """
        return self.all_images() if self.images is None else self.images.unit_rows()

    def all_images(self) -> np.ndarray:
        """Return all images in the order they come in, `[N, H, W, C]`, as evaluation sees them.

        Raises:
          UserError: If the dataset is empty or has no end.
        """
        if self.images is not None:
            return self.images.arrays()[0]
        if self.has_no_end:
            raise UserError("The dataset has no end: give its take(n).")
        advice = "give the dataset's take(n)"
        found = [batch["image"].numpy() for batch in streams.told(self.dataset, advice)]
        if not found:
            raise UserError("The dataset is empty: give at least one image.")
        return np.concatenate(found)

    def size(self) -> int:
        """Return the number of data: the largest index plus one.

        Raises:
          UserError: If the dataset is empty or has no end.
        """
        if self.images is not None:
            return len(self.images)
        if self.has_no_end:
            raise UserError(
                f"The dataset has no end, so the number of data is unknown: {GIVE_THE_SIZE}."
            )
        if self.once:
            raise UserError(
                f"A generator can be gone through only once, and not counted first: {GIVE_THE_SIZE}"
                ", or make a tf.data.Dataset of it."
            )
        largest = -1
        rows = self.dataset.map(lambda batch: tf.reduce_max(batch["index"]))
        for row in streams.told(rows, GIVE_THE_SIZE, self.at_most):
            largest = max(largest, int(row))
        if largest < 0:
            raise UserError("The dataset is empty: there is nothing to train on.")
        return largest + 1

    def count(self) -> int:
        """Return how many batches there are; they are counted where nobody says.

        Raises:
          UserError: If they have no end, or can be gone through only once.
        """
        if self.has_no_end or self.once:
            raise UserError("The data have no end that is known: give a dataset that ends.")
        known = int(self.dataset.cardinality())
        if known >= 0:
            return known
        advice = "give a dataset that knows its cardinality"
        return sum(1 for _ in streams.told(self.dataset, advice))


GIVE_THE_SIZE = "give the model a codebook=KNNCodebook(size=...)"


def as_batches(
    x: Any,
    y: Any = None,
    *,
    image_shape: tuple | None = None,
    batch_size: int | None = None,
    rows_needed: bool = True,
    steps: int | None = None,
    **options: Any,
) -> Batches:
    """Return whatever `fit`, `evaluate` and `predict` are given as `Batches`.

    Args:
      x: Images, `(images, labels)`, a dict of arrays, an `ImageSet`, a `tf.data.Dataset`,
        `Batches`; or what yields batches in Python, such as a generator or a `PyDataset`.
      y: Labels.
      image_shape: `(H, W, C)` that the images must have.
      batch_size: Images of a batch, 32 by default; not for what has batches already.
      rows_needed: Whether it matters which rows of a codebook the images have. Where it does
        not, a dataset without an index is numbered as it comes.
      steps: How many batches to take at most, where that is known.
      **options: As for `ImageSet.dataset`, likewise.

    Raises:
      UserError: If the data cannot be used; the sentence names the fix.
    """
    if batch_size is not None:
        batch_size = check_count(batch_size, "The batch size", least=1)
    if isinstance(x, Batches):
        check_dataset(x.dataset, image_shape)
        return x
    is_dataset = isinstance(x, tf.data.Dataset)
    if not is_dataset and not streams.is_stream(x):
        x, y = unpacked(x, y)
        # A pack may hold a dataset alone.
        is_dataset = isinstance(x, tf.data.Dataset)
    if is_dataset or streams.is_stream(x):
        if y is not None:
            raise UserError("The labels belong into the batches: leave y out.")
        if is_dataset:
            return _of_dataset(x, image_shape, rows_needed)
        return _of_stream(x, image_shape, rows_needed, steps, options)
    return Batches.of(as_image_set(x, y, image_shape), batch_size, **options)


def _of_dataset(dataset, image_shape, rows_needed):
    spec = dataset.element_spec
    if not rows_needed and not (isinstance(spec, dict) and "index" in spec):
        dataset = count_rows(dataset)
    check_dataset(dataset, image_shape)
    return Batches(dataset)


def _of_stream(x, image_shape, rows_needed, steps, options):
    training = bool(options.get("training"))
    if training or streams.can_go_again(x):
        shuffle = bool(training and options.get("shuffle"))
        seed = options.get("seed", 0)
        dataset, failures = streams.as_dataset(
            x, rows_needed=rows_needed, shuffle=shuffle, seed=seed
        )
        check_batch_spec(dataset.element_spec, image_shape)
        return Batches(dataset, once=not streams.can_go_again(x), failures=failures)
    # What is evaluated may be gone through again and again: of a generator, it is kept.
    advice = "give steps to evaluate and predict, validation_steps to fit"
    images, labels, batch_size = streams.collect(x, steps=steps, advice=advice)
    return Batches.of(as_image_set(images, labels, image_shape), batch_size)


def check_dataset(dataset: tf.data.Dataset, image_shape: tuple | None = None) -> None:
    """Raise a `UserError` unless a dataset yields batches that a model takes."""
    check_batch_spec(dataset.element_spec, image_shape)
    # The first batch tells of values that no later one would be free of, such as 0..255.
    for batch in dataset.take(1):
        check_images(batch["image"].numpy(), "The dataset's images")


def collected(batches: Batches) -> tuple[ImageSet, int]:
    """Return the images of `Batches`, in the order of their index, and the size of a batch.

    Raises:
      UserError: If the dataset is empty or has no end, or its indices leave gaps.
    """
    advice = "give arrays or an ImageSet to a VHE, which looks up other members of a class"
    if batches.has_no_end:
        raise UserError(
            "A VHE looks up other members of a class, which a dataset without an end does not "
            "allow: give arrays or an ImageSet."
        )
    rows, images, labels = [], [], []
    for batch in streams.told(batches.dataset, advice, batches.at_most):
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
    return from_arrays(np.concatenate(images)[first], every), len(rows[0])


def last_share(
    x: Any, y: Any, share: float, image_shape: tuple | None = None
) -> tuple[ImageSet, ImageSet]:
    """Return `(training, validation)` as two image sets, the latter from the end.

    Raises:
      UserError: If the data have batches already, or one part would be empty.
    """
    if isinstance(x, (tf.data.Dataset, Batches)) or streams.is_stream(x):
        raise UserError(
            "validation_split takes arrays or an ImageSet, not batches: give validation_data, "
            "such as a tf.data.Dataset's take(n), and skip(n) to train on."
        )
    return as_image_set(x, y, image_shape).split(share)
