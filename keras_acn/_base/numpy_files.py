"""`.npy` and `.npz` files whose headers are read and checked before their bodies."""

from __future__ import annotations

import dataclasses
import io
import math
import os
import struct
import zipfile
from typing import IO, Any

import numpy as np

from keras_acn._base.reading import require_memory, require_regular

# As NumPy has it: a longer header is dangerous to parse. It reads it all the same, which may be
# 4 GB, and then says so.
_LONGEST_HEADER = 10_000
_MOST_BYTES = 2**62


@dataclasses.dataclass(frozen=True)
class ArrayHeader:
    """What an `.npy` file says before its numbers.

    Attributes:
      shape: Of the array.
      fortran: Whether the first axis runs fastest.
      dtype: Of the numbers.
      offset: Bytes of the header, after which the numbers begin.

    Example:
      >>> file = io.BytesIO()
      >>> np.save(file, np.zeros((3, 2), np.uint8))
      >>> _ = file.seek(0)
      >>> header = ArrayHeader.read(file)
      >>> header.shape, header.dtype, header.nbytes, header.offset
      ((3, 2), dtype('uint8'), 6, 128)
    """

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    offset: int

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers."""
        return math.prod(self.shape) * self.dtype.itemsize

    @classmethod
    def read(cls, file: IO[bytes]) -> ArrayHeader:
        """Read the header at a file's beginning, and no more than that.

        Raises:
          ValueError: If it is none, or that of Python objects, or of what no memory holds.
        """
        head = file.read(8)
        if head[:6] != np.lib.format.MAGIC_PREFIX or len(head) < 8:
            raise ValueError("It is no .npy file.")
        width = 2 if tuple(head[6:]) == (1, 0) else 4
        length = file.read(width)
        if len(length) < width:
            raise ValueError("It is cut off.")
        (size,) = struct.unpack("<H" if width == 2 else "<I", length)
        if size > _LONGEST_HEADER:
            raise ValueError("Its header is too long.")
        rest = io.BytesIO(length + file.read(size))
        formats = np.lib.format
        parse: Any = formats.read_array_header_1_0 if width == 2 else formats.read_array_header_2_0
        try:
            shape, fortran, dtype = parse(rest)
        except Exception as error:
            # Python's own parser has errors of many kinds for what is no expression.
            raise ValueError("Its header is damaged.") from error
        if dtype.hasobject or not dtype.itemsize:
            raise ValueError("It holds Python objects, or nothing.")
        if any(isinstance(each, bool) or each < 0 for each in shape):
            raise ValueError("Its shape has an axis of negative length.")
        if math.prod(each or 1 for each in shape) * dtype.itemsize > _MOST_BYTES:
            raise ValueError("Its shape is beyond any memory.")
        return cls(shape, fortran, dtype, 8 + width + size)


def read_arrays(path: str | os.PathLike, *, packed: bool = True) -> dict[str, np.ndarray]:
    """Return the arrays of an `.npz` file by name.

    Args:
      path: The file.
      packed: Whether they may be compressed. Then they may take `reading.limit_bytes` in memory;
        else no more than the file does.

    Raises:
      UserError: If there is a pipe or a device, or the arrays take too much memory.
      ValueError, OSError, zipfile.BadZipFile, ...: If it is damaged; NumPy has more kinds.
    """
    require_regular(path)
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        total = sum(each.file_size for each in members)
        if packed:
            require_memory(total, f"The arrays of {path}")
        elif total > os.path.getsize(path):
            raise ValueError("Its arrays are larger than the file.")
        for member in members:
            with archive.open(member) as file:
                header = ArrayHeader.read(file)
            if header.offset + header.nbytes != member.file_size:
                raise ValueError("An array is not as long as its header says.")
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError("It has two arrays of one name.")
            with archive.open(member) as file:
                arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
    return arrays
