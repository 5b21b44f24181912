"""The mixture of codes: an unconditional prior that needs no fit."""

import numpy as np
import tensorflow as tf

from keras_acn._base.errors import UserError
from keras_acn.priors.prior_table import PriorTable, mixture_log_prob

# Floats in one intermediate [B, n, d, M] block: 32 MiB.
BLOCK_FLOATS = 2**23
# The same in the exact sum, which passes over the codes for each block: 4 MiB, for caches.
TERM_FLOATS = 2**20


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
    """

    name = "mixture_of_codes"

    def __init__(self, prior, codes, nearest=512):
        self._set_up(PriorTable(prior, codes), nearest)

    def _set_up(self, table, nearest):
        if nearest is not None and int(nearest) < 1:
            raise UserError(f"nearest must be at least 1, or None for all, not {nearest}.")
        self.table = table
        self.num_codes = self.table.num_codes
        self.latent_dim = self.table.latent_dim
        every = nearest is None or int(nearest) >= self.num_codes
        self.nearest = None if every else int(nearest)
        self._ranking = None if every else moment_ranking(*_parameters(self.table))
        self._all_terms = tf.function(self._log_prob_all, reduce_retracing=True, autograph=False)
        self._near_terms = tf.function(
            self._log_prob_nearest, reduce_retracing=True, autograph=False
        )

    def with_nearest(self, nearest):
        """Returns this mixture with another number of terms, its priors not worked out again."""
        other = MixtureOfCodes.__new__(MixtureOfCodes)
        other._set_up(self.table, nearest)
        return other

    def log_prob(self, z):
        """Returns log p(z) in nats, a lower bound where terms are left out: `[B]`.

        Memory does not grow with `B * N`: the sum runs in blocks with a streaming
        log-sum-exp.

        Args:
          z: float `[B, d]`.
        """
        if self.nearest is None:
            return self._in_blocks(self._all_terms, z, self.num_codes)
        return self._in_blocks(self._near_terms, z, self.nearest)

    def exact_log_prob(self, z):
        """Returns log p(z) with all N terms, whatever `nearest` is: `[B]`."""
        return self._in_blocks(self._all_terms, z, self.num_codes)

    def truncation_nats(self, z):
        """Returns what leaving terms out adds to -log p(z), in nats, at least 0: `[B]`."""
        return np.asarray(self.exact_log_prob(z)) - np.asarray(self.log_prob(z))

    def sample(self, count, seed=0):
        """Returns `[count, d]` samples of p(z), float32: a code at random, then its prior."""
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
        if len(z) <= size:
            return function.python_function(z)
        return tf.concat([function(z[i : i + size]) for i in range(0, len(z), size)], axis=0)

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
    """Returns `log(exp(a) + exp(b))`, also where both are minus infinity."""
    return tf.reduce_logsumexp(tf.stack([a, b]), axis=0)


def moment_ranking(log_weight, mean, stddev):
    """Returns `(weights [2d, N], offset [N])` of the log density of the matched Gaussians.

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
