"""Arrays that TensorFlow can use where they lie, as a second copy of a data set costs memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from keras_acn._base import lazy

tf = lazy.module("tensorflow")

# What TensorFlow asks of an address, in bytes (EIGEN_MAX_ALIGN_BYTES).
_ALIGNMENT = 64


def aligned_empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an array like `numpy.empty`'s that `host_tensor` need not copy.

    Example:
      >>> aligned_empty((3, 28, 28, 1), np.uint8).ctypes.data % 64
      0
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    block = np.empty(size + _ALIGNMENT, np.uint8)
    start = -block.ctypes.data % _ALIGNMENT
    return block[start : start + size].view(dtype).reshape(shape)


def host_tensor(array: np.ndarray, copy: bool = False) -> Any:
    """Return an array as a tensor of the host.

    One that `aligned_empty` made is not copied: the tensor keeps it alive, and lies where it lies.
    `tf.constant` copies it, and for a while twice.

    Args:
      array: The array.
      copy: Whether it is copied in any case, as one that may be written to later has to be.
    """
    usable = array.flags.c_contiguous and array.flags.writeable and array.size > 0
    if not copy and usable and array.ctypes.data % _ALIGNMENT == 0:
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    with tf.device("CPU:0"):
        return tf.constant(array)
