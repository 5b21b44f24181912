"""A prior that learns the set: from the codes of the images that a receiver has already.

Associative compression conditions the prior of an image on the code of another one. A receiver
knows the codes of all images that were decoded so far, and those of the training data where it
has them. So the prior of the next image is a mixture over both and over a broad Gaussian, which is
for images that are like no other:

    p(z) = w_b N(z; m, v)  +  w_t (1/T) sum_n p(z|t_n)  +  w_s (1/n) sum_i p(z|c_i)

Which part, and which code of it, is a latent variable, coded by bits-back. Everything else in this
is a function of the codes that are there, which a sender knows too: m and v are their moments,
and the weights are those that would have suited these codes best, each seen by the others.

Sender and receiver come by the codes in different orders and batches, so that the last digits of
what the networks compute may differ. Codes and priors are therefore rounded as they come in, to
what the grid of the latents tells apart. All that is computed of many codes at once is computed in
the order that the images have on both sides.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from keras_acn.codec.bits_back import bits_back
from keras_acn.codec.grid import CELLS_PER_STDDEV, ROUNDING, LatentGrid
from keras_acn.codec.networks import Networks
from keras_acn.codec.priors import (
    LOGIT_ROUNDING,
    LOOK_UP_FLOATS,
    NATS_ROUNDING,
    RANKED,
    CodeIndex,
    GivenPrior,
    best_rows,
    log_densities,
    one_of,
    softmax,
)
from keras_acn.codec.stack import Codec, categorical, uniform

# What the moments of no codes at all count for: as many codes as this, around zero, of the scale
# that the file gives.
SCALE_COUNTS = 4
# The broad part counts as many codes as this beside those that are there, before these tell.
BROAD_COUNTS = 50
# Codes that the weights are found by, how many rounds of expectation and maximisation that takes,
# and how many codes the weights count for that go by the numbers of the codes.
PROBES, ROUNDS, USUAL_COUNTS = 64, 10, 8
WEIGHT_ROUNDING = 2.0**20
# The scale of a block is 2**(n / 8) with n from -64 to 191.
SCALE_STEPS, SCALE_OFFSET = 8, 64


def scale_of(mean: np.ndarray) -> int:
    """Return the number, 0 to 255, that stands for how far from zero codes `[N, d]` lie.

    Example:
      >>> scale_of(np.full((5, 2), 4.0)), scale_of(np.zeros((5, 2)))
      (80, 0)
    """
    root = np.sqrt(np.mean(np.square(mean)))
    steps = np.rint(SCALE_STEPS * np.log2(max(root, 1e-9))) + SCALE_OFFSET
    return int(np.clip(steps, 0, 255))


class LearnedPrior:
    """What a block's images teach of the latents of the next ones.

    Args:
      networks: `Networks` of an associative model.
      grid: The block's `LatentGrid`.
      scale: From `scale_of` its codes.
      count: Images of the block.
      nearest: Codes of each kind that are taken to matter at a latent.
      index: `CodeIndex` of the training codes; `None` to do without them.

    Example:
      `LearnedPrior(...).add(mean, np.arange(100))`, and then `.given(rows, 16)` is the prior of
      16 images' latents where the images with these rows are there.
    """

    def __init__(
        self,
        networks: Networks,
        grid: LatentGrid,
        scale: int,
        count: int,
        nearest: int,
        index: CodeIndex | None,
    ):
        self.networks = networks
        self.grid = grid
        self.nearest = nearest
        self.index = index
        self._units = 2.0 ** np.array(grid.exponents, np.float64)  # cells in 1, [d]
        self._scale = 2.0 ** ((scale - SCALE_OFFSET) / SCALE_STEPS)
        # What a latent differs from its code by: the posterior's deviation, by the grid.
        self._stddev = CELLS_PER_STDDEV / self._units
        signs = np.random.RandomState(0).randint(0, 2, (PROBES, networks.latent_dim))
        self._noise = (2 * signs - 1) * self._stddev  # [PROBES, d]
        # Codes in 1/64 of a cell; of their priors height, mean and slope as in `CodeIndex`, and
        # what they are ranked by.
        self._codes = np.zeros((count, networks.latent_dim), np.int64)
        components = networks.given(np.zeros((1, networks.latent_dim)))[1].shape[2]
        shape = (count, networks.latent_dim, components)
        self._tables = tuple(np.zeros(shape, np.float32) for _ in range(3))
        self._ranking = np.zeros((count, 2 * networks.latent_dim + 1))

    def add(self, mean: np.ndarray, rows: np.ndarray) -> None:
        """Take in the codes of images.

        Args:
          mean: float64 `[n, d]`.
          rows: int `[n]`, the rows that they are known by.
        """
        cells = self.grid.gaussian(mean, np.ones_like(mean))[0]
        self._codes[rows] = np.rint(cells * ROUNDING)
        log_weight, mean, stddev = self.networks.given(cells / self._units)
        log_weight = np.rint(np.maximum(log_weight, -100.0) * LOGIT_ROUNDING) / LOGIT_ROUNDING
        log_weight = np.log(softmax(log_weight))
        mean, stddev = (each / self._units[:, None] for each in self.grid.gaussian(mean, stddev))
        tables = log_weight - np.log(stddev), mean, np.sqrt(0.5) / stddev
        for table, new in zip(self._tables, tables, strict=True):
            table[rows] = new
        self._ranking[rows] = _ranking(log_weight, mean, stddev)

    def given(self, rows: np.ndarray, count: int) -> MixedPrior:
        """Return the prior of `count` images' latents, given the codes of others.

        Args:
          rows: int `[n]`, the rows of the images that are there, in an order that both sides have.
          count: Images whose latents are coded.
        """
        codes = self._codes[rows]
        moments = codes.sum(axis=0), np.square(codes).sum(axis=0), len(rows)
        broad = self._broad(*moments)
        sizes = [1, 0 if self.index is None else self.index.num_codes, len(rows)]
        usual = np.array([BROAD_COUNTS, *sizes[1:]]) / (BROAD_COUNTS + sum(sizes[1:]))
        there = There(self, np.asarray(rows, np.int64), broad, sizes)
        if len(rows):
            usual = self._weights(there, usual, moments)
        return MixedPrior(there, usual, count)

    def _broad(self, total, squares, count):
        """Return the mean and the deviation of the Gaussian that has the codes' moments."""
        unit = ROUNDING * self._units
        mean = total / unit / (SCALE_COUNTS + count)
        square = SCALE_COUNTS * self._scale**2 + squares / unit**2
        variance = square / (SCALE_COUNTS + count) - np.square(mean) + np.square(self._stddev)
        return mean, np.sqrt(np.maximum(variance, np.square(self._stddev)))

    def _weights(self, there, usual, moments):
        """Return the weights of the parts that suit the codes best that are there.

        Some codes, evenly spaced, are looked at as if each came last: at a latent near it, how
        dense are the broad part, the training codes, and the others that are there?
        """
        count = len(there.rows)
        places = np.arange(min(PROBES, count)) * count // min(PROBES, count)
        own = self._codes[there.rows[places]]
        z = own / (ROUNDING * self._units) + self._noise[: len(places)]
        total, squares, _ = moments
        nats = np.full((len(places), 3), -np.inf)
        broad = self._broad(total - own, squares - np.square(own), count - 1)
        nats[:, 0] = _gaussian_nats(z, *broad)
        if self.index is not None:
            nats[:, 1] = _log_sum(self.index.densities(z)[1]) - np.log(self.index.num_codes)
        if count > 1:
            found, density = there.densities(z)
            density = np.where(found == places[:, None], -np.inf, density)
            nats[:, 2] = _log_sum(density) - np.log(count - 1)
        weights = usual
        for _ in range(ROUNDS):
            share = softmax(nats + np.log(weights + 1e-300))
            weights = USUAL_COUNTS * usual + share.sum(axis=0)
            weights = weights / (USUAL_COUNTS + len(places))
        return np.rint(weights * WEIGHT_ROUNDING) / WEIGHT_ROUNDING


@dataclasses.dataclass(frozen=True)
class There:
    """The codes that a receiver has, in three parts: a broad Gaussian, training codes, images.

    A place stands for each: 0 for the Gaussian, then the rows of the training codes, then the
    images in their order.

    Attributes:
      learned: The `LearnedPrior`.
      rows: int `[n]`, the rows of the images.
      broad: `(mean, stddev)` of the Gaussian, each `[d]`.
      sizes: 1, and how many training codes and images there are.

    Example:
      See `LearnedPrior`.
    """

    learned: LearnedPrior
    rows: np.ndarray
    broad: tuple[np.ndarray, np.ndarray]
    sizes: list[int]

    def densities(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the images whose codes matter at z: places among them, and log p(z|c) in nats.

        Args:
          z: float64 `[b, d]`.

        Returns:
          `(places, nats)`, int and float64 `[b, k]`.
        """
        learned, count = self.learned, len(self.rows)
        nearest = min(learned.nearest, count)
        if nearest == count:
            places = np.tile(np.arange(count), (len(z), 1))
        else:
            weights, offset = self._ranking
            places = best_rows(z, weights, offset, nearest)
        nats, per_image = [], nearest * int(np.prod(learned._tables[0].shape[1:]))
        size = max(1, min(RANKED, LOOK_UP_FLOATS // per_image))
        for at in range(0, len(z), size):
            rows = self.rows[places[at : at + size]]
            tables = (tf.constant(table[rows], tf.float64) for table in learned._tables)
            nats.append(log_densities(tf.constant(z[at : at + size]), *tables).numpy())
        return places, np.rint(np.concatenate(nats) * NATS_ROUNDING) / NATS_ROUNDING

    @functools.cached_property
    def _ranking(self):
        ranking = np.ascontiguousarray(self.learned._ranking[self.rows].T)
        return ranking[:-1], ranking[-1]

    def prior(self, places: np.ndarray) -> GivenPrior:
        """Return the prior of latents that are each given one place, int `[b]`."""
        learned, trained = self.learned, self.sizes[1]
        shape = (len(places), *learned._tables[0].shape[1:])
        log_weight, mean, stddev = np.zeros(shape), np.zeros(shape), np.ones(shape)
        # Components that are all alike are as good as one, and cost nothing, by bits-back.
        for table, broad in zip((mean, stddev), self.broad, strict=True):
            table[:] = broad[:, None]
        of_training = (places > 0) & (places <= trained)
        of_images = places > trained
        if learned.index is not None and of_training.any():
            given = learned.index.prior(places[of_training] - 1)
            log_weight[of_training], mean[of_training] = given.log_weight, given.mean
            stddev[of_training] = given.stddev
        if of_images.any():
            rows = self.rows[places[of_images] - 1 - trained]
            height, centre, slope = (table[rows].astype(np.float64) for table in learned._tables)
            log_weight[of_images], mean[of_images] = height - np.log(slope), centre
            stddev[of_images] = np.sqrt(0.5) / slope
        return GivenPrior(log_weight, mean, stddev)


@dataclasses.dataclass(frozen=True)
class MixedPrior:
    """The mixture of the parts of `There`, as a prior of n images' latents.

    Attributes:
      there: The parts.
      weights: float64 `[3]`, of the parts.
      count: Number n of images.

    Example:
      See `LearnedPrior`.
    """

    there: There
    weights: np.ndarray
    count: int

    def on(self, grid: LatentGrid) -> Codec:
        """Return the codec of latents, int32 `[n, d]` cells of the grid."""
        there, sizes = self.there, np.array(self.there.sizes)
        parts = np.flatnonzero(sizes)
        starts = np.cumsum(sizes) - sizes
        logs = np.log(np.maximum(self.weights, 1e-6)) - np.log(np.maximum(sizes, 1))
        which = categorical(np.tile(_normal(self.weights[parts]), (self.count, 1)))

        def posterior(cells):
            z = grid.values(cells)
            nats = [_gaussian_nats(z, *there.broad)[:, None] + logs[0]]
            places = [np.zeros((len(z), 1), np.int64)]
            if sizes[1]:
                rows, density = there.learned.index.densities(z)
                places.append(starts[1] + rows)
                nats.append(density + logs[1])
            if sizes[2]:
                rows, density = there.densities(z)
                places.append(starts[2] + rows)
                nats.append(density + logs[2])
            nats = np.rint(np.concatenate(nats, axis=1) * NATS_ROUNDING) / NATS_ROUNDING
            return one_of(np.concatenate(places, axis=1), categorical(softmax(nats)))

        def push(stack, places):
            part = np.searchsorted(starts[parts], places, side="right") - 1
            chosen = parts[part]
            uniform(sizes[chosen]).push(stack, places - starts[chosen])
            which.push(stack, part)

        def pop(stack):
            chosen = parts[which.pop(stack)]
            return starts[chosen] + uniform(sizes[chosen]).pop(stack)

        return bits_back(posterior, lambda places: there.prior(places).on(grid), Codec(push, pop))


def _gaussian_nats(z, mean, stddev):
    """Return the log density, up to the constant that all leave out, of Gaussians: `[b]`."""
    scaled = (z - mean) / stddev
    return -np.sum(0.5 * np.square(scaled) + np.log(stddev), axis=-1)


def _ranking(log_weight, mean, stddev):
    """Return `moment_ranking` as rows, `[n, 2 d + 1]`: each the same in whatever batch it comes."""
    weight = np.exp(log_weight)
    centre = np.sum(weight * mean, axis=-1)  # [n, d]
    second = np.square(stddev) + np.square(mean - centre[..., None])
    variance = np.sum(weight * second, axis=-1)
    offset = -0.5 * np.sum(np.square(centre) / variance + np.log(variance), axis=-1)
    return np.concatenate([-0.5 / variance, centre / variance, offset[:, None]], axis=1)


def _log_sum(nats):
    most = np.maximum(nats.max(axis=1, keepdims=True), -1e300)
    return most[:, 0] + np.log(np.sum(np.exp(nats - most), axis=1) + 1e-300)


def _normal(weights):
    weights = np.maximum(weights, 1e-6)
    return weights / weights.sum()
