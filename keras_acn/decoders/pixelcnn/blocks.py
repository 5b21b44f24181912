"""Images as grids of blocks of pixels, and back."""

import math

from keras import ops


def to_blocks(x, block, xp=ops):
    """Return the image with each block of pixels as one position.

    The values of a position are those of the block's pixels in raster order, and within a
    pixel those of its channels: position (i, j) of `[[a, b], [c, d]]` holds `a, b, c, d`.

    Args:
      x: `[B, H, W, F]`.
      block: Side of a block, a divisor of H and W.
      xp: Module to compute with, `keras.ops` or `numpy`.

    Returns:
      `[B, H / block, W / block, block * block * F]`.
    """
    if block == 1:
        return x
    _, height, width, features = x.shape
    rows, columns = height // block, width // block
    x = xp.reshape(x, (-1, rows, block, columns, block, features))
    x = xp.transpose(x, (0, 1, 3, 2, 4, 5))
    return xp.reshape(x, (-1, rows, columns, block * block * features))


def from_blocks(x, block, xp=ops):
    """Return the image whose `to_blocks` is x.

    Args:
      x: `[B, H / block, W / block, block * block * F]`.
      block: Side of a block.
      xp: Module to compute with, `keras.ops` or `numpy`.

    Returns:
      `[B, H, W, F]`.
    """
    if block == 1:
        return x
    _, rows, columns, width = x.shape
    features = width // (block * block)
    x = xp.reshape(x, (-1, rows, columns, block, block, features))
    x = xp.transpose(x, (0, 1, 3, 2, 4, 5))
    return xp.reshape(x, (-1, rows * block, columns * block, features))


def doublings(block):
    """Return how many doublings lead from a quarter of an image's size to its grid's size."""
    return max(0, 2 - int(math.log2(block)))
