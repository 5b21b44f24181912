"""Rows in batches: the same as all at once, in every way of cutting them."""

import numpy as np
import pytest
import tensorflow as tf

from keras_acn._base.batches import in_batches


@pytest.mark.parametrize("fill", [False, True])
@pytest.mark.parametrize("size", [1, 3, 7, 8, 100])
def test_batches_join_to_the_whole(size, fill):
    x, y = np.arange(7.0), np.arange(14.0).reshape(7, 2)
    seen, told = [], []

    def function(x, y):
        seen.append(len(x))
        return {"sum": x[:, None] + y, "x": x}

    out = in_batches(function, x, y, size=size, fill=fill, progress=lambda *each: told.append(each))
    np.testing.assert_array_equal(out["sum"], x[:, None] + y)
    np.testing.assert_array_equal(out["x"], x)
    assert max(seen) <= size and (not fill or set(seen) == {size})
    assert told[-1] == (7, 7) and len(told) == len(seen)


def test_each_batch_has_a_seed_of_its_own():
    keys = in_batches(lambda x, key: tf.repeat(key[None], len(x), 0), np.zeros(5), size=2, seed=9)
    np.testing.assert_array_equal(keys, [[9, 0], [9, 0], [9, 2], [9, 2], [9, 4]])
