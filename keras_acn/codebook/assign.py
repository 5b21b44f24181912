"""Which of its nearest codes a datum is conditioned on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_acn._base.noise import Noise


def pick_uniform(index: tf.Tensor, seed: Any) -> tf.Tensor:
    """Pick one of the neighbours of each query, uniformly.

    Args:
      index: int32 `[B, k]`, rows nearest first, -1 for none.
      seed: A `Noise`, or an int32 `[2]` stateless seed of one.

    Returns:
      int32 `[B]`, the rows picked; -1 where there is no neighbour.
    """
    count = tf.reduce_sum(tf.cast(index >= 0, tf.int32), axis=1)  # [B]
    rank = uniform_rank(Noise.of(seed).uniform(count), count)
    return tf.where(count > 0, tf.gather(index, rank, batch_dims=1), -1)


def pick_unique(
    index: tf.Tensor,
    complete: tf.Tensor,
    k: int,
    seed: tf.Tensor,
    search_rest: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> tf.Tensor:
    """Pick a neighbour for each query such that no row is picked twice.

    The queries choose one after another, in the order of the batch: each picks
    uniformly among its k nearest rows that are still free, or among all that are free
    where fewer than k are left. This is the restriction of KNN(x) to codes not yet used
    in this pass, which makes the order a legal one for sequential compression.

    Args:
      index: int32 `[B, C]`, C >= k, free rows nearest first, -1 for none.
      complete: bool `[B]`, whether a list holds every row that is free for its query.
      k: Among how many a query picks.
      seed: A `Noise`, or an int32 `[2]` stateless seed of one.
      search_rest: `search_rest(b, picks) -> int32 [C]`: the list of query b with the
        rows in `picks` ruled out too. Called where others took so much of the list that
        fewer than k are left in it.

    Returns:
      int32 `[B]`, the rows picked; -1 where no row was free.
    """
    batch = tf.shape(index)[0]
    uniform = Noise.of(seed).uniform(index)

    def free_of(rows, picks):
        taken = tf.reduce_any(rows[:, None] == picks[None, :], axis=1)  # [C]
        return (rows >= 0) & ~taken

    def body(b, picks):
        # tf.gather, not [b]: XLA would evaluate a slice's start, and with it the search,
        # while compiling.
        rows = tf.gather(index, b)
        free = free_of(rows, picks)
        enough = tf.gather(complete, b) | (tf.reduce_sum(tf.cast(free, tf.int32)) >= k)

        def refreshed():
            fresh = tf.ensure_shape(search_rest(b, picks), rows.shape)
            return fresh, fresh >= 0

        rows, free = tf.cond(enough, lambda: (rows, free), refreshed)
        count = tf.minimum(tf.reduce_sum(tf.cast(free, tf.int32)), k)
        rank = uniform_rank(tf.gather(uniform, b), count)
        position = tf.argmax(tf.cumsum(tf.cast(free, tf.int32)) > rank, output_type=tf.int32)
        pick = tf.where(count > 0, tf.gather(rows, position), -1)
        return b + 1, tf.ensure_shape(tf.where(tf.range(batch) == b, pick, picks), picks.shape)

    picks = tf.fill([batch], -1)
    _, picks = tf.while_loop(lambda b, _: b < batch, body, (0, picks))
    return picks


def uniform_rank(uniform: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Return `floor(uniform * count)` as int32: a uniform choice among `count` places.

    It is below `count` however the product is rounded, and 0 of none.
    """
    rank = tf.cast(uniform * tf.cast(count, tf.float32), tf.int32)
    return tf.maximum(tf.minimum(rank, count - 1), 0)
