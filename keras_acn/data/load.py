"""One loader for every source."""

import dataclasses
import inspect
import os

import numpy as np

from keras_acn._base.errors import UserError, did_you_mean
from keras_acn.data.binarize import check_binarize
from keras_acn.data.checks import check_count, check_seed
from keras_acn.data.classes import check_classes, of_classes
from keras_acn.data.image_set import ImageSet
from keras_acn.data.parts import Request
from keras_acn.data.sources import read
from keras_acn.data.split import check_amount, held_out
from keras_acn.data.transform import check_size

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
    """

    train: ImageSet
    validation: ImageSet | None
    test: ImageSet | None
    name: str
    image_shape: tuple
    num_classes: int | None


def _check_flag(value, what):
    if not isinstance(value, (bool, np.bool_)):
        raise UserError(f"{what} must be true or false, not {value!r}.")
    return bool(value)


def _check_same(parts, source):
    shape, dtype = parts.train.images.shape[1:], parts.train.images.dtype
    for name in ("validation", "test"):
        part = getattr(parts, name)
        if part is None:
            continue
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


def _num_classes(parts):
    if parts.num_classes is not None or parts.train.labels is None:
        return parts.num_classes
    present = [p for p in (parts.train, parts.validation, parts.test) if p is not None]
    return 1 + max(int(p.labels.max()) for p in present if p.labels is not None)


def load(
    source="digits",
    *,
    data_dir=None,
    binarize="none",
    threshold=0.5,
    validation=0,
    test=None,
    limit=None,
    resize=None,
    crop=None,
    grey=False,
    classes=None,
    seed=0,
    **unknown,
):
    """Loads a data set into memory.

    Args:
      source: `"digits"`, a TensorFlow Datasets name, `"idx:DIR"`, `"npz:FILE"`,
        `"npy:FILE"` or `"images:DIR"`; see `describe_sources`. A path that ends in `.npy`
        or `.npz` needs no prefix.
      data_dir: Folder where TensorFlow Datasets keeps its prepared copies.
      binarize: `"none"`; `"threshold"`; `"static"`, a Bernoulli draw a pixel made once for
        each part; `"dynamic"`, drawn anew each epoch in training and fixed in evaluation.
      threshold: In [0, 1): with `"threshold"` the pixels above it are 1, the others 0.
      validation: How much of the training part to hold out: a share in [0, 1), or a
        number of images; by class where there are labels, chosen by `seed`. With 0 the
        validation part is the published one of a TensorFlow dataset that has one
        besides its test part, otherwise `None`.
      test: The same for the test part of a source that publishes none. By default a tenth;
        0 for no test part. The rows do not depend on `seed`.
      limit: The most images of the training part (before `validation` is taken off it)
        and of each other part: the first ones, spread over the classes for `images:DIR`.
      resize: Pixels, or `(height, width)`: bilinear, antialiased, after the crop.
      crop: Pixels, or `(height, width)`, kept around the centre.
      grey: Whether colour images become one channel.
      classes: Labels of the classes to keep, in every part, such as `(0, 1, 2)`; `None`
        for all. They keep their labels. Taken after `limit`, and before `validation`.
      seed: Seed of the validation split and of the fixed draws.

    Returns:
      `Data`.

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
    request = Request(
        test=None if test is None else check_amount(test, "test"),
        limit=None if limit is None else check_count(limit, "limit", least=1),
        crop=check_size(crop, "crop"),
        resize=check_size(resize, "resize"),
        grey=_check_flag(grey, "grey"),
        data_dir=None if data_dir is None else os.path.expanduser(data_dir),
    )
    parts = read(source, request)
    if classes is not None:
        parts = of_classes(parts, classes, source)
    if validation:
        train = parts.train
        kept, held = held_out(len(train.images), train.labels, validation, (seed, 0), "validation")
        parts = parts._replace(train=train.take(kept), validation=train.take(held))
    _check_same(parts, source)

    def image_set(name):
        part = getattr(parts, name)
        if part is None:
            return None
        return ImageSet(
            *part,
            binarize=binarize,
            threshold=threshold,
            levels=parts.levels,
            seed=(seed, _PART_NUMBERS[name]),
        )

    return Data(
        train=image_set("train"),
        validation=image_set("validation"),
        test=image_set("test"),
        name=str(source),
        image_shape=tuple(int(n) for n in parts.train.images.shape[1:]),
        num_classes=_num_classes(parts),
    )
