"""Output families of real numbers, for values that are not to be coded."""

from __future__ import annotations

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_acn._base.checks import check_number
from keras_acn.decoders.families.base import Likelihood

tfd = tfp.distributions


class _Density(Likelihood):
    """A density over values in [0, 1]: its nats are a training loss, and no code length.

    They may be below zero, as a density may be above one, and compare with nothing but the same
    density on the same images. A decoder that goes pixel by pixel cannot have one, as it draws
    from a table of probabilities.
    """

    levels = None
    is_discrete = False

    def _marginal(self, params):
        """Return the distribution of each channel, a `tfd.Distribution` of batch [..., C]."""
        raise NotImplementedError

    def log_prob(self, params, pixels):
        """Return the log-density, summed over channels: see `Likelihood.log_prob`."""
        return tf.reduce_sum(self._marginal(params).log_prob(pixels), axis=-1)

    def sample(self, params, channels, noise):
        """Return values in [0, 1], float32 [..., C]: see `Likelihood.sample`."""
        # A uniform number of 0 has the quantile minus infinity.
        noise = tf.clip_by_value(noise, 1e-6, 1 - 1e-6)
        return tf.clip_by_value(self._marginal(params).quantile(noise), 0.0, 1.0)

    def mean(self, params, channels):
        """Return the expected values, [..., C]."""
        return tf.clip_by_value(self._marginal(params).mean(), 0.0, 1.0)


@keras.saving.register_keras_serializable("keras_acn")
class ContinuousBernoulli(_Density):
    """Channels between 0 and 1 with one logit each, and the density that a Bernoulli lacks there.

    The cross-entropy of grey values under a Bernoulli is no density, as it does not integrate to
    one. This is the same with its normaliser, C(p) p^x (1 - p)^(1 - x): Loaiza-Ganem and
    Cunningham 2019, "The continuous Bernoulli", arXiv 1907.06845, equation 4.

    Example:
      >>> nats = ContinuousBernoulli().log_prob(tf.zeros([1]), tf.constant([0.3]))
      >>> bool(abs(nats) < 1e-6)  # of logit 0: uniform on [0, 1]
      True
    """

    short_name = "continuous_bernoulli"

    def parameters_per_pixel(self, channels):
        """Return `channels`: one logit each."""
        return channels

    def _marginal(self, params):
        # Beyond, the density is a spike whose moments float32 does not hold.
        return tfd.ContinuousBernoulli(logits=tf.clip_by_value(params, -30.0, 30.0))


@keras.saving.register_keras_serializable("keras_acn")
class Gaussian(_Density):
    """Channels that are Gaussian, with a mean and a standard deviation that are learned.

    Of a channel's two parameters the first is a logit, whose sigmoid is the mean, and the second
    the logarithm of the deviation, kept between `smallest` and 1: without a bound below, the
    density of a pixel that never changes grows without end. As many learned scales as pixels are
    what Rybkin, Daniilidis and Levine 2021 (arXiv 2006.13202) call a sigma-VAE's.

    Args:
      smallest: The least standard deviation, in the units of the pixels; half of one of 256
        levels by default.

    Example:
      >>> nats = Gaussian().log_prob(tf.zeros([2]), tf.constant([0.5]))
      >>> print(nats.numpy().round(3))  # -log sqrt(2 pi)
      -0.919
    """

    short_name = "gaussian"

    def __init__(self, smallest: float = 1 / 512):
        self.smallest = check_number(
            smallest, "smallest", "a number above zero", lambda deviation: deviation > 0
        )

    def parameters_per_pixel(self, channels):
        """Return `2 * channels`: the logits of the means, then the logarithms of the scales."""
        return 2 * channels

    def _marginal(self, params):
        logit, log_scale = tf.split(params, 2, axis=-1)
        scale = tf.clip_by_value(tf.exp(log_scale), self.smallest, 1.0)
        return tfd.Normal(tf.sigmoid(logit), scale)

    def get_config(self):
        return {"smallest": self.smallest}
