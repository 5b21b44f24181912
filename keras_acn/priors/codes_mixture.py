"""The priors p(z|c_n) of many codes: a table of them, and the mixture over all.

The mixture is an unconditional prior that needs no fit.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_acn._base.batches import in_batches
from keras_acn._base.checks import check_count
from keras_acn._base.errors import UserError

tfd = tfp.distributions

LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
# Floats in one intermediate [B, n, d, M] block: 32 MiB.
BLOCK_FLOATS = 2**23
# The same in the exact sum, which passes over the codes for each block: 4 MiB, for caches.
TERM_FLOATS = 2**20


def mixture_parameters(distribution):
    """Return `(log_weight, mean, stddev)`, float32 `[..., d, M]`, of a prior p(z|c).

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
    """Return `sum_d log sum_m w N(z_d | mean, stddev)`, `[...]`.

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
    """The parameters of p(z|c_n) for the N codes c_n, each computed once.

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

    Example:
      >>> from keras_acn.priors import StandardNormal
      >>> table = PriorTable(StandardNormal(latent_dim=2), np.zeros((5, 2)))
      >>> print(table.log_prob(tf.zeros([1, 2]), index=[[0, 4]]).numpy().round(3))
      [[-1.838 -1.838]]
    """

    def __init__(self, prior, codes: np.ndarray, batch_size: int = 4096):
        codes = np.asarray(codes, np.float32)
        if codes.ndim != 2 or not len(codes):
            raise UserError(f"Priors need codes of shape [N, d] with N >= 1, not {codes.shape}.")
        parameters = in_batches(
            lambda code: mixture_parameters(prior(code)), codes, size=batch_size
        )
        self.log_weight, self.mean, self.stddev = (
            tf.constant(each, tf.float32) for each in parameters
        )
        self.num_codes, self.latent_dim, self.components = self.mean.shape

    def at(self, index):
        """Return `(log_weight, mean, stddev)` of the codes `index`, each `[..., d, M]`."""
        return tuple(tf.gather(each, index) for each in (self.log_weight, self.mean, self.stddev))

    def log_prob(self, z, index):
        """Return log p(z|c_n) in nats for each `n` of `index`: `[B, k]`.

        Args:
          z: float `[B, d]`.
          index: int `[B, k]`, rows of `codes`.
        """
        return mixture_log_prob(tf.cast(z, tf.float32)[:, None, :], *self.at(index))

    def gaussian_kl(self, mean, stddev, index):
        """Return KL(N(mean, stddev^2) || p(z|c_n)) in nats, in closed form: `[B, k]`.

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


class MixtureOfCodes:
    """p(z) = (1/N) sum_n p(z|c_n): the associative prior averaged over a codebook.

    A sender and a receiver who share the model and its training codes share this prior,
    so -log p(z) is an honest unordered cost. Its exact sum has N terms for each z. All
    but a few are far too small to matter, and leaving terms out can only lower p(z), so
    what is reported as a cost is never below the exact one: an upper bound.

    With `nearest=T` only T terms are summed for each z: those whose Gaussian of the
    same mean and variance per dimension is densest at z. That ranking is one matrix
    product, `sum_d ((z - m_n)^2 / v_n + log v_n)`, and takes no part in the result.
    `truncation_nats` measures what the rest would have added.

    Args:
      prior: Callable from codes `[B, d]` to p(z|c), a Gaussian or a mixture of Gaussians
        per latent dimension.
      codes: `[N, d]`, the codes of the training data.
      nearest: Terms summed for each z, or `None` for all N.

    Raises:
      UserError: If there are no codes, `nearest` is less than 1, or the prior is of
        another kind.

    Example:
      >>> from keras_acn.priors import MixturePrior
      >>> codes = np.random.default_rng(0).normal(size=(100, 2))
      >>> mixture = MixtureOfCodes(MixturePrior(2, hidden=[8]), codes, nearest=10)
      >>> z = mixture.sample(3, seed=0)
      >>> print(z.shape, mixture.log_prob(z).shape)
      (3, 2) (3,)
      >>> bool((mixture.truncation_nats(z) >= 0).all())
      True
    """

    name = "mixture_of_codes"

    def __init__(self, prior, codes: np.ndarray, nearest: int | None = 512):
        self._set_up(PriorTable(prior, codes), nearest)

    def _set_up(self, table, nearest):
        if nearest is not None:
            nearest = check_count(nearest, "nearest (None for all)", 1)
        self.table = table
        self.num_codes = self.table.num_codes
        self.latent_dim = self.table.latent_dim
        every = nearest is None or nearest >= self.num_codes
        self.nearest = None if every else nearest
        self._ranking = None if every else moment_ranking(*_parameters(self.table))
        self._all_terms = tf.function(self._log_prob_all, reduce_retracing=True, autograph=False)
        self._near_terms = tf.function(
            self._log_prob_nearest, reduce_retracing=True, autograph=False
        )

    def with_nearest(self, nearest: int | None) -> MixtureOfCodes:
        """Return a mixture with another number of terms that shares this one's table."""
        other = MixtureOfCodes.__new__(MixtureOfCodes)
        other._set_up(self.table, nearest)
        return other

    def log_prob(self, z):
        """Return log p(z) in nats, a lower bound where terms are left out: `[B]`.

        Memory does not grow with `B * N`: the sum runs in blocks with a streaming
        log-sum-exp.

        Args:
          z: float `[B, d]`.
        """
        if self.nearest is None:
            return self._in_blocks(self._all_terms, z, self.num_codes)
        return self._in_blocks(self._near_terms, z, self.nearest)

    def exact_log_prob(self, z):
        """Return log p(z) with all N terms, whatever `nearest` is: `[B]`."""
        return self._in_blocks(self._all_terms, z, self.num_codes)

    def truncation_nats(self, z):
        """Return what leaving terms out adds to -log p(z), in nats, at least 0: `[B]`.

        NaN for a z that is so far from all codes that its probability is zero either way.
        """
        exact, truncated = np.asarray(self.exact_log_prob(z)), np.asarray(self.log_prob(z))
        with np.errstate(invalid="ignore"):
            return exact - truncated

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Return `[count, d]` samples of p(z), float32: a code at random, then its prior."""
        rng = np.random.default_rng(seed)
        row = rng.integers(self.num_codes, size=count)
        log_weight, mean, stddev = (np.asarray(each) for each in self.table.at(row))
        gumbel = rng.gumbel(size=mean.shape)
        pick = np.argmax(log_weight + gumbel, axis=-1)[..., None]  # [count, d, 1]
        noise = rng.standard_normal(pick.shape[:-1])
        mean = np.take_along_axis(mean, pick, -1)[..., 0]
        stddev = np.take_along_axis(stddev, pick, -1)[..., 0]
        return (mean + stddev * noise).astype(np.float32)

    def _in_blocks(self, function, z, terms):
        z = tf.cast(z, tf.float32)
        if z.shape.rank != 2 or z.shape[-1] != self.latent_dim:
            raise UserError(
                f"The mixture of codes takes z of shape [B, {self.latent_dim}], not {z.shape}."
            )
        per_term = self.latent_dim * self.table.components
        size = int(np.clip(BLOCK_FLOATS // (terms * per_term), 16, 256))
        if len(z) <= size:  # One batch, or none, is not worth a graph.
            return function.python_function(z)
        return tf.constant(in_batches(function, z, size=size))

    def _log_prob_nearest(self, z):
        weights, offset = self._ranking
        score = tf.matmul(tf.concat([tf.square(z), z], axis=-1), weights) + offset  # [B, N]
        _, index = tf.math.top_k(score, k=self.nearest, sorted=False)
        each = self.table.log_prob(z, index)  # [B, T]
        return tf.reduce_logsumexp(each, axis=-1) - np.float32(np.log(self.num_codes))

    def _log_prob_all(self, z):
        per_code = self.latent_dim * self.table.components
        block = max(1, min(self.num_codes, TERM_FLOATS // (per_code * 16)))
        total = tf.fill([tf.shape(z)[0]], np.float32(-np.inf))

        def add(start, total):
            stop = tf.minimum(start + block, self.num_codes)
            part = (each[start:stop] for each in _parameters(self.table))
            each = mixture_log_prob(z[:, None, :], *part)  # [B, block]
            return start + block, _logaddexp(total, tf.reduce_logsumexp(each, axis=-1))

        _, total = tf.while_loop(
            lambda start, _: start < self.num_codes, add, (0, total), parallel_iterations=1
        )
        return total - np.float32(np.log(self.num_codes))


def _parameters(table):
    return table.log_weight, table.mean, table.stddev


def _logaddexp(a, b):
    """Return `log(exp(a) + exp(b))`, also where both are minus infinity."""
    return tf.reduce_logsumexp(tf.stack([a, b]), axis=0)


def moment_ranking(log_weight, mean, stddev):
    """Return `(weights [2d, N], offset [N])` of the log density of the matched Gaussians.

    For N mixtures per dimension, each replaced by the Gaussian of its mean and variance,
    `[z^2, z] @ weights + offset` is log p(z|c_n) up to a constant.

    Args:
      log_weight: `[N, d, M]`, normalised over M.
      mean: `[N, d, M]`.
      stddev: `[N, d, M]`.
    """
    weight = tf.exp(log_weight)
    centre = tf.reduce_sum(weight * mean, axis=-1)  # [N, d]
    second = tf.square(stddev) + tf.square(mean - centre[..., None])
    variance = tf.reduce_sum(weight * second, axis=-1)
    weights = tf.concat([-0.5 / variance, centre / variance], axis=-1)
    offset = -0.5 * tf.reduce_sum(tf.square(centre) / variance + tf.math.log(variance), axis=-1)
    return tf.transpose(weights), offset
