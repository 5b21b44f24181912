"""What a source is asked for, and what it hands back."""

import dataclasses
from typing import NamedTuple

import numpy as np

from keras_acn.data.checks import check_images, check_labels
from keras_acn.data.split import held_out, limited
from keras_acn.data.transform import transform_images

TEST_SHARE = 0.1
# The rows split off as a test part are the same whatever the run's own seed, so that runs
# with different seeds are compared on the same images.
_TEST_SEED = (1797, 10)


@dataclasses.dataclass(frozen=True)
class Request:
    """Options that a source applies while it reads.

    Attributes:
      test: Share or count split off as test part, `None` for the default. Only for
        sources that publish none.
      limit: Most images in each part, or `None`.
      crop, resize: `(height, width)` or `None`.
      grey: Whether colours become one channel.
      data_dir: Folder of prepared TensorFlow Datasets, or `None`.
    """

    test: float | int | None = None
    limit: int | None = None
    crop: tuple | None = None
    resize: tuple | None = None
    grey: bool = False
    data_dir: str | None = None

    @property
    def look(self):
        """The options of `transform_images`."""
        return {"crop": self.crop, "resize": self.resize, "grey": self.grey}

    def test_amount(self, count):
        """Returns how much to split off of `count` images: 0 for nothing."""
        if self.test is not None:
            return self.test
        return TEST_SHARE if count > 1 else 0

    def rows(self, count, labels, has_test, spread=False):
        """Returns `(train rows, test rows or None)` of a source's training images."""
        train, test = np.arange(count), None
        if not has_test and self.test_amount(count):
            amount = self.test_amount(count)
            train, test = held_out(count, labels, amount, _TEST_SEED, "test")
            test = limited(test, self.limit, spread)
        return limited(train, self.limit, spread), test


class Part(NamedTuple):
    """uint8 or float32 `images` `[N, H, W, C]`, int32 `labels` `[N]` or `None`."""

    images: np.ndarray
    labels: np.ndarray | None = None

    def take(self, rows):
        """Returns the part made of `rows`."""
        return Part(self.images[rows], None if self.labels is None else self.labels[rows])


class Parts(NamedTuple):
    """The parts of a source, checked, limited and transformed.

    `levels` is the number of values a pixel can take, k / (levels - 1); `None` for floats.
    """

    train: Part
    test: Part | None = None
    validation: Part | None = None
    levels: int | None = None
    num_classes: int | None = None


def checked(images, labels, where):
    """Returns a `Part` from raw arrays, or raises `UserError` with `where` as subject."""
    images = check_images(images, f"The images of {where}")
    return Part(images, check_labels(labels, len(images), f"The labels of {where}"))


def infer_levels(*arrays):
    """Returns 2 where no uint8 value exceeds 1 (0/1 images), 256 for other uint8, else `None`."""
    if any(a.dtype != np.uint8 for a in arrays):
        return None
    return 2 if max(int(a.max()) for a in arrays) <= 1 else 256


def assemble(train, test, request, levels=None):
    """Makes the parts of a source that is one or two arrays.

    Args:
      train: `Part`.
      test: `Part` or `None`, where the source publishes none.
      request: `Request`.
      levels: As in `Parts`; inferred by default.
    """
    if levels is None:
        levels = infer_levels(*(p.images for p in (train, test) if p is not None))
    train_rows, test_rows = request.rows(len(train.images), train.labels, test is not None)
    if test is not None:
        test = test.take(limited(np.arange(len(test.images)), request.limit))
    elif test_rows is not None:
        test = train.take(test_rows)
    train = train.take(train_rows)
    images, new_levels = transform_images(train.images, levels, **request.look)
    train = train._replace(images=images)
    if test is not None:
        test = test._replace(images=transform_images(test.images, levels, **request.look)[0])
    return Parts(train, test, levels=new_levels)
