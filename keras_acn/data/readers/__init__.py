"""Where images come from: every source by name, one reader a format.

Each reader streams: training and the codec go through the same ones.
"""

from __future__ import annotations

import difflib
import os
import pathlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_acn._base.errors import UserError, did_you_mean
from keras_acn.data.readers.base import ArraySource, Parts
from keras_acn.data.readers.folder import open_folder
from keras_acn.data.readers.idx import is_idx_folder, open_idx
from keras_acn.data.readers.npy import open_npy, open_npz
from keras_acn.data.readers.tfds import UnknownDataset, open_tfds
from keras_acn.data.readers.tfds import names as tfds_names
from keras_acn.data.split import held_out

_DIGITS_TEST = 360
_DIGITS_SEED = (1797, 8)
# What can only be a path: names of TensorFlow datasets begin otherwise and have no blanks.
_PATH = re.compile(r"[./~\\]|.*\s")
_VERSION = re.compile(r"\d+(\.(\d+|\*)){0,2}$")

_FILES: dict[str, tuple[str, str, Callable[..., Parts]]] = {
    "idx": (
        "idx:DIR",
        "MNIST, Fashion-MNIST and their kin as published: train-images-idx3-ubyte, "
        "train-labels-idx1-ubyte, t10k-..., gzipped or not",
        open_idx,
    ),
    "npz": (
        "npz:FILE",
        "NumPy archive with x_train[, y_train][, x_test[, y_test]] or images[, labels]",
        open_npz,
    ),
    "npy": ("npy:FILE", "NumPy array of images, [N, H, W] or [N, H, W, C]", open_npy),
    "images": (
        "images:DIR",
        "folder of picture files (PNG, JPEG, GIF, BMP, TIFF, WebP, ...), or of one folder a class, "
        "or of train/, val/ and test/",
        open_folder,
    ),
}
# Some of the many names of TensorFlow datasets.
_COMMON = (
    *("mnist", "binarized_mnist", "fashion_mnist", "cifar10", "omniglot", "celeb_a"),
    "imagenet_resized/32x32",
)
_TFDS = (
    "TensorFlow Datasets name",
    f"{', '.join(_COMMON)}, ... (downloaded, or from a prepared copy with --data-dir)",
)


def describe_sources() -> list[tuple[str, str]]:
    """Return `(name, description)` of every source, in the order to show them."""
    rows = [*((name, text) for name, (text, _) in _BUILT_IN.items()), _TFDS]
    return rows + [(name, text) for name, text, _ in _FILES.values()]


def _known():
    files = ", ".join(name for name, _, _ in _FILES.values())
    return f"{', '.join(_BUILT_IN)}, a TensorFlow Datasets name, {files}"


def open_digits() -> Parts:
    """Open scikit-learn's 1,797 handwritten digits, 8x8x1, 17 grey levels, 10 classes.

    The split into 1,437 for training and 360 for testing is fixed and stratified.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = digits.images.astype(np.uint8)[..., np.newaxis], digits.target
    train, test = held_out(len(images), labels, _DIGITS_TEST, _DIGITS_SEED, "test")
    return Parts(
        ArraySource(images[train], scale=16, name="digits", labels=labels[train]),
        test=ArraySource(images[test], scale=16, name="digits", labels=labels[test]),
    )


def open_mnist_mini() -> Parts:
    """Open 6,000 training and 1,000 test images of MNIST, 28x28x1, 256 grey levels, 10 classes.

    They come with the package, under a licence of their own: see `mnist_mini/LICENSE.md`.
    """
    parts = open_idx(str(pathlib.Path(__file__).parents[1] / "mnist_mini"))
    for part in (parts.train, parts.test):
        assert part is not None  # both files are there
        part.name = "mnist-mini"
    return parts


# What comes with this package or one that it needs.
_BUILT_IN: dict[str, tuple[str, Callable[[], Parts]]] = {
    "mnist-mini": (
        "6,000 + 1,000 images of MNIST, 28x28 grey, built in (CC BY-SA 3.0)",
        open_mnist_mini,
    ),
    "digits": ("1,797 handwritten digits, 8x8 grey, built in: no network needed", open_digits),
}


def built_in_sources() -> list[str]:
    """Return the names of the sources that need neither files nor a network."""
    return list(_BUILT_IN)


def _split(source):
    """Return `(kind, rest)` of a source such as `idx:DIR`."""
    kind, colon, rest = source.partition(":")
    if colon and kind in (*_FILES, "tfds"):
        if not rest:
            raise UserError(f'The data source "{source}" names nothing after the colon.')
        return kind, rest
    suffix = os.path.splitext(source)[1]
    if suffix in (".npy", ".npz"):
        return suffix[1:], source
    if colon and not _VERSION.match(rest):
        near = difflib.get_close_matches(kind, _FILES, n=1)
        hint = f' Did you mean "{near[0]}:{rest}"?' if near else ""
        raise UserError(f'Unknown data source "{source}": known are {_known()}.{hint}')
    return "tfds", source


def is_source(word: str) -> bool:
    """Return whether a word names a source, or a path where one may be, rather than anything else.

    Of the names of TensorFlow datasets the most common ones are among them, and all with their
    kind, as in `tfds:svhn_cropped`.

    Example:

    >>> is_source("cifar10"), is_source("images:photos"), is_source("beta-vae")
    (True, True, False)
    """
    kind, colon, _ = word.partition(":")
    is_file = os.path.splitext(word)[1] in (".npy", ".npz")
    has_kind = bool(colon) and kind in (*_FILES, "tfds")
    is_name = word in _BUILT_IN or word in _COMMON
    return is_name or has_kind or is_file or os.path.exists(os.path.expanduser(word))


def is_folder_of_images(source: str) -> bool:
    """Return whether a source is `images:DIR`, which alone takes the options of pictures."""
    return str(source).startswith("images:")


def absolute_source(source: str) -> str:
    """Return a source that names the same files from any folder.

    Example:

    >>> absolute_source("digits"), absolute_source("npy:/data/../x.npy")
    ('digits', 'npy:/x.npy')
    """
    kind, colon, rest = source.partition(":")
    if colon and kind in _FILES:
        return f"{kind}:{os.path.abspath(os.path.expanduser(rest))}" if rest else source
    if os.path.splitext(source)[1] in (".npy", ".npz"):
        return os.path.abspath(os.path.expanduser(source))
    return source


def needs_tensorflow(source: str | os.PathLike) -> bool:
    """Return whether a source is a TensorFlow dataset; paths without a kind are none."""
    source = str(source)
    return source not in _BUILT_IN and not _PATH.match(source) and _split(source)[0] == "tfds"


def check_no_pictures(source: str, background: Any, skip_damaged: bool) -> None:
    """Raise a `UserError` if an option of pictures is given for a source of another kind."""
    if background is not None or skip_damaged:
        option = "skip_damaged" if skip_damaged else "background"
        raise UserError(
            f'{option} is for folders of pictures, images:DIR, not "{source}": leave it out.'
        )


def _no_prefix(source: str) -> UserError:
    """Return the error for a path that does not say what kind of data is there."""
    path = os.path.expanduser(source)
    if not os.path.exists(path):
        return UserError(f'There is no file or folder "{source}": known are {_known()}.')
    if not os.path.isdir(path):
        return UserError(f'"{source}" is a file of no kind that is known: known are {_known()}.')
    kind = "idx" if is_idx_folder(path) else "images"
    return UserError(
        f'"{source}" is a folder, and what is in it has to be said: write "{kind}:{source}".'
    )


def open_source(
    source: str | os.PathLike,
    data_dir: str | None = None,
    *,
    background: Any = None,
    skip_damaged: bool = False,
) -> Parts:
    """Open a source: names, headers and shapes are read and checked, no images yet.

    Args:
      source: As in `keras_acn.data.load`.
      data_dir: Folder of prepared TensorFlow Datasets, or `None` for the usual one.
      background: Of `images:DIR`: what transparent pictures are laid on.
      skip_damaged: Of `images:DIR`: whether to leave out pictures that cannot be read.

    Raises:
      UserError: If there is no such source or it cannot be read.

    Example:

    >>> parts = open_source("digits")
    >>> parts.train.shape, parts.test.shape
    ((1437, 8, 8, 1), (360, 8, 8, 1))
    """
    is_path = isinstance(source, os.PathLike)
    source = os.fspath(source) if is_path else source
    if not isinstance(source, str) or not source.strip():
        raise UserError(f"The data source must be a name, one of {_known()}, not {source!r}.")
    if _split(source)[0] == "tfds" and (is_path or _PATH.match(source)):
        raise _no_prefix(source)
    if is_folder_of_images(source):
        folder = os.path.expanduser(_split(source)[1])
        return open_folder(folder, background=background, skip_damaged=skip_damaged)
    check_no_pictures(source, background, skip_damaged)
    if source in _BUILT_IN:
        return _BUILT_IN[source][1]()
    kind, rest = _split(source)
    if kind != "tfds":
        return _FILES[kind][2](os.path.expanduser(rest))
    try:
        # TensorFlow Datasets cannot even read such a name.
        if "-" in re.split("[:/]", rest)[0]:
            raise UnknownDataset(rest)
        return open_tfds(rest, data_dir)
    except UnknownDataset:
        if os.path.exists(os.path.expanduser(rest)):
            raise _no_prefix(source) from None
        known = [*_BUILT_IN, *tfds_names()]
        raise UserError(
            f'Unknown data source "{source}": known are {_known()}.{did_you_mean(source, known)}'
        ) from None
