"""Output family of 8-bit channels: a softmax over the 256 levels."""

import keras
import tensorflow as tf

from keras_acn.decoders.families.base import Likelihood


@keras.saving.register_keras_serializable("keras_acn")
class Categorical256(Likelihood):
    """8-bit channels, each with 256 logits (van den Oord et al. 2016, arXiv 1601.06759).

    The parameters of a pixel are C blocks of 256 logits, in the order of the channels.
    Given the logits the channels are independent; an autoregressive decoder computes the
    block of a channel from the channels before it.

    Example:
      >>> nats = Categorical256().log_prob(tf.zeros([256]), tf.constant([0.5]))
      >>> print(nats.numpy().round(3))  # log 256
      -5.545
    """

    short_name = "categorical"
    levels = 256

    def parameters_per_pixel(self, channels):
        """Return `256 * channels`."""
        return self.levels * channels

    def _blocks(self, params):
        """Return the logits [..., C, 256]."""
        params = tf.convert_to_tensor(params)
        shape = [params.shape[-1] // self.levels, self.levels]
        return tf.reshape(params, tf.concat([tf.shape(params)[:-1], shape], axis=0))

    def _probs(self, params):
        """Return the probabilities [..., C, 256]."""
        logits = self._blocks(params)
        # As a matrix, since TensorFlow's fast softmax refuses more than five dimensions.
        probs = tf.nn.softmax(tf.reshape(logits, [-1, self.levels]))
        return tf.reshape(probs, tf.shape(logits))

    def log_prob(self, params, pixels):
        """Return the log-probability in nats: see `Likelihood.log_prob`."""
        logits = self._blocks(params)  # [..., C, 256]
        labels = self.level_index(pixels)
        shape = tf.broadcast_dynamic_shape(tf.shape(labels), tf.shape(logits)[:-1])
        labels = tf.broadcast_to(labels, shape)
        logits = tf.broadcast_to(logits, tf.concat([shape, [self.levels]], axis=0))
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        return -tf.reduce_sum(nats, axis=-1)

    def pmf(self, params, previous, channels):
        """Return [..., 256]: see `Likelihood.pmf`."""
        return self._probs(params)[..., previous.shape[-1], :]

    def sample(self, params, channels, noise):
        """Return values `k / 255`, float32 [..., C]: see `Likelihood.sample`."""
        cumulative = tf.cumsum(self._probs(params), axis=-1)  # [..., C, 256]
        below = cumulative <= (noise * cumulative[..., -1])[..., None]
        return self.level_value(tf.reduce_sum(tf.cast(below, tf.int32), axis=-1))

    def mean(self, params, channels):
        """Return the expectation under the softmax, [..., C]."""
        return tf.reduce_sum(self._probs(params) * self.level_value(range(256)), axis=-1)

    def mode(self, params, channels):
        """Return the likeliest level of each channel, [..., C]."""
        return self.level_value(tf.argmax(self._blocks(params), axis=-1))
