"""A set of images in memory, and the batches it yields."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from keras_acn._base import lazy, noise
from keras_acn._base.checks import check_count, check_number, check_seed
from keras_acn._base.errors import UserError, short
from keras_acn._base.host_memory import host_tensor
from keras_acn.data.checks import is_black_and_white, to_unit, white_of
from keras_acn.data.transform import by_draw, by_threshold, check_binarize, draw_batch

tf = lazy.module("tensorflow")


class UnitRows:
    """Images in [0, 1] that are made when their rows are asked for.

    As float32 all of them would take four times the memory of their bytes.

    Args:
      array: `[N, H, W, C]`.
      white: The number that stands for white in it.

    Example:
      >>> rows = UnitRows(np.full([3, 1, 1, 1], 51, np.uint8), 255)
      >>> len(rows), rows[1:].shape, float(rows[0].item())
      (3, (2, 1, 1, 1), 0.20000000298023224)
    """

    def __init__(self, array: np.ndarray, white: int):
        self.array, self.white = array, white

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N, H, W, C)`."""
        return self.array.shape

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return to_unit(self.array[rows], self.white)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of them, for what needs them at once."""
        return self[:].astype(dtype or np.float32, copy=False)


class ImageSet:
    """Images of one part of a data set, held in memory, with their labels if any.

    A row's number is the image's `index` in every batch, whatever the order, the batch
    size and the prefetching.

    Attributes:
      images: uint8 or float32 `[N, H, W, C]`, before binarization.
      labels: int32 `[N]` or `None`.
      class_names: Name of each label from 0, or `None`.
      binarize: `"none"`, `"threshold"`, `"static"` or `"dynamic"`.
      threshold: Pixels above it turn to 1 where `binarize` is `"threshold"`.
      levels: How many values a pixel of a batch can take, k / (levels - 1): 2 if binarized,
        256 for 8-bit images, `None` for floats.
      seed: Seed of the fixed draw (an int or a tuple of ints).

    Example:

    >>> import numpy as np
    >>> images = np.arange(20 * 4, dtype="uint8").reshape(20, 2, 2, 1)
    >>> data = ImageSet(images, np.arange(20, dtype="int32") % 2, binarize="threshold")
    >>> data
    ImageSet(20 images of 2x2x1, binarize='threshold')
    >>> train, held = data.split(0.25)
    >>> len(train), len(held), held.arrays()[0].dtype
    (15, 5, dtype('float32'))
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        binarize: str = "none",
        threshold: float = 0.5,
        levels: int | None = None,
        seed: int | Sequence[int] = 0,
        class_names: Sequence[str] | None = None,
    ):
        """Hold arrays that are known to be good; `from_arrays` checks them first.

        Args:
          images: uint8 or float32 `[N, H, W, C]`.
          labels: int32 `[N]` or `None`.
          binarize: One of `BINARIZATIONS`.
          threshold: In [0, 1), for `"threshold"`.
          levels: For uint8 images: the largest value means 1 and is `levels - 1`.
            By default 2 where no value exceeds 1, else 256.
          seed: Seed of `"static"`, and of how `"dynamic"` looks in evaluation.
          class_names: Name of each label from 0.

        Raises:
          UserError: If `binarize`, `threshold` or `seed` is not as described.
        """
        check_binarize(binarize, threshold)
        self.images = images
        self.labels = labels
        self.class_names = None if class_names is None else _names(class_names, labels)
        self.binarize = binarize
        self.threshold = threshold
        self.seed = tuple(map(check_seed, seed)) if isinstance(seed, tuple) else check_seed(seed)
        if levels is None and images.dtype == np.uint8:
            levels = white_of([images]) + 1
        self._raw_levels = levels
        self._fixed_images = None
        # The set and the rows that this one was taken from.
        self._whole: tuple[ImageSet, slice | np.ndarray] | None = None
        self._tensors: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.image_shape))
        return f"ImageSet({len(self)} images of {shape}, binarize={self.binarize!r})"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(H, W, C)`."""
        height, width, channels = (int(n) for n in self.images.shape[1:])
        return height, width, channels

    @property
    def levels(self) -> int | None:
        """How many values a pixel of a batch can take, or `None` for floats."""
        return self._raw_levels if self.binarize == "none" else 2

    @functools.cached_property
    def is_binary(self) -> bool:
        """Whether every value of a batch is 0 or 1: binarized, or black and white already."""
        return self.levels == 2 or is_black_and_white(*self._raw())

    @property
    def loses_values(self) -> bool:
        """Whether making them black and white takes something away from the images."""
        return self.binarize != "none" and not is_black_and_white(*self._raw())

    def fingerprint(self) -> str:
        """Return a hash of images, labels and what white is: of the data before binarization."""
        about = [self.images.dtype.str, self.images.shape, self._raw_levels]
        digest = hashlib.blake2b(repr(about).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(self.images).data)
        if self.labels is not None:
            digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()

    def class_words(self, labels: np.ndarray | None = None) -> np.ndarray | None:
        """Return the names of labels, or the labels themselves where they have no names.

        Args:
          labels: int `[n]`; those of all images by default.

        Returns:
          str or int `[n]`, `None` where there are no labels.
        """
        labels = self.labels if labels is None else labels
        if labels is None or self.class_names is None:
            return labels
        return np.array(self.class_names)[labels]

    def take(self, rows: slice | Sequence[int] | np.ndarray) -> ImageSet:
        """Return the set of some of the images; they are numbered anew, from 0.

        What white means and how an image was binarized stay as they are in the whole set, so
        that a fixed draw of an image is the same in both.

        Args:
          rows: A slice, row numbers or booleans, as NumPy takes them.

        Raises:
          UserError: If there are no such rows, or none at all.
        """
        rows = rows if isinstance(rows, slice) else np.asarray(rows)
        try:
            images = self.images[rows]
        except IndexError as error:
            raise UserError(f"There are {len(self)} images and no such rows: {error}.") from error
        if images.ndim != 4 or not len(images):
            raise UserError(f"Take at least one of the {len(self)} images, by a list of rows.")
        part = ImageSet(
            images,
            None if self.labels is None else self.labels[rows],
            binarize=self.binarize,
            threshold=self.threshold,
            levels=self._raw_levels,
            seed=self.seed,
            class_names=self.class_names,
        )
        part._whole = self, rows
        return part

    def split(self, share: float) -> tuple[ImageSet, ImageSet]:
        """Return two sets: the first images, and the last ones, which are held out.

        The images are not copied. They are split as they lie, as `validation_split` of Keras
        does; where they lie class by class, hold some out with `load(validation=...)`.

        Args:
          share: How much to hold out, in (0, 1).

        Raises:
          UserError: If it is no such number, or one of the sets would be empty.
        """
        share = check_number(
            share, "The share to hold out", "a number in (0, 1)", lambda number: 0 < number < 1
        )
        first = len(self) - int(round(len(self) * share))
        if not 0 < first < len(self):
            raise UserError(
                f"A share of {share} of {len(self)} images leaves one part empty: choose another."
            )
        return self.take(slice(None, first)), self.take(slice(first, None))

    def _raw(self):
        """Return `(images, white)` before binarization."""
        return self.images, 1 if self._raw_levels is None else self._raw_levels - 1

    def _fixed(self):
        """Return `(images, white)` as evaluation sees them."""
        if self.binarize == "none":
            return self._raw()
        if self._fixed_images is None:
            if self.binarize == "threshold":
                self._fixed_images = by_threshold(*self._raw(), self.threshold)
            elif self._whole is not None:
                whole, rows = self._whole
                self._fixed_images = whole._fixed()[0][rows]
            else:
                self._fixed_images = by_draw(*self._raw(), self.seed)
        return self._fixed_images, 1

    def arrays(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return `(images, labels)` as evaluation sees them, in the order of the index.

        Returns:
          float32 `[N, H, W, C]` in [0, 1], binarized if so (`"dynamic"`: one fixed draw),
          and int32 `[N]` or `None`.
        """
        return to_unit(*self._fixed()), self.labels

    def unit_rows(self) -> UnitRows:
        """Return the images of `arrays`, of which only the rows that are asked for are made."""
        return UnitRows(*self._fixed())

    def steps_per_epoch(self, batch_size: int, drop_remainder: bool = False) -> int:
        """Return how many batches an epoch has.

        Raises:
          UserError: If the batch size is not positive, or no batch would be full where
            `drop_remainder` asks for full ones.
        """
        batch_size = check_count(batch_size, "The batch size", least=1)
        if not drop_remainder:
            return -(-len(self) // batch_size)
        if batch_size > len(self):
            raise UserError(
                f"The batch size {batch_size} is larger than the {len(self)} images and "
                f"incomplete batches are dropped: give at most {len(self)}."
            )
        return len(self) // batch_size

    def _tensor(self, kind, array):
        """Return `array` as a tensor of the host, the same for every dataset made."""
        if kind not in self._tensors:
            # What was binarized here is ours; the rest may be changed by who gave it.
            self._tensors[kind] = host_tensor(array, copy=array is not self._fixed_images)
        return self._tensors[kind]

    def lookup(self, training: bool = False) -> Callable:
        """Return a function that looks images up by their row, inside a graph.

        Args:
          training: Whether `"dynamic"` images are drawn anew, as in training.

        Returns:
          `look(index, seed) -> float32 [..., H, W, C]` in [0, 1], binarized if so, for
          int32 rows `[...]`; the stateless seed, int32 `[2]`, is that of the drawing.
        """
        draws = self.binarize == "dynamic" and training
        unit = self._unit(draws)

        def look(index, seed):
            image = unit(index)
            if draws:
                uniform = noise.uniform(tf.shape(image), seed)
                image = tf.cast(uniform < image, tf.float32)
            return image

        return look

    def _unit(self, draws):
        """Return a function of rows that looks images up in a graph, as floats in [0, 1]."""
        array, white = self._raw() if draws else self._fixed()
        images = self._tensor("raw" if draws else "fixed", array)

        def unit(index):
            image = tf.cast(tf.gather(images, index), tf.float32)
            return image if white == 1 else image / float(white)

        return unit

    def dataset(
        self,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        start_epoch: int = 0,
        start_step: int = 0,
        epochs: int | None = None,
        drop_remainder: bool = False,
        training: bool | None = None,
    ) -> Any:
        """Return the batches as a `tf.data.Dataset`.

        The batch at (epoch, step) is a pure function of `seed`, epoch and step, so a
        dataset that starts anywhere yields exactly what an uninterrupted one yields there.
        The order within an epoch is a pseudo-random permutation that needs no memory
        (`tf.random.experimental.index_shuffle`). Each epoch ends with its own last,
        smaller batch, unless `drop_remainder`.

        Args:
          batch_size: B.
          shuffle: Whether each epoch has its own order.
          seed: Seed of the order and of the dynamic draws.
          start_epoch: The first epoch, from 0.
          start_step: The first batch within that epoch, from 0.
          epochs: How many epochs, counted from `start_epoch`, follow one another;
            `None` for one.
          drop_remainder: Whether to leave out each epoch's last batch if it is smaller.
          training: Whether `"dynamic"` images are drawn anew (or fixed, as in `arrays()`).
            By default as `shuffle`.

        Returns:
          Batches `{"image": float32 [B, H, W, C] in [0, 1], "index": int32 [B]}`, and
          `"label": int32 [B]` where there are labels. Its cardinality is known.

        Raises:
          UserError: If an argument is out of range.
        """
        seed = check_seed(seed)
        steps = self.steps_per_epoch(batch_size, drop_remainder)
        start_epoch = check_count(start_epoch, "start_epoch")
        start_step = check_count(start_step, "start_step")
        epochs = 1 if epochs is None else check_count(epochs, "epochs", least=1)
        if start_step >= steps:
            raise UserError(
                f"start_step={start_step} is past the last of the {steps} batches of an epoch: "
                f"give at most {steps - 1}."
            )
        draws = self.binarize == "dynamic" and (shuffle if training is None else training)
        unit = self._unit(draws)
        labels = None if self.labels is None else self._tensor("labels", self.labels)
        count, batch_size = len(self), int(batch_size)
        static_size = batch_size if drop_remainder or count % batch_size == 0 else None

        def batch(number):
            epoch, step = number // steps, number % steps
            first = step * batch_size
            index = tf.range(first, tf.minimum(first + batch_size, count))  # [B]
            if shuffle:
                key = tf.stack([tf.constant(seed, tf.int64), epoch])
                index = tf.random.experimental.index_shuffle(index, key, count - 1)
            image = unit(index)
            if draws:
                image = draw_batch(image, seed, epoch, step)
            out = {
                "image": tf.ensure_shape(image, (static_size, *self.image_shape)),
                "index": tf.ensure_shape(tf.cast(index, tf.int32), (static_size,)),
            }
            if labels is not None:
                out["label"] = tf.ensure_shape(tf.gather(labels, index), (static_size,))
            return out

        with tf.device("CPU:0"):
            numbers = tf.data.Dataset.range(
                start_epoch * steps + start_step, (start_epoch + epochs) * steps
            )
            batches = numbers.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            batches = batches.prefetch(tf.data.AUTOTUNE)
        # There is nothing in this pipeline to be rewritten, and a rewriting copies the images.
        options = tf.data.Options()
        options.experimental_optimization.apply_default_optimizations = False
        return batches.with_options(options)


def _names(class_names, labels):
    """Return the names of labels as a tuple; a `UserError` where a label has none."""
    is_list = isinstance(class_names, Iterable) and not isinstance(class_names, (str, bytes, dict))
    names = tuple(class_names) if is_list else (None,)
    if not all(isinstance(name, str) for name in names):
        raise UserError(
            f"class_names must be a list of texts, not {short(class_names, to_text=repr)}."
        )
    most = -1 if labels is None or not len(labels) else int(np.max(labels))
    if most >= len(names):
        raise UserError(
            f"class_names has {len(names)} names, and there is a label {most}: give each label "
            "from 0 its name."
        )
    return tuple(map(str, names))
