"""INPUT: from what the user names to a source of images, treated as asked for."""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np

from keras_acn._base.checks import check_count, check_flag, check_seed
from keras_acn._base.errors import UserError
from keras_acn.data.load import with_test
from keras_acn.data.readers import check_no_pictures, open_source
from keras_acn.data.readers.base import Parts, Source
from keras_acn.data.readers.folder import FolderSource, part_folders
from keras_acn.data.readers.idx import is_idx_folder, open_idx_file
from keras_acn.data.readers.notices import Notices
from keras_acn.data.readers.npy import open_npz
from keras_acn.data.readers.picture import check_background, is_picture
from keras_acn.data.transform import by_draw, by_threshold, check_binarize, check_crop, check_size

KINDS = ("npy", "npz", "idx", "images")
SPLITS = ("test", "train")


def open_input(
    name: str,
    split: str | None = None,
    channels: int | None = None,
    data_dir: str | None = None,
    *,
    background: Any = None,
    skip_damaged: bool = False,
) -> Source:
    """Return the `Source` that INPUT names.

    Args:
      name: `npy:FILE`, `npz:FILE`, `idx:DIR`, `images:DIR`, `digits` or the name of a
        TensorFlow dataset; or the path of a file or folder whose kind is plain.
      split: `"test"` or `"train"`, of a source that has parts. By default its test part,
        or all there is.
      channels: Channels of the model's images.
      data_dir: Where TensorFlow Datasets keeps its files.
      background: What transparent pictures are laid on.
      skip_damaged: Whether to leave out pictures that cannot be read.

    Raises:
      UserError: If there is nothing of that name or it cannot be read.
    """
    if split not in (None, *SPLITS):
        raise UserError(f'The split is "test" or "train", not {split!r}.')
    kind, path = _kind(str(name))
    if kind != "images":
        check_no_pictures(name, background, skip_damaged)
    of_pictures = {"background": background, "skip_damaged": skip_damaged}
    if kind is None:
        parts = with_test(open_source(str(name), data_dir, **of_pictures), str(name))
    elif not os.path.exists(path):
        raise UserError(f'There is no file or folder "{path}".')
    elif kind == "npz":
        parts = open_npz(path, any_name=True)
    elif os.path.isfile(path) and kind == "idx":
        parts = Parts(open_idx_file(path))
    elif os.path.isfile(path) and kind == "images":
        parts = Parts(FolderSource([path], background=check_background(background)))
    else:
        parts = open_source(f"{kind}:{path}", **of_pictures)
    found = [getattr(parts, each) for each in ([split] if split else SPLITS)]
    found = [source for source in found if source is not None]
    if not found:
        raise UserError(f"{name} has no {split} part.")
    source = found[0].widened(channels or 1)
    _ = source.shape  # of a folder it is that of the first image, which is read here
    return source


def folder_of(name: str, split: str | None = None) -> str | None:
    """Return the folder of pictures that INPUT names; `None` where it is something else.

    Args:
      name: As for `open_input`.
      split: `"test"` or `"train"`: the folder of that part alone.

    Raises:
      UserError: If it has no such part.
    """
    kind, path = _kind(str(name))
    if kind != "images" or not os.path.isdir(path):
        return None
    if split is None:
        return path
    parts = part_folders(path, Notices(path, ""))
    if split not in parts:
        raise UserError(f"{name} has no {split} part.")
    return parts[split]


def _kind(name):
    """Return the kind and the path of INPUT; `None` for a name that is no path."""
    kind, colon, rest = name.partition(":")
    if colon and kind in KINDS:
        return kind, os.path.expanduser(rest)
    path = os.path.expanduser(name)
    if os.path.isdir(path):
        return ("idx" if is_idx_folder(path) else "images"), path
    ending = os.path.splitext(path)[1].lower()
    if ending in (".npy", ".npz"):
        return ending[1:], path
    if os.path.isfile(path):
        if "idx3-ubyte" in os.path.basename(path):
            return "idx", path
        if is_picture(path):
            return "images", path
        raise UserError(
            f'"{path}" is of no kind that is known: give an .npy or .npz file, an IDX file, or a '
            "folder of picture files."
        )
    return None, name


class Treated(Source):
    """A source whose images are cropped, greyed, resized, binarized, or cut short.

    Args:
      source: The source.
      binarize: `"none"`, `"threshold"` or `"static"`, as in `keras_acn.data.load`.
      threshold: In [0, 1), for `"threshold"`.
      seed: Seed of `"static"`: the draws are those of `keras_acn.data.load`.
      crop: Pixels, or `(height, width)`, kept around the centre.
      resize: Pixels, or `(height, width)`.
      grey: Whether colour images become one channel.
      limit: At most so many images.

    Raises:
      UserError: If an option is not as described.

    Example:

    >>> import numpy as np
    >>> from keras_acn.data.readers.base import ArraySource
    >>> grey = np.arange(0, 240, 20, dtype="uint8").reshape(3, 2, 2)
    >>> source = Treated(ArraySource(grey), binarize="threshold", limit=2)
    >>> next(source.blocks(10))[:, 1].tolist()
    [[0, 0], [0, 1]]
    """

    def __init__(
        self,
        source: Source,
        binarize: str = "none",
        threshold: float = 0.5,
        seed: int = 0,
        crop: Any = None,
        resize: Any = None,
        grey: bool = False,
        limit: int | None = None,
    ):
        check_binarize(binarize, threshold)
        if binarize == "dynamic":
            raise UserError(
                "Images that are drawn anew each time cannot be compressed: take --binarize static."
            )
        if limit is not None:
            check_count(limit, "The limit, a number of images,")
        shape = tuple(source.shape)
        if len(shape) not in (3, 4) or 0 in shape[1:]:
            raise UserError(
                f"Images have the shape [N, H, W] or [N, H, W, C], not {list(shape)}: reshape them."
            )
        if binarize != "none" and source.dtype.kind not in "buf":
            raise UserError(
                f'Images of {source.dtype} cannot be changed: convert them with astype("uint8").'
            )
        if limit is not None and limit < len(source):
            source = source.pick(range(limit))
        self.source = source.transformed(
            crop=check_crop(crop),
            resize=check_size(resize, "resize"),
            grey=check_flag(grey, "grey"),
        )
        self._made_from(self.source)
        self._binarize, self._threshold, self._seed = binarize, threshold, check_seed(seed)
        self.shape = self.source.shape
        self.dtype = np.dtype("uint8") if binarize != "none" else self.source.dtype

    @functools.cached_property
    def scale(self) -> int | None:  # type: ignore[override]  # mypy takes it for read-only
        """The integer that stands for white; `None` for floats, whose multiples tell."""
        return self.white() if self.dtype.kind in "ui" else self.source.scale

    def white(self):
        return 1 if self._binarize != "none" else self.source.white()

    def blocks(self, size):
        generator = np.random.default_rng((self._seed, self.part))
        for block in self.source.blocks(size):
            if self._binarize == "threshold":
                block = by_threshold(block, self.source.white(), self._threshold)
            elif self._binarize == "static":
                block = by_draw(block, self.source.white(), generator)
            yield block
