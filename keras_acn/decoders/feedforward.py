"""Decoders whose pixels are independent given the latents."""

import math

import keras
import tensorflow_probability as tfp
from keras import ops

from keras_acn._base.shapes import check_image_shape
from keras_acn.decoders.families import get_likelihood

tfd = tfp.distributions


class FeedForwardDecoder(keras.Model):
    """Base of the decoders z -> r(x|z) that emit all of an image's parameters at once.

    A subclass gives `parameters(z, training)`, `[B, H, W, P]`, by plain Keras; this
    class wraps them as a distribution over images.

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      likelihood: Name, config or instance of the output family: `"bernoulli"`,
        `"discretized_logistic_mixture"` or `"categorical"`.
    """

    is_autoregressive = False

    def __init__(self, image_shape, latent_dim=16, likelihood="bernoulli", **kwargs):
        super().__init__(**kwargs)
        self.image_shape = check_image_shape(image_shape)
        self.latent_dim = int(latent_dim)
        self.likelihood = get_likelihood(likelihood)

    @property
    def parameters_per_pixel(self):
        """Network outputs per pixel position."""
        return self.likelihood.parameters_per_pixel(self.image_shape[-1])

    def parameters(self, z, training=False):
        """Returns the `[B, H, W, P]` parameters of the likelihood for `z` `[B, d]`."""
        raise NotImplementedError

    def call(self, z, training=False):
        """Returns r(x|z): a `tfd.Distribution` with batch `[B]` and event `[H, W, C]`.

        Args:
          z: float `[B, d]`.
          training: Whether layers such as dropout behave as in training.
        """
        params = ops.cast(self.parameters(z, training=training), "float32")
        return self.likelihood.distribution(params, self.image_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "latent_dim": self.latent_dim,
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
    """

    short_name = "mlp"

    def __init__(
        self,
        image_shape,
        latent_dim=16,
        hidden=(512,),
        activation="relu",
        likelihood="bernoulli",
        **kwargs,
    ):
        super().__init__(image_shape, latent_dim, likelihood, **kwargs)
        self.hidden = tuple(int(n) for n in hidden)
        self.activation = activation
        self.hidden_layers = [keras.layers.Dense(n, activation=activation) for n in self.hidden]
        width = self.latent_dim
        for layer in self.hidden_layers:
            layer.build((None, width))
            width = layer.units
        self.output_layer = keras.layers.Dense(
            math.prod(self.image_shape[:2]) * self.parameters_per_pixel, name="parameters"
        )
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
    """

    short_name = "conv"

    def __init__(
        self,
        image_shape,
        latent_dim=16,
        filters=(64, 64, 32),
        activation="relu",
        likelihood="bernoulli",
        **kwargs,
    ):
        super().__init__(image_shape, latent_dim, likelihood, **kwargs)
        self.filters = tuple(int(n) for n in filters)
        self.activation = activation
        height, width, _ = self.image_shape
        factor = 2 ** (len(self.filters) - 1)
        small = (-(-height // factor), -(-width // factor), self.filters[0])
        self.stem = keras.layers.Dense(math.prod(small), activation=activation)
        self.stem.build((None, self.latent_dim))
        self.small_shape = small
        self.doublings = []
        shape = (None, *small)
        for n in self.filters[1:]:
            layer = keras.layers.Conv2DTranspose(
                n, 4, strides=2, padding="same", activation=activation
            )
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
            self.doublings.append(layer)
        self.output_layer = keras.layers.Conv2D(
            self.parameters_per_pixel, 3, padding="same", name="parameters"
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


@keras.saving.register_keras_serializable("keras_acn")
class BernoulliMLP(MLPDecoder):
    """`MLPDecoder` of binary images: the decoder of the posts.

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      hidden: Widths of the hidden layers.
      activation: Their activation.
    """

    short_name = "bernoulli_mlp"

    def __init__(self, image_shape, latent_dim=16, hidden=(512,), activation="relu", **kwargs):
        super().__init__(image_shape, latent_dim, hidden, activation, "bernoulli", **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["likelihood"]
        return config


@keras.saving.register_keras_serializable("keras_acn")
class BernoulliConv(ConvDecoder):
    """`ConvDecoder` of binary images.

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      filters: Filters of the small image and of each doubling after it.
      activation: Activation of every hidden layer.
    """

    short_name = "bernoulli_conv"

    def __init__(
        self, image_shape, latent_dim=16, filters=(64, 64, 32), activation="relu", **kwargs
    ):
        super().__init__(image_shape, latent_dim, filters, activation, "bernoulli", **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["likelihood"]
        return config
