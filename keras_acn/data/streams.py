"""Batches that Python makes: generators and Keras's `PyDataset`, as a `tf.data.Dataset`."""

from __future__ import annotations

import collections
import itertools
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_acn._base import lazy
from keras_acn._base.errors import UserError
from keras_acn.data.checks import check_images, check_labels, to_unit

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    keras = lazy.module("keras")
    tf = lazy.module("tensorflow")

# Seconds until a count that goes on tells of itself, and between two such lines.
PATIENCE = 5.0


def is_stream(x: Any) -> bool:
    """Return whether `x` yields batches from Python: a generator, a `PyDataset`, a data loader."""
    if isinstance(x, keras.utils.PyDataset):
        return True
    known = isinstance(x, (str, bytes, dict, list, tuple, np.ndarray))
    return not known and hasattr(x, "__iter__") and not hasattr(x, "__array__")


def can_go_again(x: Any) -> bool:
    """Return whether a stream can be gone through more than once."""
    return not isinstance(x, Iterator)


def batches_of(x: Any, order: Callable[[int], Any] = range) -> Iterator[dict[str, np.ndarray]]:
    """Yield the batches of a stream once, checked, as dicts of NumPy arrays.

    Args:
      x: A generator, a `keras.utils.PyDataset` or anything else that yields batches of images,
        `(images,)`, `(images, labels)`, or dicts with `image` and perhaps `index` and `label`.
      order: Of the number of batches of a `PyDataset`, the order to take them in.

    Raises:
      UserError: If a batch cannot be used.
    """
    import keras

    is_py_dataset = isinstance(x, keras.utils.PyDataset)
    return map(_checked, _items(x, order) if is_py_dataset else iter(x))


def _items(dataset: Any, order: Callable[[int], Any]) -> Iterator[Any]:
    """Yield the batches of a `PyDataset`, made by as many threads as it has workers."""
    dataset.on_epoch_begin()
    length = dataset.num_batches
    numbers: Iterable[int] = itertools.count() if length is None else order(length)
    workers = max(1, dataset.workers)
    with ThreadPoolExecutor(workers) as pool:
        ahead: collections.deque = collections.deque()
        for number in numbers:
            ahead.append(pool.submit(dataset.__getitem__, int(number)))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    dataset.on_epoch_end()


def _checked(item: Any) -> dict[str, np.ndarray]:
    """Return what a stream yields as a batch: `image`, and `index` and `label` where given."""
    if isinstance(item, dict):
        if "image" not in item:
            raise UserError(
                f"The data yield dicts with {', '.join(map(str, item)) or 'nothing'} and no "
                '"image": give "image", and "index" for a model with a codebook.'
            )
        image, label = item["image"], item.get("label")
    else:
        parts = tuple(item) if isinstance(item, (tuple, list)) else (item,)
        if not 1 <= len(parts) <= 3:
            raise UserError(f"The data yield tuples of {len(parts)}: give (images, labels).")
        image, label, weight = (*parts, None, None)[:3]
        if weight is not None:
            raise UserError(NO_WEIGHTS)
    # A stream is not seen as a whole: here uint8 always runs to 255, as in `index_dataset`.
    white = 255 if np.asarray(image).dtype == np.uint8 else 1
    image = check_images(image, "The images of a batch")
    batch = {"image": to_unit(image, white)}
    labels = check_labels(without_copies(image, label), len(image), "The labels of a batch")
    if labels is not None:
        batch["label"] = labels
    if isinstance(item, dict) and item.get("index") is not None:
        index = np.asarray(item["index"])
        if index.shape != (len(image),) or index.dtype.kind not in "iu":
            raise UserError(
                f'The "index" of a batch is {index.dtype} {list(index.shape)}: give one integer '
                f"an image, [{len(image)}]."
            )
        batch["index"] = index.astype(np.int32)
    return batch


NO_WEIGHTS = (
    "A code length has no sample weights: give (images, labels), and repeat the images that are "
    "to count for more."
)


def without_copies(image: Any, label: Any) -> Any:
    """Return the labels, `None` where they are the images again, as autoencoders are given.

    Raises:
      UserError: If they are other images.
    """
    try:
        if label is None or np.ndim(label) < 3:
            return label
    except ValueError:
        return label  # for the check of labels to say what is wrong
    if label is image or np.array_equal(np.squeeze(image), np.squeeze(np.asarray(label))):
        return None
    raise UserError(
        "The second array holds other images than the first, and a model here gives back the "
        "images that it is given: leave it out, or give labels, one integer an image."
    )


def as_dataset(
    x: Any, *, rows_needed: bool, shuffle: bool = False, seed: int = 0
) -> tuple[tf.data.Dataset, list[Exception]]:
    """Return a stream as a dataset of batches `{"image", "index"[, "label"]}`.

    TensorFlow makes an error of its own of what a batch raises, so what was raised comes along
    in a list, which is empty at first.

    Args:
      x: As for `batches_of`. One that can be gone through only once makes such a dataset.
      rows_needed: Whether it matters which rows of a codebook the images have; else they are
        numbered as they come.
      shuffle: Whether the batches of a `PyDataset` come in a new order each time.
      seed: Seed of that order.

    Raises:
      UserError: If the first batch cannot be used, or there is none, or it lacks an index that
        is needed.
    """
    head: list = []
    rest = None if can_go_again(x) else batches_of(x)
    kind = type(x).__name__
    if isinstance(x, keras.utils.PyDataset):
        kind = "PyDataset"
        length = x.num_batches
        first = None if length == 0 else _checked(x[0])
    else:
        length = None
        first = next(batches_of(x) if rest is None else rest, None)
    if first is None:
        raise UserError(f"The {kind} is empty: give at least one batch of images.")
    if rows_needed and "index" not in first:
        raise UserError(
            f"The {kind} does not say which row of the training data an image is: let it yield "
            '{"image": ..., "index": ...}, or give arrays, or a tf.data.Dataset by '
            "keras_acn.data.index_dataset(dataset)."
        )
    if rest is not None:
        head.append(first)
    shape = first["image"].shape[1:]
    signature = {
        "image": tf.TensorSpec([None, *shape], tf.float32),
        "index": tf.TensorSpec([None], tf.int32),
    }
    if "label" in first:
        signature["label"] = tf.TensorSpec([None], tf.int32)
    is_numbered, passes = "index" in first, itertools.count()
    failures: list[Exception] = []

    def order(count: int) -> Any:
        rng = np.random.default_rng([seed, next(passes)])
        return rng.permutation(count) if shuffle else range(count)

    def one_pass() -> Iterator[dict[str, np.ndarray]]:
        seen = 0
        try:
            for batch in batches_of(x, order) if rest is None else _then(head, rest):
                count = len(batch["image"])
                if not is_numbered:
                    batch["index"] = np.arange(seen, seen + count, dtype=np.int32)
                seen += count
                if batch["image"].shape[1:] != shape or not signature.keys() <= batch.keys():
                    raise UserError(
                        f"A later batch of the {kind} has other parts or shapes than the first, "
                        f"{', '.join(signature)} and images {list(shape)}: make them all alike."
                    )
                yield {name: batch[name] for name in signature}
        except Exception as error:
            failures.append(error)
            raise

    dataset = tf.data.Dataset.from_generator(one_pass, output_signature=signature)
    if length is not None:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(length))
    return dataset, failures


def _then(head: list, rest: Iterator) -> Iterator:
    """Yield what is left of `head`, and then of `rest`."""
    while head:
        yield head.pop()
    yield from rest


def told(batches: Iterable[Any], advice: str, at_most: int | None = None) -> Iterator[Any]:
    """Yield batches one after another in Python, where Ctrl-C ends it, and tell if it takes long.

    Args:
      batches: The batches.
      advice: What spares the user the wait; the end of the sentence.
      at_most: How many batches are plausible, `None` for any number.

    Raises:
      UserError: If there are more.
    """
    begun = last = time.monotonic()
    for count, batch in enumerate(batches, 1):
        if at_most is not None and count > at_most:
            raise UserError(
                f"The data do not say how many they are, and go on after {at_most:,} batches: "
                f"{advice}."
            )
        yield batch
        now = time.monotonic()
        if now - last > PATIENCE:
            last = now
            print(
                f"Counting the data: {count:,} batches in {now - begun:.0f} s, and no end yet. "
                f"Ctrl-C stops; otherwise, {advice}.",
                file=sys.stderr,
                flush=True,
            )


def collect(x: Any, *, steps: int | None, advice: str) -> tuple[np.ndarray, Any, int]:
    """Return `(images, labels or None, size of a batch)` of a stream that is gone through once.

    Args:
      x: The stream.
      steps: How many batches to take, `None` for all.
      advice: As for `told`.

    Raises:
      UserError: If the data cannot be used.
    """
    batches = list(told(itertools.islice(batches_of(x), steps), advice))
    if not batches:
        raise UserError(f"The {type(x).__name__} is empty: give at least one batch of images.")
    shapes = {batch["image"].shape[1:] for batch in batches}
    if len(shapes) > 1:
        raise UserError(f"The batches' images differ in shape, {shapes}: make them all alike.")
    labels = None
    if all("label" in batch for batch in batches):
        labels = np.concatenate([batch["label"] for batch in batches])
    images = np.concatenate([batch["image"] for batch in batches])
    return images, labels, len(batches[0]["image"])
