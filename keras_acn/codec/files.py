"""Files that are whole or not there, and arrays that are written a block at a time."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from keras_acn._base.atomic import replacing
from keras_acn._base.errors import UserError
from keras_acn._base.shell import expanded


@contextlib.contextmanager
def appearing(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Yield a binary file to write and read, which then becomes `path` in one step.

    It is written beside `path` under another name; whatever goes wrong, `path` is as before.

    Raises:
      UserError: If it cannot be written there.
    """
    path = pathlib.Path(expanded(path))
    if path.is_dir():
        raise UserError(f"{path} is a folder: give the path of a file to write.")
    with replacing(path) as beside, open(beside, "w+b") as file:
        yield file


class NpyWriter:
    """Write an `.npy` file block by block.

    Args:
      file: Binary file.
      shape: Shape of the whole array.
      dtype: Its dtype.

    Example:

    >>> import io
    >>> file = io.BytesIO()
    >>> write = NpyWriter(file, (2, 3), "uint8")
    >>> write(np.zeros((1, 3), "uint8")), write(np.ones((1, 3), "uint8"))
    (None, None)
    >>> _ = file.seek(0)
    >>> np.load(file).tolist()
    [[0, 0, 0], [1, 1, 1]]
    """

    def __init__(self, file: BinaryIO, shape: tuple[int, ...], dtype: Any):
        self._file = file
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
            "fortran_order": False,
            "shape": tuple(shape),
        }
        np.lib.format.write_array_header_1_0(file, header)

    def __call__(self, block: np.ndarray) -> None:
        """Write the next rows."""
        self._file.write(np.ascontiguousarray(block).tobytes())


class Collected:
    """Collect blocks into one array in memory.

    Args:
      shape: Shape of the whole array.
      dtype: Its dtype.

    Example:

    >>> collected = Collected((2, 3), "uint8")
    >>> collected(np.zeros((2, 3), "uint8"))
    >>> collected.array.shape
    (2, 3)
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any):
        self._shape, self._dtype = shape, dtype
        self._blocks: list[np.ndarray] = []

    def __call__(self, block: np.ndarray) -> None:
        """Take the next rows."""
        self._blocks.append(block)

    @property
    def array(self) -> np.ndarray:
        """The whole array."""
        empty = np.zeros((0, *self._shape[1:]), self._dtype)
        return np.concatenate([empty, *self._blocks]).astype(self._dtype, copy=False)
