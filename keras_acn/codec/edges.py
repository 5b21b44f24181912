"""Tiles that a picture fills in part only: what of them is picture, and what fills the rest.

A picture is cut into tiles from its top left corner, so that those at its right and lower edge
reach beyond it; and a grey picture fills one of three channels of a model of colour. The rest of a
tile repeats the last row, column and channel that is picture. It is never coded: both sides know
how much of each tile is picture, and the rest follows from that.
"""

from __future__ import annotations

import numpy as np


def is_whole(extents: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Return whether tiles of a shape are picture all over; see `inside`."""
    return bool((extents == np.array(shape)).all())


def inside(extents: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return which values of tiles are picture, bool `[n, H, W, C]`.

    Args:
      extents: Rows, columns and channels of each tile that are picture, int `[n, 3]`, at least 1.
      shape: `(H, W, C)`.

    Example:
      >>> inside(np.array([[1, 2, 1]]), (2, 3, 1))[0, ..., 0].astype(int)
      array([[1, 1, 0],
             [0, 0, 0]])
    """
    rows, columns, channels = (
        np.arange(size) < extents[:, axis, None] for axis, size in enumerate(shape)
    )
    return rows[:, :, None, None] & columns[:, None, :, None] & channels[:, None, None, :]


def sources(extents: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return which value of its tile each value repeats, int `[n, H, W, C]`: flat indices.

    Those that are picture repeat themselves. No value repeats one that comes after it, whether
    in raster order or in that of blocks of pixels.

    Args:
      extents: See `inside`.
      shape: `(H, W, C)`.
    """
    rows, columns, channels = (
        np.minimum(np.arange(size), extents[:, axis, None] - 1) for axis, size in enumerate(shape)
    )
    _, width, depth = shape
    rows = rows[:, :, None, None] * width
    return (rows + columns[:, None, :, None]) * depth + channels[:, None, None, :]


def filled(levels: np.ndarray, extents: np.ndarray) -> np.ndarray:
    """Return tiles whose rest repeats the picture's edge.

    Args:
      levels: `[n, H, W, C]`; what is outside does not matter.
      extents: See `inside`.

    Example:
      >>> filled(np.arange(6).reshape(1, 2, 3, 1), np.array([[1, 2, 1]]))[0, ..., 0]
      array([[0, 1, 1],
             [0, 1, 1]])
    """
    count, *shape = levels.shape
    flat = levels.reshape(count, -1)
    rows = sources(extents, tuple(shape)).reshape(count, -1)
    return np.take_along_axis(flat, rows, axis=1).reshape(levels.shape)
