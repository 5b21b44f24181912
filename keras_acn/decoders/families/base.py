"""What an output family is."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from keras_acn.decoders.families.distribution import ImageDistribution


class Likelihood:
    """An output family: how a network's numbers at one pixel become a distribution.

    A pixel has C channels with values in [0, 1], each on a grid of `levels` values
    `k / (levels - 1)`; values off the grid are rounded to the nearest level, save where
    a family says otherwise. Leading dimensions `...` are free everywhere: one pixel, an
    image, a batch.

    Attributes:
      levels: Number of values that one channel takes: 2 or 256.
      links_channels: Whether the family itself makes a channel depend on the earlier
        channels of its pixel. Where it does not, channels are independent given the
        parameters, and an autoregressive decoder links them in its network.
      short_name: The name that `get_likelihood` knows a family of this package by.

    Example:
      >>> from keras_acn.decoders import get_likelihood
      >>> likelihood = get_likelihood({"name": "discretized_logistic_mixture", "components": 5})
      >>> likelihood.levels, likelihood.parameters_per_pixel(channels=1)
      (256, 15)
      >>> params = tf.zeros([2, 15])  # of two grey pixels
      >>> print(likelihood.log_prob(params, tf.zeros([2, 1])).shape)
      (2,)
      >>> print(likelihood.pmf(params, tf.zeros([2, 0]), channels=1).shape)
      (2, 256)
    """

    short_name: str
    levels = 256
    links_channels = False
    short_name = ""

    @property
    def name(self) -> str:
        """The name that `get_likelihood` knows the family by."""
        return self.short_name or type(self).__name__

    def get_config(self) -> dict:
        """Returns the initialiser's arguments."""
        return {}

    @classmethod
    def from_config(cls, config):
        """Returns the family that `get_config` described."""
        return cls(**config)

    def __eq__(self, other):
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self):
        return hash((type(self), tuple(sorted(self.get_config().items()))))

    def __repr__(self):
        options = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({options})"

    def parameters_per_pixel(self, channels: int) -> int:
        """Returns P, the number of network outputs for a pixel of `channels` channels."""
        raise NotImplementedError

    def log_prob(self, params, pixels):
        """Returns the log-probability of whole pixels in nats, summed over channels.

        Args:
          params: float32 [..., P].
          pixels: float32 [..., C] in [0, 1].

        Returns:
          float32 [...].
        """
        raise NotImplementedError

    def pmf(self, params, previous, channels):
        """Returns the exact probabilities of the next channel's levels.

        Args:
          params: float32 [..., P].
          previous: float32 [..., c] in [0, 1], the pixel's first c channels, 0 <= c < C.
          channels: C.

        Returns:
          float32 [..., levels], the probabilities of channel c, which sum to one.
        """
        raise NotImplementedError

    def noise_size(self, channels: int) -> int:
        """Returns n, how many uniform numbers a pixel's sample takes."""
        return channels

    def sample(self, params, channels, noise):
        """Returns one sample a pixel, a deterministic function of the noise.

        Args:
          params: float32 [..., P].
          channels: C.
          noise: float32 [..., n], independent uniform numbers in [0, 1).

        Returns:
          float32 [..., C], on the grid.
        """
        raise NotImplementedError

    def mean(self, params, channels):
        """Returns the expected pixels, float32 [..., C]."""
        raise NotImplementedError

    def mode(self, params, channels):
        """Returns the likeliest pixels, float32 [..., C], where a family knows them."""
        raise NotImplementedError(f"{type(self).__name__} has no closed-form mode.")

    def level_index(self, pixels):
        """Returns the index of the nearest level, int32, of values in [0, 1]."""
        top = self.levels - 1
        return tf.clip_by_value(tf.cast(tf.round(pixels * top), tf.int32), 0, top)

    def level_value(self, index):
        """Returns the values `k / (levels - 1)`, float32, of integer indices k.

        They are looked up: in a graph TensorFlow turns the division into a product that is
        off by a bit.
        """
        top = self.levels - 1
        return tf.gather(np.arange(self.levels, dtype="float32") / np.float32(top), index)

    def distribution(self, params, image_shape: tuple[int, int, int]) -> ImageDistribution:
        """Returns the distribution over images whose pixels are independent given `params`.

        Args:
          params: [..., H, W, P], any float type (computed in float32).
          image_shape: (H, W, C).

        Returns:
          `ImageDistribution` with batch shape [...] and event shape [H, W, C].

        Raises:
          UserError: If the last three dimensions of `params` do not fit.
        """
        return ImageDistribution(self, params, image_shape)
