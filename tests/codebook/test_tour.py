"""The greedy tour against a brute-force one."""

import tracemalloc

import numpy as np
import pytest

from keras_acn._base.errors import UserError
from keras_acn.codebook.tour import greedy_tour, tour_predecessors


def brute_force(codes, start):
    """The definition, in float64: all distances, ties to the lowest row."""
    codes = np.asarray(codes, np.float64)
    visited = np.zeros(len(codes), bool)
    order = [start]
    visited[start] = True
    for _ in range(len(codes) - 1):
        distance = np.sum((codes - codes[order[-1]]) ** 2, axis=1)
        distance[visited] = np.inf
        order.append(int(np.argmin(distance)))
        visited[order[-1]] = True
    return order


def cases():
    rng = np.random.default_rng(0)
    yield "random", rng.normal(size=(400, 16)).astype(np.float32)
    yield "float64", rng.normal(size=(300, 3))
    yield "one dimension", rng.normal(size=(200, 1))
    yield "grid of ties", rng.integers(0, 4, size=(300, 3)).astype(np.float32)
    yield "integers", rng.integers(0, 2, size=(100, 5))
    yield "all equal", np.ones((50, 4), np.float32)
    yield "duplicates", np.repeat(rng.normal(size=(40, 8)), 5, axis=0)[rng.permutation(200)]
    yield "far from the origin", 1e6 + rng.normal(size=(200, 4))
    yield "nearly equal", 1.0 + 1e-9 * rng.normal(size=(150, 4))
    yield "an outlier", np.concatenate([rng.normal(size=(100, 4)), np.full((1, 4), 1e9)])
    yield "large", 1e30 * rng.normal(size=(100, 4))
    yield "two", rng.normal(size=(2, 2))
    yield "one", rng.normal(size=(1, 2))


@pytest.mark.parametrize("name,codes", cases(), ids=lambda v: v if isinstance(v, str) else "")
def test_equals_brute_force(name, codes):
    for start in {0, len(codes) // 2, len(codes) - 1}:
        assert greedy_tour(codes, start=start).tolist() == brute_force(codes, start)


def test_visits_each_datum_once():
    codes = np.random.default_rng(1).normal(size=(3000, 8))
    order = greedy_tour(codes, seed=3)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(3000))


def test_start_comes_from_the_seed():
    codes = np.random.default_rng(1).normal(size=(500, 2))
    starts = {int(greedy_tour(codes, seed=seed)[0]) for seed in range(6)}
    assert len(starts) > 1
    assert np.array_equal(greedy_tour(codes, seed=2), greedy_tour(codes, seed=2))


def test_does_not_change_the_codes():
    codes = np.random.default_rng(1).normal(size=(50, 2)).astype(np.float32)
    before = codes.copy()
    greedy_tour(codes)
    assert np.array_equal(codes, before)


def test_memory_is_not_quadratic():
    codes = np.random.default_rng(2).normal(size=(12_000, 4)).astype(np.float32)
    tracemalloc.start()
    greedy_tour(codes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12_000**2 // 20  # bytes: a matrix of single bytes would be 20 times that


def test_progress_reaches_the_end():
    told = []
    greedy_tour(np.zeros((2500, 2)), progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (2500, 2500)
    assert told == sorted(told) and len(told) > 2


def test_no_codes():
    assert greedy_tour(np.zeros((0, 3))).tolist() == []
    assert tour_predecessors([]).tolist() == []


@pytest.mark.parametrize(
    "codes,start,words",
    [
        (np.zeros(3), None, r"\[N, d\]"),
        (np.array([["a", "b"]]), None, r"\[N, d\]"),
        (np.array([[0.0, np.nan]]), None, "finite"),
        (np.zeros((3, 2)), 3, "from 0 to 2"),
        (np.zeros((3, 2)), -1, "from 0 to 2"),
        (np.zeros((0, 2)), 0, "no codes"),
    ],
)
def test_bad_input(codes, start, words):
    with pytest.raises(UserError, match=words):
        greedy_tour(codes, start=start)


def test_predecessors():
    assert tour_predecessors([2, 0, 3, 1]).tolist() == [2, 3, -1, 0]
    order = greedy_tour(np.random.default_rng(0).normal(size=(100, 3)))
    before = tour_predecessors(order)
    used = before[before >= 0]
    assert len(np.unique(used)) == 99  # each datum is a predecessor once at most
    with pytest.raises(UserError, match="once"):
        tour_predecessors([0, 0, 1])
