"""Causal convolutions, and the gated layer made of them."""

import keras
from keras import ops


class Dense(keras.layers.Dense):
    """`keras.layers.Dense` that multiplies one matrix by one, whatever the rank of its inputs.

    Keras before 3.13, the last of which is all that Python 3.10 has, asks TensorFlow for a batch
    of products with one shared matrix. TensorFlow's oneDNN kernel for it writes past its memory
    where batches are of one or two rows. The class has Keras's name, so that weights keep theirs.
    """

    def call(self, inputs, training=None):
        """Return `activation(inputs @ kernel + bias)`, [..., units]."""
        if len(inputs.shape) == 2:
            return super().call(inputs, training=training)
        shape = ops.shape(inputs)
        flat = super().call(ops.reshape(inputs, (-1, inputs.shape[-1])), training=training)
        return ops.reshape(flat, (*shape[:-1], self.units))


class CausalConv(keras.layers.Layer):
    """A convolution that sees earlier positions only, as an ordinary one on shifted input.

    Masking a full K x K kernel would spend half of its multiplications on zeros. A
    vertical kernel here has the `K // 2` rows above and all K columns, a horizontal one
    the `K // 2` columns to the left; both have the current row or column as well, unless
    `exclude_current` (a mask of type A) says that the input there is not known yet.

    Args:
      filters: Output features.
      kernel_size: K, odd.
      direction: `"vertical"` or `"horizontal"`.
      exclude_current: Whether to leave out the current row or column.
      use_bias: Whether to add a bias.

    Example:
      >>> layer = CausalConv(4, kernel_size=3, direction="horizontal", exclude_current=True)
      >>> x = ops.ones((1, 1, 3, 1))
      >>> print(layer(x).shape)
      (1, 1, 3, 4)
      >>> bool(ops.all(layer(x)[:, :, 0] == 0))  # nothing lies to the left of the first column
      True
    """

    def __init__(
        self, filters, kernel_size, direction, exclude_current=False, use_bias=True, **kwargs
    ):
        super().__init__(**kwargs)
        self.direction = direction
        self.exclude_current = exclude_current
        self.reach = kernel_size // 2
        self.span = self.reach + (0 if exclude_current else 1)
        vertical = direction == "vertical"
        self.conv = keras.layers.Conv2D(
            filters,
            (self.span, kernel_size) if vertical else (1, self.span),
            use_bias=use_bias,
            data_format="channels_last",
            dtype=self.dtype_policy,
        )
        side = self.reach
        self.padding = ((side, 0), (side, side)) if vertical else ((0, 0), (side, 0))

    def build(self, input_shape):
        """Build the weights for an input [B, H, W, F]."""
        self.conv.build((None, None, None, input_shape[-1]))

    def call(self, x):
        """Return [B, H, W, filters] for x [B, H, W, F]."""
        if self.exclude_current:
            x = x[:, :-1] if self.direction == "vertical" else x[:, :, :-1]
        return self.conv(ops.pad(x, ((0, 0), *self.padding, (0, 0))))

    def at(self, window):
        """Return a horizontal convolution at one pixel, [B, filters].

        Args:
          window: The `span` inputs that end at the pixel, [B, span, F]: the pixel itself is
            the last of them unless `exclude_current`.
        """
        width = window.shape[-1] * self.span
        kernel = ops.reshape(ops.cast(self.conv.kernel, window.dtype), (width, -1))
        return ops.matmul(ops.reshape(window, (-1, width)), kernel)


class GatedLayer(keras.layers.Layer):
    """One layer of both stacks of a gated PixelCNN.

    From van den Oord et al. 2016 (arXiv 1606.05328), figure 2 and equation 4: each stack
    computes `tanh(a + b_z) * sigmoid(c + d_z)`, where `a, c` come from its causal
    convolution and, in the horizontal stack, also from the vertical convolution's output
    in the same row. The vertical stack holds what is known from the rows above, and the
    horizontal stack adds the pixels to the left: together there is no blind spot.

    Args:
      filters: Width F of the features passed on.
      kernel_size: Kernel width K, odd.
      first: Whether this is the first layer (mask A: the pixel itself is left out, and
        there is no residual connection).
      residual: `"bottleneck"`: in both stacks a 1x1 convolution to `inner` features, the
        gated K x K one, a 1x1 back to F and a residual connection (PixelVAE, Gulrajani et
        al. 2016, arXiv 1611.05013). `"horizontal"`: as in the PixelCNN paper, K x K on all F
        features, and a 1x1 with a residual connection in the horizontal stack only.
      inner: Features inside a bottleneck.
      dropout: Rate of dropout on the gates' outputs.
      last: Whether this is the last layer, whose vertical stack nobody reads further on.

    Example:
      >>> layer = GatedLayer(8, kernel_size=3, inner=4)
      >>> layer.build((None, None, None, 8))
      >>> x, bias = ops.ones((2, 5, 5, 8)), ops.zeros((2, 1, 1, 8))
      >>> v, h = layer(x, x, bias, bias)
      >>> print(v.shape, h.shape)
      (2, 5, 5, 8) (2, 5, 5, 8)
    """

    def __init__(
        self,
        filters,
        kernel_size,
        first=False,
        residual="bottleneck",
        inner=16,
        dropout=0.0,
        last=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy}
        bottleneck = residual == "bottleneck"
        self.first = first
        self.last = last
        self.gate_width = inner if bottleneck and not first else filters
        wide = 2 * self.gate_width

        def pointwise(width, use_bias=True):
            return Dense(width, use_bias=use_bias, **policy)

        self.reduce_v = pointwise(inner) if bottleneck and not first else None
        self.reduce_h = pointwise(inner) if bottleneck and not first else None
        self.conv_v = CausalConv(wide, kernel_size, "vertical", first, **policy)
        self.conv_h = CausalConv(wide, kernel_size, "horizontal", first, False, **policy)
        self.v_to_h = pointwise(wide)
        self.expand_v = pointwise(filters) if bottleneck and not first and not last else None
        self.expand_h = pointwise(filters) if not first else None
        self.dropout = keras.layers.Dropout(dropout, **policy) if dropout else None

    def build(self, input_shape):
        """Build the weights for both stacks' inputs [B, H, W, F]."""
        width = input_shape[-1]
        wide = 2 * self.gate_width
        for reduce in (self.reduce_v, self.reduce_h):
            if reduce is not None:
                reduce.build((None, None, None, width))
        inside = width if self.reduce_v is None else self.reduce_v.units
        self.conv_v.build((None, None, None, inside))
        self.conv_h.build((None, None, None, inside))
        self.v_to_h.build((None, None, None, wide))
        for expand in (self.expand_v, self.expand_h):
            if expand is not None:
                expand.build((None, None, None, self.gate_width))

    def finish(self, gates, stack, expand, training):
        """Return the stack's next features from its gate inputs and its present ones."""
        out = self.gate(gates)
        if self.dropout is not None:
            out = self.dropout(out, training=training)
        if expand is not None:
            out = expand(out) + stack
        return out

    def gate(self, x):
        """Return `tanh(a) * sigmoid(c)` of `x = [a, c]`."""
        a, c = ops.split(x, 2, axis=-1)
        return ops.tanh(a) * ops.sigmoid(c)

    def call(self, v, h, bias_v, bias_h, training=False):
        """Return the next features of the vertical and the horizontal stack.

        Args:
          v: Vertical features [B, H, W, F].
          h: Horizontal features [B, H, W, F].
          bias_v: z's share of the vertical gates, [B, 1 or H, 1 or W, 2 G].
          bias_h: The same for the horizontal gates.
          training: Whether dropout is on.

        Returns:
          (v, h), each [B, H, W, filters]; v is `None` from the last layer.
        """
        gates_v = self.conv_v(v if self.reduce_v is None else self.reduce_v(v))
        gates_h = self.conv_h(h if self.reduce_h is None else self.reduce_h(h))
        gates_h = gates_h + (self.v_to_h(gates_v) + bias_h)
        next_h = self.finish(gates_h, h, self.expand_h, training)
        if self.last:
            return None, next_h
        return self.finish(gates_v + bias_v, v, self.expand_v, training), next_h
