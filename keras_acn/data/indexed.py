"""The index, added: to plain arrays, to the user's own `tf.data`, and checked in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_acn._base import lazy
from keras_acn._base.errors import UserError
from keras_acn.data.checks import check_images, check_labels
from keras_acn.data.image_set import ImageSet

tf = lazy.module("tensorflow")

_CALL = "keras_acn.data.index_dataset(dataset)"


def from_arrays(
    images: Any,
    labels: Any = None,
    *,
    binarize: str = "none",
    threshold: float = 0.5,
    seed: int | Sequence[int] = 0,
) -> ImageSet:
    """Return plain arrays as an `ImageSet`: row n has index n.

    Args:
      images: `[N, H, W]` or `[N, H, W, C]`: uint8 (0 to 255; or 0 and 1, where no pixel of the
        whole array exceeds 1), bool, or floats in [0, 1].
      labels: Integers from 0, `[N]`, or `None`.
      binarize, threshold, seed: As in `ImageSet`.

    Returns:
      `ImageSet`.

    Raises:
      UserError: If the arrays are not as described.
    """
    images = check_images(images, "The images")
    labels = check_labels(labels, len(images), "The labels")
    return ImageSet(images, labels, binarize=binarize, threshold=threshold, seed=seed)


def _parts(element):
    """Return `(image, label or None)` of an element or of its spec."""
    if isinstance(element, dict):
        if "image" not in element:
            raise UserError(
                f'The dataset yields {", ".join(map(str, element)) or "nothing"} but no "image": '
                'give dicts with an "image".'
            )
        return element["image"], element.get("label")
    if isinstance(element, (tuple, list)):
        if len(element) not in (1, 2):
            raise UserError(
                f"The dataset yields tuples of {len(element)}: give (image, label) or a dict "
                'with an "image".'
            )
        return element[0], element[1] if len(element) == 2 else None
    return element, None


def _check_first(dataset):
    """Look at the first element, twice, for what the spec cannot tell."""

    def first():
        for element in dataset.take(1):
            return np.asarray(_parts(element)[0])
        raise UserError("The dataset is empty: give at least one image.")

    images = first()
    batch = images if images.ndim == 4 else images[np.newaxis]
    check_images(batch, "The images of the dataset")
    if not np.array_equal(images, first()):
        raise UserError(
            "The dataset yields another first image each time, so an index would not stay with "
            f"its image: call {_CALL} before shuffling and random augmentation."
        )


def index_dataset(dataset: Any) -> Any:
    """Add each image's row number to a `tf.data.Dataset`, by counting.

    Call it first, before shuffling, batching, repeating and random augmentation: the count
    must meet the images in the same order in every epoch.

    Args:
      dataset: Yields `{"image"[, "label"]}`, `(image, label)` or `image`. Single images
        are `[H, W]` or `[H, W, C]`, batches of images `[B, H, W, C]`; a batch gets the
        indices of its rows. Pixels are floats in [0, 1], or uint8, which here always
        runs from 0 to 255: a stream is not seen as a whole, so nothing tells 0/1 images
        from dark ones. Give 0/1 images as floats (`tf.cast(image, tf.float32)`).

    Returns:
      A dataset of `{"image": float32 [H, W, C] or [B, H, W, C] in [0, 1], "index": int32 []
      or [B]}` and `"label"` where there is one. A dataset that has an index already comes
      back as it is.

    Raises:
      UserError: If the dataset is empty, infinite, ragged, in another order each time, or
        does not yield images.
    """
    if not isinstance(dataset, tf.data.Dataset):
        raise UserError(
            f"{_CALL} takes a tf.data.Dataset, not {type(dataset).__name__}: for arrays, use "
            "keras_acn.data.from_arrays."
        )
    if isinstance(dataset.element_spec, dict) and "index" in dataset.element_spec:
        return dataset
    image_spec, _ = _parts(dataset.element_spec)
    if not isinstance(image_spec, tf.TensorSpec) or image_spec.shape.rank not in (2, 3, 4):
        shape = getattr(image_spec, "shape", type(image_spec).__name__)
        raise UserError(
            f"The dataset's images have the shape {shape}: give single images [H, W] or "
            "[H, W, C], or batches [B, H, W, C]."
        )
    if image_spec.dtype != tf.uint8 and not image_spec.dtype.is_floating:
        raise UserError(
            f"The dataset's images are {image_spec.dtype.name}: cast them to uint8 (values 0 to "
            "255) or to floats in [0, 1]."
        )
    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise UserError(f"The dataset never ends: call {_CALL} before repeat().")
    _check_first(dataset)
    return count_rows(dataset)


def count_rows(dataset: Any) -> Any:
    """Number the images of a dataset as they come, for use where no number has to stay."""
    image_spec, _ = _parts(dataset.element_spec)
    batched = image_spec.shape.rank == 4

    def count(state, element):
        image, label = _parts(element)
        if image_spec.shape.rank == 2:
            image = image[..., tf.newaxis]
        if image.dtype == tf.uint8:
            image = tf.cast(image, tf.float32) / 255.0
        size = tf.shape(image)[0] if batched else 1
        out = {
            "image": tf.cast(image, tf.float32),
            "index": state + tf.range(size) if batched else state,
        }
        if label is not None:
            out["label"] = label
        return state + size, out

    return dataset.scan(tf.constant(0, tf.int32), count)


def _spec(element_spec, key):
    spec = element_spec[key]
    shape = getattr(spec, "shape", None)
    rank = getattr(shape, "rank", None) if shape is not None else None
    if rank is None and shape is not None and not hasattr(shape, "rank"):
        rank = len(shape)
    dtype = getattr(spec, "dtype", None)
    return shape, rank, str(getattr(dtype, "name", dtype))


def check_batch_spec(element_spec: Any, image_shape: tuple[int, ...] | None = None) -> None:
    """Check that a dataset yields batches as this package defines them.

    Args:
      element_spec: `dataset.element_spec`.
      image_shape: The `(H, W, C)` expected, or `None` for any.

    Raises:
      UserError: If it is not `{"image": float32 [B, H, W, C], "index": integer [B]}`, with
        an integer `"label"` `[B]` or without; where the index is missing the sentence
        names the call that adds it.
    """
    if not isinstance(element_spec, dict):
        raise UserError(
            'The dataset must yield dicts with "image" and "index": call '
            f"{_CALL} before shuffling and batching."
        )
    if "image" not in element_spec:
        raise UserError(
            f'The dataset yields {", ".join(map(str, element_spec)) or "nothing"} but no "image": '
            'give dicts with "image" and "index".'
        )
    if "index" not in element_spec:
        raise UserError(
            'The dataset yields no "index", the row of each image in the codebook: call '
            f"{_CALL} before shuffling and batching."
        )
    shape, rank, dtype = _spec(element_spec, "image")
    if rank is not None and rank != 4:
        hint = "add .batch(BATCH_SIZE)" if rank == 3 else "give [B, H, W, C]"
        raise UserError(f"The dataset's images have the shape {shape}, not a batch: {hint}.")
    if dtype != "float32":
        raise UserError(
            f"The dataset's images are {dtype}: give float32 in [0, 1], as {_CALL} does."
        )
    if rank is not None and image_shape is not None:
        found = tuple(shape)[1:]
        if any(f is not None and f != e for f, e in zip(found, image_shape, strict=True)):
            raise UserError(
                f"The dataset's images are {list(found)} but the model's {list(image_shape)}: "
                "resize one of them."
            )
    for key in ("index", "label"):
        if key not in element_spec:
            continue
        shape, rank, dtype = _spec(element_spec, key)
        if not dtype.startswith(("int", "uint")):
            raise UserError(f'The dataset\'s "{key}" is {dtype}: give int32.')
        if rank is not None and rank != 1:
            raise UserError(
                f'The dataset\'s "{key}" has the shape {shape}: give one an image, [B].'
            )
