"""Bits-back coding: of anything with a latent variable, and of a step's images.

A sender pushes x under a model with a latent variable z, posterior q(z|x), prior p(z) and
likelihood p(x|z):

    pop z with q(z|x),  push x with p(x|z),  push z with p(z)

and a receiver undoes it from the last to the first. So x costs
`-log p(x|z) - log p(z) + log q(z|x)`, the negative ELBO on average (Townsend, Bird and Barber 2019,
arXiv 1901.04866). `bits_back` is that and nothing else; the codec of this package is it three
times: for images with their latents z, for a latent with the component m of its mixture, and
for the latents of an image with the training code n that their prior is conditioned on.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_acn.codec.grid import LatentGrid
from keras_acn.codec.stack import Codec, Metered, Stack, bernoulli

# The probability that a step is an opening; told once a step.
OPENING = bernoulli(np.array(2.0**-10))
# Bits left on the stack, per lane, by a step that pops its latents from it.
SPARE_BITS = 4.0


def bits_back(
    posterior: Callable[[Any], Codec], likelihood: Callable[[Any], Codec], prior: Codec
) -> Codec:
    """Return the codec of x, made of those of its model's three distributions.

    Args:
      posterior: Takes x, returns the codec q(z|x) of z.
      likelihood: Takes z, returns the codec p(x|z) of x.
      prior: The codec p(z) of z.

    Example: a value is thrown with one of two coins z. Its posterior is exact, so that each of
    64 values costs -log2 p(x) = 1 bit, whichever coin it was.
      >>> from keras_acn.codec.stack import uniform
      >>> heads = np.array([0.25, 0.75])
      >>> values = np.arange(64) % 2
      >>> codec = bits_back(
      ...     posterior=lambda x: bernoulli(heads[x]),
      ...     likelihood=lambda z: bernoulli(heads[z]),
      ...     prior=uniform(np.full(64, 2)),
      ... )
      >>> stack = Stack(np.arange(1, 9, dtype=np.uint32))
      >>> before = stack.bits
      >>> codec.push(stack, values)
      >>> round((stack.bits - before) / 64, 1)
      1.0
      >>> np.array_equal(codec.pop(stack), values), stack.bits - before
      (True, 0)
    """

    def push(stack, x):
        z = posterior(x).pop(stack)
        likelihood(z).push(stack, x)
        prior.push(stack, z)

    def pop(stack):
        z = prior.pop(stack)
        x = likelihood(z).pop(stack)
        posterior(x).push(stack, z)
        return x

    return Codec(push, pop)


@dataclasses.dataclass
class Images:
    """Images with their posteriors N(mean, stddev^2), which both sides work out from them.

    Attributes:
      levels: uint8 `[n, H, W, C]`.
      mean: float64 `[n, d]`.
      stddev: float64 `[n, d]`.

    Example:
      >>> images = Images(np.zeros((3, 2, 2, 1), np.uint8), np.zeros((3, 5)), np.ones((3, 5)))
      >>> len(images[[0, 2]])
      2
    """

    levels: np.ndarray
    mean: np.ndarray
    stddev: np.ndarray

    def __len__(self):
        return len(self.levels)

    def __getitem__(self, rows):
        return Images(self.levels[rows], self.mean[rows], self.stddev[rows])

    def __setitem__(self, rows, images):
        self.levels[rows], self.mean[rows] = images.levels, images.mean
        self.stddev[rows] = images.stddev

    @classmethod
    def room(cls, count: int, shape: tuple[int, ...], latent_dim: int) -> Images:
        """Return room for `count` images of the given shape, to be filled in."""
        mean, stddev = np.zeros((count, latent_dim)), np.ones((count, latent_dim))
        return cls(np.zeros((count, *shape), np.uint8), mean, stddev)


@dataclasses.dataclass(frozen=True)
class StepCost:
    """What a step added to the stack and took from it.

    Attributes:
      images: Images of the step.
      opening: Whether it was an opening.
      prior_bits: What pushing the latents with their prior added.
      latent_bits: The information in the choice of the latents, -log2 q(z|x): what the step took
        from the stack, or, in an opening, would have taken.
    """

    images: int
    opening: bool
    prior_bits: float
    latent_bits: float


class Costs(list):
    """The `StepCost` of each step of a block, in the order in which they were pushed.

    Example:
      >>> costs = Costs([StepCost(2, True, 30.0, 20.0), StepCost(2, False, 90.0, 50.0)])
      >>> costs.initial_bits
      20.0
    """

    @property
    def initial_bits(self) -> float:
        """Bits that went into the choice of latents where there was nothing to draw them by."""
        return sum(step.latent_bits for step in self if step.opening)

    def lane_bits(self) -> float:
        """Return how many bits more the first images of the lanes cost than the other images.

        They are the step that was pushed last, and are coded under another prior. Its prior's
        bits are compared with those of the ordinary steps, image by image. If it is an opening,
        whose coarser grid makes latents cheaper under any prior, the bits that choosing the
        latents gives back are subtracted on both sides, so that the grids cancel out.
        """
        if not self:
            return 0.0
        last, others = self[-1], [step for step in self[:-1] if not step.opening]
        if not others:
            return 0.0

        def bits(step):
            return step.prior_bits - (step.latent_bits if last.opening else 0.0)

        usual = sum(map(bits, others)) / sum(step.images for step in others)
        return max(0.0, bits(last) - usual * last.images)


def image_step(
    grid: LatentGrid,
    encode: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    pixels: Callable[[np.ndarray], Codec],
    prior: Any,
    costs: Costs | None = None,
    cut: bool = True,
) -> Codec:
    """Return the codec of `Images`, one of each lane, by bits-back.

    Where there is too little on the stack to draw latents with, the step is an opening: its
    latents are the posteriors' means, on a coarse grid. That costs a few bits an image; drawing
    them by random bits of one's own would cost all the bits of a fine grid. A flag on the stack
    says which kind of step it is.

    Args:
      grid: The grid of the latents.
      encode: Takes levels `[n, H, W, C]`, returns the posteriors' means and deviations `[n, d]`.
      pixels: Takes latents z `[n, d]`, returns the codec r(x|z) of levels `[n, H, W, C]`.
      prior: The prior of n latents: `prior.on(grid)` is its codec.
      costs: Where to add what a step costs, pushed or popped.
      cut: Whether no latent is drawn far from its posterior's mean: see `near_gaussian`.
    """

    def posterior(opening, x):
        if opening:
            return grid.coarse().means(x.mean)
        return grid.normal(x.mean, x.stddev, cut)

    def likelihood(opening, cells):
        given = pixels((grid.coarse() if opening else grid).values(cells))

        def pop(stack):
            levels = given.pop(stack)
            return Images(levels, *encode(levels))

        return Codec(lambda stack, x: given.push(stack, x.levels), pop)

    def push(stack, x):
        opening = _too_little(stack, grid, x)
        q = Metered(posterior(opening, x))
        p = Metered(prior.on(grid.coarse() if opening else grid))
        bits_back(lambda x: q, functools.partial(likelihood, opening), p).push(stack, x)
        OPENING.push(stack, opening)
        if costs is not None:
            chosen = grid.coarse().information(x.mean, x.stddev) if opening else -q.bits
            costs.append(StepCost(len(x), opening, p.bits, chosen))

    def pop(stack):
        opening = bool(OPENING.pop(stack))
        pushed = []

        def q(x):
            pushed.append(Metered(posterior(opening, x)))
            return pushed[0]

        p = Metered(prior.on(grid.coarse() if opening else grid))
        x = bits_back(q, functools.partial(likelihood, opening), p).pop(stack)
        if costs is not None:
            chosen = pushed[0].bits
            if opening:
                chosen = grid.coarse().information(x.mean, x.stddev)
            costs.append(StepCost(len(x), opening, -p.bits, chosen))
        return x

    return Codec(push, pop)


def _too_little(stack: Stack, grid: LatentGrid, x: Images) -> bool:
    """Return whether the stack may run out of bits while latents are popped."""
    _, cells = grid.gaussian(x.mean, x.stddev)
    needed = np.sum(np.maximum(np.log2(cells) + 0.5 * np.log2(2 * np.pi * np.e), 0.0))
    return bool(stack.bits < needed + SPARE_BITS * len(x))
