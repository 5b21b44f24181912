"""The graph search: its pieces against NumPy, and what it finds against brute force."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_acn import ACN, KNNCodebook, UserError
from keras_acn.codebook import GraphSearch
from keras_acn.codebook.recall import CHECKS, DATA
from keras_acn.codebook.search.graph import nearest, one_of_each

D = 8


def clustered(n, seed=0):
    rng = np.random.default_rng(seed)
    centers = 3 * rng.normal(size=(20, D))
    return (centers[rng.integers(0, 20, n)] + rng.normal(size=(n, D))).astype(np.float32)


def make(n, k=5, unique=False, **options):
    search = {"name": "graph", "exact_below": 0, **options}
    return KNNCodebook(size=n, k=k, unique=unique, latent_dim=D, search=search)


def true_neighbors(codes, own, k, used=None):
    """Rows [B, k] of the nearest codes by distances in float64, -1 where there are fewer."""
    squared = ((codes[own][:, None].astype(np.float64) - codes[None]) ** 2).sum(-1)
    squared[np.arange(len(own)), own] = np.inf
    if used is not None:
        squared[:, used] = np.inf
    rows = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return np.where(np.isinf(np.take_along_axis(squared, rows, 1)), -1, rows)


def share_found(rows, true):
    hits = sum(len(set(r) & set(t[t >= 0])) for r, t in zip(rows, true, strict=True))
    return hits / (true >= 0).sum()


def visits(codebook, jit=True):
    """Returns a compiled `visit(code, index, seed) -> (rows, complete)` as in a step."""

    def visit(code, index, seed):
        codebook.write(index, code)
        return codebook._follow(index, code, seed)

    return tf.function(visit, jit_compile=jit, reduce_retracing=True)


def one_pass(codebook, visit, codes, seed, batch_size=100, k=5):
    """Visits every datum in a random order; returns the share of true neighbours found."""
    shares = []
    order = np.random.default_rng(seed).permutation(len(codes)).astype(np.int32)
    for i in range(0, len(order), batch_size):
        own = order[i : i + batch_size]
        rows, _ = visit(tf.constant(codes[own]), tf.constant(own), tf.constant([seed, i]))
        shares.append(share_found(rows.numpy(), true_neighbors(codebook.codes.numpy(), own, k)))
    return np.mean(shares)


# -- the pieces ------------------------------------------------------------------------


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("candidates, k", [(1, 1), (30, 7), (30, 30), (5, 9)])
def test_nearest_agrees_with_a_sort(candidates, k, jit):
    rng = np.random.default_rng(candidates)
    rows = rng.integers(0, 12, size=(candidates, 40)).astype(np.int32)  # many repeats
    of_row = rng.permutation(12).astype(np.float32)  # one distance a row
    squared = of_row[rows]
    squared[rows < 2] = np.inf
    found, distances = tf.function(nearest, jit_compile=jit)(rows, squared, k)
    for b in range(40):
        want = sorted({int(r) for r in rows[:, b] if r >= 2}, key=lambda r: of_row[r])[:k]
        want += [-1] * (k - len(want))
        np.testing.assert_array_equal(found[:, b], want)
        np.testing.assert_array_equal(
            distances[:, b], [of_row[r] if r >= 0 else np.inf for r in want]
        )


def test_nearest_takes_the_higher_row_of_two_equal_ones():
    rows, _ = nearest(tf.constant([[4], [9], [2]]), tf.constant([[1.0], [1.0], [1.0]]), 3)
    np.testing.assert_array_equal(rows[:, 0], [9, 4, 2])


def test_of_equal_keys_one_wins_and_few_others_lose():
    rng = np.random.default_rng(3)
    keys = rng.integers(0, 300, size=(8, 100)).astype(np.int32)
    wins = one_of_each(tf.constant(keys)).numpy()
    winners = keys[wins]
    assert len(set(winners)) == len(winners)
    distinct = rng.choice(10**8, 4000, replace=False)
    kept = one_of_each(tf.constant(distinct.astype(np.int32))).numpy().mean()
    # 4,000 keys in a table of 32,000: one is lost where a later one has its place, 1 - (1 -
    # e^-0.125) / 0.125 = 6 % of them.
    assert 0.92 < kept < 0.96


# -- what it finds ---------------------------------------------------------------------


@pytest.mark.slow
def test_finds_the_true_neighbours_of_codes_that_rest():
    codes = clustered(3000)
    codebook = make(3000)
    visit = visits(codebook)
    shares = [one_pass(codebook, visit, codes, seed) for seed in range(4)]
    assert shares[0] > 0.5
    assert min(shares[2:]) > 0.99
    # So the lists themselves are the nearest codes.
    lists = codebook.search_strategy.lists.numpy()[:, : codebook.search_strategy.length]
    own = np.arange(0, 3000, 10)
    assert share_found(lists[own], true_neighbors(codes, own, 10)) > 0.95


@pytest.mark.slow
def test_follows_codes_that_drift():
    """Each pass turns and shifts all codes by about a third of a neighbour's distance."""
    codes = clustered(3000).astype(np.float64)
    rng = np.random.default_rng(7)
    codebook = make(3000)
    visit = visits(codebook)
    shares, moved = [], []
    for seed in range(5):
        turn = np.eye(D) + 0.05 * rng.normal(size=(D, D))
        new = codes @ turn + 0.3 * rng.normal(size=D) + 0.05 * rng.normal(size=codes.shape)
        moved.append(np.linalg.norm(new - codes, axis=1).mean())
        codes = new
        shares.append(one_pass(codebook, visit, codes.astype(np.float32), seed))
    assert min(moved) > 0.7  # the distance to a neighbour is about 1.2
    assert min(shares[2:]) > 0.95


@pytest.mark.slow
def test_without_what_is_fresh_it_would_not_follow():
    """The latest visits and the visitors are what the recall rests on."""
    codes = clustered(3000)
    poor = make(3000, recent=16, probes=1, reverse=1, visitors=1, rounds=1)
    assert one_pass(poor, visits(poor), codes, 0) < 0.5


@pytest.mark.fast("True-True", "False-False")
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("unique", [False, True])
def test_what_is_found_is_sorted_distinct_allowed_and_at_its_distance(unique, jit):
    n = 900
    codes = clustered(n)
    codes[100:110] = codes[0]  # equal codes
    codebook = make(n, unique=unique)
    codebook.codes.assign(codes)
    used = np.zeros(n, bool)
    used[::3] = True
    codebook.used.assign(used)
    own = np.arange(50, 150, dtype=np.int32)

    @tf.function(jit_compile=jit)
    def follow():
        return codebook.search_strategy.follow(
            codebook.codes.value,
            tf.constant(codes[own]),
            tf.constant(own),
            21,
            5,
            codebook.used.value if unique else None,
            tf.constant([0, 1]),
        )

    for _ in range(3):
        found = follow()
        codebook.search_strategy.remember(tf.constant(own), found.note, tf.constant([2, 3]))
    distance, rows = found.distance.numpy(), found.index.numpy()
    assert rows.shape == (100, 21)
    for b, row in enumerate(own):
        some = rows[b] >= 0
        mine = rows[b][some]
        assert some.sum() >= 5 and row not in mine and len(set(mine)) == len(mine)
        assert not (unique and used[mine].any())
        true = np.linalg.norm(codes[row].astype(np.float64) - codes[mine], axis=1)
        np.testing.assert_allclose(distance[b][some], true, rtol=1e-5, atol=1e-5)
        assert (np.diff(distance[b][some]) >= 0).all()


@pytest.mark.slow
def test_a_used_up_list_falls_back_to_exact_search():
    n = 2000
    codes = clustered(n)
    codebook = make(n, unique=True)
    visit = visits(codebook)
    for seed in range(2):
        one_pass(codebook, visit, codes, seed)
    used = np.ones(n, bool)
    used[np.random.default_rng(0).permutation(n)[:12]] = False
    codebook.used.assign(used)
    own = np.arange(40, dtype=np.int32)
    rows, complete = visit(tf.constant(codes[own]), tf.constant(own), tf.constant([9, 9]))
    true = true_neighbors(codes, own, 21, used)
    assert complete.numpy().all()
    np.testing.assert_array_equal(np.sort(rows, axis=1), np.sort(true, axis=1))


@pytest.mark.fast("600-64-False")
@pytest.mark.slow_sample("37-5-True")
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("n, batch_size", [(37, 5), (600, 64)])
def test_unique_uses_no_code_twice_in_a_pass(n, batch_size, jit):
    codes = clustered(n)
    codebook = make(n, k=3, unique=True)
    step = tf.function(
        lambda code, index, seed: codebook(code, index=index, seed=seed, training=True).index,
        jit_compile=jit,
        reduce_retracing=True,
    )
    for seed in range(2):
        codebook.begin_pass()
        order = np.random.default_rng(seed).permutation(n).astype(np.int32)
        picked = []
        for i in range(0, n, batch_size):
            own = order[i : i + batch_size]
            picked.append(step(codes[own], own, tf.constant([seed, i])))
        picked = np.concatenate(picked)
        real = picked[picked >= 0]
        assert len(set(real)) == len(real) >= n - 1
        assert not (picked == order).any()
        np.testing.assert_array_equal(np.flatnonzero(codebook.used.numpy()), np.sort(real))


@pytest.mark.slow
def test_what_is_kept_are_rows():
    n = 700
    codebook = make(n, length=4, visitors=6, pool=8, reverse=8)
    visit = visits(codebook)
    for seed in range(2):
        one_pass(codebook, visit, clustered(n), seed)
    lists = codebook.search_strategy.lists.numpy()
    assert lists.shape == (n, 10) and lists.min() >= 0 and lists.max() < n
    # No datum is in its own list or visits itself, once it has been visited.
    assert not (lists[:, :4] == np.arange(n)[:, None]).any()
    # A visitor is one whose list has the datum near its front.
    sample = [(i, v) for i in range(0, n, 7) for v in lists[i, 4:]]
    near = np.mean([i in lists[v, :4] for i, v in sample])
    assert near > 0.3


# -- recall ----------------------------------------------------------------------------


@pytest.mark.slow
def test_the_logged_recall_is_that_of_the_steps_checked():
    n, batch_size = 2000, 50
    codes = clustered(n)
    codebook = make(n)
    visit = visits(codebook)
    every = n // (CHECKS * batch_size)
    assert every == 2
    step = tf.function(lambda *args: visit(*args)[0], jit_compile=True)
    order = np.random.default_rng(5).permutation(n).astype(np.int32)
    codebook.begin_pass()
    check = tf.function(codebook.recall.check, jit_compile=True)
    hits = true_count = 0
    for number, i in enumerate(range(0, n, batch_size)):
        own = order[i : i + batch_size]
        rows = step(tf.constant(codes[own]), tf.constant(own), tf.constant([1, i]))
        check(tf.constant(own), tf.constant(codes[own]), rows)
        if number % every == every - 1:
            true = true_neighbors(codebook.codes.numpy(), own[:DATA], 5)
            hits += share_found(rows.numpy()[:DATA], true) * true.size
            true_count += true.size
    assert codebook.get_health()["codebook_recall"] == pytest.approx(hits / true_count)
    codebook.begin_pass()
    assert "codebook_recall" not in codebook.get_health()


def test_exact_search_logs_no_recall():
    codebook = KNNCodebook(size=50, latent_dim=D, search="exact")
    assert codebook.recall is None and "codebook_recall" not in codebook.get_health()
    assert len(codebook.weights) == 3


# -- as a part of the codebook ---------------------------------------------------------


def test_few_codes_are_searched_exactly_and_keep_no_lists():
    codebook = KNNCodebook(size=500, latent_dim=D, search="graph")
    codes = clustered(500)
    codebook.codes.assign(codes)
    own = np.arange(64, dtype=np.int32)
    rows, _ = visits(codebook)(tf.constant(codes[own]), tf.constant(own), tf.constant([0, 0]))
    assert codebook.search_strategy.lists is None
    assert share_found(rows.numpy(), true_neighbors(codes, own, 5)) == 1


def test_a_query_without_a_row_is_searched_exactly():
    codebook = make(800)
    codes = clustered(800)
    codebook.codes.assign(codes)
    own = np.arange(30)
    _, rows = codebook.neighbors(codes[own], exclude=own.astype(np.int32))
    np.testing.assert_array_equal(rows, true_neighbors(codes, own, 5))


def model(**options):
    keras.utils.set_random_seed(0)
    built = ACN(
        (4, 4, 1),
        latent_dim=D,
        encoder={"name": "mlp", "hidden": [8]},
        decoder={"name": "bernoulli_mlp", "hidden": [8]},
        prior={"name": "mixture", "hidden": [8], "components": 1},
        codebook={"search": {"name": "graph", "exact_below": 0, **options}},
    )
    built.compile("adam")
    return built


@pytest.mark.slow
def test_a_model_is_saved_with_its_graph_and_goes_on_alike(tmp_path):
    images = np.random.default_rng(0).random((300, 4, 4, 1)).astype(np.float32)
    first = model()
    history = first.fit(images, batch_size=32, epochs=1, verbose=0).history
    assert 0 < history["codebook_recall"][0] <= 1
    first.save(tmp_path / "model.keras")
    second = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(second.codebook.search_strategy, GraphSearch)
    for a, b in zip(first.codebook.weights, second.codebook.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    for each in (first, second):
        each.fit(images, batch_size=32, epochs=2, initial_epoch=1, verbose=0)
    for a, b in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    lists = second.codebook.search_strategy.lists
    assert any(lists is weight for weight in second.codebook.weights)


def test_the_same_seed_gives_the_same_graph():
    a, b = make(200), make(200)
    np.testing.assert_array_equal(a.search_strategy.lists, b.search_strategy.lists)
    np.testing.assert_array_equal(a.search_strategy.latest, b.search_strategy.latest)


def test_options_are_checked_and_kept():
    search = GraphSearch(length=3, visitors=4, pool=9, reverse=2, random=0)
    assert GraphSearch.from_config(search.get_config()).get_config() == search.get_config()
    with pytest.raises(UserError, match="rounds must be at least 1, not 0"):
        GraphSearch(rounds=0)
    with pytest.raises(UserError, match="pool of at least length, reverse and expand, 20, not 10"):
        GraphSearch(length=20)
    with pytest.raises(UserError, match="belongs to one codebook"):
        shared = GraphSearch(exact_below=0)
        for _ in range(2):
            KNNCodebook(size=100, latent_dim=D, search=shared)


def test_an_unknown_option_is_named():
    with pytest.raises(UserError, match='Unknown option "lenght".*"length"'):
        KNNCodebook(size=100, latent_dim=D, search={"name": "graph", "lenght": 3})
