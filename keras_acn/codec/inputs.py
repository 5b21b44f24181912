"""INPUT: from what the user names to a source of images, treated as asked for."""

import os

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.codec.sources import (
    SCAN,
    ArraySource,
    FolderSource,
    Source,
    open_idx,
    open_npy,
    open_npz,
)
from keras_acn.data.binarize import by_draw, by_threshold, check_binarize
from keras_acn.data.checks import check_seed
from keras_acn.data.readers.folder import list_folder
from keras_acn.data.readers.idx import find_idx_file
from keras_acn.data.transform import check_size, transform_images

KINDS = ("npy", "npz", "idx", "images")
SPLITS = ("test", "train")


def open_input(name, split=None, channels=None, data_dir=None):
    """Returns the `Source` that INPUT names.

    Args:
      name: `npy:FILE`, `npz:FILE`, `idx:DIR`, `images:DIR`, `digits` or the name of a
        TensorFlow dataset; or the path of a file or folder whose kind is plain.
      split: `"test"` or `"train"`, of a source that has parts. By default its test part,
        or all there is.
      channels: Channels of the model's images.
      data_dir: Where TensorFlow Datasets keeps its files.

    Raises:
      UserError: If there is nothing of that name or it cannot be read.
    """
    if split not in (None, *SPLITS):
        raise UserError(f'The split is "test" or "train", not {split!r}.')
    kind, path = _kind(str(name))
    if kind is None:
        return _named(str(name), split, data_dir)
    if not os.path.exists(path):
        raise UserError(f'There is no file or folder "{path}".')
    if kind in ("npy", "npz") and os.path.isdir(path):
        raise UserError(f'"{path}" is a folder: give a .{kind} file after "{kind}:".')
    if kind == "npz":
        return open_npz(path, split)
    if kind == "idx" and os.path.isdir(path):
        return _idx_folder(path, split)
    if kind == "images" and os.path.isdir(path):
        return _image_folder(path, split, channels)
    if split:
        raise UserError(f'"{path}" has no parts: leave out the split.')
    if kind == "idx":
        return open_idx(path)
    return open_npy(path) if kind == "npy" else FolderSource([path], channels)


def _kind(name):
    """Returns the kind and the path of INPUT; `None` for a name that data.load may know."""
    kind, colon, rest = name.partition(":")
    if colon and kind in KINDS:
        return kind, os.path.expanduser(rest)
    path = os.path.expanduser(name)
    if os.path.isdir(path):
        is_idx = any(find_idx_file(path, part, "images", 3) for part in ("train", "t10k"))
        return ("idx" if is_idx else "images"), path
    ending = os.path.splitext(path)[1].lower()
    if ending in (".npy", ".npz"):
        return ending[1:], path
    if os.path.isfile(path):
        if "idx3-ubyte" in os.path.basename(path):
            return "idx", path
        if ending in (".png", ".jpg", ".jpeg"):
            return "images", path
        raise UserError(
            f'"{path}" is of no kind that is known: give an .npy or .npz file, an IDX file, or a '
            "folder of PNG files."
        )
    return None, name


def _idx_folder(folder, split):
    parts = {"test": "t10k", "train": "train"}
    for each in [split] if split else SPLITS:
        path = find_idx_file(folder, parts[each], "images", 3)
        if path is not None:
            return open_idx(path, 2 if each == "test" else 0)
    raise UserError(f'"{folder}" has no IDX file of {split or "test or train"} images.')


def _image_folder(folder, split, channels):
    found = {each: os.path.join(folder, each) for each in SPLITS}
    there = [each for each in SPLITS if os.path.isdir(found[each])]
    if split and split not in there:
        raise UserError(f'"{folder}" has no folder "{split}".')
    if split or "train" in there:
        part = split or there[0]
        return FolderSource(list_folder(found[part]).files, channels, 2 if part == "test" else 0)
    return FolderSource(list_folder(folder).files, channels)


def _named(name, split, data_dir):
    from keras_acn.data.load import load

    data = load(name, data_dir=data_dir)
    images = getattr(data, split) if split else data.test or data.train
    if images is None:
        raise UserError(f"{name} has no {split} part.")
    scale = None if images.levels is None else images.levels - 1
    return ArraySource(images.images, scale, 0 if images is data.train else 2)


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
    """

    def __init__(
        self,
        source,
        binarize="none",
        threshold=0.5,
        seed=0,
        crop=None,
        resize=None,
        grey=False,
        limit=None,
    ):
        check_binarize(binarize, threshold)
        if binarize == "dynamic":
            raise UserError(
                "Images that are drawn anew each time cannot be compressed: take --binarize static."
            )
        _check_images(source, limit)
        self.source = source
        self.part = source.part
        self._count = len(source) if limit is None else min(limit, len(source))
        self._binarize, self._threshold, self._seed = binarize, threshold, check_seed(seed)
        self._look = {"crop": check_size(crop, "crop"), "resize": check_size(resize, "resize")}
        self._look["grey"] = bool(grey)
        self._changes = any(self._look.values()) or binarize != "none"
        if not self._changes:
            self.shape, self.dtype = (self._count, *source.shape[1:]), source.dtype
            self.scale = source.scale
            return
        if source.dtype.kind not in "uf" and source.dtype != bool:
            raise UserError(
                f'Images of {source.dtype} cannot be changed: convert them with astype("uint8").'
            )
        self._scale = self._unit()
        first = self._treat(_one_image(source), np.random.default_rng(0))
        self.shape, self.dtype = (self._count, *first.shape[1:]), first.dtype

    def blocks(self, size):
        done = 0
        generator = np.random.default_rng((self._seed, self.part))
        for block in self.source.blocks(size) if self._count else ():
            block = block[: self._count - done]
            done += len(block)
            yield self._treat(block, generator) if self._changes else block
            if done == self._count:
                return

    def _unit(self):
        """Returns the number that stands for white in the source."""
        if self.source.scale is not None or self.source.dtype.kind == "f":
            return self.source.scale or 1
        most = max((int(block.max()) for block in self.source.blocks(SCAN)), default=0)
        return 1 if most <= 1 else 255

    def _treat(self, block, generator):
        flat = block.ndim == 3
        images = block[..., None] if flat else block
        if images.dtype == bool:
            images = images.astype(np.uint8)
        scale = self._scale
        if any(self._look.values()):
            levels = None if images.dtype.kind == "f" else scale + 1
            images, levels = transform_images(images, levels, **self._look)
            scale = 1 if levels is None else levels - 1
            self.scale = None if levels is None else scale
        if self._binarize == "threshold":
            images = by_threshold(images, scale, self._threshold)
        elif self._binarize == "static":
            images = by_draw(images, scale, generator)
        if self._binarize != "none":
            self.scale = 1
        return images[..., 0] if flat else images


def _check_images(source, limit):
    if limit is not None and limit < 0:
        raise UserError(f"The limit is a number of images, at least 0, not {limit}.")
    shape = tuple(source.shape)
    if len(shape) not in (3, 4) or 0 in shape[1:]:
        raise UserError(
            f"Images have the shape [N, H, W] or [N, H, W, C], not {list(shape)}: reshape them."
        )


def _one_image(source):
    for block in source.blocks(1):
        return block
    return np.zeros((1, *source.shape[1:]), source.dtype)
