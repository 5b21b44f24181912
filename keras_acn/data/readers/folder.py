"""`images:DIR`: folders of picture files."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.data.readers.base import Parts, Source
from keras_acn.data.readers.notices import Notices
from keras_acn.data.readers.picture import DEFAULT_BACKGROUND as DEFAULT_BACKGROUND
from keras_acn.data.readers.picture import (
    KINDS,
    Unreadable,
    check_background,
    is_grey_file,
    is_litter,
    is_picture,
    size_of_file,
)
from keras_acn.data.readers.picture import read_image as read_image
from keras_acn.data.transform import transform_image

# What people call the folders of the parts, in small letters.
_PARTS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


class _Listing(NamedTuple):
    """The pictures of one part, ascending, and the class of each where there are folders."""

    files: list[str]
    classes: list[str] | None


def _entries(folder: str) -> tuple[list[str], list[str]]:
    """Return the paths of the files and of the folders in a folder, ascending, without litter."""
    try:
        entries = sorted(each for each in os.listdir(folder) if not is_litter(each))
    except OSError as error:
        raise UserError(f'"{folder}" cannot be read: {error.strerror}.') from error
    paths = [os.path.join(folder, each) for each in entries]
    folders = [path for path in paths if os.path.isdir(path)]
    return [path for path in paths if path not in set(folders)], folders


def _listed(folder: str, notices: Notices) -> _Listing:
    """Return the pictures of one part.

    Raises:
      UserError: If the folder cannot be read, holds no images, or holds both images and folders.
    """
    files, classes = _entries(folder)
    images = []
    for path in files:
        if is_picture(path):
            images.append(path)
        else:
            notices.add("other files", path)
    if images and classes:
        raise UserError(
            f'"{folder}" holds both images and folders: give a folder of images, or of one '
            "folder a class."
        )
    if not classes:
        if not images:
            raise UserError(
                f'"{folder}" holds no pictures: give a folder of picture files ({KINDS}).'
            )
        return _Listing(images, None)
    found, names = [], []
    for path in classes:
        inner = _listed(path, notices)
        if inner.classes is not None:
            raise UserError(
                f'"{path}" holds folders: give a folder of images, or of one folder a class.'
            )
        found += inner.files
        names += [os.path.basename(path)] * len(inner.files)
    return _Listing(found, names)


def part_folders(folder: str, notices: Notices) -> dict[str, str]:
    """Return the folder of each part that there is; that of all images alone is `"train"`.

    Raises:
      UserError: If two folders are the same part, or there is no training part beside others.
    """
    files, folders = _entries(folder)
    parts: dict[str, str] = {}
    others = []
    for path in folders:
        name = os.path.basename(path).lower()
        part = next((part for part, names in _PARTS.items() if name in names), None)
        if part is None:
            others.append(path)
        elif part in parts:
            raise UserError(
                f'"{parts[part]}" and "{path}" are both the {part} part: join them in one folder.'
            )
        else:
            parts[part] = path
    if not parts or ("train" not in parts and others):
        return {"train": folder}
    if "train" not in parts:
        raise UserError(
            f'"{folder}" holds {_words(parts.values())} but no train/: name the folder of the '
            "training images so, or give another folder."
        )
    pictures = [path for path in files if is_picture(path)]
    if pictures:
        raise UserError(
            f'"{folder}" holds both images, such as {os.path.basename(pictures[0])}, and '
            f"{_words(parts.values())}: move the images into one of them."
        )
    for path in files:
        notices.add("other files", path)
    for path in others:
        notices.add("other folders", path)
    return parts


def _words(folders: Iterable[str]) -> str:
    return " and ".join(f"{os.path.basename(path)}/" for path in folders)


def _in_threads(function: Callable, items: Iterable) -> Iterator:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from pool.map(function, items)


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
      background: See `read_image`.
      said: Where notices are kept, shared with the other parts.
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
        background: tuple[int, int, int] | None = None,
        said: Notices | None = None,
    ):
        self.files, self._labels, self.class_names = list(files), labels, class_names
        self._channels, self._look, self._background = channels, look or {}, background
        folder = os.path.dirname(self.files[0])
        self.name = f'"{folder}"'
        self._said = said or Notices(folder, in_words(background))

    def _changed(self, **changes):
        given = {"files": self.files, "labels": self._labels, "background": self._background}
        given |= {"channels": self._channels, "look": self._look, "said": self._said}
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

    @property
    def notices(self) -> list[str]:
        return self._said.sentences()

    @functools.cached_property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]  # mypy takes it for read-only
        try:
            first = self._image(self.files[0])
            channels = max(self._channels, first.shape[2])
            if channels == 1 and not self._look.get("grey"):
                # Is one of them in colour? Their headers tell.
                is_grey = functools.partial(is_grey_file, background=self._background)
                channels = 1 if all(map(is_grey, self.files)) else 3
        except Unreadable as error:
            raise self._refusal(error) from None
        return (len(self.files), *first.shape[:2], *(() if channels == 1 else (channels,)))

    def __len__(self):
        return len(self.files)

    def blocks(self, size):
        _ = self.shape  # read once, before the threads ask for it
        self._require_memory(size)
        for start in range(0, len(self), size):
            try:
                yield np.stack(list(_in_threads(self._read, self.files[start : start + size])))
            except Unreadable as error:
                raise self._refusal(error) from None

    def sizes(self) -> set[tuple[int, int]]:
        if any(self._look.values()):
            return super().sizes()
        try:
            return set(_in_threads(size_of_file, self.files))
        except Unreadable as error:
            raise self._refusal(error) from None

    def _image(self, path):
        image = read_image(path, self._background, lambda kind: self._said.add(kind, path))
        return transform_image(image, **self._look)

    def _read(self, path):
        image = self._image(path)
        if image.shape[:2] != self.shape[1:3]:
            raise UserError(
                f'The images differ in size: "{self.files[0]}" is '
                f'{self.shape[1]}x{self.shape[2]}, "{path}" is '
                f"{image.shape[0]}x{image.shape[1]}: give resize=SIZE."
            )
        channels = self.image_shape[2]
        image = np.repeat(image, channels // image.shape[2], axis=2)
        return image[..., 0] if channels == 1 else image

    def _refusal(self, error: Unreadable) -> UserError:
        """Return the error that names every file of this and the other parts that is damaged."""
        of_peers = [file for p in self.peers for file in getattr(p, "files", ())]
        files = list(dict.fromkeys([*self.files, *of_peers]))
        if len(files) == 1:
            return error
        found = unreadable(files)
        return UserError(self._said.unreadable(found, len(files))) if found else error


def unreadable(files: Iterable[str]) -> dict[str, str]:
    """Return those of the files that cannot be read, and why: `{path: why}`. All are read."""

    def why(path):
        try:
            read_image(path)
        except Unreadable as error:
            return error.why
        return None

    files = list(files)
    reasons = zip(files, _in_threads(why, files), strict=True)
    return {path: reason for path, reason in reasons if reason is not None}


def in_words(background: tuple[int, int, int] | None) -> str:
    """Return what to call a background."""
    names = {None: DEFAULT_BACKGROUND, (255, 255, 255): "white", (0, 0, 0): "black"}
    return names.get(background) or "#{:02x}{:02x}{:02x}".format(*background or ())


def open_folder(folder: str, *, background: Any = None, skip_damaged: bool = False) -> Parts:
    """Open a folder of images, or of `train/` and, where they are there, `val/` and `test/`.

    The parts may be called `training`, `valid`, `validation` and `testing` too, in small or large
    letters. Files are taken in the order of their names; class folders are numbered in the order
    of theirs.

    Args:
      folder: The folder.
      background: What transparent pictures are laid on; see `check_background`.
      skip_damaged: Whether to leave out what cannot be read, which takes one more reading of
        all files; else that is an error, which names all of them.

    Raises:
      UserError: If a folder is missing or empty.
    """
    if not os.path.isdir(folder):
        what = "is not a folder" if os.path.exists(folder) else "does not exist"
        raise UserError(f'"{folder}" {what}: give a folder of picture files after "images:".')
    color = check_background(background)
    said = Notices(folder, in_words(color))
    folders = part_folders(folder, said)
    listings = {part: _listed(path, said) for part, path in folders.items()}
    with_classes = {part for part, listing in listings.items() if listing.classes is not None}
    if with_classes and len(with_classes) < len(listings):
        one = next(folders[part] for part in folders if part in with_classes)
        other = next(folders[part] for part in folders if part not in with_classes)
        raise UserError(f'Only one of "{one}" and "{other}" has class folders: arrange both alike.')
    names = {name for listing in listings.values() for name in listing.classes or ()}
    class_names = tuple(sorted(names)) if with_classes else None
    if skip_damaged:
        listings = {part: _sound(listing, said) for part, listing in listings.items()}
        if not listings["train"].files:
            raise UserError(f'None of the pictures in "{folders["train"]}" can be read.')
    number = {name: label for label, name in enumerate(class_names or ())}
    sources = {
        part: FolderSource(
            files,
            None if classes is None else np.array([number[n] for n in classes], np.int32),
            class_names,
            background=color,
            said=said,
        )
        for part, (files, classes) in listings.items()
        if files
    }
    return Parts(**{"train": None, **sources})


def _sound(listing: _Listing, said: Notices) -> _Listing:
    """Return a listing without the files that cannot be read, which are noted."""
    damaged = unreadable(listing.files)
    for path, why in damaged.items():
        said.add("skipped", path, why)
    kept = [row for row, path in enumerate(listing.files) if path not in damaged]
    classes = listing.classes
    return _Listing(
        [listing.files[row] for row in kept],
        None if classes is None else [classes[row] for row in kept],
    )
