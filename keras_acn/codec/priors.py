"""Pushing latents on the stack under a prior, and popping them."""

import dataclasses

import numpy as np

from keras_acn._base.errors import UserError

# Logits are rounded to 1/256, so that both sides have the same.
LOGIT_ROUNDING = 256


@dataclasses.dataclass(frozen=True)
class GivenPrior:
    """p(z) = prod_d sum_m w_m^d N(z^d | mean_m^d, stddev_m^d), with known parameters.

    The component m is a latent variable too: it is popped from the stack by its posterior
    given z, and pushed by its weight. So a latent costs `-log2 p(z)` and not the cost of
    one component.

    Attributes:
      log_weight: `[n, d, M]`, logs of the weights; they need not be normalised.
      mean: `[n, d, M]`.
      stddev: `[n, d, M]`.
    """

    log_weight: np.ndarray
    mean: np.ndarray
    stddev: np.ndarray

    def push(self, stack, cells, grid):
        """Pushes latents, int32 `[n, d]` cells of the grid."""
        weight, mean, stddev = self._in_cells(grid)
        component = stack.pop_choice(_posterior(cells, weight, mean, stddev))
        stack.push_cells(cells.ravel(), *_chosen(component, mean, stddev), grid.reach)
        stack.push_choice(component, _flat(weight))

    def pop(self, stack, grid):
        """Pops latents: int32 `[n, d]`."""
        weight, mean, stddev = self._in_cells(grid)
        component = stack.pop_choice(_flat(weight))
        cells = stack.pop_cells(*_chosen(component, mean, stddev), grid.reach)
        cells = cells.reshape(mean.shape[:2])
        stack.push_choice(component, _posterior(cells, weight, mean, stddev))
        return cells

    def _in_cells(self, grid):
        logits = np.rint(np.asarray(self.log_weight, np.float64) * LOGIT_ROUNDING)
        return _softmax(logits / LOGIT_ROUNDING), *grid.gaussian(self.mean, self.stddev)


class CodesPrior:
    """p(z) = (1/N) sum_n p(z|c_n), the mixture of the priors of N codes.

    Which code is a latent variable too: n is popped by its posterior given z, and pushed
    by 1/N. The posterior is over the codes that matter at z only; what leaving out the
    others costs is what they would have added to p(z).

    Args:
      index: A `CodeIndex`.
      count: Images n that come next.
    """

    def __init__(self, index, count):
        self.index = index
        self.count = count

    def push(self, stack, cells, grid):
        """Pushes latents, int32 `[n, d]` cells of the grid."""
        rows, probabilities = self.index.candidates(grid.values(cells))
        choice = stack.pop_choice(probabilities)
        row = rows[np.arange(len(rows)), choice]
        self.index.prior(row).push(stack, cells, grid)
        stack.push_uniform(row, self.index.num_codes)

    def pop(self, stack, grid):
        """Pops latents: int32 `[n, d]`."""
        row = stack.pop_uniform(np.full(self.count, self.index.num_codes))
        cells = self.index.prior(row).pop(stack, grid)
        rows, probabilities = self.index.candidates(grid.values(cells))
        found = rows == row[:, None]
        if not found.any(axis=1).all():
            raise UserError("A latent is not where it should be: the file is damaged.")
        stack.push_choice(found.argmax(axis=1), probabilities)
        return cells


def _softmax(logits):
    weight = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weight / weight.sum(axis=-1, keepdims=True)


def _posterior(cells, weight, mean, stddev):
    """Returns p(m|z) up to rounding: float64 `[n d, M]`."""
    scaled = (cells[..., None] - mean) / stddev
    return _flat(_softmax(np.log(weight + 1e-300) - np.log(stddev) - 0.5 * scaled**2))


def _flat(table):
    return table.reshape(-1, table.shape[-1])


def _chosen(component, *tables):
    """Returns each `[n, d, M]` table's entry of the component `[n d]`, flat."""
    rows = np.arange(len(component))
    return tuple(_flat(table)[rows, component] for table in tables)
