"""Which codes of the training data a latent may have come from."""

import numpy as np
import tensorflow as tf

from keras_acn._base.errors import UserError
from keras_acn.codec.networks import Compiled, in_passes
from keras_acn.codec.priors import GivenPrior
from keras_acn.priors.codes_mixture import moment_ranking

# Images ranked at a time, and looked up at a time: the scores are 64 x N floats, and what is
# gathered for a look-up the priors of 16 x 128 codes.
RANKED, LOOK_UP = 64, 16
# Floats of a look-up at most, where very many codes are taken to matter.
LOOK_UP_FLOATS = 2**24
# Scores are ranked after rounding to 2**-16, and log-probabilities taken after rounding to
# 2**-8 nats: far above what float64 leaves open, far below what costs bits.
RANK_ROUNDING = 2.0**16
NATS_ROUNDING = 2.0**8
# A code's index is pushed as a uniform number, of less than 24 bits.
MAX_CODES = 2**24
CODES_AT_A_TIME = 1024
# The best scores are searched in the best groups of so many.
GROUP = 16


class CodeIndex:
    """The priors p(z|c_n) of N codes, and the ones that matter at a z.

    Which ones matter is told by the Gaussians of the same means and variances, as in
    `MixtureOfCodes`; how much they matter, by the priors themselves.

    Attributes:
      num_codes: N.
      nearest: How many are taken to matter.

    Args:
      networks: `Networks` of an associative model.
      codes: `[N, d]`.
      nearest: How many codes are taken to matter, at least 1.
      progress: Optional callable `progress(done, total)`.

    Raises:
      UserError: If there are more codes than an index can tell apart.
    """

    def __init__(self, networks, codes, nearest, progress=None):
        if len(codes) >= MAX_CODES:
            raise UserError(
                f"A mixture of {len(codes)} codes is too large to code with: at most "
                f"{MAX_CODES - 1:,} are possible, so train on fewer images."
            )
        parts = []
        size = min(CODES_AT_A_TIME, len(codes))
        for start in range(0, len(codes), size):
            parts.append(networks.given(np.asarray(codes[start : start + size], float), size))
            if progress is not None:
                progress(min(start + size, len(codes)), len(codes))
        log_weight, mean, stddev = (np.concatenate(each) for each in zip(*parts, strict=True))
        self.num_codes = len(codes)
        self.nearest = min(int(nearest), self.num_codes)
        # A component's density is exp(height - ((z - mean) * slope)^2) up to a constant. Kept in
        # float32: half the memory, and as good as equal on both sides as float64.
        self._height = tf.constant((log_weight - np.log(stddev)).astype(np.float32))
        self._mean = tf.constant(mean.astype(np.float32))
        self._slope = tf.constant((np.sqrt(0.5) / stddev).astype(np.float32))
        weights, offset = moment_ranking(*map(tf.constant, (log_weight, mean, stddev)))
        # Filled up to whole groups with codes that are never the best.
        fill = -self.num_codes % GROUP
        self._weights = tf.pad(weights, [[0, 0], [0, fill]])
        self._offset = tf.pad(offset, [[0, fill]], constant_values=-1e30)
        per_image = self.nearest * mean.shape[1] * mean.shape[2]
        self._looked_up = max(1, min(LOOK_UP, LOOK_UP_FLOATS // per_image))
        self._rank = Compiled(self._rank_batch)
        self._look_up = Compiled(self._look_up_batch)

    def prior(self, rows):
        """Returns the `GivenPrior` of codes, int `[n]`."""
        tables = (self._height, self._mean, self._slope)
        height, mean, slope = (table.numpy()[rows].astype(np.float64) for table in tables)
        return GivenPrior(height - np.log(slope), mean, np.sqrt(0.5) / slope)

    def candidates(self, z):
        """Returns the codes that matter at z, and the posterior over them.

        Args:
          z: float64 `[n, d]`.

        Returns:
          `(rows, probabilities)`, int32 and float64 `[n, nearest]`.
        """
        if self.nearest == self.num_codes:
            rows = np.tile(np.arange(self.num_codes, dtype=np.int32), (len(z), 1))
        else:
            rows = in_passes(self._rank, RANKED, z)
        nats = in_passes(self._look_up, self._looked_up, z, rows)
        nats = np.rint(nats * NATS_ROUNDING) / NATS_ROUNDING
        probabilities = np.exp(nats - nats.max(axis=1, keepdims=True))
        return rows, probabilities / probabilities.sum(axis=1, keepdims=True)

    def _rank_batch(self, z):
        score = tf.matmul(tf.concat([tf.square(z), z], axis=-1), self._weights) + self._offset
        score = tf.round(score * RANK_ROUNDING)  # [n, N]
        # Group g is rows g, g + G, g + 2 G, ...: the best k are in the k best groups. Among
        # equals the first comes first, on both sides.
        groups = score.shape[1] // GROUP
        best = tf.reduce_max(tf.reshape(score, [-1, GROUP, groups]), axis=1)
        _, group = tf.math.top_k(best, k=min(self.nearest, groups))
        rows = group[:, :, None] + groups * tf.range(GROUP)
        rows = tf.reshape(rows, [score.shape[0], -1])
        _, place = tf.math.top_k(tf.gather(score, rows, batch_dims=1), k=self.nearest)
        return tf.gather(rows, place, batch_dims=1)

    def _look_up_batch(self, z, rows):
        tables = (self._height, self._mean, self._slope)
        height, mean, slope = (tf.cast(tf.gather(table, rows), tf.float64) for table in tables)
        density = tf.exp(height - tf.square((z[:, None, :, None] - mean) * slope))
        density = tf.reduce_sum(density, axis=-1)  # [n, k, d]
        return tf.reduce_sum(tf.math.log(density + 1e-300), axis=-1)
