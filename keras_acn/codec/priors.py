"""Priors of latents: what they cost on a grid, as codecs."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from keras_acn._base.batches import in_batches
from keras_acn._base.errors import UserError
from keras_acn._base.progress import Progress
from keras_acn.codec.bits_back import bits_back
from keras_acn.codec.grid import LatentGrid
from keras_acn.codec.networks import Compiled, Networks
from keras_acn.codec.stack import Codec, categorical, gaussian, uniform
from keras_acn.codec.threads import side_by_side
from keras_acn.priors.codes_mixture import moment_ranking

# Logits are rounded to 1/256, so that both sides have the same.
LOGIT_ROUNDING = 256
# Images ranked at a time, and looked up at a time: the scores are 32 x N floats, and what is
# gathered for a look-up the priors of 16 x 128 codes.
RANKED, LOOK_UP = 32, 16
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


@dataclasses.dataclass(frozen=True)
class GivenPrior:
    """p(z) = prod_d sum_m w_m^d N(z^d | mean_m^d, stddev_m^d), with known parameters.

    The component m is a latent variable: it is popped from the stack by its posterior given
    z, and pushed by its weight. So a latent costs `-log2 p(z)` and not the cost of one
    component.

    Attributes:
      log_weight: `[n, d, M]`, logs of the weights; they need not be normalised.
      mean: `[n, d, M]`.
      stddev: `[n, d, M]`.

    Example:
      >>> from keras_acn.codec.stack import Stack
      >>> prior = GivenPrior(np.zeros((1, 2, 1)), np.zeros((1, 2, 1)), np.ones((1, 2, 1)))
      >>> latents, stack = prior.on(LatentGrid((2, 2), 40)), Stack()
      >>> latents.push(stack, np.array([[3, -5]]))
      >>> latents.pop(stack)
      array([[ 3, -5]], dtype=int32)
    """

    log_weight: np.ndarray
    mean: np.ndarray
    stddev: np.ndarray

    def on(self, grid: LatentGrid) -> Codec:
        """Return the codec of latents, int32 `[n, d]` cells of the grid."""
        logits = np.rint(np.asarray(self.log_weight, np.float64) * LOGIT_ROUNDING)
        weight = softmax(logits / LOGIT_ROUNDING)
        mean, stddev = grid.gaussian(self.mean, self.stddev)

        def posterior(cells):
            scaled = (cells[..., None] - mean) / stddev
            logits = np.log(weight + 1e-300) - np.log(stddev) - 0.5 * scaled**2
            return categorical(_flat(softmax(logits)))

        def likelihood(component):
            chosen = np.arange(len(component)), component
            cells = (_flat(table)[chosen].reshape(mean.shape[:2]) for table in (mean, stddev))
            return gaussian(*cells, grid.reach)

        return bits_back(posterior, likelihood, categorical(_flat(weight)))


@dataclasses.dataclass(frozen=True)
class CodesPrior:
    """p(z) = (1/N) sum_n p(z|c_n), the mixture of the priors of N codes.

    Which code is a latent variable: n is popped by its posterior given z, and pushed by 1/N.
    The posterior is over the codes that matter at z only; what leaving out the others costs is
    what they would have added to p(z).

    Attributes:
      index: The `CodeIndex` of the codes.
      count: Number n of images.

    Example:
      `CodesPrior(index, 16).on(grid)` is the codec of 16 images' latents, int32 `[16, d]`.
    """

    index: CodeIndex
    count: int

    def on(self, grid: LatentGrid) -> Codec:
        """Return the codec of latents, int32 `[n, d]` cells of the grid."""

        def posterior(cells):
            rows, probabilities = self.index.candidates(grid.values(cells))
            return one_of(rows, categorical(probabilities))

        def likelihood(rows):
            return self.index.prior(rows).on(grid)

        return bits_back(posterior, likelihood, uniform(np.full(self.count, self.index.num_codes)))


@dataclasses.dataclass(frozen=True)
class JointPrior:
    """p(z) = sum_k w_k N(z | mean_k, stddev_k^2), K Gaussians of whole latents.

    Which component is a latent variable, as the code is in `CodesPrior`: k is popped by its
    posterior given z, and pushed by its weight.

    Attributes:
      log_weight: `[K]`, logs of the weights; they need not be normalised.
      mean: `[K, d]`.
      stddev: `[K, d]`.
      count: Number n of images.

    Example:
      >>> from keras_acn.codec.stack import Stack
      >>> prior = JointPrior(np.zeros(2), np.array([[0.0], [9.0]]), np.ones((2, 1)), 3)
      >>> latents, stack = prior.on(LatentGrid((2,), 40)), Stack()
      >>> latents.push(stack, np.array([[3], [35], [-5]]))
      >>> latents.pop(stack).ravel()
      array([ 3, 35, -5], dtype=int32)
    """

    log_weight: np.ndarray
    mean: np.ndarray
    stddev: np.ndarray
    count: int

    def on(self, grid: LatentGrid) -> Codec:
        """Return the codec of latents, int32 `[n, d]` cells of the grid."""
        logits = np.rint(np.asarray(self.log_weight, np.float64) * LOGIT_ROUNDING)
        weight = softmax(logits / LOGIT_ROUNDING)  # [K]
        mean, stddev = grid.gaussian(self.mean, self.stddev)  # each [K, d]
        height = np.log(weight + 1e-300) - np.log(stddev).sum(axis=-1)

        def posterior(cells):
            # Some images at a time, so that memory does not grow with lanes times components.
            size = max(1, LOOK_UP_FLOATS // mean.size)
            nats = np.empty((len(cells), len(mean)))
            for at in range(0, len(cells), size):
                scaled = (cells[at : at + size, None, :] - mean) / stddev  # [b, K, d]
                nats[at : at + size] = height - 0.5 * np.square(scaled).sum(axis=-1)
            return categorical(softmax(np.rint(nats * NATS_ROUNDING) / NATS_ROUNDING))

        def likelihood(component):
            return gaussian(mean[component], stddev[component], grid.reach)

        return bits_back(posterior, likelihood, categorical(np.tile(weight, (self.count, 1))))


class CodeIndex:
    """The priors p(z|c_n) of N codes, and a search for the codes that matter at a latent.

    They are searched by the Gaussians of the same means and variances, as in
    `MixtureOfCodes`; how much each of them matters is worked out by the priors themselves.

    Attributes:
      num_codes: N.
      nearest: How many codes are taken to matter.

    Args:
      networks: `Networks` of an associative model.
      codes: `[N, d]`.
      nearest: How many codes are taken to matter, at least 1.
      progress: Called with the codes whose priors are worked out, and N.

    Raises:
      UserError: If there are more codes than an index can tell apart.

    Example:
      `CodeIndex(networks, codes, 128).candidates(z)` returns the 128 codes that matter most at
      each of the latents z `[n, d]`, and their probabilities.
    """

    def __init__(
        self,
        networks: Networks,
        codes: np.ndarray,
        nearest: int,
        progress: Progress | None = None,
    ):
        if len(codes) >= MAX_CODES:
            raise UserError(
                f"A mixture of {len(codes)} codes is too large to code with: at most "
                f"{MAX_CODES - 1:,} are possible, so train on fewer images."
            )
        size = min(CODES_AT_A_TIME, len(codes))
        log_weight, mean, stddev = networks.given(np.asarray(codes, float), size, progress)
        self.num_codes = len(codes)
        self.nearest = min(int(nearest), self.num_codes)
        # What `log_densities` takes. Kept in float32: half the memory, and as good as equal on both
        # sides as float64.
        tables = log_weight - np.log(stddev), mean, np.sqrt(0.5) / stddev
        self._tables = tuple(tf.constant(table.astype(np.float32)) for table in tables)
        weights, offset = moment_ranking(*map(tf.constant, (log_weight, mean, stddev)))
        # Filled up here once, and not in each search.
        fill = -self.num_codes % GROUP
        self._weights = np.pad(weights.numpy(), [[0, 0], [0, fill]])
        self._offset = np.pad(offset.numpy(), [[0, fill]], constant_values=-1e30)
        per_image = self.nearest * mean.shape[1] * mean.shape[2]
        self._looked_up = max(1, min(LOOK_UP, LOOK_UP_FLOATS // per_image))
        self._look_up = Compiled(self._look_up_batch)

    def prior(self, rows: np.ndarray) -> GivenPrior:
        """Return the prior of the codes with the given rows, int `[n]`."""
        height, mean, slope = (
            table.numpy()[rows].astype(np.float64) for table in self._tables
        )  # each [n, d, M]
        return GivenPrior(height - np.log(slope), mean, np.sqrt(0.5) / slope)

    def candidates(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the codes that matter at z, and the posterior over them.

        Args:
          z: float64 `[n, d]`.

        Returns:
          `(rows, probabilities)`, int32 and float64 `[n, nearest]`.
        """
        rows, nats = self.densities(z)
        return rows, softmax(nats)

    def densities(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the codes that matter at z, and log p(z|c) in nats, up to a constant for all.

        Args:
          z: float64 `[n, d]`.

        Returns:
          `(rows, nats)`, int32 and float64 `[n, nearest]`.
        """
        if self.nearest == self.num_codes:
            rows = np.tile(np.arange(self.num_codes, dtype=np.int32), (len(z), 1))
        else:
            rows = best_rows(z, self._weights, self._offset, self.nearest)
        nats = in_batches(self._look_up, z, rows, size=self._looked_up, fill=True)
        return rows, np.rint(nats * NATS_ROUNDING) / NATS_ROUNDING

    def _look_up_batch(self, z, rows):
        tables = (tf.cast(tf.gather(table, rows), tf.float64) for table in self._tables)
        return log_densities(z, *tables)


def best_rows(z: np.ndarray, weights: np.ndarray, offset: np.ndarray, nearest: int) -> np.ndarray:
    """Return the codes whose Gaussians are densest at z, int32 `[n, nearest]`, the best first.

    Args:
      z: float64 `[n, d]`.
      weights: float64 `[2 d, N]`, with `offset` `[N]` as `moment_ranking` returns them.
      offset: See `weights`.
      nearest: How many, at most N.

    Example:
      >>> weights, offset = moment_ranking(tf.zeros([5, 1, 1]), tf.constant(
      ...     [0.0, 1.0, 2.0, 3.0, 4.0])[:, None, None], tf.ones([5, 1, 1]))
      >>> best_rows(np.array([[2.9]]), weights.numpy(), offset.numpy(), 2)
      array([[3, 2]], dtype=int32)
    """
    # Filled up to whole groups with codes that are never the best.
    fill = -len(offset) % GROUP
    if fill:
        weights = np.pad(weights, [[0, 0], [0, fill]])
        offset = np.pad(offset, [[0, fill]], constant_values=-1e30)
    # Group g is rows g, g + G, g + 2 G, ...: the best k are in the k best groups. Rounding keeps
    # an order, so the maxima and what is in the best groups are all that has to be rounded.
    groups = len(offset) // GROUP
    members = groups * np.arange(GROUP, dtype=np.int32)

    def ranked(part):
        score = np.concatenate([np.square(part), part], axis=-1) @ weights  # [b, N]
        score += offset
        best = score.reshape(-1, GROUP, groups).max(axis=1)
        rows = _first(best, min(nearest, groups))[:, :, None] + members
        rows = rows.reshape(len(part), -1)
        place = _first(np.take_along_axis(score, rows, axis=1), nearest)
        return np.take_along_axis(rows, place, axis=1)

    parts = [z[at : at + RANKED] for at in range(0, len(z), RANKED)]
    with side_by_side() as each:
        return np.concatenate(each(ranked, parts))


def _first(score, count):
    """Return the places of the best scores, int32 `[n, count]`: among equals the first first."""
    return tf.math.top_k(np.rint(score * RANK_ROUNDING), k=count)[1].numpy()


def log_densities(z: tf.Tensor, height: tf.Tensor, mean: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
    """Return log p(z|c) in nats of k codes for each z, up to a constant for all: `[n, k]`.

    A component's density is exp(height - ((z - mean) * slope)^2) up to that constant.

    Args:
      z: float64 `[n, d]`.
      height: float64 `[n, k, d, M]`.
      mean: The same.
      slope: The same.
    """
    density = tf.exp(height - tf.square((z[:, None, :, None] - mean) * slope))
    density = tf.reduce_sum(density, axis=-1)  # [n, k, d]
    return tf.reduce_sum(tf.math.log(density + 1e-300), axis=-1)


def one_of(rows: np.ndarray, choice: Codec) -> Codec:
    """Return the codec of rows, int `[n]`, given the codec of their places in `rows [n, k]`."""

    def push(stack, row):
        found = rows == row[:, None]
        if not found.any(axis=1).all():
            raise UserError("A latent is not where it should be: the file is damaged.")
        choice.push(stack, found.argmax(axis=1))

    def pop(stack):
        return rows[np.arange(len(rows)), choice.pop(stack)]

    return Codec(push, pop)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return exp(logits), normalised over the last axis."""
    weight = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weight / weight.sum(axis=-1, keepdims=True)


def _flat(table):
    return table.reshape(-1, table.shape[-1])
