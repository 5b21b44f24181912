"""One step of bits-back coding: images side by side, one of each lane.

A sender pushes images x under a model with latents z ~ q(z|x), prior p(z) and decoder r(x|z):

    pop z with q(z|x),  push x with r(x|z),  push z with p(z)

and a receiver undoes it from the last to the first. The images cost
`-log r(x|z) - log p(z) + log q(z|x)`, which is the negative ELBO on average.
"""

import dataclasses

import numpy as np
from scipy.special import log_ndtr

from keras_acn.codec.priors import GivenPrior
from keras_acn.codec.stack import Stack

# The probability that a step is an opening; told once a step.
OPENING = 2.0**-10
# Bits left on the stack, per lane, by a step that pops its latents from it.
SPARE_BITS = 4.0


@dataclasses.dataclass
class Costs:
    """What is worth telling apart in the cost of a block.

    Attributes:
      initial_bits: Bits that went into the choice of latents where there was nothing on the
        stack to choose them by. Bits-back would have returned them.
      lane_bits: Bits that the first images of the lanes cost more than the others do.
      steps: `(bits that the prior added, images)` of each step that was no opening.
    """

    initial_bits: float = 0.0
    lane_bits: float = 0.0
    steps: list = dataclasses.field(default_factory=list)

    def end_of_lanes(self):
        """Works out `lane_bits`: the step pushed last has the first image of each lane."""
        if len(self.steps) < 2:
            return
        bits, images = np.transpose(self.steps)
        usual = bits[:-1].sum() / images[:-1].sum()
        self.lane_bits = max(0.0, float(bits[-1] - usual * images[-1]))


class BitsBack:
    """Pushes and pops images, a step at a time.

    Args:
      networks: `Networks`.
      coder: What `image_coder(networks)` returns.
      grid: `LatentGrid`.
      stack: `Stack`, empty by default.
    """

    def __init__(self, networks, coder, grid, stack=None):
        self.networks = networks
        self.grid = grid
        self.stack = stack or Stack()
        self.costs = Costs()
        self._coder = coder

    def push(self, levels, q, prior):
        """Pushes images.

        Where there is too little on the stack to draw latents with, the step is an opening:
        its latents are the posterior's means, on a coarse grid. That costs a few bits an
        image, where random bits to draw with would cost as many as a latent is fine.

        Args:
          levels: int `[n, H, W, C]`.
          q: Their posteriors, `(mean, stddev)`.
          prior: A prior of n latents.
        """
        opening = self._too_little(*q)
        grid = self.grid.coarse() if opening else self.grid
        mean, stddev = grid.gaussian(*q)
        if opening:
            cells = grid.nearest(mean)
            self.costs.initial_bits += _information(cells, mean, stddev, grid.reach)
        else:
            cells = self.stack.pop_cells(mean.ravel(), stddev.ravel(), grid.reach)
            cells = cells.reshape(mean.shape)
        self._coder.push(self.stack, grid.values(cells), levels)
        before = self.stack.bits
        prior.push(self.stack, cells, grid)
        if not opening:
            self.costs.steps.append((self.stack.bits - before, len(levels)))
        self.stack.push_bits([opening], [OPENING])

    def pop(self, prior):
        """Pops images: the inverse of `push`.

        Returns:
          `(levels int [n, H, W, C], their posteriors)`.
        """
        opening = bool(self.stack.pop_bits([OPENING])[0])
        grid = self.grid.coarse() if opening else self.grid
        cells = prior.pop(self.stack, grid)
        levels = self._coder.pop(self.stack, grid.values(cells))
        q = self.networks.encode(levels)
        if not opening:
            mean, stddev = grid.gaussian(*q)
            self.stack.push_cells(cells.ravel(), mean.ravel(), stddev.ravel(), grid.reach)
        return levels, q

    def unconditional(self, count):
        """Returns p(z) of a model whose prior knows no other image, for `count` latents."""
        return self.given(np.zeros((count, self.networks.code_dim)))

    def given(self, codes):
        """Returns the priors p(z|c), given codes float64 `[n, d]`."""
        return GivenPrior(*self.networks.given(codes))

    def _too_little(self, mean, stddev):
        """Returns whether the stack may run out of bits while latents are popped."""
        _, cells = self.grid.gaussian(mean, stddev)
        needed = np.sum(np.maximum(np.log2(cells) + 0.5 * np.log2(2 * np.pi * np.e), 0.0))
        return self.stack.bits < needed + SPARE_BITS * len(mean)


def _information(cells, mean, stddev, reach):
    """Returns `-log2` of the mass of cells under their Gaussians, summed over all."""
    below, above = (cells - 0.5 - mean) / stddev, (cells + 0.5 - mean) / stddev
    below = np.where(cells == -reach, -np.inf, below)
    above = np.where(cells == reach, np.inf, above)
    # Where both are above the mean, their mirror images lose no digits.
    flip = below > 0
    below, above = np.where(flip, -above, below), np.where(flip, -below, above)
    mass = np.exp(log_ndtr(above)) - np.exp(log_ndtr(below))
    return float(-np.sum(np.log2(np.maximum(mass, 2.0**-24))))
