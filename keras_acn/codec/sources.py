"""Arrays of images that are read a block at a time."""

import gzip
import math
import os
import struct
import zipfile
import zlib

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.data.readers.folder import read_image

# How much is read at a time to see what kind of numbers there are.
SCAN = 4096


class Source:
    """An array of images that can be read again and again, from its beginning, in blocks.

    Attributes:
      shape: `[N, H, W]` or `[N, H, W, C]`.
      dtype: Its dtype.
      scale: The integer that stands for white, where that is known.
      part: 0, or 2 where the images are a test part; with a seed it decides on draws.
    """

    shape = ()
    dtype = np.dtype("uint8")
    scale: int | None = None
    part = 0

    def __len__(self):
        return self.shape[0]

    def blocks(self, size):
        """Yields arrays `[n, ...]`, n = `size` save in the last one."""
        raise NotImplementedError


class ArraySource(Source):
    """An array in memory or mapped into it.

    Args:
      array: `[N, H, W]` or `[N, H, W, C]`.
      scale: See `Source`.
      part: See `Source`.
    """

    def __init__(self, array, scale=None, part=0):
        self.array = array
        self.shape, self.dtype = tuple(array.shape), array.dtype
        self.scale, self.part = scale, part

    def blocks(self, size):
        for start in range(0, len(self), size):
            yield np.ascontiguousarray(self.array[start : start + size])


class StreamSource(Source):
    """An array that is the rest of a stream of bytes, row after row.

    Args:
      name: What to call it in an error.
      start: Returns an open binary file at the first row.
      shape: `[N, ...]`.
      dtype: Of the numbers.
      part: See `Source`.
    """

    def __init__(self, name, start, shape, dtype, part=0):
        self.name, self.start = name, start
        self.shape, self.dtype, self.part = tuple(shape), np.dtype(dtype), part

    def blocks(self, size):
        row = math.prod(self.shape[1:]) * self.dtype.itemsize
        try:
            with self.start() as file:
                for at in range(0, len(self), size):
                    count = min(size, len(self) - at)
                    content = file.read(count * row)
                    if len(content) < count * row:
                        raise EOFError
                    yield np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])
                if file.read(1):
                    raise UserError(f'"{self.name}" is longer than it announces: get it again.')
        except EOFError as error:
            raise UserError(f'"{self.name}" ends before its end: get it again.') from error
        except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error) as error:
            raise UserError(f'"{self.name}" is damaged: get it again.') from error


class FolderSource(Source):
    """Image files, one image each, all of one size.

    Args:
      files: Paths, in the order of the images.
      channels: 1 or 3: grey images are given three equal channels where the model has three.
      part: See `Source`.
    """

    scale = 255

    def __init__(self, files, channels=None, part=0):
        self.files, self.part = list(files), part
        first = read_image(self.files[0])
        self.channels = max(channels or 1, first.shape[2])
        self.size = first.shape[:2]
        last = () if self.channels == 1 else (self.channels,)
        self.shape = (len(self.files), *self.size, *last)

    def blocks(self, size):
        for start in range(0, len(self), size):
            part = self.files[start : start + size]
            yield np.stack([self._read(path) for path in part])

    def _read(self, path):
        image = read_image(path)
        if image.shape[:2] != self.size:
            raise UserError(
                f'The images differ in size: "{self.files[0]}" is {self.size[0]}x{self.size[1]}, '
                f'"{path}" is {image.shape[0]}x{image.shape[1]}: compress them apart.'
            )
        if image.shape[2] > self.channels:
            raise UserError(
                f'"{path}" is in colour and "{self.files[0]}" is not: give --grey, or compress '
                "them apart."
            )
        image = np.repeat(image, self.channels // image.shape[2], axis=2)
        return image[..., 0] if self.channels == 1 else image


def open_npy(path):
    """Returns the `Source` of an `.npy` file, which stays on the disk."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except PermissionError as error:
        raise UserError(f'"{path}" may not be read: check its permissions.') from error
    except Exception as error:
        # The mapping refuses an array without elements; and a damaged header raises anything.
        array = _small_array(path, error)
    if not isinstance(array, np.ndarray):
        raise UserError(f'"{path}" is an .npz file: write "npz:{path}".')
    return ArraySource(array)


def _small_array(path, error):
    try:
        return np.load(path, allow_pickle=False)
    except Exception:
        raise UserError(
            f'"{path}" is not a readable .npy file of plain numbers: it is damaged, or holds '
            "Python objects."
        ) from error


def open_npz(path, split):
    """Returns the `Source` of an array of an `.npz` file, which is unpacked bit by bit.

    Args:
      path: The file.
      split: `"test"`, `"train"` or `None`: then what there is of `x_test`, `x_train`,
        `images`, or a single array.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f'"{path}" is not a readable .npz file: it is damaged.') from error
    wanted = [f"x_{split}"] if split else ["x_test", "x_train", "images"]
    if len(names) == 1 and not split:
        wanted += names
    found = [name for name in wanted if name in names]
    if not found:
        raise UserError(
            f'"{path}" holds {", ".join(names) or "nothing"}, not {" or ".join(wanted)}: name the '
            "array of images so."
        )

    def start():
        return _Member(path, found[0] + ".npy")

    try:
        with start() as file:
            version = np.lib.format.read_magic(file)
            shape, fortran, dtype = _npy_header(file, version)
            offset = file.tell()
    except Exception as error:
        raise UserError(f'"{path}" is not a readable .npz file: it is damaged.') from error
    part = 2 if found[0] == "x_test" else 0
    if fortran or dtype.hasobject:
        raise UserError(
            f'"{found[0]}" in "{path}" is not stored row by row: store it as '
            "np.ascontiguousarray(images)."
        )
    return StreamSource(path, lambda: _at(start(), offset), shape, dtype, part)


def _npy_header(file, version):
    read = np.lib.format
    return {(1, 0): read.read_array_header_1_0}.get(version, read.read_array_header_2_0)(file)


class _Member:
    """A file inside an archive; closing it closes the archive."""

    def __init__(self, path, name):
        self._archive = zipfile.ZipFile(path)
        self._file = self._archive.open(name)

    def read(self, size):
        return self._file.read(size)

    def tell(self):
        return self._file.tell()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()
        self._archive.close()


def _at(file, offset):
    file.read(offset)
    return file


def open_idx(path, part=0):
    """Returns the `Source` of an IDX file of images, gzipped or not."""

    def start():
        return (gzip.open if str(path).endswith(".gz") else open)(path, "rb")

    try:
        with start() as file:
            head = file.read(16)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f'"{path}" is not a sound gzip file: download it again.') from error
    except OSError as error:
        raise UserError(f'"{path}" cannot be read: {error.strerror or error}.') from error
    if len(head) < 16 or head[:4] != bytes([0, 0, 8, 3]):
        raise UserError(f'"{path}" is not an IDX file of images: give one with idx3 in its name.')
    shape = struct.unpack(">3I", head[4:])
    if not str(path).endswith(".gz") and os.path.getsize(path) != 16 + math.prod(shape):
        raise UserError(f'"{path}" does not hold the {shape[0]} images it announces: get it again.')
    return StreamSource(path, lambda: _at(start(), 16), shape, np.uint8, part)
