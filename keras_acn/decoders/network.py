"""Any Keras model as a decoder: what it returns is made a distribution over images."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow_probability as tfp
from keras import ops

from keras_acn._base.errors import UserError
from keras_acn._base.networks import first_answer, returning, saved_network
from keras_acn.decoders.base import Decoder
from keras_acn.decoders.families import get_likelihood
from keras_acn.decoders.families.logistic import DiscretizedLogisticMixture
from keras_acn.decoders.feedforward import FeedForwardDecoder

tfd = tfp.distributions


@keras.saving.register_keras_serializable("keras_acn")
class NetworkDecoder(FeedForwardDecoder):
    """z -> r(x|z) by a Keras model of your own; `decoder=network` of a model makes one.

    The network returns the parameters of a likelihood, `[B, H, W, P]` or `[B, H * W * P]`: a
    logit for each pixel and channel (P = C) of Bernoulli pixels, 256 logits for each (P = 256 C)
    of categorical ones, or those of a mixture of M discretized logistics (P = 3 M for grey, 10 M
    for colour). Which of them follows from P where no likelihood is named. As the likelihood is
    known, images can be compressed with it.

    Args:
      network: A `keras.Model` or layer that takes float `[B, d]`. One that is not built is.
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      likelihood: The output family, see `keras_acn.decoders.get_likelihood`.

    Raises:
      UserError: If the network cannot take such latents, or no family has so many parameters.

    Example:
      >>> network = keras.Sequential([keras.layers.Dense(64), keras.layers.Reshape((8, 8, 1))])
      >>> decoder = NetworkDecoder(network, (8, 8, 1), latent_dim=4)
      >>> decoder.likelihood, decoder(ops.zeros((3, 4))).event_shape
      (Bernoulli(), TensorShape([8, 8, 1]))
    """

    def __init__(
        self,
        network: Any,
        image_shape: tuple[int, int, int],
        latent_dim: int = 16,
        likelihood: Any = None,
        **kwargs,
    ):
        super().__init__(image_shape, latent_dim, likelihood, **kwargs)
        self.network = saved_network(network)
        found = first_answer(self.network, "decoder", (self.latent_dim,))
        self._fit_likelihood(found, likelihood)
        self.built = True

    def _fit_likelihood(self, found, likelihood):
        """Choose the family by the number of parameters, or check that it is the given one's."""
        height, width, channels = self.image_shape
        shape = () if not hasattr(found, "shape") else tuple(found.shape[1:])
        count, pixels = math.prod(shape), height * width
        per_pixel = count // pixels
        fits = shape in ((count,), (height, width, per_pixel)) and count == pixels * per_pixel > 0
        if fits and likelihood is None:
            likelihood = _family(per_pixel, channels)
            fits = likelihood is not None
        if fits:
            self.likelihood = get_likelihood(likelihood, channels)
        if not fits or per_pixel != self.parameters_per_pixel:
            raise UserError(
                f"The decoder's network returns {shape or type(found).__name__} for a code, which "
                f"are no parameters of images {self.image_shape}: let it return "
                f"({height}, {width}, P), P being {channels} for black and white, "
                f"{256 * channels} for 256 values, or a multiple of "
                f"{DiscretizedLogisticMixture(1).parameters_per_pixel(channels)} for a mixture "
                "of discretized logistics; or a tfd.Distribution."
            )

    def parameters(self, z, training=False):
        """Return the `[B, H, W, P]` parameters of the likelihood for `z` `[B, d]`."""
        found = self.network(z, training=training)
        return ops.reshape(found, (-1, *self.image_shape[:2], self.parameters_per_pixel))

    def get_config(self):
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
        }


def _family(per_pixel: int, channels: int) -> Any:
    """Return the family that has so many parameters a pixel, or `None`."""
    if per_pixel == channels:
        return "bernoulli"
    if per_pixel == 256 * channels:
        return "categorical"
    components, rest = divmod(
        per_pixel, DiscretizedLogisticMixture(1).parameters_per_pixel(channels)
    )
    return None if rest else DiscretizedLogisticMixture(components)


def adopted(network: Any, image_shape: tuple[int, int, int], latent_dim: int) -> Any:
    """Return a Keras model as a decoder: itself, if it returns distributions over images.

    Args:
      network: A Keras model or layer.
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.

    Raises:
      UserError: If it cannot take a latent, or returns what is no distribution over such images.
    """
    found = first_answer(network, "decoder", (latent_dim,))
    if not isinstance(found, tfd.Distribution):
        return NetworkDecoder(network, image_shape, latent_dim)
    words = {"kind": "decoder", "events": "images", "mend": "reshape its parameters"}
    return returning(network, found, Decoder, image_shape, **words)
