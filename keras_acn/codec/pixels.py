"""Images given their latents, as codecs: r(x|z) pixel by pixel, decision by decision."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from keras_acn.codec.decisions import Decide
from keras_acn.codec.edges import filled, inside, is_whole, sources
from keras_acn.codec.networks import Compiled, Networks
from keras_acn.codec.stack import Codec, bernoulli
from keras_acn.codec.threads import side_by_side
from keras_acn.decoders.pixelcnn.blocks import from_blocks, to_blocks

# Where a parameter is this near to where its rounding changes, the parallel pass may round
# it otherwise than the pass pixel by pixel, from which it differs by less than 1e-12.
DOUBTFUL = 2.0**-34


def image_coder(networks: Networks) -> AllPixels | PixelByPixel:
    """Return the coder that fits the networks' decoder.

    A coder is called with latents z, float64 `[n, d]`, and returns the codec of n images,
    int `[n, H, W, C]` levels. Of tiles that are picture in part only it is told the `extents`, int
    `[n, 3]`, see `edges`: what is not picture is not coded.
    """
    kind = PixelByPixel if networks.is_autoregressive else AllPixels
    return kind(networks)


class _Pixels:
    """Base of the two coders, which know how to push and to pop."""

    _push: Any
    _pop: Any

    def __init__(self, networks: Networks):
        self.networks = networks

    def __call__(self, z: np.ndarray, extents: np.ndarray | None = None) -> Codec:
        """Return the codec of n images given latents float64 `[n, d]`."""
        if extents is not None and is_whole(extents, self.networks.image_shape):
            extents = None
        return Codec(
            functools.partial(self._push, z, extents), functools.partial(self._pop, z, extents)
        )


class AllPixels(_Pixels):
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

    def _push(self, z, extents, stack, levels):
        pixels = self.networks.pixels
        passes = []
        for part, params in self.networks.parameters(z):
            decisions = pixels.decisions(pixels.rounded(params), levels[part])
            coded = self._coded(extents, part)
            if coded is not None:
                decisions = [
                    (bits[there], probability[there])
                    for there, (bits, probability) in zip(
                        pixels.selected(coded), decisions, strict=True
                    )
                ]
            passes.append(decisions)
        for decisions in reversed(passes):
            for bits, probability in reversed(decisions):
                bernoulli(probability).push(stack, bits)

    def _pop(self, z, extents, stack):
        pixels, channels = self.networks.pixels, self.networks.image_shape[2]
        passes = []
        for part, params in self.networks.parameters(z):
            decide = _pop_from(stack, self._coded(extents, part))
            passes.append(pixels.read(pixels.rounded(params), channels, decide))
        levels = np.concatenate(passes)
        return levels if extents is None else filled(levels, extents)

    def _coded(self, extents, part):
        """Return which values of a pass are coded; `None` for all."""
        return None if extents is None else inside(extents[part], self.networks.image_shape)


class PixelByPixel(_Pixels):
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
        super().__init__(networks)
        self._head = networks.decoder.head
        self._steps = networks.pixelcnn or TensorFlowSteps(networks.decoder, networks.lanes)

    def _push(self, z, extents, stack, levels):
        rounded = self.networks.pixels.rounded
        passes = []
        for part, params in self.networks.parameters(z, levels):
            if self._is_doubtful(params):
                params = self.stepwise_parameters(z, levels)[part]
            passes.append(self._in_order(rounded(params), levels[part]))
        bits, probability = (np.concatenate(each, axis=-1) for each in zip(*passes, strict=True))
        if extents is not None:
            coded = self._selected_in_order(inside(extents, self.networks.image_shape))
            bits, probability = bits[coded], probability[coded]
        bernoulli(probability).push(stack, bits)

    def _pop(self, z, extents, stack):
        decoder, pixels = self.networks.decoder, self.networks.pixels
        levels = np.zeros((len(z), *decoder.grid_shape), np.int32)
        coded, origin = None, None
        if extents is not None:
            coded, origin = self._by_position(extents)
        for place, (values, params) in enumerate(self._walk(z, levels)):
            for turn in self._turn_slices():
                known = params(values[:, : turn.start])
                there = None if coded is None else coded[:, place, turn]
                decide = _pop_from(stack, there)
                values[:, turn] = pixels.read(known, self._head.group, decide)
                if origin is not None:
                    # The rest repeats what is there by now, which what comes next may depend on.
                    flat = levels.reshape(len(z), -1)
                    values[:, turn] = np.take_along_axis(flat, origin[:, place, turn], axis=1)
        return from_blocks(levels, decoder.block, np)

    def _by_position(self, extents):
        """Return which values are coded, and which value of `levels` each repeats, both
        `[n, positions, values]`."""
        shape, block = self.networks.image_shape, self.networks.decoder.block
        rows, columns, values = self.networks.decoder.grid_shape
        layout = (len(extents), rows * columns, values)
        # Where a value of the image, by its flat index, lies among those of the blocks.
        places = np.empty(np.prod(shape), np.int64)
        image = np.arange(len(places)).reshape(1, *shape)
        places[to_blocks(image, block, np).ravel()] = np.arange(len(places))
        origin = places[to_blocks(sources(extents, shape), block, np)]
        coded = to_blocks(inside(extents, shape), block, np)
        return coded.reshape(layout), origin.reshape(layout)

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
        steps, units = self._steps, self.networks.units
        height, width, values = self.networks.decoder.grid_shape
        finish = self.networks.pixels.rounded if rounded else lambda params: params
        blank = np.zeros((len(z), width, values), np.float32)
        with side_by_side() as each:
            state = steps.begin(z, each)
            for row in range(height):
                steps.next_row(state, row, units(levels[:, row - 1]) if row else blank)
                for column in range(width):
                    left = units(levels[:, row, column - 1]) if column else blank[:, 0]
                    begun = steps.next_position(state, column, left)

                    def params(known, begun=begun):
                        return finish(steps.turn(begun, units(known)))

                    yield levels[:, row, column], params

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

    def _selected_in_order(self, values):
        """Return of an array `[n, H, W, C]` what each decision is about: `[positions, D, n]`."""
        values = to_blocks(values, self.networks.decoder.block, np)
        parts = []
        for turn in self._turn_slices():
            for each in self.networks.pixels.selected(values[..., turn]):
                parts.append(each.reshape(len(values), -1).T)
        return np.stack(parts, axis=1)

    def _is_doubtful(self, params):
        scaled = params * self.networks.pixels.rounding
        from_edge = np.abs(scaled - np.floor(scaled) - 0.5)
        return bool((from_edge < DOUBTFUL * self.networks.pixels.rounding).any())


class TensorFlowSteps:
    """The steps of an autoregressive decoder that is none of this package's: see `NumpyPixelCNN`.

    Args:
      decoder: Its float64 copy.
      lanes: Images that its graphs are for; where there are fewer, the rest is filled up.

    Example:
      See `PixelByPixel`.
    """

    def __init__(self, decoder, lanes):
        self._lanes, self._head, self._of = lanes, decoder.head, decoder.steps
        self._init = Compiled(self._of.init_state)
        self._row = Compiled(self._of.next_row)
        self._pixel = Compiled(self._next_pixel)
        self._turns = [Compiled(self._of.parameters) for _ in range(self._head.turns)]

    def begin(self, z, each):
        return dict(self._init(self._filled(z)))

    def next_row(self, state, row, above):
        whole = {key: state[key] for key in ("biases", "rows")}
        state |= self._row(whole, tf.constant(row), self._filled(above))

    def next_position(self, state, column, left):
        within = {key: state[key] for key in ("contexts", "pixels")}
        begun, state["pixels"] = self._pixel(within, tf.constant(column), self._filled(left))
        return begun

    def turn(self, begun, known):
        if self._head.turns > 1:
            turn = self._turns[known.shape[1] // self._head.group]
            begun = turn(begun, self._filled(known))
        return begun.numpy()[: len(known)]

    def _next_pixel(self, state, column, left):
        features, pixels = self._of.next_pixel(state, column, left)
        if self._head.turns > 1:
            return features, pixels
        return self._of.parameters(features, left[:, :0]), pixels

    def _filled(self, array):
        rest = np.zeros((self._lanes - len(array), *array.shape[1:]), array.dtype)
        return tf.constant(np.concatenate([array, rest]))


def _pop_from(stack, coded=None) -> Decide:
    """Return the `decide` of `pixels.read` that pops each decision from the stack.

    Args:
      stack: The stack.
      coded: Which values are on it, bool `[..., channels]`; the others read as 0. `None` for all.
    """

    def decide(channel, bit, probability):
        if coded is None:
            return bernoulli(probability).pop(stack)
        there = coded if channel is None else coded[..., channel]
        bits = np.zeros(probability.shape, np.int32)
        bits[there] = bernoulli(probability[there]).pop(stack)
        return bits

    return decide
