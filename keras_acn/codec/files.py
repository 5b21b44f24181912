"""Files that are whole or not there, and arrays that are written a block at a time."""

import contextlib
import errno
import os
import pathlib

import numpy as np

from keras_acn._base.errors import UserError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def appearing(path):
    """Yields a binary file to write and read, which then becomes `path` in one step.

    It is written beside `path` under another name; whatever goes wrong, `path` is as before.

    Raises:
      UserError: If it cannot be written there.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder: give the path of a file to write.")
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        file = open(beside, "w+b")  # noqa: SIM115 (closed below, before it is moved)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UserError(f"{path} cannot be written ({reason}): choose another place.") from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        reason = error.strerror.lower()
        raise UserError(f"{path} cannot be written ({reason}): make room there.") from error
    finally:
        beside.unlink(missing_ok=True)


class NpyWriter:
    """Writes an `.npy` file block by block.

    Args:
      file: Binary file.
      shape: Shape of the whole array.
      dtype: Its dtype.
    """

    def __init__(self, file, shape, dtype):
        self._file = file
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
            "fortran_order": False,
            "shape": tuple(shape),
        }
        np.lib.format.write_array_header_1_0(file, header)

    def __call__(self, block):
        """Writes the next rows."""
        self._file.write(np.ascontiguousarray(block).tobytes())


class Collected:
    """Collects blocks into one array in memory.

    Args:
      shape: Shape of the whole array.
      dtype: Its dtype.
    """

    def __init__(self, shape, dtype):
        self._shape, self._dtype = shape, dtype
        self._blocks = []

    def __call__(self, block):
        """Takes the next rows."""
        self._blocks.append(block)

    @property
    def array(self):
        """The whole array."""
        empty = np.zeros((0, *self._shape[1:]), self._dtype)
        return np.concatenate([empty, *self._blocks]).astype(self._dtype, copy=False)
