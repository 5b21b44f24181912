"""`idx:DIR`: the files of MNIST and Fashion-MNIST as published.

A file starts with a magic number, 00 00 TT DD (TT the type, 08 for unsigned bytes; DD the
number of axes), then the size of each axis as big-endian uint32, then the bytes.
"""

import gzip
import math
import os
import struct
import zlib

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.data.parts import assemble, checked

_TYPE = 0x08


def read_idx_file(path, axes):
    """Reads one IDX file of unsigned bytes.

    Args:
      path: The file, gzipped if the name ends in `.gz`.
      axes: How many axes it must have: 3 for images, 1 for labels.

    Returns:
      uint8 array.

    Raises:
      UserError: If it cannot be read, or is not such a file.
    """
    try:
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
            content = file.read()
    except EOFError as error:
        raise UserError(f'"{path}" ends before its end: download it again.') from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f'"{path}" is not a sound gzip file: download it again.') from error
    except OSError as error:
        raise UserError(f'"{path}" cannot be read: {error.strerror or error}.') from error
    if not content:
        raise UserError(f'"{path}" is empty: download it again.')
    magic = bytes([0, 0, _TYPE, axes])
    if content[:4] != magic:
        raise UserError(
            f'"{path}" starts with the magic number {content[:4].hex()} instead of '
            f"{magic.hex()}: it is not an IDX file of {'images' if axes == 3 else 'labels'}."
        )
    start = 4 + 4 * axes
    if len(content) < start:
        raise UserError(f'"{path}" ends inside its header: download it again.')
    shape = struct.unpack(f">{axes}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise UserError(
            f'"{path}" announces {list(shape)} bytes but holds {len(content) - start}: '
            "download it again."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def find_idx_file(folder, part, what, axes):
    """Returns the path of a file of a folder, or `None` where there is none.

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


def _read_part(folder, part):
    images = find_idx_file(folder, part, "images", 3)
    labels = find_idx_file(folder, part, "labels", 1)
    if images is None:
        if labels is not None:
            raise UserError(f'"{labels}" has no {part}-images-idx3-ubyte[.gz] beside it: add it.')
        return None
    values = None if labels is None else read_idx_file(labels, 1)
    return checked(read_idx_file(images, 3), values, f'"{images}"')


def read_idx(folder, request):
    """Reads a folder of IDX files: `train-...` and, where it is there, `t10k-...`.

    Returns:
      `(Parts, whether the folder has a test part)`. The labels are optional.

    Raises:
      UserError: If a file is missing or is not what it should be.
    """
    if not os.path.isdir(folder):
        what = "is not a folder" if os.path.exists(folder) else "does not exist"
        raise UserError(f'"{folder}" {what}: give the folder of the IDX files after "idx:".')
    train = _read_part(folder, "train")
    if train is None:
        raise UserError(
            f'"{folder}" has no train-images-idx3-ubyte[.gz]: give the folder of the IDX files.'
        )
    test = _read_part(folder, "t10k")
    return assemble(train, test, request), test is not None
