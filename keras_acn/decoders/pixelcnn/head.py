"""From features of the earlier pixels to the parameters of the next one."""

import keras
from keras import ops

from keras_acn._base.precision import widened


class PixelHead(keras.layers.Layer):
    """Features [..., F] and a pixel's own earlier channels -> parameters [..., P].

    The features know nothing of the pixel itself. Where the output family links the
    channels (or there is only one), two 1x1 layers map them to all P parameters. Elsewhere
    each channel has its own such pair, and a small network adds what the channels before
    it say to the hidden units: red sees neither, green sees red, blue sees red and green.

    Args:
      likelihood: The `Likelihood`.
      channels: C.
      hidden: Width of the hidden layers.
    """

    def __init__(self, likelihood, channels, hidden, **kwargs):
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy}
        total = likelihood.parameters_per_pixel(channels)
        self.linked = channels > 1 and not likelihood.links_channels
        self.blocks = channels if self.linked else 1
        self.hidden_width = hidden

        def dense(width, **options):
            return [keras.layers.Dense(width, **options, **policy) for _ in range(self.blocks)]

        self.hidden = dense(hidden)
        self.output_layers = dense(total // self.blocks)
        self.embed = dense(hidden)[1:]
        self.embed_out = dense(hidden, use_bias=False)[1:]

    def build(self, input_shape):
        """Builds the weights for features [..., F]."""
        for layer in self.hidden:
            layer.build((None, input_shape[-1]))
        for layer in (*self.output_layers, *self.embed_out):
            layer.build((None, self.hidden_width))
        for c, layer in enumerate(self.embed, start=1):
            layer.build((None, c))

    def block(self, features, previous, c):
        """Returns the parameters of block c, given `previous` [..., >= c] in [0, 1]."""
        x = self.hidden[c](rectify(features))
        if c:
            # Cast first: 2 x - 1 in float32 is off by a bit from what it is in float64.
            known = ops.cast(previous[..., :c], self.compute_dtype)
            seen = self.embed[c - 1](2.0 * known - 1.0)
            x = x + self.embed_out[c - 1](rectify(seen))
        return self.output_layers[c](rectify(x))

    def call(self, features, pixels):
        """Returns [..., P] in float32.

        Args:
          features: [..., F].
          pixels: [..., >= C - 1] in [0, 1]. Only earlier channels reach a channel's block.
        """
        blocks = [self.block(features, pixels, c) for c in range(self.blocks)]
        x = blocks[0] if self.blocks == 1 else ops.concatenate(blocks, axis=-1)
        return widened(x)


def rectify(x):
    """Returns `max(x, 0)`, as an operation that TensorFlow doesn't fuse.

    Its fused matmul-and-relu fails to place inside the sampler's nested loops.
    """
    return ops.maximum(x, 0.0)
