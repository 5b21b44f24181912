"""What an output family is, and the distribution over images that it makes."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_acn._base.errors import UserError


class Likelihood:
    """An output family: how a network's numbers at one pixel become a distribution.

    A pixel has C channels with values in [0, 1], each on a grid of `levels` values
    `k / (levels - 1)`; values off the grid are rounded to the nearest level, save where
    a family says otherwise. Leading dimensions `...` are free everywhere: one pixel, an
    image, a batch.

    Attributes:
      levels: Number of values that one channel takes: 2 or 256, `None` for real numbers.
      is_discrete: Whether the values are so many levels, whose probabilities a codec can go by.
      links_channels: Whether the family itself makes a channel depend on the earlier
        channels of its pixel. Where it does not, channels are independent given the
        parameters, and an autoregressive decoder links them in its network.
      has_centre: Whether the distributions can be moved, see `around`.
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

    levels: int | None = 256
    is_discrete = True
    links_channels = False
    has_centre = False
    short_name = ""

    @property
    def name(self) -> str:
        """The name that `get_likelihood` knows the family by."""
        return self.short_name or type(self).__name__

    def get_config(self) -> dict:
        """Return the initialiser's arguments."""
        return {}

    @classmethod
    def from_config(cls, config):
        """Return the family that `get_config` described."""
        return cls(**config)

    def __eq__(self, other):
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self):
        return hash((type(self), tuple(sorted(self.get_config().items()))))

    def __repr__(self):
        options = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({options})"

    def parameters_per_pixel(self, channels: int) -> int:
        """Return P, the number of network outputs for a pixel of `channels` channels."""
        raise NotImplementedError

    def around(self, params, centre, channels: int):
        """Return the parameters [..., P] of the same distribution moved to a centre.

        Where a family can do so (`has_centre`), zeros for `centre` change nothing.

        Args:
          params: float32 [..., P].
          centre: [..., C], what is added to each channel, on the scale from -1 to 1.
          channels: C.
        """
        raise NotImplementedError

    def first_bias(self, channels: int) -> np.ndarray:
        """Return parameters [P] to begin with for pixels that lie near a predicted centre."""
        raise NotImplementedError

    def log_prob(self, params, pixels):
        """Return the log-probability of whole pixels in nats, summed over channels.

        Args:
          params: float32 [..., P].
          pixels: float32 [..., C] in [0, 1].

        Returns:
          float32 [...].
        """
        raise NotImplementedError

    def pmf(self, params, previous, channels):
        """Return the exact probabilities of the next channel's levels.

        Args:
          params: float32 [..., P].
          previous: float32 [..., c] in [0, 1], the pixel's first c channels, 0 <= c < C.
          channels: C.

        Returns:
          float32 [..., levels], the probabilities of channel c, which sum to one.
        """
        raise NotImplementedError

    def noise_size(self, channels: int) -> int:
        """Return n, how many uniform numbers a pixel's sample takes."""
        return channels

    def sample(self, params, channels, noise):
        """Return one sample a pixel, a deterministic function of the noise.

        Args:
          params: float32 [..., P].
          channels: C.
          noise: float32 [..., n], independent uniform numbers in [0, 1).

        Returns:
          float32 [..., C], on the grid.
        """
        raise NotImplementedError

    def mean(self, params, channels):
        """Return the expected pixels, float32 [..., C]."""
        raise NotImplementedError

    def mode(self, params, channels):
        """Return the likeliest pixels, float32 [..., C], where a family knows them."""
        raise NotImplementedError(f"{type(self).__name__} has no closed-form mode.")

    def level_index(self, pixels):
        """Return the index of the nearest level, int32, of values in [0, 1]."""
        top = self.levels - 1
        return tf.clip_by_value(tf.cast(tf.round(pixels * top), tf.int32), 0, top)

    def level_value(self, index):
        """Return the values `k / (levels - 1)`, float32, of integer indices k.

        They are looked up: in a graph TensorFlow turns the division into a product that is
        off by a bit.
        """
        top = self.levels - 1
        return tf.gather(np.arange(self.levels, dtype="float32") / np.float32(top), index)

    def distribution(self, params, image_shape: tuple[int, int, int]) -> ImageDistribution:
        """Return the distribution over images whose pixels are independent given `params`.

        Args:
          params: [..., H, W, P], any float type (computed in float32).
          image_shape: (H, W, C).

        Returns:
          `ImageDistribution` with batch shape [...] and event shape [H, W, C].

        Raises:
          UserError: If the last three dimensions of `params` do not fit.
        """
        return ImageDistribution(self, params, image_shape)


tfd = tfp.distributions


def stateless_seed(seed):
    """Return `seed` as an int32 tensor of shape [2], so that one seed gives one sample.

    Args:
      seed: An int, a tensor of shape [2], or `None` for a fresh random seed.
    """
    if seed is None:
        return tfp.random.sanitize_seed(None)
    seed = tf.cast(tf.convert_to_tensor(seed), tf.int32)
    return tf.stack([tf.zeros_like(seed), seed]) if seed.shape.rank == 0 else seed


class OverImages(tfd.Distribution):
    """What distributions over images of one output family have in common.

    Args:
      likelihood: The `Likelihood`.
      image_shape: (H, W, C).
      parameters: The subclass's arguments, as `tfd.Distribution` takes them.
      name: Name of the distribution.
    """

    def __init__(self, likelihood, image_shape, *, parameters, name):
        self._likelihood = likelihood
        self._image_shape = tuple(int(n) for n in image_shape)
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @property
    def likelihood(self):
        """The output family."""
        return self._likelihood

    @property
    def noise_shape(self):
        """Shape (H, W, n) of the uniform numbers that one image is drawn from."""
        height, width, channels = self._image_shape
        return (height, width, self._likelihood.noise_size(channels))

    def _event_shape(self):
        return tf.TensorShape(self._image_shape)

    def _event_shape_tensor(self):
        return tf.constant(self._image_shape, tf.int32)


class ImageDistribution(OverImages):
    """Images with independent pixels, each from the same output family.

    `log_prob` is in nats, summed over the pixels of an image. `sample(seed=...)` gives the
    same images for the same seed, an int or an int32 tensor of shape [2]. Batches can be
    sliced: `r[0]` is the distribution of the first image.

    Args:
      likelihood: The `Likelihood`.
      params: [..., H, W, P], any float type.
      image_shape: (H, W, C).

    Raises:
      UserError: If the last three dimensions of `params` do not fit.

    Example:
      >>> from keras_acn.decoders.families import Bernoulli
      >>> r = ImageDistribution(Bernoulli(), tf.zeros([5, 8, 8, 1]), (8, 8, 1))
      >>> print(r.batch_shape, r[1:3].batch_shape, r[0].sample(seed=1).shape)
      (5,) (2,) (8, 8, 1)
      >>> print(r[0].log_prob(tf.ones([8, 8, 1])).numpy().round(3))  # 64 pixels of log 2
      -44.361
    """

    def __init__(self, likelihood, params, image_shape, name="ImageDistribution"):
        parameters = dict(locals())
        self._params = tf.cast(params, tf.float32)
        height, width, channels = image_shape
        expected = (height, width, likelihood.parameters_per_pixel(channels))
        if not self._params.shape[-3:].is_compatible_with(expected):
            raise UserError(
                f"{likelihood!r} on images {tuple(image_shape)} takes parameters of shape "
                f"[..., {', '.join(map(str, expected))}], not {self._params.shape}."
            )
        super().__init__(likelihood, image_shape, parameters=parameters, name=name)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {"params": tfp.util.ParameterProperties(event_ndims=3)}

    @property
    def params(self):
        """The parameters, float32 [..., H, W, P]."""
        return self._params

    @property
    def channels(self):
        """C, the number of channels."""
        return self._image_shape[2]

    def sample_from(self, noise):
        """Return one image for each of a batch `[B]`, from uniform numbers [B, H, W, n]."""
        return self._likelihood.sample(self._params, self.channels, noise)

    def _batch_shape(self):
        return self._params.shape[:-3]

    def _batch_shape_tensor(self, **kwargs):
        return tf.shape(self._params)[:-3]

    def _log_prob(self, image):
        nats = self._likelihood.log_prob(self._params, image)  # [..., H, W]
        return tf.reduce_sum(nats, axis=[-2, -1])

    def _sample_n(self, n, seed=None):
        noise_size = self._likelihood.noise_size(self.channels)
        shape = tf.concat([[n], tf.shape(self._params)[:-1], [noise_size]], axis=0)
        noise = tf.random.stateless_uniform(shape, stateless_seed(seed))
        return self._likelihood.sample(self._params[None], self.channels, noise)

    def _mean(self):
        return self._likelihood.mean(self._params, self.channels)

    def _mode(self):
        return self._likelihood.mode(self._params, self.channels)
