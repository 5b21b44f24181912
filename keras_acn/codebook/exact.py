"""Exact Euclidean nearest neighbours in the graph, in bounded memory."""

import keras
import tensorflow as tf

from keras_acn.codebook.search import NeighborSearch

# More candidates than neighbours are taken by the fast, cancelling form of the distance;
# their distances are then computed without cancellation, and the order with them.
SLACK = 8
GROUP = 16
# Below this many rows one plain top_k is as fast as grouping.
SMALL = 4096


@keras.saving.register_keras_serializable("keras_acn")
class ExactSearch(NeighborSearch):
    """Exact search: one matrix product, then a top-k in two stages.

    The squared distance is |q|^2 - 2 q.c + |c|^2, so the nearest code has the largest
    score q.c - |c|^2 / 2. The codes are centred first, which keeps the cancellation
    between the terms small wherever they lie. A top-k over [B, N] scores would cost more
    than the product: the scores are instead split into N / 16 groups, the k + 9 groups
    with the highest maxima must hold the k + 9 highest scores, and only those groups
    are sorted.

    Args:
      block: Rows per block; no more than `[B, block]` scores exist at a time.
    """

    short_name = "exact"
    is_exact = True

    def __init__(self, block=65536):
        self.block = max(GROUP, int(block) // GROUP * GROUP)

    def get_config(self):
        return {"block": self.block}

    def __call__(self, codes, query, k, exclude=None, used=None):
        rows = codes.shape[0]
        candidates = min(rows, k + SLACK + (exclude is not None))
        center = tf.reduce_mean(codes, axis=0)  # [d]
        centered = query - center  # [B, d]

        if rows <= self.block:
            index = self._best_of_block(codes, center, centered, used, candidates)[1]
        else:
            index = self._best_of_blocks(codes, center, centered, used, candidates)
        return rank(codes, query, index, k, exclude, used)

    def _best_of_block(self, codes, center, query, used, candidates):
        """Returns the `candidates` highest scores of one block and their rows, `[B, C]`."""
        block = codes - center  # [n, d]
        half_norm = 0.5 * tf.reduce_sum(tf.square(block), axis=1)  # [n]
        if used is not None:
            half_norm = tf.where(used, tf.constant(float("inf")), half_norm)
        rows = codes.shape[0]
        candidates = min(rows, candidates)
        if rows <= SMALL or rows < GROUP * candidates:
            score = tf.matmul(query, block, transpose_b=True) - half_norm
            score, index = tf.math.top_k(score, candidates)
            return score, _none_if_ruled_out(score, index)

        groups = -(-rows // GROUP)
        missing = groups * GROUP - rows
        block = tf.pad(block, [[0, missing], [0, 0]])
        half_norm = tf.pad(half_norm, [[0, missing]], constant_values=float("inf"))
        score = tf.matmul(query, block, transpose_b=True) - half_norm  # [B, 16 G]
        # Strided groups, row s * G + g in group g: the maximum then runs over whole
        # rows of memory.
        score = tf.reshape(score, [-1, GROUP, groups])
        _, group = tf.math.top_k(tf.reduce_max(score, axis=1), candidates)  # [B, C]
        score = tf.gather(score, group, axis=2, batch_dims=1)  # [B, 16, C]
        row = group[:, None, :] + groups * tf.range(GROUP)[None, :, None]  # [B, 16, C]
        score = tf.reshape(score, [-1, GROUP * candidates])
        row = tf.reshape(row, [-1, GROUP * candidates])
        score, best = tf.math.top_k(score, candidates)
        return score, _none_if_ruled_out(score, tf.gather(row, best, batch_dims=1))

    def _best_of_blocks(self, codes, center, query, used, candidates):
        rows, block = codes.shape[0], self.block
        batch = tf.shape(query)[0]
        score = tf.fill([batch, candidates], -float("inf"))
        index = tf.fill([batch, candidates], -1)

        def body(i, score, index):
            # The last block is moved back to end at row N, so that every block has one
            # shape; the rows it shares with the block before are ruled out.
            start = tf.minimum(i * block, rows - block)
            chunk = tf.slice(codes, [start, 0], [block, codes.shape[1]])
            repeated = tf.range(block) + start < i * block
            if used is not None:
                repeated |= tf.slice(used, [start], [block])
            new_score, new_index = self._best_of_block(chunk, center, query, repeated, candidates)
            score = tf.concat([score, new_score], axis=1)
            new_index = tf.where(new_index >= 0, new_index + start, -1)
            index = tf.concat([index, new_index], axis=1)
            score, best = tf.math.top_k(score, candidates)
            return i + 1, score, tf.gather(index, best, batch_dims=1)

        shapes = (tf.TensorShape([]), score.shape, index.shape)
        blocks = -(-rows // block)
        _, _, index = tf.while_loop(
            lambda i, *_: i < blocks,
            body,
            (0, score, index),
            shape_invariants=shapes,
            maximum_iterations=blocks,
        )
        return index


def _none_if_ruled_out(score, index):
    """Returns `index` with -1 where the score is that of a used, repeated or padded row."""
    return tf.where(tf.math.is_inf(score), -1, index)


def rank(codes, query, index, k, exclude=None, used=None):
    """Orders candidate rows by their true distance and keeps the k nearest.

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
    squared = tf.where(allowed, squared, float("inf"))
    missing = max(0, k - index.shape[1])
    if missing:
        squared = tf.pad(squared, [[0, 0], [0, missing]], constant_values=float("inf"))
        index = tf.pad(index, [[0, 0], [0, missing]], constant_values=-1)
    negative, best = tf.math.top_k(-squared, k)
    index = tf.gather(index, best, batch_dims=1)
    distance = tf.sqrt(-negative)
    return distance, tf.where(tf.math.is_finite(distance), index, -1)
