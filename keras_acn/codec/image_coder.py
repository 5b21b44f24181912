"""Pushing images on the stack given their latents, and popping them."""

import numpy as np
import tensorflow as tf

from keras_acn.codec.networks import Compiled
from keras_acn.decoders.pixelcnn.blocks import from_blocks, to_blocks

# Where a parameter is this near to where its rounding changes, the parallel pass may round
# it otherwise than the pass pixel by pixel, from which it differs by less than 1e-12.
DOUBTFUL = 2.0**-34


def image_coder(networks):
    """Returns the coder that fits the networks' decoder."""
    return PixelByPixel(networks) if networks.is_autoregressive else AllPixels(networks)


class AllPixels:
    """Images whose pixels are independent given z.

    The order on the stack: decision by decision, and within one image by image.

    Args:
      networks: `Networks`.
    """

    def __init__(self, networks):
        self.networks = networks

    def push(self, stack, z, levels):
        """Pushes images, int `[n, H, W, C]` levels, given latents float64 `[n, d]`."""
        pixels = self.networks.pixels
        records = [
            _decisions(pixels, pixels.rounded(params), levels[part])
            for part, params in self.networks.parameters(z)
        ]
        for record in reversed(records):
            for bits, probability in reversed(record):
                stack.push_bits(bits.ravel(), probability.ravel())

    def pop(self, stack, z):
        """Pops images, int `[n, H, W, C]` levels, given latents float64 `[n, d]`."""

        def decide(channel, bit, probability):
            return stack.pop_bits(probability.ravel()).reshape(probability.shape)

        pixels = self.networks.pixels
        channels = self.networks.image_shape[2]
        images = [
            pixels.read(pixels.rounded(params), channels, decide)
            for _, params in self.networks.parameters(z)
        ]
        return np.concatenate(images)


class PixelByPixel:
    """Images of an autoregressive decoder.

    The order on the stack: position by position (a pixel, or a block of pixels), turn by turn
    of the decoder's head, decision by decision, image by image. A sender knows the pixels and
    has all parameters in one parallel pass; a receiver steps through them with cached features.

    Args:
      networks: `Networks`.
    """

    def __init__(self, networks):
        self.networks = networks
        self._steps = networks.decoder.steps
        self._head = networks.decoder.head
        self._init = Compiled(self._steps.init_state)
        self._row = Compiled(self._steps.next_row)
        self._pixel = Compiled(self._next_pixel)
        self._turns = [Compiled(self._steps.parameters) for _ in range(self._head.turns)]

    def push(self, stack, z, levels):
        """Pushes images, int `[n, H, W, C]` levels, given latents float64 `[n, d]`."""
        pixels = self.networks.pixels
        records = []
        for part, params in self.networks.parameters(z, levels):
            if self._is_doubtful(params):
                params = self.stepwise_parameters(z, levels)[part]
            records.append(self._record(pixels.rounded(params), levels[part]))
        bits, probability = (np.concatenate(each, axis=-1) for each in zip(*records, strict=True))
        stack.push_bits(bits.ravel(), probability.ravel())

    def pop(self, stack, z):
        """Pops images, int `[n, H, W, C]` levels, given latents float64 `[n, d]`."""

        def decide(channel, bit, probability):
            return stack.pop_bits(probability.ravel()).reshape(probability.shape)

        decoder, read = self.networks.decoder, self.networks.pixels.read
        levels = np.zeros((len(z), *decoder.grid_shape), np.int32)
        for values, params in self._walk(z, levels):
            for turn in self._turn_slices():
                values[:, turn] = read(params(values[:, : turn.start]), self._head.group, decide)
        return from_blocks(levels, decoder.block, np)

    def stepwise_parameters(self, z, levels):
        """Returns a receiver's parameters, before they are rounded: float64 `[n, H, W, P]`."""
        block, found = self.networks.decoder.block, []
        for values, params in self._walk(z, to_blocks(levels, block, np), rounded=False):
            parts = [params(values[:, : turn.start]) for turn in self._turn_slices()]
            found.append(np.concatenate(parts, axis=-1))
        grid = self.networks.decoder.grid_shape
        params = np.stack(found, axis=1).reshape(len(z), *grid[:2], -1)
        return from_blocks(params, block, np)

    def _turn_slices(self):
        """Returns which of a position's values each turn of the head decides on."""
        group = self._head.group
        return [slice(i * group, (i + 1) * group) for i in range(self._head.turns)]

    def _walk(self, z, levels, rounded=True):
        """Steps through the positions, reading each of `levels` once the caller has filled it in.

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

    def _record(self, params, levels):
        """Returns what `pop` will read: bits and probabilities, each `[positions, D, n]`."""
        block = self.networks.decoder.block
        params, levels = (to_blocks(each, block, np) for each in (params, levels))
        record = []
        for turn, part in zip(
            self._turn_slices(), np.split(params, self._head.turns, axis=-1), strict=True
        ):
            record += _decisions(self.networks.pixels, part, levels[..., turn])
        bits, probability = zip(*record, strict=True)
        return tuple(
            np.stack([each.reshape(len(levels), -1).T for each in arrays], axis=1)
            for arrays in (bits, probability)
        )

    def _is_doubtful(self, params):
        scaled = params * self.networks.pixels.rounding
        from_edge = np.abs(scaled - np.floor(scaled) - 0.5)
        return bool((from_edge < DOUBTFUL * self.networks.pixels.rounding).any())


def _decisions(pixels, params, levels):
    """Returns `[(bits, probability of a one), ...]` in the order in which they are read."""
    record = []

    def decide(channel, bit, probability):
        level = levels if channel is None else levels[..., channel]
        bits = (level >> (pixels.decisions - 1 - bit)) & 1
        record.append((bits, probability))
        return bits

    pixels.read(params, levels.shape[-1], decide)
    return record
