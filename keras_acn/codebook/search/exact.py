"""Exact Euclidean nearest neighbours in the graph, in bounded memory."""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_acn._base.checks import check_count
from keras_acn.codebook.search.base import NeighborSearch

# More groups than neighbours are taken by the fast, cancelling form of the distance; the
# distances of their rows are then computed without cancellation.
SLACK = 8
# About so many rows a query, in the best groups, are looked at one by one.
MEMBERS = 256
MAX_GROUP = 16
# Group maxima of so many blocks are kept before the best of them are chosen.
BLOCKS_KEPT = 32
# The codes are centred on the median of the means of so many samples of so many of them.
SAMPLES, SAMPLE = 15, 256
# So many maxima of one level make one of the next.
FAN = 16
# The score of a row ruled out: finite, since it goes through a matrix product.
LOWEST = -3e38


@keras.saving.register_keras_serializable("keras_acn")
class ExactSearch(NeighborSearch):
    """Find the true nearest codes, by matrix products and a tournament of maxima.

    The squared distance is |q|^2 - 2 q.c + |c|^2, so the nearest code has the largest
    score q.c - |c|^2 / 2: one matrix product, with the norms as one more column. The codes
    are centred first, which keeps the cancellation between the terms small wherever they
    lie. A top-k over [B, N] scores would cost more than the product, and so would writing
    them to memory: they are made in blocks that fit the processor's cache, and of each
    only the maxima of groups of up to 16 rows are kept. The k + 8 groups with the highest
    maxima hold the k + 8 highest scores; a tournament of maxima of maxima finds them. The
    true distances of all their rows are then computed from differences, and decide.

    The result is exact up to the rounding of float32. Rows can be missed only where more
    than eight others come closer to the k-th than the rounding of a score, about 1e-7 of
    |q| |c| from the centre: in a cluster 10,000 times tighter than the codes are wide.

    Args:
      block: Rows per block; no more than `[B, block]` scores exist at a time.

    Raises:
      UserError: If `block` is less than 1.

    Example:
      >>> codes = tf.constant([[0.0], [1.0], [5.0], [6.0]])
      >>> distance, index = ExactSearch()(codes, tf.constant([[0.4]]), k=3)
      >>> index.numpy().tolist()
      [[0, 1, 2]]
      >>> own_row = tf.range(4)
      >>> ExactSearch()(codes, codes, k=1, exclude=own_row)[1].numpy().ravel().tolist()
      [1, 0, 3, 2]
    """

    short_name = "exact"
    is_exact = True

    def __init__(self, block: int = 4096):
        block = check_count(block, "The exact search's block", 1)
        self.block = -(-block // MAX_GROUP) * MAX_GROUP

    def get_config(self):
        return {"block": self.block}

    def __call__(self, codes, query, k, exclude=None, used=None):
        rows = codes.shape[0]
        wanted = k + SLACK + (exclude is not None)
        group = _group_size(wanted)
        # Read once: outside XLA a variable whose rows are gathered is copied at each reading.
        values = tf.convert_to_tensor(codes)
        center = _center(values)  # [d]
        # The one at the end meets the column of norms.
        probe = tf.concat([query - center, tf.ones_like(query[:, :1])], axis=1)  # [B, d + 1]

        def best(first, count):
            maxima = self._maxima(values, center, probe, used, first, count, group)
            score, index = best_of_columns(maxima, wanted)  # [B, wanted]
            return score, tf.where(index >= 0, index + first // group, -1)

        kept = BLOCKS_KEPT * self.block
        parts, whole = [], rows // kept
        if whole:
            parts.append(_best_of_parts(best, whole, kept, probe, wanted))
        if rows % kept:
            parts.append(best(whole * kept, rows % kept))
        index = parts[0][1] if len(parts) == 1 else _merge(*parts, wanted)[1]

        member = index[:, :, None] * group + tf.range(group)  # [B, wanted, g]
        member = tf.where((index[:, :, None] >= 0) & (member < rows), member, -1)
        member = tf.reshape(member, [-1, wanted * group])
        return rank(codes, query, member, k, exclude=exclude, used=used)

    def _maxima(self, codes, center, probe, used, first, count, group):
        """Return the highest score in each group of the rows `first : first + count`.

        A row that is used or no number scores `LOWEST`.

        Returns:
          float32 `[ceil(count / group), B]`: groups are runs of rows, and a column
          belongs to a query, so that a maximum runs over whole rows of memory.
        """

        def block_maxima(start, size):
            block = tf.slice(codes, [start, 0], [size, codes.shape[1]]) - center
            # -|c|^2 / 2, as a product too: a sum along rows is not vectorized.
            bias = tf.matmul(tf.square(block), tf.fill([codes.shape[1], 1], -0.5))  # [n, 1]
            # What is no number is ruled out here: a group's maximum must not be one.
            finite = tf.math.is_finite(bias)
            block, bias = tf.where(finite, block, 0.0), tf.where(finite, bias, LOWEST)
            if used is not None:
                bias = tf.where(tf.slice(used, [start], [size])[:, None], LOWEST, bias)
            block = tf.concat([block, tf.maximum(bias, LOWEST)], axis=1)  # [n, d + 1]
            score = tf.matmul(block, probe, transpose_b=True)  # [n, B]
            missing = -size % group
            if missing:
                score = tf.pad(score, [[0, missing], [0, 0]], constant_values=LOWEST)
            score = tf.reshape(score, [(size + missing) // group, group, -1])
            return tf.reduce_max(score, axis=1)

        size = min(self.block, count)
        blocks, tail = divmod(count, size)
        if blocks == 1:
            parts = [block_maxima(first, size)]
        else:
            maxima = tf.TensorArray(
                tf.float32, blocks, element_shape=[size // group, probe.shape[0]]
            )
            _, maxima = tf.while_loop(
                lambda i, _: i < blocks,
                lambda i, maxima: (i + 1, maxima.write(i, block_maxima(first + i * size, size))),
                (0, maxima),
                maximum_iterations=blocks,
                parallel_iterations=1,
            )
            parts = [tf.reshape(maxima.stack(), [blocks * size // group, -1])]
        if tail:
            parts.append(block_maxima(first + blocks * size, tail))
        maxima = parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)
        # A score of huge numbers may be no number: that group is looked at, row by row.
        return tf.where(tf.math.is_nan(maxima), float("inf"), maxima)


def _center(codes):
    """Return a point `[d]` amid the codes that a few codes far away do not move."""
    rows, dim = codes.shape
    samples = min(SAMPLES, rows)
    each = min(SAMPLE, rows // samples)
    sample = codes[:: rows // (samples * each)][: samples * each]
    sample = tf.where(tf.math.is_finite(sample), sample, 0.0)
    means = tf.reduce_mean(tf.reshape(sample, [each, samples, dim]), axis=0)
    return tf.sort(means, axis=0)[samples // 2]


def _group_size(wanted):
    """Return 16, 8, 4, 2 or 1: the fewer groups are wanted, the larger they may be."""
    group = MAX_GROUP
    while group > 1 and group * wanted > MEMBERS:
        group //= 2
    return group


def _best_of_parts(best, parts, size, probe, wanted):
    """Return the best groups of `parts` runs of `size` rows, one run after another."""
    batch = tf.shape(probe)[0]
    start = (0, tf.fill([batch, wanted], -float("inf")), tf.fill([batch, wanted], -1))
    shape = tf.TensorShape([probe.shape[0], wanted])
    _, score, index = tf.while_loop(
        lambda i, *_: i < parts,
        lambda i, *found: (i + 1, *_merge(found, best(i * size, size), wanted)),
        start,
        shape_invariants=(tf.TensorShape([]), shape, shape),
        maximum_iterations=parts,
        parallel_iterations=1,
    )
    return score, index


def _merge(one, other, wanted):
    """Return the best `wanted` of two lists of `(score, index)`, `[B, wanted]` each."""
    score = tf.concat([one[0], other[0]], axis=1)
    index = tf.concat([one[1], other[1]], axis=1)
    score, place = tf.math.top_k(score, wanted)
    return score, tf.gather(index, place, batch_dims=1)


def rank(
    codes: tf.Tensor | tf.Variable,
    query: tf.Tensor,
    index: tf.Tensor,
    k: int,
    *,
    exclude: tf.Tensor | None = None,
    used: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Order candidate rows by their true distance and keep the k nearest.

    Args:
      codes: float32 `[N, d]`.
      query: float32 `[B, d]`.
      index: int32 `[B, C]`, candidate rows, each at most once; -1 marks none.
      k: How many to return. More than C is filled up with none.
      exclude: int32 `[B]` or `None`, as in `NeighborSearch`.
      used: bool `[N]` or `None`, likewise.

    Returns:
      `(distance, index)`, as `NeighborSearch` does.
    """
    allowed = index >= 0
    safe = tf.maximum(index, 0)
    if exclude is not None:
        allowed &= index != tf.cast(exclude, tf.int32)[:, None]
    if used is not None:
        allowed &= ~tf.gather(used, safe)
    difference = query[:, None, :] - tf.gather(codes, safe)  # [B, C, d]
    squared = tf.reduce_sum(tf.square(difference), axis=-1)  # [B, C]
    squared = tf.where(allowed & ~tf.math.is_nan(squared), squared, float("inf"))
    missing = max(0, k - index.shape[1])
    if missing:
        squared = tf.pad(squared, [[0, 0], [0, missing]], constant_values=float("inf"))
        index = tf.pad(index, [[0, 0], [0, missing]], constant_values=-1)
    negative, best = tf.math.top_k(-squared, k)
    index = tf.gather(index, best, batch_dims=1)
    distance = tf.sqrt(-negative)
    return distance, tf.where(tf.math.is_finite(distance), index, -1)


def best_of_columns(values: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Find the highest values of each column by a tournament.

    Maxima of 16 values each are compared first, and only the runs of 16 with the best
    maxima are looked into: the highest values must be among theirs.

    Args:
      values: float32 `[M, B]`, M known statically.
      count: How many to return.

    Returns:
      `(value, row)`: float32 and int32 `[B, count]`, highest first. Where M is less than
      `count`, the rest is filled with negative infinity and -1.
    """
    size, batch = values.shape[0], tf.shape(values)[1]
    if size <= 2 * FAN * count:
        value, row = tf.math.top_k(tf.transpose(values), min(count, size))
        missing = max(0, count - size)
        if missing:
            value = tf.pad(value, [[0, 0], [0, missing]], constant_values=-float("inf"))
            row = tf.pad(row, [[0, 0], [0, missing]], constant_values=-1)
        return value, row
    runs = -(-size // FAN)
    values = tf.pad(values, [[0, runs * FAN - size], [0, 0]], constant_values=-float("inf"))
    maxima = tf.reduce_max(tf.reshape(values, [runs, FAN, -1]), axis=1)
    _, run = best_of_columns(maxima, count)  # [B, count]
    row = tf.reshape(run[:, :, None] * FAN + tf.range(FAN), [-1, count * FAN])
    value = tf.gather(tf.reshape(values, [-1]), row * batch + tf.range(batch)[:, None])
    value, place = tf.math.top_k(value, count)
    row = tf.gather(row, place, batch_dims=1)
    return value, tf.where(row < size, row, -1)
