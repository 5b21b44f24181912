"""One loader for every source."""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
from typing import Any

import numpy as np

from keras_acn._base.checks import check_count, check_flag, check_seed
from keras_acn._base.errors import UserError, did_you_mean
from keras_acn._base.reading import require_memory
from keras_acn.data.checks import check_images
from keras_acn.data.image_set import ImageSet
from keras_acn.data.readers import needs_tensorflow, open_source
from keras_acn.data.readers.base import Parts, Source
from keras_acn.data.readers.notices import tell
from keras_acn.data.split import (
    Part,
    check_amount,
    check_classes,
    class_labels,
    held_out,
    limited,
    of_classes,
)
from keras_acn.data.transform import check_binarize, check_crop, check_size

TEST_SHARE = 0.1
# The rows split off as a test part are the same whatever the run's own seed, so that runs
# with different seeds are compared on the same images.
_TEST_SEED = (1797, 10)
_BLOCK = 1024
_PART_NUMBERS = {"train": 0, "validation": 1, "test": 2}


@dataclasses.dataclass(frozen=True)
class Data:
    """The parts of a data set.

    Attributes:
      train: `ImageSet`.
      validation: `ImageSet` or `None`.
      test: `ImageSet` or `None`.
      name: The source, as it was asked for.
      image_shape: `(H, W, C)` of every part.
      num_classes: Number of classes, `None` where there are no labels.
      class_names: Name of each label from 0, `None` where the source has no names.
      notices: Sentences on what was read otherwise than it is stored, or left out.

    Example:

    >>> data = load("digits", validation=0.1)
    >>> len(data.train), len(data.validation), len(data.test)
    (1293, 144, 360)
    >>> data.image_shape, data.num_classes
    ((8, 8, 1), 10)
    """

    train: ImageSet
    validation: ImageSet | None
    test: ImageSet | None
    name: str
    image_shape: tuple[int, int, int]
    num_classes: int | None
    class_names: tuple[str, ...] | None = None
    notices: tuple[str, ...] = ()


def with_test(parts: Parts, source: str, amount: float | int | None = None) -> Parts:
    """Return parts with a test part split off the training part, where none is published.

    By class where the labels can be had without reading the images; else the last images. A
    folder with a validation part and no test part keeps it so, unless an amount is asked for:
    there is a part to measure on.

    Args:
      parts: `Parts`.
      source: What to call the data in an error.
      amount: Share or count; by default a tenth, 0 for no test part.

    Raises:
      UserError: If an amount is asked for though there is a test part, or it leaves nothing
        to train on, or there are no training images.
    """
    train = parts.train
    if train is None:
        raise UserError(f'"{source}" has no training images: only a test part.')
    if parts.test is not None:
        if amount:
            raise UserError(f'"{source}" has a test part of its own: leave out test={amount}.')
        return parts
    count = len(train)
    if amount is None:
        amount = TEST_SHARE if count > 1 and parts.validation is None else 0
    if not amount:
        return parts
    labels = train.labels if train.has_labels_ahead else None
    kept, held = held_out(count, labels, amount, _TEST_SEED, "test")
    if not train.has_labels_ahead:
        kept, held = np.split(np.arange(count), [len(kept)])
    return Parts(train.pick(kept), parts.validation, train.pick(held))


def _read(source: Source) -> Part:
    """Read a source into memory, as `check_images` has images there."""
    where = f"The images of {source.name}"
    images, at = np.empty(0, np.uint8), 0
    for block in source.blocks(source.at_once(_BLOCK)):
        block = check_images(block, where)
        if not at:
            images = np.empty((len(source), *block.shape[1:]), block.dtype)
        images[at : at + len(block)] = block
        at += len(block)
    if not at:
        raise UserError(f"{where} are empty: give at least one image.")
    return Part(images, source.labels)


def _require_rows(parts):
    """Raise a `UserError` if the mere numbers of the images take too much memory."""
    for part in (parts.train, parts.validation, parts.test):
        if part is not None:
            require_memory(3 * 8 * len(part), f"The numbers of the images of {part.name}")


def _require_memory(sources, name):
    """Raise a `UserError` if all parts together take more memory than is allowed."""
    total = 0
    for source in sources.values():
        in_memory = 4 if source.dtype.kind == "f" else 1
        total += math.prod(source.shape) * in_memory
    require_memory(total, f"The images of {name}")


def _check_same(parts, source):
    shape, dtype = parts["train"].images.shape[1:], parts["train"].images.dtype
    for name, part in parts.items():
        if part.images.shape[1:] != shape:
            raise UserError(
                f"The {name} images of {source} are {list(part.images.shape[1:])} but the "
                f"training images {list(shape)}: give resize=SIZE or images of one shape."
            )
        if part.images.dtype != dtype:
            raise UserError(
                f"The {name} images of {source} are {part.images.dtype} but the training images "
                f"{dtype}: store both alike."
            )


def _num_classes(parts, class_names):
    if parts["train"].labels is None:
        return None
    if class_names is not None:
        return len(class_names)
    return 1 + max(int(p.labels.max()) for p in parts.values() if p.labels is not None)


def load(
    source: str | os.PathLike = "mnist-mini",
    *,
    data_dir: str | os.PathLike | None = None,
    binarize: str = "none",
    threshold: float = 0.5,
    validation: float | int = 0,
    test: float | int | None = None,
    limit: int | None = None,
    resize: int | tuple[int, int] | None = None,
    crop: int | tuple[int, int] | str | None = None,
    grey: bool = False,
    classes: Any = None,
    background: Any = None,
    skip_damaged: bool = False,
    seed: int = 0,
    **unknown: Any,
) -> Data:
    """Load a data set into memory.

    Args:
      source: `"mnist-mini"`, `"digits"`, a TensorFlow Datasets name, `"idx:DIR"`,
        `"npz:FILE"`, `"npy:FILE"` or `"images:DIR"`; see `describe_sources`. A path that ends
        in `.npy` or `.npz` needs no prefix.
      data_dir: Folder where TensorFlow Datasets keeps its prepared copies.
      binarize: `"none"`; `"threshold"`; `"static"`, a Bernoulli draw a pixel made once for
        each part; `"dynamic"`, drawn anew each epoch in training and fixed in evaluation.
      threshold: In [0, 1): with `"threshold"` the pixels above it are 1, the others 0.
      validation: How much of the training part to hold out: a share in [0, 1), or a
        number of images; by class where there are labels, chosen by `seed`. With 0 the
        validation part is that of a folder with `val/`, or the published one of a TensorFlow
        dataset that has one besides its test part, otherwise `None`.
      test: The same for the test part of a source that has none. By default a tenth, or
        nothing where there is a validation part; 0 for no test part. The rows do not depend
        on `seed`.
      limit: The most images of the training part (before `validation` is taken off it)
        and of each other part: the first ones, spread over the classes for `images:DIR`.
      resize: Pixels, or `(height, width)`: bilinear, antialiased, after the crop.
      crop: Pixels, or `(height, width)`, kept around the centre; `"square"` keeps the largest
        square of each image.
      grey: Whether colour images become one channel.
      classes: Labels of the classes to keep, in every part, such as `(0, 1, 2)`, or their
        names where the source has names; `None` for all. They keep their labels. Taken after
        `limit`, and before `validation`.
      background: Of `images:DIR`, what transparent pictures are laid on: a colour such as
        `"white"` (the default), `"#20a0ff"` or a grey value from 0 to 255.
      skip_damaged: Of `images:DIR`, whether to leave out pictures that cannot be read, by a
        further reading of all files. Else they are an error, which names all of them.
      seed: Seed of the validation split and of the fixed draws.

    Returns:
      `Data`.

    Warns:
      DataWarning: Of what was read otherwise than it is stored, or left out; `Data.notices`
        holds the same sentences.

    Raises:
      UserError: If the source cannot be read or an option is not as described.
    """
    if unknown:
        known = [p for p in inspect.signature(load).parameters if p != "unknown"]
        word = next(iter(unknown))
        raise UserError(
            f'Unknown option "{word}" of the data: known are {", ".join(known)}.'
            f"{did_you_mean(word, known)}"
        )
    check_binarize(binarize, threshold)
    seed = check_seed(seed)
    validation = check_amount(validation, "validation")
    classes = check_classes(classes)
    if data_dir is not None and not isinstance(data_dir, (str, os.PathLike)):
        raise UserError(f"data_dir must be a folder, not {data_dir!r}.")
    test = None if test is None else check_amount(test, "test")
    limit = None if limit is None else check_count(limit, "limit", least=1)
    look = {
        "crop": check_crop(crop),
        "resize": check_size(resize, "resize"),
        "grey": check_flag(grey, "grey"),
    }
    name = str(source)
    opened = open_source(
        source,
        None if data_dir is None else os.path.expanduser(data_dir),
        background=background,
        skip_damaged=check_flag(skip_damaged, "skip_damaged"),
    )
    opened.check()
    _require_rows(opened)
    sources = _chosen(with_test(opened, name, test), limit, look)
    _require_memory(sources, name)
    parts = {part: _read(each) for part, each in sources.items()}
    notices = list(sources["train"].notices)
    if validation and "validation" in parts:
        notices.append(
            f"{name} has a validation part of its own, which validation={validation} replaces "
            "by training images."
        )
    tell(notices)
    if classes is not None:
        classes = class_labels(classes, sources["train"].class_names)
        parts = of_classes(parts, classes, name)
    if validation:
        train = parts["train"]
        kept, held = held_out(len(train.images), train.labels, validation, (seed, 0), "validation")
        parts |= {"train": train.take(kept), "validation": train.take(held)}
    _check_same(parts, name)
    class_names = sources["train"].class_names
    floats = parts["train"].images.dtype != np.uint8
    levels = None if floats else sources["train"].white() + 1
    sets = {
        name: ImageSet(
            *part,
            binarize=binarize,
            threshold=threshold,
            levels=levels,
            seed=(seed, _PART_NUMBERS[name]),
            class_names=class_names,
        )
        for name, part in parts.items()
    }
    return Data(
        train=sets["train"],
        validation=sets.get("validation"),
        test=sets.get("test"),
        name=name,
        image_shape=sets["train"].image_shape,
        num_classes=_num_classes(parts, class_names),
        class_names=class_names,
        notices=tuple(notices),
    )


def check_source(source: str | os.PathLike, *, background: Any = None) -> None:
    """Check what can be checked of a source at once: that it is there, names, headers, shapes.

    Nothing is checked of TensorFlow datasets, which takes as long as loading them.

    Args:
      source: As for `load`.
      background: Likewise.

    Raises:
      UserError: As `load` does.
    """
    if not needs_tensorflow(source):
        open_source(source, background=background).check()


def _chosen(parts: Parts, limit: int | None, look: dict[str, Any]) -> dict[str, Source]:
    """Return the sources by name, limited and transformed, all with as many channels."""
    sources = {}
    for name in _PART_NUMBERS:
        source = getattr(parts, name)
        if source is not None:
            rows = limited(np.arange(len(source)), limit, source.sorted_by_class)
            sources[name] = source.pick(rows).transformed(**look)
    channels = max(source.image_shape[2] for source in sources.values())
    return {name: source.widened(channels) for name, source in sources.items()}
