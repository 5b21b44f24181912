"""`images:DIR`: folders of PNG and JPEG files."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from keras_acn._base import lazy
from keras_acn._base.errors import UserError
from keras_acn.data.readers.base import Parts, Source
from keras_acn.data.transform import transform_image

Image = lazy.module("PIL.Image")
ImageOps = lazy.module("PIL.ImageOps")

_ENDINGS = (".png", ".jpg", ".jpeg")
_FORMATS = ("PNG", "JPEG")
_GREY = ("1", "L", "LA")


def list_folder(folder: str) -> tuple[list[str], list[str] | None]:
    """Return the images of one part, ascending, and the class of each where there are folders.

    Raises:
      UserError: If the folder cannot be read, holds no images, or holds both images and folders.
    """
    try:
        entries = sorted(e for e in os.listdir(folder) if not e.startswith("."))
    except OSError as error:
        raise UserError(f'"{folder}" cannot be read: {error.strerror}.') from error
    paths = [os.path.join(folder, e) for e in entries]
    images = [p for p in paths if p.lower().endswith(_ENDINGS) and os.path.isfile(p)]
    classes = [p for p in paths if os.path.isdir(p)]
    if images and classes:
        raise UserError(
            f'"{folder}" holds both images and folders: give a folder of images, or of one '
            "folder a class."
        )
    if not classes:
        if not images:
            raise UserError(f'"{folder}" holds no PNG or JPEG files: give a folder of images.')
        return images, None
    files, names = [], []
    for path in classes:
        found, deeper = list_folder(path)
        if deeper is not None:
            raise UserError(
                f'"{path}" holds folders: give a folder of images, or of one folder a class.'
            )
        files += found
        names += [os.path.basename(path)] * len(found)
    return files, names


def _opened(path, read):
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return read(image)
    except Exception as error:
        # The decoders of damaged files raise OSError, SyntaxError, ValueError and more.
        raise UserError(
            f'"{path}" is not a readable PNG or JPEG image: it is empty, cut off or damaged.'
        ) from error


def _is_grey(image):
    return image.mode in _GREY or image.mode.startswith("I")


def _is_grey_file(path):
    """Tell from the header; that of a PNG file has its kind of colour at a fixed place."""
    try:
        with open(path, "rb") as file:
            head = file.read(26)
    except OSError:
        head = b""
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) == 26:
        return head[25] in (0, 4)
    return _opened(path, _is_grey)


def read_image(path: str) -> np.ndarray:
    """Read one image file.

    Colour images become RGB (an alpha channel is dropped), others grey; 16-bit grey is
    brought to 8 bits. The orientation noted by a camera is applied.

    Returns:
      uint8 `[H, W, 1]` or `[H, W, 3]`.

    Raises:
      UserError: If the file is not a readable image.
    """

    def read(image):
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):
            return (np.asarray(image, np.float32) / 257 + 0.5).astype(np.uint8)
        return np.asarray(image.convert("L" if _is_grey(image) else "RGB"))

    array = _opened(path, read)
    return array if array.ndim == 3 else array[..., np.newaxis]


class FolderSource(Source):
    """Image files, one image each.

    Their sizes must be one, after crop and resize. Where some are grey and some in colour, the
    grey ones are given three equal channels.

    Args:
      files: Paths, in the order of the images; at least one.
      labels: int `[N]` or `None`.
      class_names: Name of each label.
      channels: At least so many channels, 1 or 3.
      look: Options of `transform_image`.
    """

    scale = 255
    sorted_by_class = True

    def __init__(
        self,
        files: Sequence[str],
        labels: np.ndarray | None = None,
        class_names: tuple[str, ...] | None = None,
        *,
        channels: int = 1,
        look: dict[str, Any] | None = None,
    ):
        self.files, self._labels, self.class_names = list(files), labels, class_names
        self._channels, self._look = channels, look or {}
        self.name = f'"{os.path.dirname(self.files[0])}"'

    def _changed(self, **changes):
        given = {"files": self.files, "labels": self._labels}
        given |= {"channels": self._channels, "look": self._look}
        new = FolderSource(class_names=self.class_names, **{**given, **changes})
        new.part, new.peers = self.part, self.peers
        return new

    def pick(self, rows: Iterable[int]) -> Source:
        rows = np.asarray(rows, np.int64)
        if len(rows) in (0, len(self.files)):
            return super().pick(rows)
        labels = None if self._labels is None else self._labels[rows]
        return self._changed(files=[self.files[row] for row in rows], labels=labels)

    def transformed(self, crop=None, resize=None, grey=False) -> Source:
        return self._changed(look={"crop": crop, "resize": resize, "grey": grey})

    def widened(self, channels: int) -> Source:
        enough = channels == 1 or self.image_shape[2] >= channels
        return self if enough else self._changed(channels=channels)

    def check(self) -> None:
        """Nothing to do: the files are images, or an error when they are read."""

    @functools.cached_property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]  # mypy takes it for read-only
        first = transform_image(read_image(self.files[0]), **self._look)
        channels = max(self._channels, first.shape[2])
        if channels == 1 and not self._look.get("grey"):
            # Is one of them in colour? Their headers tell.
            grey = all(map(_is_grey_file, self.files))
            channels = 1 if grey else 3
        return (len(self.files), *first.shape[:2], *(() if channels == 1 else (channels,)))

    def __len__(self):
        return len(self.files)

    def blocks(self, size):
        _ = self.shape  # read once, before the threads ask for it
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            for start in range(0, len(self), size):
                yield np.stack(list(pool.map(self._read, self.files[start : start + size])))

    def _read(self, path):
        image = transform_image(read_image(path), **self._look)
        if image.shape[:2] != self.shape[1:3]:
            raise UserError(
                f'The images differ in size: "{self.files[0]}" is '
                f'{self.shape[1]}x{self.shape[2]}, "{path}" is '
                f"{image.shape[0]}x{image.shape[1]}: give resize=SIZE."
            )
        channels = self.image_shape[2]
        image = np.repeat(image, channels // image.shape[2], axis=2)
        return image[..., 0] if channels == 1 else image


def open_folder(folder: str) -> Parts:
    """Open a folder of images, or of `train/` and, where it is there, `test/`.

    Files are taken in the order of their names; class folders are numbered in the order of
    theirs. Of parts given as `train/` and `test/`, other folders beside them are not read.

    Raises:
      UserError: If a folder is missing or empty.
    """
    if not os.path.isdir(folder):
        what = "is not a folder" if os.path.exists(folder) else "does not exist"
        raise UserError(f'"{folder}" {what}: give a folder of PNG or JPEG files after "images:".')
    train_folder, test_folder = os.path.join(folder, "train"), os.path.join(folder, "test")
    listings = [list_folder(train_folder if os.path.isdir(train_folder) else folder)]
    if os.path.isdir(train_folder) and os.path.isdir(test_folder):
        listings.append(list_folder(test_folder))
    if len({names is None for _, names in listings}) == 2:
        raise UserError(
            f'Only one of "{train_folder}" and "{test_folder}" has class folders: '
            "arrange both alike."
        )
    class_names = None
    if listings[0][1] is not None:
        class_names = tuple(sorted({name for _, names in listings for name in names or ()}))
        number = {name: label for label, name in enumerate(class_names)}
    sources = [
        FolderSource(
            files,
            None if names is None else np.array([number[n] for n in names], np.int32),
            class_names,
        )
        for files, names in listings
    ]
    return Parts(sources[0], test=sources[1] if len(sources) == 2 else None)
