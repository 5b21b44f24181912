"""`idx:DIR`: the files of MNIST and Fashion-MNIST as published.

A file starts with a magic number, 00 00 TT DD (TT the type, 08 for unsigned bytes; DD the
number of axes), then the size of each axis as big-endian uint32, then the bytes.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn._base.reading import DEFLATE_RATIO, require_regular
from keras_acn.data.checks import check_label_count
from keras_acn.data.readers.base import Parts, StreamSource

_TYPE = 0x08


def open_idx_file(path: str, axes: int = 3, labels=None) -> StreamSource:
    """Open one IDX file of unsigned bytes, gzipped if its name ends in `.gz`.

    Args:
      path: The file.
      axes: How many axes it must have: 3 for images, 1 for labels.
      labels: Of the images, see `StreamSource`.

    Raises:
      UserError: If it cannot be read, or its header is not that of such a file.
    """
    require_regular(path)
    packed = str(path).endswith(".gz")
    start = 4 + 4 * axes

    def opened():
        return (gzip.open if packed else open)(path, "rb")

    def body():
        file = opened()
        file.read(start)
        return file

    try:
        with opened() as file:
            head = file.read(start)
    except EOFError as error:
        raise UserError(f'"{path}" ends before its end: download it again.') from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f'"{path}" is not a sound gzip file: download it again.') from error
    except OSError as error:
        raise UserError(f'"{path}" cannot be read: {error.strerror or error}.') from error
    if not head:
        raise UserError(f'"{path}" is empty: download it again.')
    magic = bytes([0, 0, _TYPE, axes])
    if head[:4] != magic:
        raise UserError(
            f'"{path}" starts with the magic number {head[:4].hex()} instead of '
            f"{magic.hex()}: it is not an IDX file of {'images' if axes == 3 else 'labels'}."
        )
    if len(head) < start:
        raise UserError(f'"{path}" ends inside its header: download it again.')
    shape = struct.unpack(f">{axes}I", head[4:])
    form = "gzip file" if packed else "IDX file"
    source = StreamSource(path, body, shape, np.uint8, form=form, labels=labels)
    size = os.path.getsize(path)
    if packed and math.prod(shape) > DEFLATE_RATIO * size:
        raise UserError(
            f'"{path}" ends before its end: it announces {list(shape)} bytes, more than the '
            f"{size:,} bytes of a gzip file can hold: download it again."
        )
    if not packed and size - start != math.prod(shape):
        raise source.length_error(size - start)
    return source


def find_idx_file(folder: str, part: str, what: str, axes: int) -> str | None:
    """Return the path of a file of a folder, or `None` where there is none.

    Args:
      folder: The folder.
      part: `"train"` or `"t10k"`.
      what: `"images"` or `"labels"`.
      axes: 3 or 1.
    """
    for dash in "-.":
        for ending in ("", ".gz"):
            path = os.path.join(folder, f"{part}-{what}{dash}idx{axes}-ubyte{ending}")
            if os.path.isfile(path):
                return path
    return None


def is_idx_folder(folder: str) -> bool:
    """Return whether a folder holds the images of a part in IDX files."""
    return any(find_idx_file(folder, part, "images", 3) for part in ("train", "t10k"))


def _part(folder, part):
    images = find_idx_file(folder, part, "images", 3)
    labels = find_idx_file(folder, part, "labels", 1)
    if images is None:
        if labels is not None:
            raise UserError(f'"{labels}" has no {part}-images-idx3-ubyte[.gz] beside it: add it.')
        return None

    def read_labels():
        found = open_idx_file(labels, 1)
        check_label_count(len(found), len(source), f"The labels of {source.name}")
        return np.concatenate([np.zeros(0, np.uint8), *found.blocks(2**20)])

    source = open_idx_file(images, labels=None if labels is None else read_labels)
    return source


def open_idx(folder: str) -> Parts:
    """Open a folder of IDX files: `train-...` and `t10k-...`, with their labels if any.

    Raises:
      UserError: If neither is there, or a header is not what it should be.
    """
    if not os.path.isdir(folder):
        what = "is not a folder" if os.path.exists(folder) else "does not exist"
        raise UserError(f'"{folder}" {what}: give the folder of the IDX files after "idx:".')
    train, test = _part(folder, "train"), _part(folder, "t10k")
    if train is None and test is None:
        raise UserError(
            f'"{folder}" has no train-images-idx3-ubyte[.gz]: give the folder of the IDX files.'
        )
    return Parts(train, test=test)
