"""All search strategies on one grid, against distances in float64."""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_acn import KNNCodebook
from keras_acn.codebook.search import (
    ExactSearch,
    FaissSearch,
    choose,
    describe_choice,
    get_search,
)

MAKE = {
    "exact": ExactSearch,
    "exact in small blocks": lambda: ExactSearch(block=64),
    "graph": lambda: get_search("graph"),
    # With every cell looked into, its answers are exact.
    "faiss": lambda: FaissSearch(nprobe=100_000),
}
if importlib.util.find_spec("faiss") is None:
    del MAKE["faiss"]


@pytest.fixture(params=MAKE)
def search(request):
    return MAKE[request.param]()


def make_codes(n, d, kind, seed=0):
    rng = np.random.default_rng([n, d, seed])
    if kind == "normal":
        return rng.normal(size=(n, d)).astype(np.float32)
    if kind == "lattice":  # exact ties, and each code many times
        return rng.integers(0, 3, size=(n, d)).astype(np.float32)
    if kind == "far":
        return (1000 + rng.normal(size=(n, d))).astype(np.float32)
    return np.full((n, d), 0.7, np.float32)


def make_masks(n, rng):
    few_left = np.ones(n, bool)
    few_left[rng.permutation(n)[:3]] = False
    return {
        "no mask": None,
        "nothing used": np.zeros(n, bool),
        "half used": rng.random(n) < 0.5,
        "few left": few_left,
        "all used": np.ones(n, bool),
    }


def oracle(codes, query, exclude, used):
    """Distances float64 [B, N], infinity where a row is not allowed."""
    distance = np.sqrt(((query[:, None].astype(np.float64) - codes[None]) ** 2).sum(-1))
    if used is not None:
        distance[:, used] = np.inf
    if exclude is not None:
        some = np.flatnonzero(exclude >= 0)
        distance[some, exclude[some]] = np.inf
    return distance


def check_found(found, codes, query, k, exclude, used, exact=True):
    """The rows are allowed, each named once, at their distances, and the nearest there are."""
    distance, index = (np.asarray(each) for each in found)
    assert distance.shape == index.shape == (len(query), k)
    assert distance.dtype == np.float32 and index.dtype == np.int32
    truth = oracle(codes, query, exclude, used)
    tolerance = dict(rtol=1e-5, atol=2e-6 * (1 + np.abs(codes).max()))
    for b in range(len(query)):
        rows = index[b][index[b] >= 0]
        count = len(rows)
        assert len(set(rows)) == count and np.all(index[b][count:] == -1)
        assert np.isfinite(truth[b, rows]).all(), "a row that is used up or excluded"
        np.testing.assert_allclose(distance[b, :count], truth[b, rows], **tolerance)
        assert np.isinf(distance[b, count:]).all() and np.all(np.diff(distance[b, :count]) >= 0)
        if exact:
            best = np.sort(truth[b])[:k]
            best = best[np.isfinite(best)]
            assert count == len(best)
            np.testing.assert_allclose(distance[b, :count], best, **tolerance)


def tensors(*arrays):
    return [None if each is None else tf.constant(each) for each in arrays]


@pytest.mark.parametrize("kind", ["normal", "lattice", "far", "constant"])
@pytest.mark.parametrize(
    "n, d", [(1, 3), (17, 1), (130, 65), pytest.param(5003, 16, marks=pytest.mark.slow)]
)
def test_against_the_oracle(search, n, d, kind):
    rng = np.random.default_rng(n + d)
    codes = make_codes(n, d, kind)
    for batch, k in [(1, 1), (33, 5), (5, 40)]:
        own = rng.integers(0, n, batch).astype(np.int32)
        query = codes[own].copy()
        query[::2] += rng.normal(size=query[::2].shape).astype(np.float32)
        own[::3] = -1
        for name, used in make_masks(n, rng).items():
            exclude = None if name == "nothing used" else own
            found = search(*tensors(codes, query), k, *tensors(exclude, used))
            check_found(found, codes, query, k, exclude, used)


@pytest.mark.fast(every=4)
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(
    "n, d, k, masked", [(3, 2, 5, True), (900, 8, 5, True), (4999, 4, 21, False)]
)
def test_in_a_graph(search, n, d, k, masked, jit):
    if jit and not search.supports_xla:
        pytest.skip("XLA cannot compile it")
    codes = make_codes(n, d, "normal")
    rng = np.random.default_rng(n)
    own = rng.integers(0, n, 9).astype(np.int32)
    used = rng.random(n) < 0.7 if masked else None

    @tf.function(jit_compile=jit)
    def call(codes, query, own, used):
        return search(codes, query, k, own, used)

    found = call(*tensors(codes, codes[own], own, used))
    check_found(found, codes, codes[own], k, own, used)


@pytest.mark.parametrize("jit", [False, True])
def test_a_batch_of_unknown_size(search, jit):
    if jit and not search.supports_xla:
        pytest.skip("XLA cannot compile it")
    codes = make_codes(2100, 4, "normal")
    call = tf.function(
        lambda query: search(tf.constant(codes), query, 3),
        input_signature=[tf.TensorSpec([None, 4])],
        jit_compile=jit,
    )
    for batch in (1, 6):
        check_found(call(tf.constant(codes[:batch])), codes, codes[:batch], 3, None, None)


@pytest.mark.fast(
    "exact-90-3-16-True",
    "exact in small blocks-5-7-3-True",
    "graph-90-3-16-True",
    "graph-700-5-50-False",
    "faiss-90-3-16-True",
    "faiss-1-1-1-False",
)
@pytest.mark.slow_sample(every=4)
@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("n, k, batch", [(1, 1, 1), (5, 7, 3), (90, 3, 16), (700, 5, 50)])
def test_in_training(search, n, k, batch, unique):
    """Two passes over codes that move: each pick is allowed and, where the search is
    exact, among the k nearest that were free."""
    codebook = KNNCodebook(size=n, k=k, unique=unique, latent_dim=3, search=search)
    rng = np.random.default_rng(n)
    step = tf.function(
        lambda code, index, seed: codebook(code, index=index, seed=seed, training=True).index,
        reduce_retracing=True,
    )
    for epoch in range(2):
        codebook.on_epoch_begin(epoch)
        taken = []
        order = rng.permutation(n).astype(np.int32)
        for first in range(0, n, batch):
            rows = order[first : first + batch]
            new = rng.normal(size=(len(rows), 3)).astype(np.float32)
            picks = step(tf.constant(new), tf.constant(rows), tf.constant([epoch, first])).numpy()
            codes = codebook.codes.numpy()
            np.testing.assert_array_equal(codes[rows], new)
            assert not (picks == rows).any()
            for b, pick in enumerate(picks):
                used = np.isin(np.arange(n), taken) if unique else None
                truth = oracle(codes, new[b : b + 1], rows[b : b + 1], used)[0]
                free = np.isfinite(truth).sum()
                assert (pick >= 0) == (free > 0)
                if pick < 0:
                    continue
                assert np.isfinite(truth[pick]), "used twice"
                if codebook.search_strategy.is_exact:
                    assert truth[pick] <= np.sort(truth)[min(k, free) - 1] * (1 + 1e-5)
                taken.append(pick)


@pytest.mark.fast("exact", "graph")
def test_saved_and_restored(search, tmp_path):
    n = 300
    codebook = KNNCodebook(size=n, k=4, unique=True, latent_dim=3, search=search)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, codebook(inputs).code)
    rng = np.random.default_rng(5)
    codebook.on_epoch_begin(0)
    for first in range(0, 200, 50):
        rows = tf.range(first, first + 50)
        code = tf.constant(rng.normal(size=(50, 3)), tf.float32)
        codebook(code, index=rows, seed=tf.constant([1, first]), training=True)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras").layers[-1]
    assert type(loaded.search_strategy) is type(codebook.search_strategy)
    for old, new in zip(codebook.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(old.numpy(), new.numpy())
    query = rng.normal(size=(20, 3)).astype(np.float32)
    check_found(loaded.neighbors(query), codebook.codes.numpy(), query, 4, None, None)
    # What is left of the pass is gone through with codes that were not used before.
    before = set(np.flatnonzero(loaded.used.numpy()))
    picks = loaded(
        tf.constant(rng.normal(size=(100, 3)), tf.float32),
        index=tf.range(200, 300),
        seed=tf.constant([1, 200]),
        training=True,
    ).index.numpy()
    picks = picks[picks >= 0]
    assert len(picks) >= 99 and len(set(picks)) == len(picks) and not before & set(picks)


def test_the_choice_goes_by_size_and_dimension():
    assert choose(60_000, 16) == choose(60_000, 64) == "exact"
    assert choose(1_000_000, 16) == choose(300_000, 64) == choose(10**9, 1) == "graph"
    assert choose(1, 10_000) == "exact"
    sentence = describe_choice(1_000_000, 16)
    assert '"graph"' in sentence and "1,000,000" in sentence
    assert '"exact"' in describe_choice(50_000, 16)
