"""Which of its nearest codes a datum gets, against loops in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from keras_acn._base.noise import Noise
from keras_acn.codebook.assign import pick_uniform, pick_unique, uniform_rank

SEED = tf.constant([3, 4])


def drawn(rows, k, uniform):
    """The row that a uniform number stands for, among the first k."""
    count = min(len(rows), k)
    return rows[min(int(np.float32(uniform) * np.float32(count)), count - 1)] if count else -1


def test_uniform_over_what_is_there_row_0_included():
    index = tf.constant([[0, -1, -1], [-1, -1, -1], [3, 0, -1], [5, 6, 0]] * 20)
    uniform = Noise.of(SEED).uniform(index).numpy()
    wanted = [
        drawn([row for row in rows if row >= 0], 3, u)
        for rows, u in zip(index.numpy(), uniform, strict=True)
    ]
    np.testing.assert_array_equal(pick_uniform(index, SEED), wanted)


@pytest.mark.parametrize("rows, k, seed", [(30, 2, 0), (30, 3, 1), (9, 2, 2), (5, 2, 3), (1, 4, 4)])
def test_unique_picks_one_after_another(rows, k, seed):
    """Of lists that were made for all at once, and are searched again where too little is left."""
    rng = np.random.default_rng(seed)
    batch, length = 10, 4
    # What each query prefers: all want much the same rows, the last ones or the first ones, and
    # each has itself ruled out.
    common = np.arange(rows) * (-1) ** (seed + 1)
    order = [
        [int(row) for row in np.argsort(common + 3 * rng.random(rows)) if row != b]
        for b in range(batch)
    ]

    def padded(found):
        return (found + [-1] * length)[:length]

    index = np.array([padded(each) for each in order], np.int32)
    complete = np.array([len(each) <= length for each in order])
    uniform = Noise.of(SEED).uniform(index).numpy()

    wanted, searched = [], []
    for b in range(batch):
        free = [row for row in index[b] if row >= 0 and row not in wanted]
        if not complete[b] and len(free) < k:
            searched.append(b)
            free = padded([row for row in order[b] if row not in wanted])
            free = [row for row in free if row >= 0]
        wanted.append(drawn(free, k, uniform[b]))

    asked = []

    def search_rest(b, picks):
        asked.append(int(b))
        return tf.constant(padded([row for row in order[int(b)] if row not in picks.numpy()]))

    picked = pick_unique(tf.constant(index), tf.constant(complete), k, SEED, search_rest)
    np.testing.assert_array_equal(picked, wanted)
    assert asked == searched and (searched or rows != 30)


def test_a_rank_is_below_the_count_however_it_is_rounded():
    uniform = np.nextafter(np.float32(1), np.float32(0), dtype=np.float32)
    counts = tf.constant([0, 1, 3, 5, 1000, 2**24 - 1])
    for number, wanted in ((0.0, counts * 0), (uniform, tf.maximum(counts - 1, 0))):
        np.testing.assert_array_equal(uniform_rank(tf.fill([6], number), counts), wanted)
    np.testing.assert_array_equal(uniform_rank(tf.fill([2], 0.5), tf.constant([4, 5])), [2, 2])
