"""The greedy tour: an order of the data in which each datum resembles the one before."""

from __future__ import annotations

import numpy as np

from keras_acn._base.checks import check_count, check_seed
from keras_acn._base.errors import UserError
from keras_acn._base.progress import Progress
from keras_acn.codebook.store import require_finite


def greedy_tour(
    codes: np.ndarray,
    *,
    start: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the tour from each datum to its nearest datum not visited yet.

    This is the order in which the ordered code length of the ACN paper is measured
    (Graves et al. 2018, arXiv 1804.02476, section 4 and table 2). Each datum is visited
    once, so each is the predecessor of one other at most.

    The search is exact: a datum's nearest is the one whose float64
    `sum((a - b) ** 2)` is least, and among equals the one with the lowest row. It costs
    `O(N^2 d)` time in one matrix-vector product a step over what is left, and `O(N d)`
    memory. The product is taken in float32; whatever its rounding error leaves
    undecided is decided in float64.

    Args:
      codes: `[N, d]`, the codes of the data.
      start: Row of the first datum. By default it is drawn from `seed`.
      seed: Integer seed of the start.
      progress: Called now and then with the data visited and N.

    Returns:
      int64 `[N]`, the rows in the order of the visit.

    Raises:
      UserError: If `codes` is not a finite `[N, d]` array or `start` is no row of it.
    """
    codes = np.asarray(codes)
    if codes.ndim != 2 or not np.issubdtype(codes.dtype, np.number):
        raise UserError(f"A tour needs codes of shape [N, d], not {codes.shape} {codes.dtype}.")
    exact = codes.astype(np.float64)
    require_finite(exact)
    count, dim = exact.shape
    if count == 0:
        if start is not None:
            raise UserError("There are no codes to start a tour from.")
        return np.zeros(0, np.int64)
    if start is None:
        start = int(np.random.default_rng(check_seed(seed)).integers(count))
    if not 0 <= (start := check_count(start, "start", -1)) < count:
        raise UserError(f"start must be a row from 0 to {count - 1}, not {start}.")

    # Centred and scaled, float32 neither overflows nor loses digits to a common offset.
    centred = exact - exact.mean(axis=0)
    radius = np.sqrt(np.max(np.sum(centred**2, axis=1)))
    fast = (centred / radius if radius > 0 else centred).astype(np.float32)
    # What is left is kept at the front of these arrays: a visited row is overwritten by
    # the last one left. Columns hold data, which is the layout that the product is fast in.
    left = np.empty((dim + 1, count), np.float32)
    left[:dim] = -fast.T
    left[dim] = 0.5 * np.sum(fast.astype(np.float64) ** 2, axis=1)
    rows = np.arange(count)
    place = np.arange(count)
    # |fast| <= 1, so a score is a sum of dim + 1 products of magnitude <= 1 with all their
    # magnitudes adding up to at most 1.5: this is four times the bound on its rounding
    # error, rounding of the inputs included.
    slack = np.float32(4 * 1.5 * (dim + 4) * np.finfo(np.float32).eps)

    order = np.empty(count, np.int64)
    query = np.ones(dim + 1, np.float32)
    current = start
    for step in range(count):
        order[step] = current
        remaining = count - step - 1
        hole = place[current]
        left[:, hole] = left[:, remaining]
        rows[hole] = rows[remaining]
        place[rows[hole]] = hole
        if remaining == 0:
            break
        query[:dim] = fast[current]
        score = query @ left[:, :remaining]  # [remaining], half the squared distance + const
        best = score.argmin()
        near = np.flatnonzero(score <= score[best] + slack)
        if near.size > 1:
            current = _nearest(exact, current, np.sort(rows[near]))
        else:
            current = rows[best]
        if progress is not None and step % 1000 == 0:
            progress(step, count)
    if progress is not None:
        progress(count, count)
    return order


def _nearest(codes, row, candidates):
    """Return the first of `candidates` at the least float64 distance from `row`."""
    distance = np.sum((codes[candidates] - codes[row]) ** 2, axis=1)
    return candidates[np.argmin(distance)]


def tour_predecessors(order: np.ndarray) -> np.ndarray:
    """Return the row visited before each row: int64 `[N]`, -1 for the first.

    Args:
      order: `[N]`, a tour, as `greedy_tour` returns it.

    Raises:
      UserError: If `order` is not a permutation of `0 .. N-1`.
    """
    order = np.asarray(order, np.int64)
    if order.ndim != 1 or not np.array_equal(np.sort(order), np.arange(order.size)):
        raise UserError("A tour must visit each of the rows 0 .. N-1 once.")
    before = np.full(order.size, -1, np.int64)
    before[order[1:]] = order[:-1]
    return before
