"""Candidate rows of a graph search: the nearest ones of each datum, without duplicates.

Arrays are `[C, B]`, candidates first, so that minima over candidates run over whole rows of
memory. A pool is `(rows, squared)`, int32 rows and their float32 squared distances, nearest
first.
"""

import tensorflow as tf

INFINITY = float("inf")
# Places in a table of hashes, for each key.
TABLE = 8


def not_been_at(pool, been, k):
    """Returns the k nearest rows `[k, B]` of a pool that are not among `been`."""
    rows, squared = pool
    again = tf.reduce_any(rows[:, None] == been, axis=1)
    return nearest(rows, tf.where(again, INFINITY, squared), k)[0]


def merged(pool, others):
    """Returns a pool with the nearest of its own rows and of `others`."""
    rows, squared = (tf.concat(pair, axis=0) for pair in zip(pool, others, strict=True))
    return nearest(rows, squared, pool[0].shape[0])


def nearest(rows, squared, k):
    """Returns the k nearest distinct rows, and their squared distances.

    Each of k passes takes the least distance of a column and strikes out the row it
    belongs to, wherever it stands: duplicates vanish without sorting.

    Args:
      rows: int32 `[C, B]`; a row may stand in a column many times.
      squared: float32 `[C, B]`, the same for the same row, infinity for what is ruled out.
      k: How many, a Python int.

    Returns:
      int32 and float32 `[k, B]`, nearest first, the higher row first among equals; -1 and
      infinity where there are fewer.
    """

    def take(i, left, found, distances):
        least = tf.reduce_min(left, axis=0)  # [B]
        row = tf.reduce_max(tf.where(left == least, rows, -1), axis=0)
        row = tf.where(tf.math.is_inf(least), -1, row)
        left = tf.where(rows == row, INFINITY, left)
        return i + 1, left, found.write(i, row), distances.write(i, least)

    # A loop, not k copies of its body, which XLA would compile for seconds.
    found, distances = (
        tf.TensorArray(dtype, k, element_shape=rows.shape[1:]) for dtype in (tf.int32, tf.float32)
    )
    _, _, found, distances = tf.while_loop(
        lambda i, *_: i < k, take, (0, squared, found, distances), maximum_iterations=k
    )
    return found.stack(), distances.stack()


def one_of_each(keys):
    """Chooses one of those that are equal, the same one on every replica and device.

    By a small table of hashes, in which a few that differ meet too; of those one is chosen
    as well, and the others are left out.

    Args:
      keys: int32 `[...]`.

    Returns:
      bool `[...]`: true for no two that are equal.
    """
    flat = tf.reshape(keys, [-1])
    number = tf.range(tf.size(flat))
    table = TABLE * tf.size(flat)
    place = tf.math.floormod(flat, tf.maximum(table, 1))
    last = tf.math.unsorted_segment_max(number, place, table)
    return tf.reshape(tf.gather(last, place) == number, tf.shape(keys))
