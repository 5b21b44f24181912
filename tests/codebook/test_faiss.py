"""faiss: what its index is made of and when, recall, and what happens where it falls short."""

import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_acn import KNNCodebook, UserError
from keras_acn.codebook.search import ExactSearch, FaissSearch
from keras_acn.codebook.search.faiss_index import CellIndex, IndexSnapshots

pytest.importorskip("faiss")
RNG = np.random.default_rng(0)


def clustered(n, d, seed=0):
    rng = np.random.default_rng(seed)
    centers = 1.5 * rng.normal(size=(50, d))
    codes = centers[rng.integers(50, size=n)] + 0.5 * rng.normal(size=(n, d))
    return codes.astype(np.float32)


def recall(search, codes, rows, k=5):
    """Share of the true k nearest that `search` finds for the data `rows`."""
    arguments = (tf.constant(codes), tf.constant(codes[rows]), k, tf.constant(rows))
    found, want = search(*arguments)[1].numpy(), ExactSearch()(*arguments)[1].numpy()
    return np.mean([len(set(a) & set(b)) / k for a, b in zip(found, want, strict=True)])


@pytest.mark.fast(every=3)
@pytest.mark.parametrize(
    "storage, least", [("flat", 0.98), ("sq8", 0.98), ("pq", 0.9)], ids=["flat", "sq8", "pq"]
)
@pytest.mark.parametrize("d", [7, 16])
def test_recall(storage, least, d):
    codes = clustered(12_000, d)
    rows = np.arange(0, 12_000, 60, dtype=np.int32)
    assert recall(FaissSearch(storage=storage), codes, rows) >= least


def test_cells_leave_something_out():
    """So that the recall above says something."""
    codes = RNG.normal(size=(12_000, 16)).astype(np.float32)
    rows = np.arange(0, 12_000, 60, dtype=np.int32)
    assert recall(FaissSearch(nprobe=1), codes, rows) < 0.7
    assert recall(FaissSearch(nprobe=10_000), codes, rows) == 1.0


@pytest.mark.slow
def test_recall_while_codes_drift():
    """The codes move by more than a neighbour's distance each epoch, as a field does."""
    n, d, batch = 6000, 8, 100
    rng = np.random.default_rng(2)
    place = clustered(n, d)
    flow = rng.normal(size=(d, d)) / np.sqrt(d)
    search, exact = FaissSearch(), ExactSearch()
    codes = tf.Variable(rng.normal(size=(n, d)), dtype=tf.float32)
    follow = tf.function(lambda c, i: search.follow(codes, c, i, 5, 5, None, None).index)
    nearest = tf.function(lambda c, i: exact(tf.identity(codes), c, 5, i))
    shares = []
    for epoch in range(4):
        search.on_epoch_begin(codes, epoch)
        hits, moved, near = [], [], []
        order = rng.permutation(n).astype(np.int32)
        for step in range(n // batch):
            if step % 10 == 0:
                place = (place + 0.12 * np.tanh(place @ flow)).astype(np.float32)
            rows = order[step * batch : (step + 1) * batch]
            moved.append(np.linalg.norm(place[rows] - codes.numpy()[rows], axis=1).mean())
            codes.scatter_nd_update(rows[:, None], place[rows])
            found = follow(tf.constant(place[rows]), tf.constant(rows)).numpy()
            if step % 4 == 0:
                distance, want = nearest(tf.constant(place[rows]), tf.constant(rows))
                near.append(distance.numpy().mean())
                hits += [len(set(a) & set(b)) for a, b in zip(found, want.numpy(), strict=True)]
        shares.append(np.mean(hits) / 5)
    search.on_train_end()
    assert np.mean(moved) > np.mean(near)
    assert shares[0] < 0.5 and min(shares[1:]) > 0.95, shares


def test_the_index_is_one_epoch_behind():
    search = FaissSearch()
    codes = tf.Variable(clustered(500, 3))

    def indexed():
        return search._snapshots._current.sample

    past = []
    for epoch in range(4):
        past.append(codes.numpy())
        search.on_epoch_begin(codes, epoch)
        np.testing.assert_array_equal(indexed(), past[max(0, epoch - 1)])
        codes.assign_add(tf.fill([500, 3], 0.01))
    # Far from where they were: this one is waited for.
    codes.assign(clustered(500, 3, seed=9))
    search.on_epoch_begin(codes, 4)
    np.testing.assert_array_equal(indexed(), codes.numpy())
    search.on_train_end()


def test_the_next_index_is_made_in_a_thread_and_its_error_told():
    threads = []

    def build(codes, background):
        threads.append((threading.current_thread(), background))
        if codes[0, 0] == 7:
            raise UserError("seven")
        return codes.sum()

    snapshots = IndexSnapshots(build)
    codes = RNG.normal(size=(10, 2)).astype(np.float32)
    snapshots.begin_epoch(codes)
    kept = codes.sum()
    snapshots.begin_epoch(codes + 0.01)
    assert snapshots.index == kept
    snapshots.end_training()
    here = threading.current_thread()
    assert [(thread is here, background) for thread, background in threads] == [
        (True, False),
        (False, True),
    ]
    codes[0, 0] = 6.9
    snapshots.make(codes)
    codes[0, 0] = 7
    snapshots.begin_epoch(codes)
    with pytest.raises(UserError, match="seven"):
        snapshots.begin_epoch(codes)


def test_outside_training_the_index_is_of_the_codes_as_they_are():
    made = []
    search = FaissSearch()
    build = search._build_index
    search._snapshots = IndexSnapshots(lambda *given: made.append(1) or build(*given))
    codes = clustered(3000, 4)
    call = tf.function(lambda codes, query: search(codes, query, 3)[1])
    for _ in range(3):
        call(tf.constant(codes), tf.constant(codes[:5]))
    assert len(made) == 1
    other = clustered(3000, 4, seed=1)
    found = call(tf.constant(other), tf.constant(other[:5])).numpy()
    np.testing.assert_array_equal(found[:, 0], np.arange(5))
    assert len(made) == 2


def test_the_same_codes_give_the_same_neighbours():
    codes = tf.constant(clustered(9000, 6))
    one, two, other = (FaissSearch(nprobe=2, seed=seed) for seed in (3, 3, 4))
    found = [np.concatenate(s(codes, codes[:300], 5), axis=1) for s in (one, two, other)]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


@pytest.mark.parametrize("masked", [False, True])
def test_a_batch_that_finds_too_little_is_searched_exactly(masked):
    codes = clustered(2000, 4)
    search = FaissSearch(nprobe=1, candidates=1)
    used = RNG.random(2000) < 0.5 if masked else None
    mask = None if used is None else tf.constant(used)
    rows = tf.range(40)
    arguments = (tf.constant(codes), tf.constant(codes[:40]), 5, rows, mask)
    for found, want in zip(search(*arguments), ExactSearch()(*arguments), strict=True):
        np.testing.assert_array_equal(found, want)


def test_lists_are_complete_where_they_hold_all_that_is_free():
    codes = tf.Variable(clustered(100, 3))
    used = np.ones(100, bool)
    used[[0, 1, 2, 3, 50]] = False
    search = FaissSearch()
    rows = tf.constant([0, 1, 60])
    query = tf.gather(codes, rows)
    found = search.follow(codes, query, rows, 4, 2, tf.Variable(used), None)
    # The first two leave out themselves.
    np.testing.assert_array_equal(found.complete, [True, True, False])
    found = search.follow(codes, query, rows, 8, 2, tf.Variable(used), None)
    assert found.complete.numpy().all()
    np.testing.assert_array_equal(np.sum(found.index.numpy() >= 0, axis=1), [4, 4, 5])


@pytest.mark.parametrize("own", [[], [3, -1, 60]])
def test_the_index_itself_leaves_out_what_is_used(own):
    codes = clustered(3001, 3)
    used = RNG.random(3001) < 0.9
    index = CellIndex(codes, nprobe=10_000)
    rows = index.search(codes[:3], 20, np.array(own, np.int32), used)
    assert rows.shape == (3, 40 if own else 20) and (rows >= 0).sum(axis=1).min() >= 20
    assert not used[rows[rows >= 0]].any()
    for each in rows:
        assert len(set(each[each >= 0])) == (each >= 0).sum()


def test_codes_that_are_no_numbers():
    codes = clustered(3000, 4)
    codes[[7, 900]] = np.nan
    codes[50] = np.inf
    search = FaissSearch()
    _, index = search(tf.constant(codes), tf.constant(codes[[1, 7]]), 5)
    assert index[0, 0] == 1 and (index.numpy()[1] == -1).all()
    assert not np.isin(index, [7, 50, 900]).any()


@pytest.mark.fast(every=2)
@pytest.mark.parametrize("unique", [False, True])
def test_a_codebook_trains_with_it_as_a_callback(unique):
    n = 400
    codebook = KNNCodebook(size=n, k=3, unique=unique, latent_dim=4, search=FaissSearch())
    model = keras.Sequential([keras.layers.Dense(1)])
    codebook.set_model(model)
    codes = clustered(n, 4)
    codebook.on_train_begin()
    for epoch in range(3):
        codebook.on_epoch_begin(epoch)
        picked = []
        for first in range(0, n, 80):
            rows = tf.range(first, first + 80)
            new = tf.constant(codes[first : first + 80] + 0.02 * epoch)
            neighbor = codebook(new, index=rows, seed=tf.constant([epoch, first]), training=True)
            picked.append(neighbor.index.numpy())
        picked = np.concatenate(picked)
        logs = {}
        codebook.on_epoch_end(epoch, logs)
        if unique:
            real = picked[picked >= 0]
            assert len(set(real)) == len(real) >= n - 1
    codebook.on_train_end()
    assert logs["codebook_distance"] > 0


def test_config_round_trip():
    search = FaissSearch(nlist=7, nprobe=3, candidates=50, storage="sq8", seed=2)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(search))
    assert (
        again.get_config()
        == search.get_config()
        == {
            "nlist": 7,
            "nprobe": 3,
            "candidates": 50,
            "storage": "sq8",
            "seed": 2,
        }
    )


def test_errors_name_the_fix(monkeypatch):
    with pytest.raises(UserError, match='Did you mean "flat"'):
        FaissSearch(storage="flatt")
    with pytest.raises(UserError, match="nprobe must be at least 1"):
        FaissSearch(nprobe=0)
    monkeypatch.setitem(sys.modules, "faiss", None)
    search = FaissSearch()
    with pytest.raises(UserError, match=r'pip install "keras-acn\[faiss\]"'):
        search.on_epoch_begin(tf.Variable(tf.zeros([3, 2])), 0)
    with pytest.raises(UserError, match="pip install"):
        search(tf.zeros([3, 2]), tf.zeros([1, 2]), 1)


def test_threads_of_the_process_are_left_as_they_were():
    import faiss

    before = faiss.omp_get_max_threads()
    CellIndex(clustered(500, 3), background=True)
    assert faiss.omp_get_max_threads() == before


def test_what_is_exported_searches_in_the_graph():
    codes = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    codebook = KNNCodebook(size=300, k=3, latent_dim=4, search="faiss")
    codebook.codes.assign(codes)
    served = tf.function(lambda query: codebook.neighbors(query, in_graph=True))
    concrete = served.get_concrete_function(tf.TensorSpec([None, 4]))
    assert not any("PyFunc" in op.type for op in concrete.graph.get_operations())
    _, rows = served(tf.constant(codes[:5]))
    np.testing.assert_array_equal(rows[:, 0], np.arange(5))
