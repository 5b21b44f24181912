"""How z reaches every gate of a PixelCNN."""

import math

import keras
from keras import ops

from keras_acn._base.errors import UserError
from keras_acn.decoders.pixelcnn.layers import Dense


class GateBiases(keras.layers.Layer):
    """z -> one bias for every gate.

    Args:
      grid_shape: (H, W, ...) of the network's positions.
      widths: Width of each gate's bias.
      conditioning: `"global"`: the same bias everywhere, [B, 1, 1, width]. `"spatial"`: z is
        first drawn as a map of `map_filters` features by a dense layer and `doublings`
        upsampling convolutions; a gate's bias at a position is a linear function of the map
        there, [B, H, W, width].
      map_filters: Features of the map.
      doublings: How often the map's size is doubled: 2 where it begins at a quarter of the
        grid's height and width.

    Raises:
      UserError: If `conditioning` is neither.

    Example:
      >>> biases = GateBiases((28, 28), widths=[16, 32], conditioning="spatial")
      >>> [tuple(bias.shape) for bias in biases(ops.zeros((3, 10)))]
      [(3, 28, 28, 16), (3, 28, 28, 32)]
    """

    def __init__(
        self,
        grid_shape,
        widths,
        conditioning="global",
        map_filters=16,
        doublings=2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if conditioning not in ("global", "spatial"):
            raise UserError(f'conditioning must be "global" or "spatial", not {conditioning!r}.')
        policy = {"dtype": self.dtype_policy}
        self.height, self.width = grid_shape[:2]
        self.widths = tuple(widths)
        self.conditioning = conditioning
        self.map_filters = map_filters
        spread = keras.initializers.VarianceScaling(1.0, mode="fan_in")
        if conditioning == "global":
            self.dense = Dense(sum(widths), kernel_initializer=spread, use_bias=False, **policy)
            return
        shrink = 2**doublings
        self.small = (math.ceil(self.height / shrink), math.ceil(self.width / shrink))
        # Each upsampling mixes down to the map's features; where there is none, the map is drawn.
        self.drawn = 2 * map_filters if doublings else map_filters
        self.dense = Dense(math.prod(self.small) * self.drawn, activation="relu", **policy)
        self.upsample = [
            keras.layers.Conv2DTranspose(
                map_filters,
                4,
                strides=2,
                padding="same",
                data_format="channels_last",
                activation="relu",
                **policy,
            )
            for _ in range(doublings)
        ]
        self.shares = [Dense(w, use_bias=False, **policy) for w in self.widths]

    def build(self, input_shape):
        """Build the weights for z [B, d]."""
        self.dense.build((None, input_shape[-1]))
        if self.conditioning == "spatial":
            for i, layer in enumerate(self.upsample):
                layer.build((None, None, None, self.map_filters if i else self.drawn))
            for share in self.shares:
                share.build((None, None, None, self.map_filters))

    def features(self, z):
        """Return what `call` takes the biases out of, for z [B, d].

        That is the map, [B, H, W, map_filters]; or, under "global" conditioning, all biases in a
        row, [B, 1, 1, sum of widths].
        """
        x = self.dense(z)
        if self.conditioning == "global":
            return x[:, None, None, :]
        x = ops.reshape(x, (-1, *self.small, self.drawn))
        for layer in self.upsample:
            x = layer(x)
        return x[:, : self.height, : self.width]

    def call(self, z):
        """Return the list of biases for z [B, d], in the order of `widths`."""
        x = self.features(z)
        if self.conditioning == "global":
            starts = [sum(self.widths[:i]) for i in range(len(self.widths))]
            return [x[..., s : s + w] for s, w in zip(starts, self.widths, strict=True)]
        return [share(x) for share in self.shares]
