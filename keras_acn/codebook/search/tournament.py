"""The highest values of each column, found without looking at most of them twice."""

import tensorflow as tf

# So many maxima of one level make one of the next.
FAN = 16


def best_of_columns(values, count):
    """Finds the highest values of each column by a tournament.

    Maxima of 16 values each are compared first, and only the runs with the best maxima
    are looked into. They must hold the highest values.

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
