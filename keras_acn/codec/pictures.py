"""The pictures of a folder as a codec needs them: looked over once, and read again as they go."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from keras_acn._base.checks import check_flag, check_seed
from keras_acn._base.errors import UserError
from keras_acn._base.progress import Progress
from keras_acn.codec.index import MAX_PIXELS, MAX_SIDE, Entry
from keras_acn.codec.planes import refusal
from keras_acn.data.readers.exact import Picture, Tree, read_exact
from keras_acn.data.readers.notices import Notices
from keras_acn.data.readers.picture import Unreadable, check_background, read_image
from keras_acn.data.transform import (
    by_draw,
    by_threshold,
    check_binarize,
    check_crop,
    check_size,
    transform_image,
)

# Pictures that are read at a time, and the bytes of those that are kept for the next reading.
_WINDOW, _KEPT = 32, 2**28


@dataclasses.dataclass(frozen=True)
class Survey:
    """What pictures there are.

    Attributes:
      files: Of the pictures that are there, the file of each, by its row among the tree's.
      entries: The pictures that differ.
      first: For each of these, the first file that shows it.
      shown: For each of `files`, which of the entries it shows.

    Example:
      See `Pictures.survey`.
    """

    files: list[int]
    entries: list[Entry]
    first: list[int]
    shown: list[int]


class Pictures:
    """The pictures of a folder, as they are, or treated first where an option asks for it.

    Treated pictures are read as for training: in colour or grey, of 8 bits, without alpha.

    Args:
      tree: The folder.
      said: Told of what has to be said.
      background: See `open_folder`.
      binarize: See `compress`.
      threshold: See `compress`.
      seed: See `compress`.
      crop: See `compress`.
      resize: See `compress`.
      grey: See `compress`.

    Raises:
      UserError: If an option is not as described.

    Example:
      >>> import tempfile
      >>> from PIL import Image
      >>> from keras_acn.data.readers.exact import tree_of
      >>> root = tempfile.mkdtemp()
      >>> Image.new("L", (3, 2)).save(f"{root}/a.png")
      >>> said = Notices(root, "white")
      >>> pictures = Pictures(tree_of(root, said), said)
      >>> pictures.survey().entries
      [Entry(mode='L', size=(2, 3), palette=b'', alphas=b'')]
    """

    def __init__(
        self,
        tree: Tree,
        said: Notices,
        *,
        background: Any = None,
        binarize: str = "none",
        threshold: float = 0.5,
        seed: int = 0,
        crop: int | tuple[int, int] | str | None = None,
        resize: int | tuple[int, int] | None = None,
        grey: bool = False,
    ):
        check_binarize(binarize, threshold)
        if binarize == "dynamic":
            raise UserError(
                "Images that are drawn anew each time cannot be compressed: take --binarize static."
            )
        self._tree, self._said = tree, said
        self._background = check_background(background)
        self._look: dict[str, Any] = {
            "crop": check_crop(crop),
            "resize": check_size(resize, "resize"),
            "grey": check_flag(grey, "grey"),
        }
        self._binarize, self._threshold = binarize, threshold
        self._generator = np.random.default_rng((check_seed(seed), 0))
        treated = background is not None or binarize != "none" or any(self._look.values())
        self._read = self._treated if treated else self._exact
        self._kept: dict[int, Picture] = {}
        self._kept_bytes = 0

    def survey(
        self,
        limit: int | None = None,
        *,
        levels: int | None = None,
        skip_damaged: bool = False,
        progress: Progress | None = None,
    ) -> Survey:
        """Read every picture, and return which there are, and which are equal.

        Args:
          limit: At most the first so many.
          levels: Of the model that is to code them, if there is one.
          skip_damaged: Whether to leave out pictures that cannot be read.
          progress: Called with the pictures done, and their number.

        Raises:
          UserError: If a picture cannot be read, or not be coded by such a model.
        """
        rows = range(len(self._tree.files))[:limit]
        found: dict[bytes, int] = {}
        survey = Survey([], [], [], [])
        damaged: dict[str, str] = {}
        for row, picture in zip(rows, self._all(rows), strict=True):
            path = self._tree.path(self._tree.files[row])
            if isinstance(picture, Unreadable):
                damaged[path] = picture.why
                continue
            self._check(path, picture, levels)
            entry, key = Entry.of(picture), _key(picture)
            if key not in found:
                found[key] = len(survey.entries)
                survey.entries.append(entry)
                survey.first.append(row)
            survey.files.append(row)
            survey.shown.append(found[key])
            if progress is not None:
                progress(row + 1, len(rows))
        if damaged and not skip_damaged:
            raise UserError(self._said.unreadable(damaged, len(rows)))
        for path, why in damaged.items():
            self._said.add("skipped", path, why)
        if damaged and not survey.files:
            raise UserError(f'None of the pictures in "{self._tree.root}" can be read.')
        return survey

    def read(self, rows: Sequence[int]) -> Iterator[Picture]:
        """Yield the pictures of some files, by their rows.

        Raises:
          UserError: If one cannot be read any more.
        """
        for picture in self._all(rows):
            if isinstance(picture, Unreadable):
                raise picture
            yield picture

    def _all(self, rows):
        """Yield each picture, or why it cannot be read."""
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            for start in range(0, len(rows), _WINDOW):
                part = rows[start : start + _WINDOW]
                for row, picture in zip(part, pool.map(self._one, part), strict=True):
                    yield self._keep(row, picture)

    def _one(self, row):
        if row in self._kept:
            return self._kept[row]
        try:
            return self._read(self._tree.path(self._tree.files[row]))
        except Unreadable as error:
            return error

    def _keep(self, row, picture):
        """Return the picture as it is to be coded, and keep it if there is room."""
        if isinstance(picture, Unreadable) or row in self._kept:
            return picture
        if self._binarize == "static":
            # Drawn in the order of the files, once and for all.
            picture = self._drawn(picture)
        if self._binarize == "static" or self._kept_bytes + picture.pixels.nbytes <= _KEPT:
            self._kept[row] = picture
            self._kept_bytes += picture.pixels.nbytes
        return picture

    def _exact(self, path):
        return read_exact(path, lambda kind: self._said.add(kind, path))

    def _treated(self, path):
        image = read_image(path, self._background, lambda kind: self._said.add(kind, path))
        image = transform_image(image, **self._look)
        if self._binarize == "threshold":
            return _binary(by_threshold(image[None], 255, self._threshold)[0])
        return Picture("L", image[..., 0]) if image.shape[2] == 1 else Picture("RGB", image)

    def _drawn(self, picture):
        image = picture.pixels.reshape(1, *picture.size, -1)
        return _binary(by_draw(image, 255, self._generator)[0])

    def _check(self, path, picture, levels):
        height, width = picture.size
        why = None if levels is None else refusal(picture, levels)
        if max(height, width) > MAX_SIDE or height * width > MAX_PIXELS:
            raise UserError(
                f'"{path}" is {height}x{width} pixels, which is more than a file holds, '
                f"{MAX_PIXELS:,}: cut it up, or leave it out."
            )
        if why is not None:
            raise UserError(
                f'"{path}" {why}, but the model codes black and white: give a model of 8 bits, '
                "--binarize threshold (binarize=... in Python), or --mode raw."
            )


def _binary(image):
    """Return a picture of zeros and ones `[H, W, C]`."""
    if image.shape[2] == 1:
        return Picture("1", image[..., 0])
    return Picture("RGB", image * np.uint8(255))


def _key(picture):
    """Return what equal pictures have in common, and no others."""
    digest = hashlib.blake2b(repr(Entry.of(picture)).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(picture.pixels).tobytes())
    return digest.digest()
