"""Decoders whose pixels are independent given the latents."""

from __future__ import annotations

import math

import keras
from keras import ops

from keras_acn._base.checks import check_widths
from keras_acn._base.keras_names import check_activation
from keras_acn.decoders.base import Decoder
from keras_acn.decoders.families import get_likelihood


class FeedForwardDecoder(Decoder):
    """Base of the decoders z -> r(x|z) that emit all of an image's parameters at once.

    A subclass gives `parameters(z, training)`, `[B, H, W, P]`, by plain Keras; this
    class wraps them as a distribution over images.

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      likelihood: Name, config or instance of the output family: `"bernoulli"`,
        `"discretized_logistic_mixture"` or `"categorical"`. By default Bernoulli for images of
        one channel, a mixture of discretized logistics for colour.

    Raises:
      UserError: If a size is no positive whole number, or the family is unknown.

    Example: a decoder of one's own.

      >>> @keras.saving.register_keras_serializable("mine")
      ... class LinearDecoder(FeedForwardDecoder):
      ...     def __init__(self, image_shape, latent_dim=16, likelihood=None, **kwargs):
      ...         super().__init__(image_shape, latent_dim, likelihood, **kwargs)
      ...         height, width, _ = self.image_shape
      ...         self.out_shape = (height, width, self.parameters_per_pixel)
      ...         units = math.prod(self.out_shape)
      ...         self.dense = keras.layers.Dense(units, dtype=self.dtype_policy)
      ...         self.dense.build((None, self.latent_dim))
      ...         self.built = True
      ...
      ...     def parameters(self, z, training=False):
      ...         return ops.reshape(self.dense(z), (-1, *self.out_shape))
      >>> r = LinearDecoder((8, 8, 1), latent_dim=4)(ops.zeros((3, 4)))
      >>> print(r.log_prob(ops.ones((8, 8, 1))).shape)
      (3,)
    """

    # The family where none is given; `None` for that of the number of channels.
    default_likelihood: str | None = None

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int = 16,
        likelihood=None,
        **kwargs,
    ):
        super().__init__(image_shape, latent_dim, **kwargs)
        family = self.default_likelihood if likelihood is None else likelihood
        self.likelihood = get_likelihood(family, self.image_shape[-1])

    @property
    def parameters_per_pixel(self) -> int:
        """Network outputs P per pixel position."""
        return self.likelihood.parameters_per_pixel(self.image_shape[-1])

    def parameters(self, z, training=False):
        """Return the `[B, H, W, P]` parameters of the likelihood for `z` `[B, d]`."""
        raise NotImplementedError

    def call(self, z, training=False):
        """Return r(x|z), an `ImageDistribution`: see `Decoder.call`."""
        params = ops.cast(self.parameters(z, training=training), "float32")
        return self.likelihood.distribution(params, self.image_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "likelihood": keras.saving.serialize_keras_object(self.likelihood),
        }


@keras.saving.register_keras_serializable("keras_acn")
class MLPDecoder(FeedForwardDecoder):
    """z -> r(x|z) by dense layers: 20-512-784 is the decoder of the blog's ACN.

    Example of shapes: `[B, d]` -> `[B, 512]` -> `[B, 784]` -> `[B, 28, 28, 1]` logits.

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      hidden: Widths of the hidden layers.
      activation: Their activation.
      likelihood: The output family, see `FeedForwardDecoder`.

    Example:
      >>> decoder = MLPDecoder((28, 28, 1), latent_dim=20, hidden=[512])
      >>> r = decoder(ops.zeros((3, 20)))
      >>> print(r.batch_shape, r.event_shape)
      (3,) (28, 28, 1)
    """

    short_name = "mlp"

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int = 16,
        hidden: tuple[int, ...] = (512,),
        activation: str = "relu",
        likelihood=None,
        **kwargs,
    ):
        super().__init__(image_shape, latent_dim, likelihood, **kwargs)
        self.hidden = check_widths(hidden, "hidden")
        self.activation = check_activation(activation)
        policy = {"dtype": self.dtype_policy}
        self.hidden_layers = [
            keras.layers.Dense(n, activation=activation, **policy) for n in self.hidden
        ]
        width = self.latent_dim
        for layer in self.hidden_layers:
            layer.build((None, width))
            width = layer.units
        outputs = math.prod(self.image_shape[:2]) * self.parameters_per_pixel
        self.output_layer = keras.layers.Dense(outputs, name="parameters", **policy)
        self.output_layer.build((None, width))
        self.built = True

    def parameters(self, z, training=False):
        x = z
        for layer in self.hidden_layers:
            x = layer(x)
        shape = (-1, *self.image_shape[:2], self.parameters_per_pixel)
        return ops.reshape(self.output_layer(x), shape)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden": self.hidden,
            "activation": self.activation,
        }


@keras.saving.register_keras_serializable("keras_acn")
class ConvDecoder(FeedForwardDecoder):
    """z -> r(x|z) by a dense layer and transposed convolutions that double the image.

    Example of shapes, with the default filters on 28x28: `[B, d]` -> dense
    `[B, 7, 7, 64]` -> `[B, 14, 14, 64]` -> `[B, 28, 28, 32]` -> 3x3 convolution
    `[B, 28, 28, P]`. Sides that are no multiple of four are decoded larger, and cropped.

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      filters: Filters of the small image and of each doubling after it.
      activation: Activation of every hidden layer.
      likelihood: The output family, see `FeedForwardDecoder`.

    Raises:
      UserError: If a size is no positive whole number, or there are no `filters`.

    Example:
      >>> decoder = ConvDecoder((28, 28, 3), latent_dim=16, likelihood="categorical")
      >>> r = decoder(ops.zeros((2, 16)))
      >>> print(r.params.shape, r.event_shape)
      (2, 28, 28, 768) (28, 28, 3)
    """

    short_name = "conv"

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int = 16,
        filters: tuple[int, ...] = (64, 64, 32),
        activation: str = "relu",
        likelihood=None,
        **kwargs,
    ):
        super().__init__(image_shape, latent_dim, likelihood, **kwargs)
        self.filters = check_widths(filters, "filters", fewest=1)
        self.activation = check_activation(activation)
        height, width, _ = self.image_shape
        factor = 2 ** (len(self.filters) - 1)
        small = (-(-height // factor), -(-width // factor), self.filters[0])
        policy = {"dtype": self.dtype_policy}
        self.stem = keras.layers.Dense(math.prod(small), activation=activation, **policy)
        self.stem.build((None, self.latent_dim))
        self.small_shape = small
        self.doublings = []
        shape = (None, *small)
        for n in self.filters[1:]:
            layer = keras.layers.Conv2DTranspose(
                n,
                4,
                strides=2,
                padding="same",
                data_format="channels_last",
                activation=activation,
                **policy,
            )
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
            self.doublings.append(layer)
        self.output_layer = keras.layers.Conv2D(
            self.parameters_per_pixel,
            3,
            padding="same",
            data_format="channels_last",
            name="parameters",
            **policy,
        )
        self.output_layer.build(shape)
        self.built = True

    def parameters(self, z, training=False):
        x = ops.reshape(self.stem(z), (-1, *self.small_shape))
        for layer in self.doublings:
            x = layer(x)
        height, width, _ = self.image_shape
        return self.output_layer(x)[:, :height, :width]

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "activation": self.activation,
        }
