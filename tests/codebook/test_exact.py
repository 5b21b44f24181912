"""Exact search against scikit-learn and against brute force in float64."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.neighbors import NearestNeighbors

from keras_acn import UserError
from keras_acn.codebook import ExactSearch, get_search

RNG = np.random.default_rng(0)


def brute_force(codes, query, k, exclude=None, used=None):
    """Distances [B, k] in float64, infinity where there are fewer."""
    difference = query[:, None].astype(np.float64) - codes[None].astype(np.float64)
    distance = np.sqrt((difference**2).sum(-1))  # [B, N]
    if used is not None:
        distance[:, used] = np.inf
    if exclude is not None:
        rows = np.flatnonzero(exclude >= 0)
        distance[rows, exclude[rows]] = np.inf
    distance = np.pad(distance, [(0, 0), (0, k)], constant_values=np.inf)
    return np.sort(distance, axis=1)[:, :k]


def check_search(codes, query, k, exclude=None, used=None, search=None, jit=False):
    search = search or ExactSearch()
    call = tf.function(search, jit_compile=jit)
    distance, index = call(
        tf.constant(codes),
        tf.constant(query),
        k,
        None if exclude is None else tf.constant(exclude),
        None if used is None else tf.constant(used),
    )
    distance, index = distance.numpy(), index.numpy()
    want = brute_force(codes, query, k, exclude, used)
    scale = 1 + np.abs(codes).max()
    np.testing.assert_allclose(distance, want, rtol=1e-5, atol=2e-6 * scale)
    # The rows are the ones at those distances, allowed, and each named once.
    found = index >= 0
    np.testing.assert_array_equal(found, np.isfinite(want))
    for b in range(len(query)):
        rows = index[b][found[b]]
        assert len(set(rows)) == len(rows)
        true = np.linalg.norm(query[b].astype(np.float64) - codes[rows], axis=1)
        np.testing.assert_allclose(true, want[b][found[b]], rtol=1e-5, atol=2e-6 * scale)
        if used is not None:
            assert not used[rows].any()
        if exclude is not None:
            assert exclude[b] not in rows


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("n, d, b, k", [(1, 3, 2, 1), (7, 2, 5, 5), (500, 16, 33, 5)])
def test_agrees_with_brute_force(n, d, b, k, jit):
    codes = RNG.normal(size=(n, d)).astype(np.float32)
    query = RNG.normal(size=(b, d)).astype(np.float32)
    check_search(codes, query, k, jit=jit)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("n", [5000, 9999, 16384])
def test_grouped_top_k_agrees_with_scikit_learn(n, jit):
    codes = RNG.normal(size=(n, 8)).astype(np.float32)
    query = RNG.normal(size=(20, 8)).astype(np.float32)
    distance, index = tf.function(ExactSearch(), jit_compile=jit)(
        tf.constant(codes), tf.constant(query), 5
    )
    want, rows = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(codes).kneighbors(query)
    np.testing.assert_allclose(distance, want, rtol=1e-5)
    np.testing.assert_array_equal(index, rows)


@pytest.mark.parametrize("block", [16, 160, 4096])
@pytest.mark.parametrize("n", [33, 1000, 9001])
def test_blocks_do_not_change_the_result(n, block):
    codes = RNG.normal(size=(n, 4)).astype(np.float32)
    query = codes[:9]
    used = RNG.random(n) < 0.5
    check_search(codes, query, 6, np.arange(9, dtype=np.int32), used, ExactSearch(block))


@pytest.mark.parametrize("n", [50, 6000])
def test_degenerate_data(n):
    line = np.repeat(np.arange(n // 5, dtype=np.float32), 5)[:, None]  # ties and duplicates
    check_search(line, line[:7], 5, np.arange(7, dtype=np.int32))
    same = np.ones((n, 3), np.float32)
    check_search(same, same[:4], 5, np.arange(4, dtype=np.int32))
    grid = RNG.integers(0, 3, size=(n, 2)).astype(np.float32)
    check_search(grid, grid[:20], 5)


@pytest.mark.parametrize("n", [60, 6000])
def test_degenerate_data_against_scikit_learn(n):
    line = np.repeat(np.arange(n // 5, dtype=np.float32), 5)[:, None]
    distance, _ = ExactSearch()(tf.constant(line), tf.constant(line[:40]), 7)
    want, _ = NearestNeighbors(n_neighbors=7, algorithm="brute").fit(line).kneighbors(line[:40])
    np.testing.assert_allclose(distance, want, atol=1e-5)


def test_far_from_the_origin():
    """|q|^2 - 2 q.c + |c|^2 would cancel every digit here."""
    codes = (1000 + RNG.normal(size=(6000, 4))).astype(np.float32)
    check_search(codes, codes[:30], 5, np.arange(30, dtype=np.int32))


def test_a_query_equal_to_a_stored_code_never_returns_the_datum_itself():
    codes = RNG.normal(size=(5000, 16)).astype(np.float32)
    own = np.arange(0, 5000, 50, dtype=np.int32)
    _, index = ExactSearch()(tf.constant(codes), tf.constant(codes[own]), 5, tf.constant(own))
    assert not (index.numpy() == own[:, None]).any()
    # Without the exclusion the datum is the nearest, so the test above can fail.
    _, index = ExactSearch()(tf.constant(codes), tf.constant(codes[own]), 5)
    np.testing.assert_array_equal(index[:, 0], own)


@pytest.mark.parametrize("n", [40, 5000])
@pytest.mark.parametrize("share", [0.0, 0.9, 1.0])
def test_masks_empty_and_full(n, share):
    codes = RNG.normal(size=(n, 4)).astype(np.float32)
    used = np.zeros(n, bool)
    used[: int(share * n)] = True
    if share == 0.9:
        used[: n - 3] = True  # fewer than k are left
    check_search(codes, codes[:11], 5, np.full(11, -1, np.int32), used)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("n, block", [(100, 16), (5001, 65536), (9001, 4096)])
def test_when_few_rows_are_left_each_is_found_once(n, block, jit):
    codes = RNG.normal(size=(n, 4)).astype(np.float32)
    used = np.ones(n, bool)
    used[[0, n // 2, n - 1]] = False
    own = np.array([0, 1, n - 1], np.int32)
    check_search(codes, codes[own], 5, None, used, ExactSearch(block), jit)
    check_search(codes, codes[own], 5, own, used, ExactSearch(block), jit)


def test_unknown_search_names_the_nearest():
    with pytest.raises(UserError, match='Did you mean "exact"'):
        get_search("exakt")
