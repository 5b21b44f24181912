"""Codes that are no numbers: nobody's neighbours, in no one's way, and told of by `fit`."""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_acn import ACN, VHE, KNNCodebook, PseudoLabels, UserError
from keras_acn.codebook import FaissSearch, get_search, greedy_tour
from keras_acn.codebook.search.faiss_index import IndexSnapshots

needs_faiss = pytest.mark.skipif(
    importlib.util.find_spec("faiss") is None, reason="faiss is not installed"
)
SEARCHES = ["exact", "graph", pytest.param("faiss", marks=needs_faiss)]
D = 4


def normal_codes(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, D)).astype(np.float32)


def true_rows(codes, query, k):
    """The k rows of the nearest finite codes of each query, by distances in float64."""
    squared = ((query[:, None].astype(np.float64) - codes) ** 2).sum(-1)
    squared[~np.isfinite(squared)] = np.inf
    return np.argsort(squared, axis=1)[:, :k]


# -- the search of codes as they are ---------------------------------------------------


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("search", SEARCHES)
def test_many_such_codes_do_not_hide_the_others(search, wrong):
    """So many that their groups of rows are more than the best ones that are looked into."""
    codes = normal_codes(6000)
    query = codes[np.arange(0, 6000, 150)] + 0.01
    broken = codes.copy()
    broken[1000:1600] = wrong
    broken[::40, 1] = wrong
    if search == "faiss":
        search = FaissSearch(nprobe=10_000)
    _, index = get_search(search)(tf.constant(broken), tf.constant(query), 5)
    np.testing.assert_array_equal(index, true_rows(broken, query, 5))


@pytest.mark.parametrize("jit", [False, True])
def test_they_do_not_hide_the_others_in_compiled_code_either(jit):
    codes = normal_codes(5003)
    codes[::7] = np.nan
    query = normal_codes(20, seed=1)
    search = tf.function(get_search("exact"), jit_compile=jit)
    _, index = search(tf.constant(codes), tf.constant(query), 5)
    np.testing.assert_array_equal(index, true_rows(codes, query, 5))


@pytest.mark.parametrize("search", SEARCHES)
def test_a_query_that_is_no_number_finds_nothing_and_changes_nothing_for_the_others(search):
    codes = normal_codes(3000)
    query = codes[:6] + 0.01
    asked = query.copy()
    asked[2], asked[4, 0] = np.nan, np.inf
    if search == "faiss":
        search = FaissSearch(nprobe=10_000)
    distance, index = get_search(search)(tf.constant(codes), tf.constant(asked), 5)
    want = true_rows(codes, query, 5)
    want[[2, 4]] = -1
    np.testing.assert_array_equal(index, want)
    assert np.isinf(distance.numpy()[[2, 4]]).all()


# -- a training ------------------------------------------------------------------------


def visited(codebook, codes, seed, batch=100):
    """Visits all data in a random order; returns the rows picked, by datum."""
    step = tf.function(
        lambda code, index, seed: codebook(code, index=index, seed=seed, training=True).index,
        reduce_retracing=True,
    )
    picked = np.full(len(codes), -2)
    order = np.random.default_rng(seed).permutation(len(codes)).astype(np.int32)
    for first in range(0, len(codes), batch):
        rows = order[first : first + batch]
        picked[rows] = step(tf.constant(codes[rows]), tf.constant(rows), tf.constant([seed, first]))
    return picked


def codebook_with(search, n, **options):
    if search == "graph":
        search = {"name": "graph", "exact_below": 0}
    return KNNCodebook(size=n, k=3, latent_dim=D, search=search, **options)


@pytest.mark.fast("exact-False")
@pytest.mark.slow_sample(every=3)
@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("search", SEARCHES)
def test_every_other_datum_of_a_training_has_a_neighbour(search, unique):
    """A graph search once left a share of all later visits without one, and said nothing."""
    n = 2000
    codes = normal_codes(n)
    codebook = codebook_with(search, n, unique=unique)
    broken = codes.copy()
    wrong = np.arange(5, n, 190)
    broken[wrong[0]], broken[wrong[1:], 2] = np.inf, np.nan
    codebook.codes.assign(broken)
    for seed in range(3):
        codebook.on_epoch_begin(seed)
        picked = visited(codebook, broken, seed)
        assert not np.isin(picked, wrong).any()
        # With `unique` the last ones of a pass may find nothing left but themselves.
        without = np.setdiff1d(np.flatnonzero(picked < 0), wrong)
        assert len(without) <= (len(wrong) if unique else 0)
        assert (picked[wrong] == -1).all()
    codebook.on_train_end()
    health = codebook.get_health()
    assert np.isfinite(list(health.values())).all()
    assert health.get("codebook_recall", 1) > 0.9


@pytest.mark.slow
def test_a_graph_forgets_them_as_soon_as_they_are_numbers_again():
    n = 2000
    codes = normal_codes(n)
    codebook, untouched = codebook_with("graph", n), codebook_with("graph", n)
    broken = codes.copy()
    broken[::10] = np.nan
    for seed in range(2):
        codebook.begin_pass()
        visited(codebook, broken, seed)
    strategy = codebook.search_strategy
    lists = strategy.lists.numpy()[np.arange(n) % 10 != 0, : strategy.length]
    assert not (lists % 10 == 0).any()
    for each in (codebook, untouched):
        for seed in range(2, 4):
            each.begin_pass()
            assert (visited(each, codes, seed) >= 0).all()
    recall = codebook.get_health()["codebook_recall"]
    assert recall > 0.95 and recall > untouched.get_health()["codebook_recall"] - 0.02


@pytest.mark.slow
def test_such_a_datum_does_not_make_a_graph_search_exactly(monkeypatch):
    """Its empty list is all there is, so its batch is not searched again."""
    n = 2000
    codes = normal_codes(n)
    codebook = codebook_with("graph", n, unique=True)
    for seed in range(2):
        codebook.begin_pass()
        visited(codebook, codes, seed)
    codebook.begin_pass()
    strategy = codebook.search_strategy
    monkeypatch.setattr(strategy, "_exact", lambda *_: pytest.fail("searched exactly"))
    rows = np.arange(50, dtype=np.int32)
    code = codes[rows]
    code[3] = np.nan
    codebook.write(rows, code)
    listed, complete = codebook._follow(tf.constant(rows), tf.constant(code), tf.constant([0, 0]))
    assert complete.numpy()[3] and not complete.numpy()[4]
    assert (listed.numpy()[3] == -1).all() and (listed.numpy()[4, :3] >= 0).all()


# -- faiss -----------------------------------------------------------------------------


@needs_faiss
def test_an_index_is_not_made_again_because_of_them():
    codes = normal_codes(3000)
    codes[::50] = np.nan
    made = []
    search = FaissSearch()
    build = search._build_index
    search._snapshots = IndexSnapshots(lambda *given: made.append(given[1]) or build(*given))
    for _ in range(3):
        search(tf.constant(codes), tf.constant(codes[1:5]), 3)
    assert made == [False]
    # Codes that move a little are no reason to wait for an index, such ones among them or not.
    variable = tf.Variable(codes)
    for epoch in range(3):
        search.on_epoch_begin(variable, epoch)
        variable.assign_add(tf.fill(codes.shape, 0.01))
    search.on_train_end()
    assert made == [False, True, True]


@needs_faiss
def test_they_take_no_candidates_place_in_an_index_and_need_no_exact_search():
    codes = normal_codes(4000)
    query = codes[1:2000:100] * 0.01  # about zero
    broken = codes.copy()
    broken[::2] = np.nan
    search = FaissSearch(nprobe=10_000, candidates=20)
    search._exact = lambda *_: pytest.fail("searched exactly")
    asked = np.concatenate([query, [[np.nan] * D]]).astype(np.float32)
    rows = np.arange(0, 2 * len(asked), 2, dtype=np.int32)
    _, index = search(tf.constant(broken), tf.constant(asked), 5, tf.constant(rows))
    np.testing.assert_array_equal(index[:-1], true_rows(broken, query, 5))
    assert (index.numpy()[-1] == -1).all()


# -- what the user is told -------------------------------------------------------------


def test_the_end_of_an_epoch_tells_how_many_there_are():
    codebook = KNNCodebook(size=20, k=3, latent_dim=D)
    codebook.on_epoch_begin(0)
    code = np.zeros((3, D), np.float32)
    code[0], code[2, 1] = np.nan, np.inf
    codebook(tf.constant(code), index=tf.constant([0, 1, 2]), training=True)
    with pytest.raises(UserError, match="2 of the 20 codes are not finite numbers.*clipnorm"):
        codebook.on_epoch_end(0, {})
    labels = PseudoLabels(2, size=9, class_dim=1, latent_dim=1)
    labels.codes.assign(np.where(np.arange(9)[:, None] == 4, np.inf, np.zeros((9, 2))))
    for told in (lambda: labels.on_epoch_end(0, {}), labels.cluster, labels.begin_pass):
        with pytest.raises(UserError, match="1 of the 9 codes are not finite numbers.*clipnorm"):
            told()


@pytest.mark.parametrize("model", ["acn", "vhe"])
def test_a_training_that_diverges_says_so(model):
    mlp = {"name": "mlp", "hidden": [8]}
    parts = {"encoder": mlp, "decoder": {"name": "bernoulli_mlp", "hidden": [8]}}
    if model == "acn":
        made = ACN((4, 4, 1), 2, **parts)
    else:
        parts |= {"class_encoder": mlp, "supervised": False, "pseudo_labels": {"clusters": 2}}
        made = VHE((4, 4, 1), 2, **parts)
    made.compile(keras.optimizers.SGD(1e30))
    images = np.random.default_rng(0).random((40, 4, 4, 1)).astype(np.float32)
    with pytest.raises(UserError, match="The training has diverged: in step 1 "):
        made.fit(images, epochs=2, batch_size=10, verbose=0)


def test_pseudo_labels_ask_for_numbers_and_outlive_an_infinite_gradient():
    labels = PseudoLabels(2, weighting="gradient", size=9, class_dim=1, latent_dim=1)
    labels.begin_pass()
    with pytest.raises(UserError, match="1 of the 2 codes are not finite numbers"):
        labels.nearest(np.array([[0, np.nan], [0, 1]], np.float32))
    for c_norm, z_norm in ((3.0, 1.0), (np.inf, 1.0), (1.0, np.nan)):
        labels.record_gradients(tf.constant(c_norm), tf.constant(z_norm))
    labels.begin_pass()
    assert labels.weight_of_c.numpy() == pytest.approx(0.75)


def test_a_tour_tells_how_many_there_are():
    codes = normal_codes(10)
    codes[[2, 7], 1] = np.nan
    with pytest.raises(UserError, match="2 of the 10 codes are not finite numbers"):
        greedy_tour(codes)
