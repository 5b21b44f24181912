"""A fully connected encoder."""

from __future__ import annotations

import math

import keras
from keras import ops

from keras_acn._base.checks import check_widths
from keras_acn._base.keras_names import check_activation
from keras_acn.encoders.base import PosteriorEncoder


@keras.saving.register_keras_serializable("keras_acn")
class MLPEncoder(PosteriorEncoder):
    """x -> q(z|x) by dense layers: 784-512-20 is the encoder of the blog's ACN.

    Example of shapes: `[B, 28, 28, 1]` -> flatten `[B, 784]` -> `[B, 512]` -> mean and
    standard deviation, each `[B, d]`. A context is appended to the flat image.

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      hidden: Widths of the hidden layers.
      activation: Their activation.
      variance: `"unit"`, `"learned"` or `"sigmoid"`, see `PosteriorEncoder`.
      context_dim: Dimension of the context, 0 for none.
      code_stddev: The deviation of each dimension of the mean over the data, see
        `PosteriorEncoder`.

    Example:
      >>> encoder = MLPEncoder((28, 28, 1), latent_dim=20, hidden=[512])
      >>> q = encoder(ops.zeros((3, 28, 28, 1)))
      >>> print(q.batch_shape, q.event_shape)
      (3,) (20,)
    """

    short_name = "mlp"

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int = 16,
        hidden: tuple[int, ...] = (512,),
        activation: str = "relu",
        variance: str = "learned",
        context_dim: int = 0,
        code_stddev: float | None = None,
        **kwargs,
    ):
        super().__init__(image_shape, latent_dim, variance, context_dim, code_stddev, **kwargs)
        self.hidden = check_widths(hidden, "hidden")
        self.activation = check_activation(activation)
        policy = {"dtype": self.dtype_policy}
        self.flatten = keras.layers.Flatten("channels_last", **policy)
        self.hidden_layers = [
            keras.layers.Dense(n, activation=activation, **policy) for n in self.hidden
        ]
        width = math.prod(self.image_shape) + self.context_dim
        for layer in self.hidden_layers:
            layer.build((None, width))
            width = layer.units
        self.build_heads(width)

    def features(self, image, context=None, training=False):
        x = self.flatten(image)  # [B, H * W * C]
        if context is not None:
            x = ops.concatenate([x, ops.cast(context, x.dtype)], axis=-1)
        for layer in self.hidden_layers:
            x = layer(x)
        return x

    def get_config(self):
        return {
            **super().get_config(),
            "hidden": self.hidden,
            "activation": self.activation,
            "code_stddev": self.code_stddev,
        }
