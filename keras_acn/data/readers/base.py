"""What every reader gives: a `Source`, images of one part of a data set, read block by block.

A reader opens a format: it checks names, headers and shapes, and returns `Parts` of sources that
have read no body yet. Training reads a source once into memory (`keras_acn.data.load`), the codec
goes through it a block at a time, as often as it needs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gzip
import math
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn._base.reading import limit_bytes, require_memory
from keras_acn.data.checks import check_header, check_labels, check_range, white_of
from keras_acn.data.transform import transform_images, transformed_header

# How many images are read at a time where that doesn't matter, and how many bytes at most.
SCAN, SCAN_BYTES = 4096, 2**26
# What of a file with a senseless header is unpacked, to see whether it is damaged.
_LOOKED_AT = 2**26
# How far beyond a stream's announced end it is read, to tell by how much it is longer.
_MORE = 2**16


class Source:
    """Images that can be read again and again, from their beginning, in blocks.

    A reader's own class sets `shape` and `dtype` and has `blocks`. It overrides `pick` and
    `transformed` where it can do better than to read everything: open fewer files, or bring
    images of different sizes to one size before they are put into an array.

    Attributes:
      shape: `[N, H, W]` or `[N, H, W, C]`, known before anything but a header is read.
      dtype: Of the numbers.
      scale: The integer that stands for white, where the format says so; else `None`, and
        `white()` finds out.
      name: What to call the images in an error: "The images of NAME are empty".
      part: 0 for a training part, 1 for validation, 2 for test; with a seed it decides on draws.
      peers: The other parts of the same data set.
      class_names: Name of each label from 0, where the format has names.
      sorted_by_class: Whether the images come class by class, so that a few of them must be
        spread over all.
      has_labels_ahead: Whether `labels` can be had without reading the images.
      notices: Sentences on what is read otherwise than it is stored, or not at all; complete
        once the images are read.

    Example:

    >>> import numpy as np
    >>> source = ArraySource(np.arange(12, dtype="uint8").reshape(3, 2, 2))
    >>> len(source), source.image_shape, [len(block) for block in source.blocks(2)]
    (3, (2, 2, 1), [2, 1])
    >>> source.pick([0, 2]).transformed(crop=(1, 1)).shape
    (2, 1, 1)
    """

    shape: tuple[int, ...] = ()
    dtype: np.dtype = np.dtype("uint8")
    scale: int | None = None
    name: str = "the array"
    part: int = 0
    peers: tuple[Source, ...] = ()
    class_names: tuple[str, ...] | None = None
    sorted_by_class: bool = False
    has_labels_ahead: bool = True
    _origin: Source | None = None
    _labels: Any = None  # or a function that reads them

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def image_shape(self) -> tuple[int, ...]:
        """`(H, W, C)`."""
        return tuple(self.shape[1:]) if len(self.shape) == 4 else (*self.shape[1:], 1)

    @property
    def notices(self) -> list[str]:
        """What there is to say of the images, for most formats nothing: see above."""
        return [] if self._origin is None else self._origin.notices

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """int32 `[N]`, read and checked when first asked for; `None` where there are none."""
        labels = self._labels() if callable(self._labels) else self._labels
        return check_labels(labels, len(self), f"The labels of {self.name}")

    def check(self) -> None:
        """Raise a `UserError` unless shape and dtype are those of images for training."""
        check_header(self.shape, self.dtype, f"The images of {self.name}")

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """Yield arrays `[n, H, W(, C)]` of this dtype, n = `size` save in the last one.

        Raises:
          UserError: If what is read is damaged, or not what the header announced.
        """
        raise NotImplementedError

    def at_once(self, most: int = SCAN) -> int:
        """Return how many images to read at a time: at least one, and 64 MB or `most`."""
        size = min(SCAN_BYTES, limit_bytes())
        return max(1, min(most, size // max(1, self._image_bytes)))

    @property
    def _image_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def _require_memory(self, size: int) -> None:
        """Raise a `UserError` where a block of so many images takes more than is allowed."""
        count = min(size, len(self))
        what = f"{count:,} images" if count > 1 else "The images"
        require_memory(count * self._image_bytes, f"{what} of {self.name}")

    def scan(self) -> Iterator[np.ndarray]:
        """Yield all images in blocks of a moderate size."""
        return self.blocks(self.at_once())

    def white(self) -> int:
        """Return the number that stands for white: see `white_of`.

        Where the format does not say, the images are looked through, with those of the other
        parts, until one has a pixel above 1.
        """
        if self._origin is not None:
            return self._origin.white()
        return self._white

    @functools.cached_property
    def _white(self) -> int:
        if self.scale is not None:
            return self.scale
        if self.dtype.kind not in "ui":
            return 1
        return white_of(block for each in (self, *self.peers) for block in each.scan())

    def sizes(self) -> set[tuple[int, int]]:
        """Return every `(height, width)` that there is, as headers tell.

        It is one for most formats, which hold one array.
        """
        return {(int(self.image_shape[0]), int(self.image_shape[1]))}

    def pick(self, rows: Iterable[int]) -> Source:
        """Return the source of some of the images; `rows` ascend."""
        rows = np.asarray(rows, np.int64)
        return self if len(rows) == len(self) else _Picked(self, rows)

    def transformed(
        self,
        crop: tuple[int, int] | str | None = None,
        resize: tuple[int, int] | None = None,
        grey: bool = False,
    ) -> Source:
        """Return the source of these images after `transform_images`."""
        look = {"crop": crop, "resize": resize, "grey": grey}
        return _Transformed(self, look) if any(look.values()) else self

    def widened(self, channels: int) -> Source:
        """Return the source with grey images given `channels` equal channels.

        Only where a format leaves the number of channels to each image, as folders do.
        """
        return self

    def _made_from(self, other: Source) -> None:
        """Take over what images keep when they are picked or transformed."""
        self._origin = other._origin or other
        self.name, self.class_names = other.name, other.class_names
        self.part, self.peers = other.part, other.peers


@dataclasses.dataclass
class Parts:
    """The parts of a data set, as a reader found them.

    Attributes:
      train: Training part, or all there is; `None` where there is a test part alone.
      validation, test: The other parts, `None` where the format or the publisher has none.
    """

    train: Source | None
    validation: Source | None = None
    test: Source | None = None

    def __post_init__(self):
        sources = (self.train, self.validation, self.test)
        for number, source in enumerate(sources):
            if source is not None:
                source.part = number
                source.peers = tuple(s for s in sources if s is not None and s is not source)

    def check(self) -> None:
        """Check each part: see `Source.check`."""
        for source in (self.train, self.validation, self.test):
            if source is not None:
                source.check()


class ArraySource(Source):
    """An array in memory or mapped into it.

    Args:
      array: `[N, H, W]` or `[N, H, W, C]`.
      scale: See `Source`.
      part: See `Source`.
      name: See `Source`.
      labels: `[N]`, or a function that reads them.
    """

    def __init__(
        self,
        array: np.ndarray,
        scale: int | None = None,
        part: int = 0,
        *,
        name: str = "the array",
        labels: Any = None,
    ):
        self.array, self._labels = array, labels
        self.shape, self.dtype = tuple(array.shape), array.dtype
        self.scale, self.part, self.name = scale, part, name

    def blocks(self, size):
        if isinstance(self.array, np.memmap):
            self._require_memory(size)
        for start in range(0, len(self), size):
            yield np.ascontiguousarray(self.array[start : start + size])


class StreamSource(Source):
    """An array that is the rest of a stream of bytes, row after row.

    Args:
      path: The file, for errors.
      start: Returns an open binary file at the first row.
      shape: `[N, ...]`.
      dtype: Of the numbers.
      form: What the file is, such as `"gzip file"`, for errors.
      name: See `Source`; the path by default.
      labels: `[N]`, or a function that reads them.
    """

    def __init__(
        self,
        path: str,
        start: Callable[[], BinaryIO],
        shape: Iterable[int],
        dtype: Any,
        *,
        form: str = "file",
        name: str | None = None,
        labels: Any = None,
    ):
        self.path, self.start, self.form = path, start, form
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.name, self._labels = name or f'"{path}"', labels

    def check(self):
        try:
            super().check()
        except UserError:
            # Of a damaged file the header may be nonsense: then say that it is damaged.
            with self._opened() as file:
                for _ in range(0, _LOOKED_AT, 2**20):
                    if not file.read(2**20):
                        break
            raise

    def blocks(self, size):
        self._require_memory(size)
        row, done = self._image_bytes, 0
        with self._opened() as file:
            for at in range(0, len(self), size):
                count = min(size, len(self) - at)
                content = file.read(count * row)
                done += len(content)
                if len(content) < count * row:
                    raise self.length_error(done)
                yield np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])
            # What comes after that may be without end.
            more = len(file.read(_MORE))
            if more:
                raise self.length_error(done + more if more < _MORE else None)

    @contextlib.contextmanager
    def _opened(self):
        try:
            with self.start() as file:
                yield file
        except EOFError as error:
            raise UserError(f'"{self.path}" ends before its end: download it again.') from error
        except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error) as error:
            raise UserError(
                f'"{self.path}" is damaged, not a sound {self.form}: download it again.'
            ) from error

    def length_error(self, held: int | None) -> UserError:
        """Return the error for a body of so many bytes, too few or too many; `None` for more."""
        announced = math.prod(self.shape) * self.dtype.itemsize
        short = held is not None and held < announced
        wrong = "ends before its end" if short else "is longer than its header says"
        size = "" if self.dtype.itemsize == 1 else f" times {self.dtype.itemsize}"
        return UserError(
            f'"{self.path}" {wrong}: it announces {list(self.shape)}{size} bytes but holds '
            f"{'more' if held is None else held}: download it again."
        )


class _Picked(Source):
    """Some of the images of a source, which is read no further than the last of them."""

    def __init__(self, source, rows):
        self._made_from(source)
        self._source, self._rows = source, rows
        self.shape, self.dtype = (len(rows), *source.shape[1:]), source.dtype
        self.scale = source.scale
        self._labels = lambda: None if source.labels is None else source.labels[rows]

    def blocks(self, size):
        return reblocked(self._chosen(size), size)

    def _chosen(self, size):
        at = done = 0
        for block in self._source.blocks(size) if len(self) else ():
            stop = int(np.searchsorted(self._rows, at + len(block)))
            if stop > done:
                yield block[self._rows[done:stop] - at]
            at, done = at + len(block), stop
            # Else to the end, where a source finds out whether that was all.
            if done == len(self) and at < len(self._source):
                return


class _Transformed(Source):
    """The images of a source, cropped, greyed or resized."""

    def __init__(self, source, look):
        header = (max(1, len(source)), *source.shape[1:])
        check_header(header, source.dtype, f"The images of {source.name}")
        self._made_from(source)
        self._source, self._look = source, look
        self._flat = len(source.shape) == 3
        dtype = np.dtype(np.uint8) if source.dtype == bool else source.dtype
        shape, self.dtype, self._mixes = transformed_header(source.image_shape, dtype, **look)
        # Pixels that are mixed from several are brought to 8 bits first.
        self._mixes = self._mixes and self.dtype.kind != "f"
        self.scale = 255 if self._mixes else source.scale
        self.shape = (len(source), *shape[: 2 if self._flat else 3])
        self._labels = lambda: source.labels

    def white(self):
        return 255 if self._mixes else self._source.white()

    def blocks(self, size):
        self._require_memory(size)
        yield from reblocked(self._images(), size)

    def _images(self):
        levels = None if self.dtype.kind == "f" else self._source.white() + 1
        # Before they are resized, images may be huge, and so they may be after it.
        for block in self._source.blocks(min(self._source.at_once(), self.at_once())):
            if block.dtype.kind == "f":
                check_range(block, f"The images of {self.name}")
            images = _numbers(block[..., np.newaxis] if self._flat else block)
            images = transform_images(images, levels, **self._look)[0]
            yield images[..., 0] if self._flat else images


def _numbers(images):
    return images.astype(np.uint8) if images.dtype == bool else images


def reblocked(blocks: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Yield the same rows in blocks of `size`, the last one smaller."""
    held = None
    for block in blocks:
        held = block if held is None or not len(held) else np.concatenate([held, block])
        while len(held) >= size:
            yield held[:size]
            held = held[size:]
    if held is not None and len(held):
        yield held
