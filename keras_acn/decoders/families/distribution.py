"""Images whose pixels are independent, each from the same output family."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from keras_acn._base.errors import UserError

tfd = tfp.distributions


def stateless_seed(seed):
    """Returns `seed` as an int32 tensor of shape [2], so that one seed gives one sample.

    Args:
      seed: An int, a tensor of shape [2], or `None` for a fresh random seed.
    """
    if seed is None:
        return tfp.random.sanitize_seed(None)
    seed = tf.cast(tf.convert_to_tensor(seed), tf.int32)
    return tf.stack([tf.zeros_like(seed), seed]) if seed.shape.rank == 0 else seed


class ImageDistribution(tfd.Distribution):
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
        self._likelihood = likelihood
        self._image_shape = tuple(int(n) for n in image_shape)
        self._params = tf.cast(params, tf.float32)
        expected = self._image_shape[:2] + (likelihood.parameters_per_pixel(self.channels),)
        if not self._params.shape[-3:].is_compatible_with(expected):
            raise UserError(
                f"{likelihood!r} on images {self._image_shape} takes parameters of shape "
                f"[..., {', '.join(map(str, expected))}], not {self._params.shape}."
            )
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {"params": tfp.util.ParameterProperties(event_ndims=3)}

    @property
    def likelihood(self):
        """The output family."""
        return self._likelihood

    @property
    def params(self):
        """The parameters, float32 [..., H, W, P]."""
        return self._params

    @property
    def channels(self):
        """C, the number of channels."""
        return self._image_shape[2]

    @property
    def noise_shape(self):
        """Shape (H, W, n) of the uniform numbers that one image is drawn from."""
        return (*self._image_shape[:2], self._likelihood.noise_size(self.channels))

    def sample_from(self, noise):
        """Returns one image for each of a batch `[B]`, from uniform numbers [B, H, W, n]."""
        return self._likelihood.sample(self._params, self.channels, noise)

    def _batch_shape(self):
        return self._params.shape[:-3]

    def _batch_shape_tensor(self, **kwargs):
        return tf.shape(self._params)[:-3]

    def _event_shape(self):
        return tf.TensorShape(self._image_shape)

    def _event_shape_tensor(self):
        return tf.constant(self._image_shape, tf.int32)

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
