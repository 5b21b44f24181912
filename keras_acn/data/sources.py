"""Every source by name, and which reader reads it."""

import difflib
import os
import re

import numpy as np

from keras_acn._base.errors import UserError, did_you_mean
from keras_acn.data.parts import Part, assemble
from keras_acn.data.readers import folder, idx, npy, tfds
from keras_acn.data.split import held_out

_DIGITS_TEST = 360
_DIGITS_SEED = (1797, 8)
_VERSION = re.compile(r"\d+(\.(\d+|\*)){0,2}$")


def read_digits(request):
    """Reads scikit-learn's 1,797 handwritten digits, 8x8x1, 17 grey levels, 10 classes.

    The split into 1,437 for training and 360 for testing is fixed and stratified.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = digits.images.astype(np.uint8)[..., np.newaxis]
    whole = Part(images, digits.target.astype(np.int32))
    train, test = held_out(len(images), whole.labels, _DIGITS_TEST, _DIGITS_SEED, "test")
    return assemble(whole.take(train), whole.take(test), request, levels=17)


_FILES = {
    "idx": (
        "idx:DIR",
        "MNIST, Fashion-MNIST and their kin as published: train-images-idx3-ubyte, "
        "train-labels-idx1-ubyte, t10k-..., gzipped or not",
        idx.read_idx,
    ),
    "npz": (
        "npz:FILE",
        "NumPy archive with x_train[, y_train][, x_test[, y_test]] or images[, labels]",
        npy.read_npz,
    ),
    "npy": ("npy:FILE", "NumPy array of images, [N, H, W] or [N, H, W, C]", npy.read_npy),
    "images": (
        "images:DIR",
        "folder of PNG or JPEG files, or of one folder a class, or of train/ and test/",
        folder.read_folder,
    ),
}
_TFDS = (
    "TensorFlow Datasets name",
    "mnist, binarized_mnist, fashion_mnist, cifar10, omniglot, celeb_a, "
    "imagenet_resized/32x32, ... (downloaded, or from a prepared copy with --data-dir)",
)


def describe_sources():
    """Returns `(name, description)` of every source, in the order to show them."""
    rows = [("digits", "1,797 handwritten digits, 8x8 grey, built in: no network needed"), _TFDS]
    return rows + [(name, text) for name, text, _ in _FILES.values()]


def _known():
    return "digits, a TensorFlow Datasets name, " + ", ".join(n for n, _, _ in _FILES.values())


def _split(source):
    """Returns `(kind, rest)` of a source such as `idx:DIR`."""
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


def _read_tfds(source, name, request):
    try:
        return tfds.read_tfds(name, request)
    except tfds.UnknownDataset:
        known = ["digits", *tfds.names()]
        raise UserError(
            f'Unknown data source "{source}": known are {_known()}.{did_you_mean(source, known)}'
        ) from None


def read(source, request):
    """Reads a source.

    Args:
      source: As in `keras_acn.data.load`.
      request: `Request`.

    Returns:
      `Parts`.

    Raises:
      UserError: If there is no such source or it cannot be read.
    """
    if not isinstance(source, str) or not source.strip():
        raise UserError(f"The data source must be a name, one of {_known()}, not {source!r}.")
    if source == "digits":
        parts, has_test = read_digits(request), True
    else:
        kind, rest = _split(source)
        if kind == "tfds":
            parts, has_test = _read_tfds(source, rest, request)
        else:
            parts, has_test = _FILES[kind][2](os.path.expanduser(rest), request)
    if has_test and request.test:
        raise UserError(f'"{source}" has a test part of its own: leave out test={request.test}.')
    return parts
