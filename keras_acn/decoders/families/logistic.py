"""Output family of 8-bit pixels: a mixture of discretized logistics."""

import keras
import numpy as np
import tensorflow as tf

from keras_acn._base.checks import check_count
from keras_acn.decoders.families.base import Likelihood

# A scale of exp(-7) is 0.12 levels: narrower ones put all mass on one level, and only
# make the gradients explode.
MIN_LOG_SCALE = -7.0
# Where pixels have been predicted, what is left is some levels wide, and the channels of a pixel
# are off in the same direction. Of several ranges and links this one codes crops of photographs
# best before any training: 4.07 bits per dimension.
FIRST_LOG_SCALES, FIRST_LINK = (-6.0, -2.5), 0.9


@keras.saving.register_keras_serializable("keras_acn")
class DiscretizedLogisticMixture(Likelihood):
    """8-bit pixels from a mixture of M logistics cut at the levels' boundaries.

    As in PixelCNN++ (Salimans et al. 2017, arXiv 1701.05517), with y = 2 x - 1:

        p(x) = sum_m pi_m prod_c [F((y_c - mu_mc + 1/255) / s_mc)
                                  - F((y_c - mu_mc - 1/255) / s_mc)]
        mu_mc = mean_mc + sum_{c' < c} tanh(coefficient_mcc') y_c'

    where F is the logistic function, and levels 0 and 255 take the tails. A pixel's
    component is drawn once and the mean of a channel follows the channels before it, so
    the channels of a pixel are linked (in the order R, G, B).

    The parameters of a pixel are, in order: M logits of pi; M x C means; M x C logs of
    the scales (floored at -7); M x C (C - 1) / 2 coefficients, for c = 1: c' = 0, then for
    c = 2: c' = 0, 1, and so on.

    Args:
      components: M.

    Raises:
      UserError: If `components` is no positive whole number.

    Example:
      >>> likelihood = DiscretizedLogisticMixture(components=2)
      >>> pmf = likelihood.pmf(tf.zeros([6]), tf.zeros([0]), channels=1)
      >>> print(pmf.shape, tf.reduce_sum(pmf).numpy().round(3))
      (256,) 1.0
    """

    short_name = "discretized_logistic_mixture"
    levels = 256
    links_channels = True
    has_centre = True

    def __init__(self, components: int = 10):
        self.components = check_count(components, "components", 1)

    def get_config(self):
        """Return the initialiser's arguments."""
        return {"components": self.components}

    def parameters_per_pixel(self, channels):
        """Return `M (1 + 2 C + C (C - 1) / 2)`: 3 M for grey, 10 M for colour."""
        return self.components * (1 + 2 * channels + channels * (channels - 1) // 2)

    def around(self, params, centre, channels):
        """Return parameters moved to a centre: see `Likelihood.around`.

        A channel follows what the channels before it differ from their centres, not their values.
        """
        m = self.components
        logits, means, log_scales, links = tf.split(
            params, [m, m * channels, m * channels, -1], axis=-1
        )
        moved, start = [], 0
        for c, mean in enumerate(tf.split(means, channels, axis=-1)):
            mean += centre[..., c : c + 1]
            for earlier in range(c):
                link = tf.tanh(links[..., start : start + m])
                mean -= link * centre[..., earlier : earlier + 1]
                start += m
            moved.append(mean)
        return tf.concat([logits, *moved, log_scales, links], axis=-1)

    def first_bias(self, channels):
        """Return parameters [P] to begin with: see `Likelihood.first_bias`."""
        m = self.components
        scales = np.tile(np.linspace(*FIRST_LOG_SCALES, m), channels)
        # A channel follows the one before it.
        follows = [earlier == c - 1 for c in range(channels) for earlier in range(c)]
        links = np.repeat(np.arctanh(FIRST_LINK) * np.asarray(follows, float), m)
        return np.concatenate([np.zeros(m * (1 + channels)), scales, links]).astype(np.float32)

    def _split(self, params, channels):
        """Return logits [..., M] and lists over channels of means, log-scales, coefficients."""
        sizes = [1] + [1] * (2 * channels) + list(range(channels))
        parts = tf.split(params, [self.components * n for n in sizes], axis=-1)
        means = parts[1 : 1 + channels]
        log_scales = [tf.maximum(p, MIN_LOG_SCALE) for p in parts[1 + channels : 1 + 2 * channels]]
        coefficients = [
            [tf.tanh(k) for k in tf.split(p, c, axis=-1)] if c else []
            for c, p in enumerate(parts[1 + 2 * channels :])
        ]
        return parts[0], means, log_scales, coefficients

    def _grid(self, pixels):
        """Return the nearest level in [-1, 1] and its index as a float."""
        index = tf.clip_by_value(tf.round(pixels * 255.0), 0.0, 255.0)
        return index / 127.5 - 1.0, index

    def _component_log_probs(self, means, log_scales, coefficients, pixels):
        """Return log p(first channels of the pixel | component), [..., M]."""
        known = []
        total = 0.0
        for c in range(pixels.shape[-1]):
            y, index = self._grid(pixels[..., c : c + 1])  # [..., 1]
            mean = sum((k * e for k, e in zip(coefficients[c], known, strict=True)), means[c])
            total += _log_bin(y, index, mean, log_scales[c])
            known.append(y)
        return total

    def log_prob(self, params, pixels):
        """Return the log-probability in nats: see `Likelihood.log_prob`."""
        logits, *rest = self._split(params, pixels.shape[-1])
        log_probs = self._component_log_probs(*rest, pixels)
        return tf.reduce_logsumexp(_log_normalize(logits) + log_probs, axis=-1)

    def pmf(self, params, previous, channels):
        """Return [..., 256]: see `Likelihood.pmf`."""
        c = previous.shape[-1]
        logits, means, log_scales, coefficients = self._split(params, channels)
        log_weights = _log_normalize(logits)
        # The earlier channels tell which component the pixel came from.
        if c:
            log_weights += self._component_log_probs(means, log_scales, coefficients, previous)
        known = [self._grid(previous[..., i : i + 1])[0] for i in range(c)]
        mean = sum((k * e for k, e in zip(coefficients[c], known, strict=True)), means[c])
        index = tf.range(256, dtype=tf.float32)
        log_bins = _log_bin(index / 127.5 - 1.0, index, mean[..., None], log_scales[c][..., None])
        return tf.reduce_sum(tf.exp(_log_normalize(log_weights)[..., None] + log_bins), axis=-2)

    def noise_size(self, channels):
        """Return `M + C`: the component, then each channel."""
        return self.components + channels

    def sample(self, params, channels, noise):
        """Return values `k / 255`, float32 [..., C]: see `Likelihood.sample`.

        A logistic number rounded to the nearest level, with the tails at the ends, has
        exactly the discretized distribution.
        """
        logits, means, log_scales, coefficients = self._split(params, channels)
        # Above zero and below one, so that all logs exist: the noise has steps of 2**-23.
        noise = noise + 2.0**-25
        gumbel = -tf.math.log(-tf.math.log(noise[..., : self.components]))
        chosen = tf.one_hot(tf.argmax(logits + gumbel, axis=-1), self.components)  # [..., M]
        noise = noise[..., self.components :]
        noise = tf.math.log(noise) - tf.math.log1p(-noise)

        def pick(values):
            return tf.reduce_sum(values * chosen, axis=-1)

        known, levels = [], []
        for c in range(channels):
            mean = pick(means[c])
            for coefficient, earlier in zip(coefficients[c], known, strict=True):
                mean += pick(coefficient) * earlier
            y = mean + tf.exp(pick(log_scales[c])) * noise[..., c]
            y, level = self._grid((y + 1.0) / 2.0)
            known.append(y)
            levels.append(tf.cast(level, tf.int32))
        return self.level_value(tf.stack(levels, axis=-1))

    def mean(self, params, channels):
        """Return the expected pixels, [..., C], to within about one level.

        The mean of a logistic clipped to the range is in closed form; rounding to levels is
        neglected, and a channel's centre is taken at the mean of the channels before it.
        """
        logits, means, log_scales, coefficients = self._split(params, channels)
        weights = tf.exp(_log_normalize(logits))
        known = []
        for c in range(channels):
            centre = sum((k * e for k, e in zip(coefficients[c], known, strict=True)), means[c])
            scale = tf.exp(log_scales[c])
            upper = tf.nn.softplus((centre + 1.0) / scale)
            lower = tf.nn.softplus((centre - 1.0) / scale)
            known.append(scale * (upper - lower) - 1.0)
        expected = tf.stack([tf.reduce_sum(weights * e, axis=-1) for e in known], axis=-1)
        return tf.clip_by_value((expected + 1.0) / 2.0, 0.0, 1.0)


def _log_normalize(logits):
    """Return the logs of the weights, for any number of dimensions."""
    return logits - tf.reduce_logsumexp(logits, axis=-1, keepdims=True)


def _log_bin(y, index, mean, log_scale):
    """Return the log of a logistic's mass within 1/255 of y, tails at both ends.

    F(a) - F(b) = F(a) F(-b) (1 - exp(b - a)) holds everywhere, and none of its factors
    cancels, so that no far tail needs a special case.
    """
    inverse = tf.exp(-log_scale)
    upper = (y - mean + 1.0 / 255.0) * inverse
    lower = (y - mean - 1.0 / 255.0) * inverse
    log_below = tf.where(index > 254.5, 0.0, tf.math.log_sigmoid(upper))
    log_above = tf.where(index < 0.5, 0.0, tf.math.log_sigmoid(-lower))
    inside = (index > 0.5) & (index < 254.5)
    log_width = tf.math.log(-tf.math.expm1(-2.0 / 255.0 * inverse))
    return log_below + log_above + tf.where(inside, log_width, 0.0)
