"""A function of tensors over a whole data set, so many rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_acn._base import lazy
from keras_acn._base.checks import check_count
from keras_acn._base.progress import Progress

tf = lazy.module("tensorflow")


def in_batches(
    function: Callable,
    *arrays: Any,
    size: int,
    seed: int | None = None,
    fill: bool = False,
    progress: Progress | None = None,
) -> Any:
    """Apply `function` to the rows of arrays, `size` at a time.

    Args:
      function: Takes a tensor `[b, ...]` for each array, b at most `size`, and after them,
        where there is a seed, an int32 `[2]` stateless seed; returns a tensor `[b, ...]`,
        or a structure of them.
      *arrays: NumPy `[N, ...]`, N at least 1, or what has a length and gives such rows.
      size: Rows of a batch, as a user may have given it.
      seed: The stateless seed of the batch that begins at row i is `[seed, i]`; none by
        default.
      fill: Whether the last batch is filled up with copies of the last row, so that all
        have the same shape; what is returned for them is dropped.
      progress: Called after each batch with the rows done and N.

    Returns:
      What `function` returns, as NumPy arrays over all N rows.

    Raises:
      UserError: If `size` is no positive whole number.
    """
    size = check_count(size, "The batch size", 1)
    count, pieces = len(arrays[0]), []
    for start in range(0, count, size):
        stop = start + size if fill else min(start + size, count)
        if stop <= count:
            rows: Any = slice(start, stop)
        else:
            rows = np.minimum(np.arange(start, stop), count - 1)
        arguments = [tf.convert_to_tensor(array[rows]) for array in arrays]
        if seed is not None:
            arguments.append(tf.constant([seed, start], tf.int32))
        pieces.append(function(*arguments))
        if progress is not None:
            progress(min(start + size, count), count)
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts)[:count], *pieces)
