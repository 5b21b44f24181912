"""Drawing D: never the datum itself, never twice the same, uniform."""

import collections
import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_acn.codebook import class_lists, draw_members

DRAW = tf.function(draw_members, reduce_retracing=True)


@pytest.mark.fast("0")
@pytest.mark.parametrize("seed", range(6))
def test_d_is_of_the_class_and_never_the_datum_itself(seed):
    rng = np.random.default_rng(seed)
    sizes = np.concatenate([[1, 2, 3], rng.integers(1, 30, size=12)])
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    lists = class_lists(labels)
    for least, most in ((1, 1), (5, 5), (1, 4), (40, 40)):
        index = np.arange(len(labels), dtype=np.int32)
        drawn = DRAW(lists, index, tf.constant([seed, most]), least, most)
        assert drawn.index.shape == drawn.valid.shape == (len(labels), most)
        np.testing.assert_array_equal(drawn.class_size, sizes[labels])
        for row in index:
            members = drawn.index[row].numpy()[drawn.valid[row].numpy()]
            others = sizes[labels[row]] - 1
            assert (labels[members] == labels[row]).all()
            if not others:
                np.testing.assert_array_equal(members, [row])
                continue
            assert row not in members
            assert len(set(members)) == len(members)
            assert min(least, others) <= len(members) <= min(most, others)


@pytest.mark.parametrize("jit", [False, True])
def test_every_subset_is_equally_likely(jit):
    """Pairs among the five others of one datum: chi-squared over 10 outcomes."""
    lists = class_lists(np.array([0, 1, 0, 0, 0, 1, 0, 0]))
    draw = tf.function(draw_members, jit_compile=jit)
    index = np.full(4000, 3, np.int32)
    drawn = draw(lists, index, tf.constant([7, 1]), 2, 2)
    assert drawn.valid.numpy().all()
    counts = collections.Counter(tuple(sorted(pair)) for pair in drawn.index.numpy())
    pairs = list(itertools.combinations([0, 2, 4, 6, 7], 2))
    assert set(counts) == set(pairs)
    statistic = sum((counts[pair] - 400) ** 2 / 400 for pair in pairs)
    assert statistic < 27.9  # the 0.999 quantile with 9 degrees of freedom


def test_the_number_of_members_is_uniform_in_a_range():
    lists = class_lists(np.zeros(9, np.int32))
    drawn = DRAW(lists, np.zeros(3000, np.int32), tf.constant([1, 2]), 2, 4)
    counts = np.bincount(drawn.valid.numpy().sum(1), minlength=5)
    assert counts[:2].sum() == 0
    np.testing.assert_allclose(counts[2:], 1000, atol=110)


def test_the_same_seed_draws_the_same():
    lists = class_lists(np.zeros(9, np.int32))
    index = np.arange(9, dtype=np.int32)
    one, again, other = (DRAW(lists, index, tf.constant([1, s]), 3, 3).index for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).numpy().any()
