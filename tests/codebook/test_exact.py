"""Exact search against scikit-learn and against brute force in float64."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.neighbors import NearestNeighbors

from keras_acn import UserError
from keras_acn.codebook import ExactSearch, get_search
from keras_acn.codebook.search.exact import best_of_columns

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


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("n, d, b, k", [(1, 3, 2, 1), (7, 2, 5, 5), (500, 16, 33, 5)])
def test_agrees_with_brute_force(n, d, b, k, jit):
    codes = RNG.normal(size=(n, d)).astype(np.float32)
    query = RNG.normal(size=(b, d)).astype(np.float32)
    check_search(codes, query, k, jit=jit)


@pytest.mark.fast(every=3)
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


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("n, block", [(100, 16), (5001, 65536), (9001, 4096)])
def test_when_few_rows_are_left_each_is_found_once(n, block, jit):
    codes = RNG.normal(size=(n, 4)).astype(np.float32)
    used = np.ones(n, bool)
    used[[0, n // 2, n - 1]] = False
    own = np.array([0, 1, n - 1], np.int32)
    check_search(codes, codes[own], 5, None, used, ExactSearch(block), jit)
    check_search(codes, codes[own], 5, own, used, ExactSearch(block), jit)


def test_a_codebook_is_read_once():
    """Each reading outside XLA may copy it whole: block by block, 1,000,000 codes took seconds."""
    codes = tf.Variable(RNG.normal(size=(9001, 3)).astype(np.float32))
    search = ExactSearch(block=64)
    graph = tf.function(lambda query: search(codes, query, 5)).get_concrete_function(codes[:7])
    definition = graph.graph.as_graph_def()
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    assert sum(node.op == "ReadVariableOp" for node in nodes) == 1


def test_many_parts():
    """More blocks than are kept at a time, with a part and a block left over."""
    codes = RNG.normal(size=(1700, 3)).astype(np.float32)
    used = RNG.random(1700) < 0.3
    own = np.array([0, 511, 512, 1699], np.int32)
    for jit in (False, True):
        check_search(codes, codes[own], 5, own, used, ExactSearch(16), jit)
    # The nearest lie in the last rows.
    codes[-3:] = codes[0]
    check_search(codes, codes[:1], 4, None, None, ExactSearch(16))


@pytest.mark.parametrize("k", [1, 5, 21, 60, 300])
def test_any_number_of_neighbours(k):
    """Groups become smaller as more are wanted, down to single rows."""
    codes = RNG.normal(size=(2500, 5)).astype(np.float32)
    check_search(codes, codes[:6], k, np.arange(6, dtype=np.int32))


def test_near_ties():
    """Distances that agree to a few parts in a million are told apart."""
    n = 6000
    direction = RNG.normal(size=(n, 8))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    codes = (direction * (3 + 1e-5 * RNG.permutation(n))[:, None]).astype(np.float32)
    query = np.zeros((1, 8), np.float32)
    for jit in (False, True):
        found = tf.function(ExactSearch(), jit_compile=jit)(codes, query, 5)[1].numpy()[0]
        want = np.argsort(np.linalg.norm(codes.astype(np.float64), axis=1))[:5]
        np.testing.assert_array_equal(found, want)


def test_tight_clusters_far_apart():
    """Distances a ten-thousandth of the codes' spread."""
    centers = 10 * RNG.normal(size=(40, 8))
    codes = centers[RNG.integers(40, size=6000)] + 1e-3 * RNG.normal(size=(6000, 8))
    codes = codes.astype(np.float32)
    own = np.arange(30, dtype=np.int32)
    _, index = ExactSearch()(tf.constant(codes), tf.constant(codes[:30]), 5, tf.constant(own))
    truth = np.linalg.norm(codes[:30, None].astype(np.float64) - codes, axis=-1)  # [30, N]
    truth[own, own] = np.inf
    found = np.take_along_axis(truth, index.numpy(), axis=1)
    # Scores are off by some 1e-5, squared distances here are 1e-5: neighbours, if not
    # always the nearest, at no more than a hair's breadth.
    assert (found < 0.02).all()


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("n", [40, 3000])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_a_few_broken_codes_do_no_harm(n, value, jit):
    codes = RNG.normal(size=(n, 4)).astype(np.float32)
    query = codes[:7].copy()
    whole = np.delete(np.arange(n), [20, 33])
    codes[[20, 33]] = value
    distance, index = tf.function(ExactSearch(64), jit_compile=jit)(
        tf.constant(codes), tf.constant(query), 5
    )
    np.testing.assert_allclose(distance, brute_force(codes[whole], query, 5), rtol=1e-5, atol=1e-6)
    assert not np.isin(index, [20, 33]).any()


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("scale", [0.0, 1e-39, 1e-15, 1e15, 1e18])
def test_any_scale(scale, jit):
    codes = (RNG.normal(size=(3000, 4)) * scale).astype(np.float32)
    distance, index = tf.function(ExactSearch(64), jit_compile=jit)(
        tf.constant(codes), tf.constant(codes[:7]), 5
    )
    # Denormal numbers count as zero.
    want = brute_force(codes, codes[:7], 5)
    np.testing.assert_allclose(distance, want, rtol=1e-5, atol=1e-19)
    assert (index.numpy() >= 0).all()


def test_only_broken_codes_or_queries():
    codes = np.full((3000, 4), np.nan, np.float32)
    distance, index = ExactSearch(64)(tf.constant(codes), tf.zeros([3, 4]), 5)
    assert (index.numpy() == -1).all() and np.isinf(distance).all()
    codes = RNG.normal(size=(3000, 4)).astype(np.float32)
    _, index = ExactSearch(64)(tf.constant(codes), tf.fill([3, 4], np.nan), 5)
    assert (index.numpy() == -1).all()


@pytest.mark.parametrize("size, count", [(1, 3), (40, 40), (500, 3), (7001, 14), (7001, 200)])
def test_tournament_finds_the_highest_of_each_column(size, count):
    values = RNG.permutation(size * 3).reshape(size, 3).astype(np.float32)
    value, row = (each.numpy() for each in best_of_columns(tf.constant(values), count))
    want = -np.sort(-values.T, axis=1)[:, :count]
    found = min(size, count)
    np.testing.assert_array_equal(value[:, :found], want)
    np.testing.assert_array_equal(np.take_along_axis(values.T, row[:, :found], axis=1), want)
    assert np.isneginf(value[:, found:]).all() and (row[:, found:] == -1).all()


def test_tournament_among_columns_without_a_value():
    values = np.full((7001, 2), -np.inf, np.float32)
    values[[5, 6999], 0] = 1, 2
    value, row = (each.numpy() for each in best_of_columns(tf.constant(values), 14))
    np.testing.assert_array_equal(row[0, :2], [6999, 5])
    assert np.isneginf(value[0, 2:]).all() and np.isneginf(value[1]).all()
    assert row.max() < 7001


def test_a_block_needs_a_row():
    with pytest.raises(UserError, match="block must be at least 1"):
        ExactSearch(block=0)


def test_unknown_search_names_the_nearest():
    with pytest.raises(UserError, match='Did you mean "exact"'):
        get_search("exakt")
