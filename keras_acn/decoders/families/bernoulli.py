"""The simplest output family: Bernoulli pixels."""

import keras
import tensorflow as tf

from keras_acn.decoders.families.base import Likelihood


@keras.saving.register_keras_serializable("keras_acn")
class Bernoulli(Likelihood):
    """Binary channels, with one logit each.

    Values between 0 and 1 are not rounded: their "log-probability" is the negative
    cross-entropy `x log p + (1 - x) log(1 - p)`, which is what the published autoencoder
    posts train on. It is a training loss only: grey values have no Bernoulli code length.

    Example:
      >>> nats = Bernoulli().log_prob(tf.zeros([3]), tf.constant([0.0, 1.0, 1.0]))
      >>> print(nats.numpy().round(3))  # three channels of log 2
      -2.079
    """

    short_name = "bernoulli"
    levels = 2

    def parameters_per_pixel(self, channels):
        """Return `channels`: one logit each."""
        return channels

    def log_prob(self, params, pixels):
        """Return the negative cross-entropy in nats: see `Likelihood.log_prob`."""
        one, zero = tf.math.log_sigmoid(params), tf.math.log_sigmoid(-params)
        return tf.reduce_sum(pixels * one + (1.0 - pixels) * zero, axis=-1)

    def pmf(self, params, previous, channels):
        """Return [..., 2]: see `Likelihood.pmf`."""
        logit = params[..., previous.shape[-1]]
        return tf.stack([tf.sigmoid(-logit), tf.sigmoid(logit)], axis=-1)

    def sample(self, params, channels, noise):
        """Return zeros and ones, float32 [..., C]: see `Likelihood.sample`."""
        return tf.cast(noise < tf.sigmoid(params), tf.float32)

    def mean(self, params, channels):
        """Return the probabilities of a one, [..., C]."""
        return tf.sigmoid(params)

    def mode(self, params, channels):
        """Return the likelier of 0 and 1, [..., C]."""
        return tf.cast(params > 0, tf.float32)
