"""The grid that latents are coded on, the same for the posterior and every prior."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.codec.stack import Codec, gaussian, near_gaussian

# Cells in one standard deviation of a typical posterior. A cell of a quarter adds
# (1/4)**2 / 12 = 0.5 % to the variance of the posterior's noise, and takes it off the KL.
CELLS_PER_STDDEV = 4
# The share of the posteriors that may be narrower than that.
NARROW = 0.05
# Standard deviations around the outermost code that the grid reaches out to.
REACH_STDDEVS = 6.0
MIN_REACH, MAX_REACH = 8, 2**13
MIN_EXPONENT, MAX_EXPONENT = -20, 40
# A cell of the coarse grid is 2**3 ordinary ones: two standard deviations.
COARSE_SHIFT = 3
# Means are rounded to 1/64 of a cell and standard deviations to 2**(1/64), which is 1 %:
# far above what the two sides' arithmetic differs by, far below what costs bits.
ROUNDING = 64
MIN_STDDEV, MAX_STDDEV = 2.0**-4, 2.0**20


@dataclasses.dataclass(frozen=True)
class LatentGrid:
    """Latents `k * 2**-exponent`, with k an integer in `-reach .. reach`.

    The grid is fixed before coding, for all images of a block. A latent beyond its end is
    coded as the last cell: the mass of a distribution within the reach is what counts, so no
    cell has probability zero under any of them.

    Attributes:
      exponents: Tuple of ints, one for each latent dimension.
      reach: The largest k, in every dimension.

    Example:
      >>> grid = LatentGrid.around(np.zeros((10, 2)), np.tile([1.0, 8.0], (10, 1)))
      >>> grid
      LatentGrid(exponents=(2, -1), reach=24)
      >>> grid.values([[1, 1]])
      array([[0.25, 2.  ]])
    """

    exponents: tuple[int, ...]
    reach: int

    def __post_init__(self):
        in_range = all(MIN_EXPONENT <= e <= MAX_EXPONENT for e in self.exponents)
        if not in_range or not 1 <= self.reach <= MAX_REACH:
            raise UserError("A latent grid is out of range: the file is damaged.")

    @classmethod
    def around(cls, mean: np.ndarray, stddev: np.ndarray) -> LatentGrid:
        """Return the grid that fits posteriors N(mean, stddev^2), each `[N, d]`, N >= 1."""
        mean, stddev = np.asarray(mean, np.float64), np.asarray(stddev, np.float64)
        typical = np.quantile(stddev, NARROW, axis=0) / CELLS_PER_STDDEV  # [d]
        exponents = np.ceil(-np.log2(typical) - 1e-6).astype(int)
        exponents = np.clip(exponents, MIN_EXPONENT, MAX_EXPONENT)
        furthest = (np.abs(mean) + REACH_STDDEVS * stddev) * 2.0**exponents  # in cells
        reach = int(np.clip(math.ceil(furthest.max()), MIN_REACH, MAX_REACH))
        return cls(tuple(int(e) for e in exponents), reach)

    def coarse(self) -> LatentGrid:
        """Return the coarse grid, for latents that are sent without bits-back."""
        exponents = tuple(max(e - COARSE_SHIFT, MIN_EXPONENT) for e in self.exponents)
        return LatentGrid(exponents, (self.reach >> COARSE_SHIFT) + 1)

    @property
    def _cells_per_unit(self):
        return 2.0 ** np.array(self.exponents, np.float64)  # [d]

    def values(self, cells: np.ndarray) -> np.ndarray:
        """Return the latents, float64 `[n, d]`, of cells, int `[n, d]`."""
        return np.asarray(cells, np.float64) / self._cells_per_unit

    def gaussian(self, mean: np.ndarray, stddev: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and the standard deviation of Gaussians in cells, rounded.

        Args:
          mean: float64 `[n, d]` or `[n, d, M]`.
          stddev: The same.

        Returns:
          `(mean, stddev)`, float64, the same shape; within bounds whatever came in.
        """
        scale = self._cells_per_unit
        scale = scale if np.ndim(mean) == 2 else scale[:, None]
        mean = np.clip(np.nan_to_num(np.asarray(mean, np.float64)), -1e9, 1e9) * scale
        mean = np.clip(np.rint(mean * ROUNDING) / ROUNDING, -self.reach, self.reach)
        stddev = np.clip(np.nan_to_num(np.asarray(stddev, np.float64), nan=1.0), 0.0, 1e9)
        stddev = np.clip(stddev * scale, MIN_STDDEV, MAX_STDDEV)
        # As float32, in which a power of two is the same whatever library raised it.
        stddev = np.exp2(np.rint(np.log2(stddev) * ROUNDING) / ROUNDING).astype(np.float32)
        return mean, stddev.astype(np.float64)

    def nearest(self, mean: np.ndarray) -> np.ndarray:
        """Return the cells, int32, nearest to a mean in cells."""
        return np.clip(np.rint(mean), -self.reach, self.reach).astype(np.int32)

    def normal(self, mean: np.ndarray, stddev: np.ndarray, cut: bool = True) -> Codec:
        """Return the codec of cells, int32 `[n, d]`, by their mass under N(mean, stddev^2).

        Args:
          mean: float64 `[n, d]`.
          stddev: The same.
          cut: Whether cells far from the mean are left out: see `near_gaussian`.
        """
        kind = near_gaussian if cut else gaussian
        return kind(*self.gaussian(mean, stddev), self.reach)

    def means(self, mean: np.ndarray) -> Codec:
        """Return the codec of the cells nearest to means `[n, d]`, which both sides know."""
        cells = self.nearest(self.gaussian(mean, np.ones_like(mean))[0])
        return Codec(push=lambda stack, x: None, pop=lambda stack: cells)

    def information(self, mean: np.ndarray, stddev: np.ndarray) -> float:
        """Return `-log2` of the mass that N(mean, stddev^2) has on the cells of `means`, in all.

        It is what drawing just these cells from the stack would have taken from it.
        """
        from scipy.special import log_ndtr

        mean, stddev = self.gaussian(mean, stddev)
        cells = self.nearest(mean)
        below, above = (cells - 0.5 - mean) / stddev, (cells + 0.5 - mean) / stddev
        below = np.where(cells == -self.reach, -np.inf, below)
        above = np.where(cells == self.reach, np.inf, above)
        # Where both are above the mean, their mirror images lose no digits.
        flip = below > 0
        below, above = np.where(flip, -above, below), np.where(flip, -below, above)
        mass = np.exp(log_ndtr(above)) - np.exp(log_ndtr(below))
        return float(-np.sum(np.log2(np.maximum(mass, 2.0**-24))))
