"""What the pixels next to a position say of its values, by a linear function."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from keras_acn._base.errors import UserError
from keras_acn.decoders.pixelcnn.layers import CausalConv

PREDICTIONS = ("none", "linear")
# Left and above less above left would follow a slope exactly and double the noise: three quarters
# of it and a quarter of their mean is the compromise that lossless codecs came to.
WEIGHTS = {(0, -1): 0.75, (-1, 0): 0.75, (-1, -1): -0.5}


class LinearPrediction(keras.layers.Layer):
    """The values of the position to the left and of the three above -> those of this position.

    Colours and grey values lie close to their neighbours', which a network of gates takes
    thousands of steps to find out. Here the function is linear, and begins as

        0.75 left + 0.75 above - 0.5 above left

    as far as these pixels lie in other positions; those of the same block are the head's.

    Args:
      block: Side of a position's block of pixels.
      channels: C, channels of a pixel.

    Example:
      >>> layer = LinearPrediction(block=1, channels=1)
      >>> layer.build()
      >>> print(layer(ops.ones((1, 2, 2, 1)))[0, :, :, 0].numpy())  # one is white
      [[0.   0.75]
       [0.75 1.  ]]
    """

    def __init__(self, block, channels, **kwargs):
        super().__init__(**kwargs)
        self.block = block
        self.channels = channels
        self.num_values = block * block * channels
        policy = {"dtype": self.dtype_policy}
        self.above = CausalConv(self.num_values, 3, "vertical", True, **policy)
        self.left = CausalConv(self.num_values, 3, "horizontal", True, False, **policy)

    def build(self, input_shape=None):
        """Build the weights."""
        for conv in (self.above, self.left):
            # A channel of ones tells where the image ends.
            conv.build((None, None, None, self.num_values + 1))
        above, left = self._first_kernels()
        self.above.conv.kernel.assign(above)
        self.left.conv.kernel.assign(left)
        self.built = True

    def _first_kernels(self):
        """Return both kernels as they begin."""
        above = np.zeros(self.above.conv.kernel.shape, np.float32)  # [1, 3, values + 1, values]
        left = np.zeros(self.left.conv.kernel.shape, np.float32)  # [1, 1, values + 1, values]
        for target, (row, column), weight in linked_pixels(self.block):
            block_row, block_column = row // self.block, column // self.block
            if (block_row, block_column) == (0, 0):
                continue
            source = (row % self.block) * self.block + column % self.block
            kernel = left[0, 0] if block_row == 0 else above[0, 1 + block_column]
            for channel in range(self.channels):
                kernel[source * self.channels + channel, target * self.channels + channel] = weight
        return above, left

    def encode(self, values, known=None):
        """Return what the layer reads of values [..., n] in [0, 1], zero where not known."""
        x = ops.cast(values, self.compute_dtype)
        x = ops.concatenate([2.0 * x - 1.0, ops.ones_like(x[..., :1])], axis=-1)
        return x if known is None else x * ops.cast(known, x.dtype)

    def call(self, grid):
        """Return predicted values in [-1, 1], [B, *grid], for all positions at once.

        Args:
          grid: The image by positions, [B, rows, columns, n] in [0, 1].
        """
        x = self.encode(grid)
        return self.above(x) + self.left(x)

    def of_row(self, above, known):
        """Return what the row above says of a row, [B, W, n].

        Args:
          above: Values of the row above, [B, W, n] in [0, 1].
          known: Whether there is a row above.
        """
        x = ops.pad(self.encode(above, known), ((0, 0), (1, 1), (0, 0)))
        return self.above.conv(x[:, None])[:, 0]

    def of_left(self, left, known):
        """Return what the position to the left says, [B, n]: see `of_row`."""
        return self.left.at(self.encode(left, known)[:, None])


def linked_pixels(block):
    """Yield `(pixel of a block, (row, column) of a neighbour, its weight)`.

    Pixels are numbered in raster order; rows and columns count from the block's first pixel.
    """
    for target in range(block * block):
        for (down, right), weight in WEIGHTS.items():
            yield target, (target // block + down, target % block + right), weight


def inner_kernel(block, channels, turn):
    """Return what the earlier pixels of a block say of its pixel `turn`: [turn * C, C]."""
    kernel = np.zeros((turn * channels, channels), np.float32)
    for target, (row, column), weight in linked_pixels(block):
        if target == turn and row >= 0 and column >= 0:
            source = row * block + column
            kernel[source * channels : (source + 1) * channels] = weight * np.eye(channels)
    return kernel


def check_prediction(prediction, likelihood):
    """Return the option `prediction`, or raise a `UserError` where it does not fit."""
    if prediction not in PREDICTIONS:
        raise UserError(f"prediction must be one of {', '.join(PREDICTIONS)}, not {prediction!r}.")
    if prediction == "linear" and not likelihood.has_centre:
        raise UserError(
            f"prediction='linear' moves the centre of each pixel's distribution, which "
            f"{type(likelihood).__name__} pixels have not: take the likelihood "
            "discretized_logistic_mixture, or leave prediction out."
        )
    return prediction
