"""A gated PixelCNN in NumPy, in float64: all positions at once, or one after the other.

The codec computes in float64, for which NumPy is made better than TensorFlow is on a CPU: products
of matrices take half the time, and elementwise functions a third. So a copy of a `GatedPixelCNN` of
this package is evaluated here, and any other decoder by TensorFlow. The numbers agree to about
1e-14, as those of two machines do.

A sender knows all positions, so both stacks run over whole images. A receiver has the rows above
and the positions to the left, and runs the same layers on one row, and on one position of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_acn.codec.threads import side_by_side
from keras_acn.decoders.pixelcnn import GatedPixelCNN
from keras_acn.decoders.pixelcnn.blocks import from_blocks, to_blocks
from keras_acn.decoders.pixelcnn.head import JointHead, PixelHead

# Floats of a layer's features in a pass over whole images, and in one over a row of them: what is
# made of them, ten times as much, then stays in a core's cache.
PASS_FLOATS, ROW_FLOATS = 2**15, 2**14
# The options of a decoder that are followed here. One with others is left to TensorFlow.
_FOLLOWED = set(
    "image_shape latent_dim likelihood layers filters kernel_size first_kernel_size residual "
    "bottleneck_filters dropout output_hidden conditioning map_filters block name trainable "
    "dtype".split()
)


def in_numpy(decoder: Any) -> bool:
    """Return whether a decoder is one that `NumpyPixelCNN` evaluates: this package's own.

    One that predicts pixels linearly is not.
    """
    if type(decoder) is not GatedPixelCNN or type(decoder.head) not in (JointHead, PixelHead):
        return False
    options = decoder.get_config()
    return options.pop("prediction") == "none" and set(options) <= _FOLLOWED


class NumpyPixelCNN:
    """The passes of a `GatedPixelCNN`, with the weights that it has now.

    Args:
      decoder: Its float64 copy.

    Example:
      >>> decoder = GatedPixelCNN((4, 4, 1), 2, layers=2, filters=4, dtype="float64")
      >>> network = NumpyPixelCNN(decoder)
      >>> x, z = np.zeros((3, 4, 4, 1)), np.ones((3, 2))
      >>> np.allclose(network.parameters(z, x), decoder.parameters(x, z))
      True
    """

    def __init__(self, decoder: GatedPixelCNN):
        self.block = decoder.block
        self.grid_shape = decoder.grid_shape
        self.turns, self.group = decoder.head.turns, decoder.head.group
        # Under "spatial" conditioning the biases are shares of a small map.
        self._map = decoder.biases.features
        shares = _shares(decoder)
        self._layers = [
            _Layer(layer, shares[2 * i : 2 * i + 2]) for i, layer in enumerate(decoder.gated)
        ]
        joint = isinstance(decoder.head, JointHead)
        self._head = _JointHead(decoder.head) if joint else _PixelHead(decoder.head)
        height, width = self.grid_shape[:2]
        self._pass = max(1, PASS_FLOATS // (height * width * decoder.filters))
        self._row_pass = max(1, ROW_FLOATS // (width * decoder.filters))

    def parameters(self, z: np.ndarray, images: np.ndarray) -> np.ndarray:
        """Return the output family's parameters, float64 `[n, H, W, P]`.

        Args:
          z: float64 `[n, d]`.
          images: `[n, H, W, C]` in [0, 1].
        """
        drawn = self._drawn(z)

        def parallel(part):
            return self._parallel(to_blocks(images[part], self.block, np), drawn[part])

        with side_by_side() as each:
            found = each(parallel, _parts(len(z), self._pass))
        return from_blocks(np.concatenate(found), self.block, np)

    def _drawn(self, z):
        return self._map(tf.constant(z)).numpy()

    def _parallel(self, grid, drawn):
        v = h = _encoded(grid, True)
        for layer in self._layers:
            rows = _padded(layer.reduced_v(v), layer.reach, layer.reach)
            gates_v, context = layer.vertical(rows, drawn)
            gates_h = layer.horizontal(_padded(layer.reduced_h(h), 0, layer.reach, right=False))
            gates_h += context
            if not layer.last:
                v = layer.finished(gates_v, v, layer.expand_v)
            h = layer.finished(gates_h, h, layer.expand_h)
        begun, values = self._head.begin(h), grid.astype(np.float64)
        turns = [self._head.parameters(begun, values, turn) for turn in range(self.turns)]
        return np.concatenate(turns, axis=-1)

    def begin(self, z: np.ndarray, each: Callable[..., Any]) -> dict[str, Any]:
        """Return the state before the first row of images.

        Args:
          z: Their latents, float64 `[n, d]`.
          each: From `side_by_side`, for as long as the state is used.
        """
        _, width, _ = self.grid_shape
        rows = [
            np.zeros((len(z), layer.reach, width + 2 * layer.reach, layer.inside))
            for layer in self._layers
        ]
        contexts = [np.zeros((len(z), width, layer.wide)) for layer in self._layers]
        return {"drawn": self._drawn(z), "rows": rows, "contexts": contexts, "each": each}

    def next_row(self, state: dict[str, Any], row: int, above: np.ndarray) -> None:
        """Bring a state to a row.

        Args:
          state: From `begin`, or as the row before left it.
          row: Index of the row.
          above: The row above, `[n, W, values]` in [0, 1]; of no meaning in row 0.
        """
        drawn = state["drawn"]
        drawn = drawn if drawn.shape[1] == 1 else drawn[:, row : row + 1]
        known = _encoded(above[:, None], row > 0)

        def bring(part):
            v = known[part]
            for layer, rows, contexts in zip(
                self._layers, state["rows"], state["contexts"], strict=True
            ):
                new = _padded(layer.reduced_v(v), 0, layer.reach)
                window = np.concatenate([rows[part], new], axis=1)
                rows[part] = window[:, 1:]
                seen = window[:, 1:] if layer.first else window
                gates, context = layer.vertical(seen, drawn[part])
                contexts[part] = context[:, 0]
                if not layer.last:
                    v = layer.finished(gates, v, layer.expand_v)

        state["each"](bring, _parts(len(above), self._row_pass))
        state["pixels"] = [
            np.zeros((len(above), layer.reach, layer.inside)) for layer in self._layers
        ]

    def next_position(self, state: dict[str, Any], column: int, left: np.ndarray) -> np.ndarray:
        """Return what the turns of a position read, and bring the state to the next one.

        Args:
          state: Of this row, as the position before left it.
          column: Index of the position in its row.
          left: The position before, `[n, values]` in [0, 1]; of no meaning in column 0.
        """
        h = _encoded(left, column > 0)
        for i, layer in enumerate(self._layers):
            new = layer.reduced_h(h)[:, None]
            window = np.concatenate([state["pixels"][i], new], axis=1)
            state["pixels"][i] = window[:, 1:]
            gates = layer.horizontal_at(window[:, 1:] if layer.first else window)
            gates += state["contexts"][i][:, column]
            h = layer.finished(gates, h, layer.expand_h)
        return self._head.begin(h)

    def turn(self, begun: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Return the parameters of the turn after the `known` values `[n, v]`: `[n, P]`.

        Args:
          begun: From `next_position`.
          known: The position's first values, in [0, 1], whole turns of them.
        """
        return self._head.parameters(begun, known, known.shape[-1] // self.group)


class _Dense:
    """A dense layer, of which there may be none."""

    def __init__(self, layer):
        self.kernel = _array(layer.kernel)
        self.bias = None if layer.bias is None else _array(layer.bias)

    def __call__(self, x):
        out = (x.reshape(-1, x.shape[-1]) @ self.kernel).reshape(*x.shape[:-1], -1)
        if self.bias is not None:
            out += self.bias
        return out


class _Layer:
    """A `GatedLayer`.

    What goes into the vertical gates and what the vertical stack tells the horizontal one are
    linear functions of the same rows and of the same map, so they are one product of matrices.

    Args:
      layer: The `GatedLayer`.
      shares: What makes the biases of its two gates of what z draws: see `_shares`.
    """

    def __init__(self, layer, shares):
        self.first, self.last, self.reach = layer.first, layer.last, layer.conv_v.reach
        self._reduce_v, self._reduce_h = _dense(layer.reduce_v), _dense(layer.reduce_h)
        self.expand_v, self.expand_h = _dense(layer.expand_v), _dense(layer.expand_h)
        kernel, across = _array(layer.conv_v.conv.kernel), _Dense(layer.v_to_h)
        self._rows, self._columns, self.inside, self.wide = kernel.shape
        kernel, bias = kernel.reshape(-1, self.wide), _array(layer.conv_v.conv.bias)
        bias_v, bias_h = bias, bias @ across.kernel + across.bias
        kernel = np.concatenate([kernel, kernel @ across.kernel], axis=1)
        self._picked = None
        if isinstance(shares[0], slice):
            self._picked = shares
        else:
            kernel = np.concatenate([kernel, np.concatenate(shares, axis=1)])
        bias = np.concatenate([bias_v, bias_h])
        # The last vertical stack has no gates.
        needed = slice(self.wide if self.last else 0, None)
        self._kernel_v, self._bias_v = np.ascontiguousarray(kernel[:, needed]), bias[needed]
        self._kernel_h = _array(layer.conv_h.conv.kernel).reshape(-1, self.wide)

    def reduced_v(self, v):
        return v if self._reduce_v is None else self._reduce_v(v)

    def reduced_h(self, h):
        return h if self._reduce_h is None else self._reduce_h(h)

    def vertical(self, x, drawn):
        """Return what goes into the vertical gates, and what the horizontal ones get of it.

        Args:
          x: Rows [n, R, W, F], filled up.
          drawn: What z draws, of the rows that come out.

        Returns:
          `(gates, context)`, each [n, rows, W, 2 G], biases included; no gates of the last layer.
        """
        width, rows = x.shape[2] - self._columns + 1, x.shape[1] - self._rows + 1
        if self.first and x.shape[1] > self._rows:
            rows -= 1  # the last row is that of the position itself
        taps = [
            x[:, down : down + rows, right : right + width]
            for down in range(self._rows)
            for right in range(self._columns)
        ]
        out = _product([*taps, drawn] if self._picked is None else taps, self._kernel_v)
        out += self._bias_v
        gates, context = (None if self.last else out[..., : self.wide]), out[..., -self.wide :]
        if self._picked is not None:
            context += drawn[..., self._picked[1]]
            if gates is not None:
                gates += drawn[..., self._picked[0]]
        return gates, context

    def horizontal(self, x):
        """Return the horizontal convolution of whole rows, filled up: [n, R, W, 2 G]."""
        width, span = x.shape[2] - self.reach, len(self._kernel_h) // self.inside
        return _product([x[:, :, i : i + width] for i in range(span)], self._kernel_h)

    def horizontal_at(self, window):
        """Return the horizontal convolution at one position: [n, 2 G]."""
        return window.reshape(len(window), -1) @ self._kernel_h

    def finished(self, gates, stack, expand):
        """Return the stack's next features; the gates' inputs are used up."""
        half = gates.shape[-1] // 2
        a, c = gates[..., :half], gates[..., half:]
        # tanh(a) sigmoid(c), where sigmoid(c) = (1 + tanh(c / 2)) / 2.
        c *= 0.5
        np.tanh(gates, out=gates)
        c += 1.0
        c *= 0.5
        out = a * c
        if expand is None:
            return out
        out = expand(out)
        out += stack
        return out


def _shares(decoder):
    """Return what makes the bias of each gate, the vertical and the horizontal one in turn.

    Each is a matrix that the map is multiplied by, or the slice of what z draws that the bias is.
    """
    biases = decoder.biases
    if biases.conditioning == "spatial":
        shares = [_array(each.kernel) for each in biases.shares]
    else:
        ends = np.cumsum(biases.widths)
        shares = [slice(b - w, b) for b, w in zip(ends, biases.widths, strict=True)]
    # The last vertical stack has no gate.
    return [*shares, shares[-1]]


def _product(parts, kernel):
    """Return the product of features that lie side by side, each [..., F], and a matrix."""
    columns = np.concatenate(parts, axis=-1)
    out = columns.reshape(-1, columns.shape[-1]) @ kernel
    return out.reshape(*columns.shape[:-1], -1)


class _PixelHead:
    """A `PixelHead`."""

    def __init__(self, head):
        self._group = head.group
        self._hidden, self._outputs, self._embed, self._embed_out = (
            [_Dense(each) for each in layers]
            for layers in (head.hidden, head.output_layers, head.embed, head.embed_out)
        )

    def begin(self, features):
        return np.maximum(features, 0.0)

    def parameters(self, begun, previous, turn):
        x = self._hidden[turn](begun)
        if turn:
            known = previous[..., : turn * self._group].astype(np.float64)
            seen = self._embed[turn - 1](2.0 * known - 1.0)
            x += self._embed_out[turn - 1](np.maximum(seen, 0.0))
        return self._outputs[turn](np.maximum(x, 0.0))


class _JointHead:
    """A `JointHead`."""

    def __init__(self, head):
        self._hidden, self._output = _Dense(head.hidden), _Dense(head.output_layer)

    def begin(self, features):
        hidden = self._hidden(np.maximum(features, 0.0))
        return self._output(np.maximum(hidden, 0.0))

    def parameters(self, begun, previous, turn):
        for known in range(turn):
            middle = begun.shape[-1] // 2
            upper = previous[..., known : known + 1] > 0.5
            begun = np.where(upper, begun[..., middle:], begun[..., :middle])
        middle = begun.shape[-1] // 2
        return _log_sum(begun[..., middle:]) - _log_sum(begun[..., :middle])


def _log_sum(x):
    if x.shape[-1] == 1:
        return x
    most = x.max(axis=-1, keepdims=True)
    return most + np.log(np.exp(x - most).sum(axis=-1, keepdims=True))


def _parts(count, size):
    """Return slices of so many images each."""
    return [slice(at, min(at + size, count)) for at in range(0, count, size)]


def _dense(layer):
    return None if layer is None else _Dense(layer)


def _array(weight):
    return np.ascontiguousarray(weight.numpy(), np.float64)


def _encoded(values, known):
    """Return the network's input for values [..., n], zero where nothing is known yet."""
    out = np.zeros((*values.shape[:-1], values.shape[-1] + 1))
    if known:
        out[..., :-1] = values
        out[..., :-1] *= 2.0
        out[..., :-1] -= 1.0
        out[..., -1] = 1.0
    return out


def _padded(x, above, side, right=True):
    """Return rows [n, R, W, F] with zeros above and at the sides."""
    if not above and not side:
        return x
    count, rows, width, features = x.shape
    out = np.zeros((count, rows + above, width + side * (1 + right), features))
    out[:, above:, side : side + width] = x
    return out
