"""The priors p(z|c_n) of many codes at once, evaluated without the network."""

import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_acn._base.errors import UserError

tfd = tfp.distributions

LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)


def mixture_parameters(distribution):
    """Returns `(log_weight, mean, stddev)`, float32 `[..., d, M]`, of a prior p(z|c).

    Args:
      distribution: What a prior of this package returns: `tfd.Independent` of a
        `tfd.Normal` (then M is 1) or of a mixture of them per dimension.

    Raises:
      UserError: If it is any other distribution.
    """
    marginal = distribution.distribution if isinstance(distribution, tfd.Independent) else None
    if isinstance(marginal, tfd.Normal):
        mean, stddev = marginal.mean()[..., None], marginal.stddev()[..., None]
        return tf.zeros_like(mean), mean, stddev
    if isinstance(marginal, tfd.MixtureSameFamily):
        parts, weights = marginal.components_distribution, marginal.mixture_distribution
        if isinstance(parts, tfd.Normal):
            log_weight = tf.math.log_softmax(weights.logits_parameter(), axis=-1)
            mean = parts.mean()
            return log_weight + tf.zeros_like(mean), mean, parts.stddev()
    raise UserError(
        "A table of priors needs a prior network whose distribution is a Gaussian or a "
        "mixture of Gaussians per latent dimension, such as StandardNormal or MixturePrior."
    )


def mixture_log_prob(z, log_weight, mean, stddev):
    """Returns `sum_d log sum_m w N(z_d | mean, stddev)`, `[...]`.

    Args:
      z: `[..., d]`, broadcast against the rest.
      log_weight: `[..., d, M]`, normalised over M.
      mean: `[..., d, M]`.
      stddev: `[..., d, M]`.
    """
    scaled = (z[..., None] - mean) / stddev
    each = log_weight - tf.math.log(stddev) - 0.5 * tf.square(scaled)
    if each.shape[-1] == 1:
        marginal = each[..., 0]
    else:
        marginal = tf.reduce_logsumexp(each, axis=-1)
    return tf.reduce_sum(marginal - LOG_SQRT_2PI, axis=-1)


class PriorTable:
    """The parameters of p(z|c_n) for the N codes c_n, each worked out once.

    Evaluating a tour, ten neighbours or a mixture over a codebook asks for the same
    few priors again and again. Here they are `3 N d M` floats that are looked up.

    Attributes:
      log_weight: float32 `[N, d, M]`, normalised over M.
      mean: float32 `[N, d, M]`.
      stddev: float32 `[N, d, M]`.

    Args:
      prior: Callable from codes `[B, d]` to p(z|c), batch `[B]`, event `[d]`.
      codes: `[N, d]`.
      batch_size: Codes given to `prior` at a time.

    Raises:
      UserError: If there are no codes, or the prior is not of Gaussians (see
        `mixture_parameters`).
    """

    def __init__(self, prior, codes, batch_size=4096):
        codes = np.asarray(codes, np.float32)
        if codes.ndim != 2 or not len(codes):
            raise UserError(f"Priors need codes of shape [N, d] with N >= 1, not {codes.shape}.")
        blocks = [
            mixture_parameters(prior(tf.constant(codes[start : start + batch_size])))
            for start in range(0, len(codes), batch_size)
        ]
        self.log_weight, self.mean, self.stddev = (
            tf.concat([tf.cast(block[i], tf.float32) for block in blocks], axis=0) for i in range(3)
        )
        self.num_codes, self.latent_dim, self.components = self.mean.shape

    def at(self, index):
        """Returns `(log_weight, mean, stddev)` of the codes `index`, each `[..., d, M]`."""
        return tuple(tf.gather(each, index) for each in (self.log_weight, self.mean, self.stddev))

    def log_prob(self, z, index):
        """Returns log p(z|c_n) in nats for each `n` of `index`: `[B, k]`.

        Args:
          z: float `[B, d]`.
          index: int `[B, k]`, rows of `codes`.
        """
        return mixture_log_prob(tf.cast(z, tf.float32)[:, None, :], *self.at(index))

    def gaussian_kl(self, mean, stddev, index):
        """Returns KL(N(mean, stddev^2) || p(z|c_n)) in nats, in closed form: `[B, k]`.

        Args:
          mean: float `[B, d]`.
          stddev: float `[B, d]`.
          index: int `[B, k]`, rows of `codes`.

        Raises:
          ValueError: If the priors have more than one component, for which there is no
            closed form.
        """
        if self.components != 1:
            raise ValueError("There is no closed form of the KL to a mixture.")
        _, prior_mean, prior_stddev = self.at(index)
        q = tfd.Normal(tf.cast(mean, tf.float32)[:, None], tf.cast(stddev, tf.float32)[:, None])
        p = tfd.Normal(prior_mean[..., 0], prior_stddev[..., 0])
        return tf.reduce_sum(tfd.kl_divergence(q, p), axis=-1)
