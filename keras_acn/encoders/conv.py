"""A VGG-like convolutional encoder."""

from __future__ import annotations

import math

import keras
from keras import ops

from keras_acn._base.checks import MOST_LAYERS, check_count, check_widths
from keras_acn._base.errors import UserError
from keras_acn._base.keras_names import check_activation
from keras_acn.encoders.base import PosteriorEncoder


@keras.saving.register_keras_serializable("keras_acn")
class ConvEncoder(PosteriorEncoder):
    """x -> q(z|x) by blocks of 3x3 convolutions, each ending in a halving of the image.

    The paper asks for "a VGG-like" convolutional net (Graves et al. 2018, section 4)
    and says no more; this is the plainest one. Example of shapes, with the default
    filters: `[B, 28, 28, 1]` -> `[B, 14, 14, 32]` -> `[B, 7, 7, 64]` -> `[B, 4, 4, 64]`
    -> flatten -> dense `[B, 256]` -> mean `[B, d]`.

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      filters: Filters of each block. A block halves height and width.
      convolutions: Convolutions a block, the last one with stride two.
      dense: Width of the dense layer before the heads, or 0 for none.
      activation: Activation of every hidden layer.
      normalization: `"none"`, `"layer"` (layer normalisation of the last features) or
        `"group"` (group normalisation after each convolution).
      variance: `"unit"`, `"learned"` or `"sigmoid"`, see `PosteriorEncoder`.
      context_dim: Dimension of the context, 0 for none. It is appended to the flat
        features, before the dense layer.
      code_stddev: The deviation of each dimension of the mean over the data, see
        `PosteriorEncoder`.

    Raises:
      UserError: If a size is no positive whole number, or an option has an unknown value.

    Example:
      >>> encoder = ConvEncoder((28, 28, 1), latent_dim=16, filters=[8, 16], dense=32)
      >>> q = encoder(ops.zeros((3, 28, 28, 1)))
      >>> print(q.batch_shape, q.event_shape)
      (3,) (16,)
    """

    short_name = "conv"

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int = 16,
        filters: tuple[int, ...] = (32, 64, 64),
        convolutions: int = 2,
        dense: int = 256,
        activation: str = "relu",
        normalization: str = "none",
        variance: str = "unit",
        context_dim: int = 0,
        code_stddev: float | None = None,
        **kwargs,
    ):
        super().__init__(image_shape, latent_dim, variance, context_dim, code_stddev, **kwargs)
        if normalization not in ("none", "layer", "group"):
            raise UserError(
                f'normalization must be "none", "layer" or "group", not "{normalization}".'
            )
        self.filters = check_widths(filters, "filters")
        self.convolutions = check_count(convolutions, "convolutions", most=MOST_LAYERS)
        self.dense = check_count(dense, "dense")
        self.activation = check_activation(activation)
        self.normalization = normalization

        policy = {"dtype": self.dtype_policy}
        self.trunk: list[keras.Layer] = []
        shape: tuple = (None, *self.image_shape)
        for width in self.filters:
            for i in range(self.convolutions):
                last = i == self.convolutions - 1
                shape = self._add(
                    keras.layers.Conv2D(
                        width,
                        3,
                        strides=2 if last else 1,
                        padding="same",
                        data_format="channels_last",
                        kernel_initializer="he_normal",
                        **policy,
                    ),
                    shape,
                )
                if normalization == "group":
                    groups = math.gcd(8, width)
                    self._add(keras.layers.GroupNormalization(groups, **policy), shape)
                self._add(keras.layers.Activation(activation, **policy), shape)
        shape = self._add(keras.layers.Flatten("channels_last", **policy), shape)
        # The layers from here on see the context beside the features.
        self._head_from = len(self.trunk)
        shape = (None, shape[-1] + self.context_dim)
        if self.dense:
            layer = keras.layers.Dense(
                self.dense, activation=activation, kernel_initializer="he_normal", **policy
            )
            shape = self._add(layer, shape)
        if normalization == "layer":
            self._add(keras.layers.LayerNormalization(**policy), shape)
        self.build_heads(shape[-1])

    def _add(self, layer, shape):
        layer.build(shape)
        self.trunk.append(layer)
        return layer.compute_output_shape(shape)

    def features(self, image, context=None, training=False):
        x = image
        for layer in self.trunk[: self._head_from]:
            x = layer(x)
        if context is not None:
            x = ops.concatenate([x, ops.cast(context, x.dtype)], axis=-1)
        for layer in self.trunk[self._head_from :]:
            x = layer(x)
        return x

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "convolutions": self.convolutions,
            "dense": self.dense,
            "activation": self.activation,
            "normalization": self.normalization,
            "code_stddev": self.code_stddev,
        }
