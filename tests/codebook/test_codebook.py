"""The codebook: Algorithm 1's bookkeeping, uniqueness, state, and its two roles."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_acn import KNNCodebook, UserError
from keras_acn.codebook import ExactSearch

RNG = np.random.default_rng(1)


def make(n, k=5, unique=False, d=3, **kwargs):
    return KNNCodebook(size=n, k=k, unique=unique, latent_dim=d, **kwargs)


def one_pass(codebook, codes, batch_size, order, jit=False):
    """Puts every datum through the codebook once; returns the rows picked, in order."""
    step = tf.function(
        lambda code, index, seed: codebook(code, index=index, seed=seed, training=True),
        jit_compile=jit,
        reduce_retracing=True,
    )
    codebook.begin_pass()
    picked = []
    for i in range(0, len(order), batch_size):
        rows = order[i : i + batch_size].astype(np.int32)
        picked.append(step(tf.constant(codes[rows]), tf.constant(rows), tf.constant([3, i])).index)
    return np.concatenate(picked)


@pytest.mark.fast("97-3-16-False")
@pytest.mark.slow_sample(every=4)
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(
    "n, k, batch_size", [(1, 1, 1), (2, 1, 2), (3, 5, 2), (17, 5, 5), (40, 1, 40), (97, 3, 16)]
)
def test_unique_uses_no_code_twice_in_a_pass(n, k, batch_size, jit):
    codes = RNG.normal(size=(n, 3)).astype(np.float32)
    codebook = make(n, k, unique=True)
    for _ in range(2):
        order = RNG.permutation(n)
        picked = one_pass(codebook, codes, batch_size, order, jit)
        real = picked[picked >= 0]
        assert len(set(real)) == len(real)
        assert not (picked == order).any(), "a datum was its own neighbour"
        # A datum goes without only where nothing but its own code is left: the last one.
        assert (picked >= 0).sum() >= n - 1
        np.testing.assert_array_equal(np.flatnonzero(codebook.used.numpy()), np.sort(real))


@pytest.mark.fast(every=2)
@pytest.mark.parametrize("n, block", [(5003, 65536), (300, 64)])
def test_unique_in_grouped_and_in_block_search(n, block):
    codes = RNG.normal(size=(n, 3)).astype(np.float32)
    codebook = make(n, 5, unique=True, search={"name": "exact", "block": block})
    codebook.codes.assign(codes)
    order = RNG.permutation(n)
    picked = one_pass(codebook, codes, 128, order)
    real = picked[picked >= 0]
    assert len(set(real)) == len(real) >= n - 1
    assert not (picked == order).any()


@pytest.mark.fast("0")
@pytest.mark.parametrize("seed", range(8))
def test_unique_over_random_sizes(seed):
    rng = np.random.default_rng(seed)
    n, k, batch_size = rng.integers(1, 60), rng.integers(1, 9), rng.integers(1, 70)
    codes = rng.integers(0, 4, size=(n, 3)).astype(np.float32)  # duplicates and ties
    codebook = make(int(n), int(k), unique=True)
    for _ in range(2):
        order = rng.permutation(n)
        picked = one_pass(codebook, codes, int(batch_size), order)
        real = picked[picked >= 0]
        assert len(set(real)) == len(real) >= n - 1
        assert not (picked == order).any()


def test_unique_with_clusters_that_run_dry():
    """All of a batch want the same few codes, so lists must be searched again."""
    codes = np.concatenate([np.zeros((8, 3)), np.ones((300, 3)) * 9]).astype(np.float32)
    codes += RNG.normal(size=codes.shape).astype(np.float32) * 0.01
    codebook = make(len(codes), k=2, unique=True)
    codebook.codes.assign(codes)
    picked = one_pass(codebook, codes, 64, np.arange(len(codes)))
    real = picked[picked >= 0]
    assert len(set(real)) == len(real) >= len(codes) - 1


def test_unique_picks_as_a_sequential_reference_does():
    """With k=1 nothing is random: each datum in turn takes its nearest free code."""
    n = 60
    codes = RNG.normal(size=(n, 3)).astype(np.float32)
    codebook = make(n, k=1, unique=True)
    codebook.codes.assign(codes)
    order = RNG.permutation(n)
    picked = one_pass(codebook, codes, 7, order)
    used = np.zeros(n, bool)
    for datum, pick in zip(order, picked, strict=True):
        distance = np.linalg.norm(codes - codes[datum], axis=1)
        distance[used] = np.inf
        distance[datum] = np.inf
        assert pick == (distance.argmin() if np.isfinite(distance.min()) else -1)
        if pick >= 0:
            used[pick] = True


def test_without_unique_the_pick_is_uniform_among_the_k_nearest():
    n, k, draws = 30, 5, 4000
    codes = RNG.normal(size=(n, 3)).astype(np.float32)
    codebook = make(n, k)
    codebook.codes.assign(codes)
    rows = np.zeros(draws, np.int32)
    picked = codebook(
        tf.constant(codes[rows]), index=tf.constant(rows), seed=tf.constant([5, 6]), training=True
    ).index.numpy()
    nearest = np.argsort(np.linalg.norm(codes - codes[0], axis=1))[1 : k + 1]
    count = np.bincount(picked, minlength=n)
    assert set(np.flatnonzero(count)) == set(nearest)
    # Four standard deviations of a binomial count.
    tolerance = 4 * np.sqrt(draws * (1 / k) * (1 - 1 / k))
    np.testing.assert_allclose(count[nearest], draws / k, atol=tolerance)


def test_codes_are_written_before_the_search():
    codebook = make(4, k=1)
    codebook.codes.assign(np.array([[0, 0, 0], [50, 0, 0], [90, 0, 0], [99, 0, 0]], np.float32))
    new = tf.constant([[7.0, 0, 0], [7.5, 0, 0]])
    picked = codebook(new, index=tf.constant([2, 3]), seed=tf.constant([0, 0]), training=True)
    # Each other's new codes are nearer than anything old.
    np.testing.assert_array_equal(picked.index, [3, 2])
    np.testing.assert_array_equal(picked.code, [[7.5, 0, 0], [7, 0, 0]])
    np.testing.assert_allclose(picked.distance, [0.5, 0.5])


def test_no_neighbour_is_the_zero_code():
    codebook = make(1, k=1)
    neighbor = codebook(tf.ones([1, 3]), index=tf.constant([0]), training=True)
    assert neighbor.index.numpy() == [-1]
    np.testing.assert_array_equal(neighbor.code, np.zeros((1, 3)))
    assert not codebook.used.numpy().any()


def test_outside_training_nothing_changes_and_no_self_is_excluded():
    codes = RNG.normal(size=(20, 3)).astype(np.float32)
    codebook = make(20, k=1)
    codebook.codes.assign(codes)
    before = [v.numpy() for v in codebook.variables]
    neighbor = codebook(tf.constant(codes[:6]), training=False)
    np.testing.assert_array_equal(neighbor.index, np.arange(6))
    for old, new in zip(before, codebook.variables, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def test_no_gradient_flows_into_the_code():
    codebook = make(10)
    code = tf.Variable(tf.random.stateless_normal([4, 3], [0, 0]))
    with tf.GradientTape() as tape:
        out = tf.reduce_sum(codebook(code, index=tf.range(4), training=True).code)
    assert tape.gradient(out, code) is None


def test_initial_codes_are_standard_normal_and_seeded():
    codes = make(5000, d=4, seed=3).codes.numpy()
    # Four standard errors of a mean and a variance over 20,000 draws.
    assert abs(codes.mean()) < 4 / np.sqrt(20000)
    assert abs(codes.var() - 1) < 4 * np.sqrt(2 / 20000)
    np.testing.assert_array_equal(codes, make(5000, d=4, seed=3).codes.numpy())
    assert (codes != make(5000, d=4, seed=4).codes.numpy()).all()


def test_health():
    codebook = make(4, k=1)
    codebook.codes.assign(np.array([[0, 0, 0], [1, 0, 0], [10, 0, 0], [13, 0, 0]], np.float32))
    codebook.begin_pass()
    codebook(tf.constant([[0.0, 4, 0]]), index=tf.constant([0]), training=True)
    codebook(tf.constant([[10.0, 0, 0]]), index=tf.constant([2]), training=True)
    health = codebook.get_health()
    np.testing.assert_allclose(health["codebook_drift"], (4 + 0) / 2)
    np.testing.assert_allclose(health["codebook_distance"], (np.sqrt(17) + 3) / 2, rtol=1e-6)
    np.testing.assert_allclose(health["codebook_used"], 2 / 4)
    codebook.begin_pass()
    assert codebook.get_health()["codebook_used"] == 0


def test_as_a_callback():
    model = keras.Sequential([keras.layers.Dense(1)])
    codebook = make(6)
    codebook.set_model(model)
    assert codebook.model is model
    assert codebook.weights and not codebook.trainable_weights
    codebook.used.assign(np.ones(6, bool))
    codebook.continue_pass()
    codebook.on_epoch_begin(3)
    assert codebook.used.numpy().all(), "a resumed pass must go on with what is used"
    codebook.on_epoch_begin(4)
    assert not codebook.used.numpy().any()
    logs = {}
    codebook.on_epoch_end(4, logs)
    assert set(logs) == {"codebook_distance", "codebook_drift", "codebook_used"}


def test_config_and_weights_round_trip(tmp_path):
    inputs = keras.Input((3,))
    codebook = make(9, k=2, unique=True, search={"name": "exact", "block": 32})
    outputs = codebook(inputs).code
    codebook.used.assign(np.arange(9) % 2 == 0)
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras").layers[-1]
    assert isinstance(loaded, KNNCodebook)
    assert loaded.get_config() == codebook.get_config()
    for old, new in zip(codebook.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(old.numpy(), new.numpy())


@keras.saving.register_keras_serializable("keras_acn_tests")
class Backwards(ExactSearch):
    """A strategy of a user's own: the farthest codes."""

    def __init__(self, block=64):
        super().__init__(block)

    def __call__(self, codes, query, k, exclude=None, used=None):
        return super().__call__(codes, -query, k, exclude, used)


def test_a_strategy_of_ones_own_is_saved(tmp_path):
    inputs = keras.Input((3,))
    outputs = make(9, search=Backwards(128))(inputs).code
    keras.Model(inputs, outputs).save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras").layers[-1]
    assert isinstance(loaded.search_strategy, Backwards) and loaded.search_strategy.block == 128


def test_errors_name_the_fix():
    with pytest.raises(UserError, match="k must be at least 1"):
        KNNCodebook(k=0)
    with pytest.raises(UserError, match="size must be at least 1"):
        KNNCodebook(size=0)
    with pytest.raises(UserError, match="call fit first"):
        KNNCodebook(latent_dim=3).neighbors(np.zeros((1, 3), np.float32))
    with pytest.raises(UserError, match="holds 4 codes but this data set has 5"):
        make(4).resize(5)
