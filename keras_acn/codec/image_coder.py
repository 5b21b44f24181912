"""Pushing images on the stack given their latents, and popping them."""

import numpy as np
import tensorflow as tf

from keras_acn.codec.networks import Compiled

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

    The order on the stack: pixel by pixel, decision by decision, image by image. A sender
    knows the pixels and has all parameters in one parallel pass; a receiver steps through
    them with cached features.

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
        channels = range(networks.image_shape[2])
        self._channel = [Compiled(self._steps.parameters) for _ in channels]

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

        height, width, channels = self.networks.image_shape
        read = self.networks.pixels.read
        levels = np.zeros((len(z), height, width, channels), np.int32)
        for position, params in self._walk(z, levels):
            pixel = levels[:, position // width, position % width]
            if not self._head.linked:
                pixel[:] = read(params(None), channels, decide)
                continue
            for c in range(channels):
                pixel[:, c] = read(params(pixel[:, :c]), 1, decide)[:, 0]
        return levels

    def stepwise_parameters(self, z, levels):
        """Returns a receiver's parameters, before they are rounded: float64 `[n, H, W, P]`."""
        height, width, channels = self.networks.image_shape
        found = []
        for position, params in self._walk(z, levels, rounded=False):
            pixel = levels[:, position // width, position % width]
            blocks = range(channels) if self._head.linked else [None]
            parts = [params(None if c is None else pixel[:, :c]) for c in blocks]
            found.append(np.concatenate(parts, axis=-1))
        return np.stack(found, axis=1).reshape(len(z), height, width, -1)

    def _walk(self, z, levels, rounded=True):
        """Steps through the pixels, reading each of `levels` once the caller has filled it in.

        Yields:
          `(position, params)`; `params(known)` returns the parameters `[n, P]` of the pixel,
          or where the network links the channels those of the channel after `known` [n, c].
        """
        count, lanes = len(z), self.networks.lanes
        height, width, channels = self.networks.image_shape
        finish = self.networks.pixels.rounded if rounded else lambda params: params

        def padded(array):
            rest = np.zeros((lanes - count, *array.shape[1:]), array.dtype)
            return tf.constant(np.concatenate([array, rest]))

        state = self._init(padded(z))
        blank = np.zeros((count, width, channels), np.float32)
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
                    if known is not None:
                        channel = self._channel[known.shape[1]]
                        out = channel(out, padded(self.networks.units(known)))
                    return finish(out.numpy()[:count])

                yield row * width + column, params

    def _next_pixel(self, state, column, left):
        features, pixels = self._steps.next_pixel(state, column, left)
        if self._head.linked:
            return features, pixels
        return self._steps.parameters(features, left[:, :0]), pixels

    def _record(self, params, levels):
        """Returns what `pop` will read: bits and probabilities, each `[H W, D, n]`."""
        pixels = self.networks.pixels
        channels = self.networks.image_shape[2]
        if self._head.linked:
            blocks = np.split(params, channels, axis=-1)
            record = [
                each
                for c, block in enumerate(blocks)
                for each in _decisions(pixels, block, levels[..., c : c + 1])
            ]
        else:
            record = _decisions(pixels, params, levels)

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
