"""Images given their latents, as codecs: r(x|z) pixel by pixel, decision by decision."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from keras_acn.codec.decisions import Decide
from keras_acn.codec.networks import Compiled, Networks
from keras_acn.codec.stack import Codec, bernoulli
from keras_acn.decoders.pixelcnn.blocks import from_blocks, to_blocks

# Where a parameter is this near to where its rounding changes, the parallel pass may round
# it otherwise than the pass pixel by pixel, from which it differs by less than 1e-12.
DOUBTFUL = 2.0**-34


def image_coder(networks: Networks) -> AllPixels | PixelByPixel:
    """Return the coder that fits the networks' decoder.

    A coder is called with latents z, float64 `[n, d]`, and returns the codec of n images,
    int `[n, H, W, C]` levels.
    """
    kind = PixelByPixel if networks.is_autoregressive else AllPixels
    return kind(networks)


class AllPixels:
    """Images whose pixels are independent given z.

    The order on the stack: decision by decision, and within one image by image.

    Args:
      networks: `Networks`.

    Example:
      >>> import keras_acn
      >>> networks = Networks(keras_acn.VAE((8, 8, 1), latent_dim=3, decoder="mlp"), lanes=4)
      >>> from keras_acn.codec.stack import Stack
      >>> given_z, stack = AllPixels(networks)(np.zeros((4, 3))), Stack()
      >>> given_z.push(stack, np.ones((4, 8, 8, 1), int))
      >>> stack.bits > 200, given_z.pop(stack).sum()
      (True, np.int64(256))
    """

    def __init__(self, networks: Networks):
        self.networks = networks

    def __call__(self, z: np.ndarray) -> Codec:
        """Return the codec of n images given latents float64 `[n, d]`."""
        return Codec(functools.partial(self._push, z), functools.partial(self._pop, z))

    def _push(self, z, stack, levels):
        pixels = self.networks.pixels
        passes = [
            pixels.decisions(pixels.rounded(params), levels[part])
            for part, params in self.networks.parameters(z)
        ]
        for decisions in reversed(passes):
            for bits, probability in reversed(decisions):
                bernoulli(probability).push(stack, bits)

    def _pop(self, z, stack):
        pixels, channels = self.networks.pixels, self.networks.image_shape[2]
        decide = _pop_from(stack)
        passes = [
            pixels.read(pixels.rounded(params), channels, decide)
            for _, params in self.networks.parameters(z)
        ]
        return np.concatenate(passes)


class PixelByPixel:
    """Images of an autoregressive decoder.

    The order on the stack: position by position (a pixel, or a block of pixels), turn by turn
    of the decoder's head, decision by decision, image by image. A sender knows the pixels and
    has all parameters in one parallel pass; a receiver steps through them with cached features.

    Args:
      networks: `Networks`.

    Example:
      `PixelByPixel(networks)(z)` is the codec of images given z: see `AllPixels`.
    """

    def __init__(self, networks: Networks):
        self.networks = networks
        self._steps = networks.decoder.steps
        self._head = networks.decoder.head
        self._init = Compiled(self._steps.init_state)
        self._row = Compiled(self._steps.next_row)
        self._pixel = Compiled(self._next_pixel)
        self._turns = [Compiled(self._steps.parameters) for _ in range(self._head.turns)]

    def __call__(self, z: np.ndarray) -> Codec:
        """Return the codec of n images given latents float64 `[n, d]`."""
        return Codec(functools.partial(self._push, z), functools.partial(self._pop, z))

    def _push(self, z, stack, levels):
        rounded = self.networks.pixels.rounded
        passes = []
        for part, params in self.networks.parameters(z, levels):
            if self._is_doubtful(params):
                params = self.stepwise_parameters(z, levels)[part]
            passes.append(self._in_order(rounded(params), levels[part]))
        bits, probability = (np.concatenate(each, axis=-1) for each in zip(*passes, strict=True))
        bernoulli(probability).push(stack, bits)

    def _pop(self, z, stack):
        decoder, pixels = self.networks.decoder, self.networks.pixels
        decide = _pop_from(stack)
        levels = np.zeros((len(z), *decoder.grid_shape), np.int32)
        for values, params in self._walk(z, levels):
            for turn in self._turn_slices():
                known = params(values[:, : turn.start])
                values[:, turn] = pixels.read(known, self._head.group, decide)
        return from_blocks(levels, decoder.block, np)

    def stepwise_parameters(self, z: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Return a receiver's parameters, before they are rounded: float64 `[n, H, W, P]`."""
        block, found = self.networks.decoder.block, []
        for values, params in self._walk(z, to_blocks(levels, block, np), rounded=False):
            parts = [params(values[:, : turn.start]) for turn in self._turn_slices()]
            found.append(np.concatenate(parts, axis=-1))
        grid = self.networks.decoder.grid_shape
        params = np.stack(found, axis=1).reshape(len(z), *grid[:2], -1)
        return from_blocks(params, block, np)

    def _turn_slices(self):
        """Return which of a position's values each turn of the head decides on."""
        group = self._head.group
        return [slice(i * group, (i + 1) * group) for i in range(self._head.turns)]

    def _walk(self, z, levels, rounded=True):
        """Step through the positions, reading each of `levels` once the caller has filled it in.

        Args:
          z: float64 `[n, d]`.
          levels: int `[n, *grid_shape]`.
          rounded: Whether the parameters are rounded.

        Yields:
          `(values, params)`: the position's view `[n, values]` of `levels`, and a function that
          returns the parameters `[n, P]` of the turn after the `known` values `[n, v]`.
        """
        count, lanes = len(z), self.networks.lanes
        height, width, values = self.networks.decoder.grid_shape
        finish = self.networks.pixels.rounded if rounded else lambda params: params

        def padded(array):
            rest = np.zeros((lanes - count, *array.shape[1:]), array.dtype)
            return tf.constant(np.concatenate([array, rest]))

        state = self._init(padded(z))
        blank = np.zeros((count, width, values), np.float32)
        left = padded(blank[:, 0])
        for row in range(height):
            above = padded(self.networks.units(levels[:, row - 1]) if row else blank)
            whole = {key: state[key] for key in ("biases", "rows")}
            state |= self._row(whole, tf.constant(row), above)
            within = {key: state[key] for key in ("contexts", "pixels")}
            for column in range(width):
                if column:
                    left = padded(self.networks.units(levels[:, row, column - 1]))
                out, within["pixels"] = self._pixel(within, tf.constant(column), left)

                def params(known, out=out):
                    if self._head.turns > 1:
                        turn = self._turns[known.shape[1] // self._head.group]
                        out = turn(out, padded(self.networks.units(known)))
                    return finish(out.numpy()[:count])

                yield levels[:, row, column], params

    def _next_pixel(self, state, column, left):
        features, pixels = self._steps.next_pixel(state, column, left)
        if self._head.turns > 1:
            return features, pixels
        return self._steps.parameters(features, left[:, :0]), pixels

    def _in_order(self, params, levels):
        """Return the bits that `_pop` will read, and their probabilities: `[positions, D, n]`."""
        block = self.networks.decoder.block
        params, levels = (to_blocks(each, block, np) for each in (params, levels))
        decisions = []
        for turn, part in zip(
            self._turn_slices(), np.split(params, self._head.turns, axis=-1), strict=True
        ):
            decisions += self.networks.pixels.decisions(part, levels[..., turn])
        return tuple(
            np.stack([each.reshape(len(levels), -1).T for each in arrays], axis=1)
            for arrays in zip(*decisions, strict=True)
        )

    def _is_doubtful(self, params):
        scaled = params * self.networks.pixels.rounding
        from_edge = np.abs(scaled - np.floor(scaled) - 0.5)
        return bool((from_edge < DOUBTFUL * self.networks.pixels.rounding).any())


def _pop_from(stack) -> Decide:
    """Return the `decide` of `pixels.read` that pops each decision from the stack."""
    return lambda channel, bit, probability: bernoulli(probability).pop(stack)
