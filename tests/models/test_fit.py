"""Models as Keras models: fit, evaluate, predict, save, and what they say to bad input."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_acn
from keras_acn import ACN, VAE, KNNCodebook, UserError

RNG = np.random.default_rng(0)
IMAGES = (RNG.random((50, 8, 8, 1)) < 0.3).astype(np.float32)
METRICS = ["loss", "reconstruction_nats", "kl_nats", "total_nats", "bits_per_dim"]


def small(cls=ACN, **kwargs):
    options = {
        "encoder": {"name": "mlp", "hidden": [16]},
        "decoder": {"name": "bernoulli_mlp", "hidden": [16]},
    }
    if cls is ACN:
        options["prior"] = {"name": "mixture", "hidden": [16], "components": 2}
    model = cls((8, 8, 1), 3, **{**options, **kwargs})
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    return model


@pytest.mark.fast(every=2)
@pytest.mark.parametrize("cls", [ACN, VAE])
def test_fit_logs_nats_and_learns(cls):
    model = small(cls)
    history = model.fit(
        IMAGES, epochs=8, batch_size=16, validation_data=IMAGES[:20], verbose=0
    ).history
    for name in METRICS:
        assert len(history[name]) == len(history[f"val_{name}"]) == 8
    assert history["total_nats"][-1] < history["total_nats"][0]
    assert ("codebook_drift" in history) == (cls is ACN)
    np.testing.assert_allclose(
        history["total_nats"], np.add(history["reconstruction_nats"], history["kl_nats"]), rtol=1e-5
    )


@pytest.mark.slow
def test_every_way_to_give_the_same_data():
    """Arrays, uint8, an ImageSet and a dataset of batches train to the same weights."""
    weights = []
    image_set = keras_acn.data.from_arrays(IMAGES)
    ways = [
        IMAGES,
        IMAGES[..., 0],
        (IMAGES * 255).astype(np.uint8),
        image_set,
        image_set.dataset(16),
        keras_acn.data.index_dataset(tf.data.Dataset.from_tensor_slices(IMAGES)).batch(16),
    ]
    for x in ways:
        keras.utils.set_random_seed(0)
        model = small()
        batch_size = None if isinstance(x, tf.data.Dataset) else 16
        model.fit(x, batch_size=batch_size, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for other in weights[1:]:
        for a, b in zip(weights[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_same_seed_same_run_other_seed_other_run():
    losses = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(0)
        losses.append(small(seed=seed).fit(IMAGES, epochs=2, verbose=0).history["loss"])
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.slow
def test_xla_in_training_does_not_change_what_evaluate_says(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_acn.models.base.JIT_FROM_SIZE", 10)
    model = small()
    model.fit(IMAGES, verbose=0, batch_size=25)
    assert model.jit_compile
    model.save(tmp_path / "m.keras")
    loaded = keras_acn.load_model(tmp_path / "m.keras")
    assert loaded.evaluate(IMAGES, verbose=0) == model.evaluate(IMAGES, verbose=0)
    loaded.fit(IMAGES, verbose=0, batch_size=25)
    assert loaded.jit_compile, "whether to compile is still for fit to choose"


def test_validation_changes_nothing():
    model = small()
    model.fit(IMAGES, verbose=0)
    before = [v.numpy() for v in model.variables]
    first = model.evaluate(IMAGES[:30], verbose=0)
    second = model.evaluate(IMAGES[:30], verbose=0)
    assert first == second
    for old, new in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def test_the_codebook_holds_the_codes_after_an_epoch():
    model = small()
    model.optimizer.learning_rate = 0.0
    model.fit(IMAGES, verbose=0)
    assert model.codebook.size == 50
    np.testing.assert_allclose(model.codebook.codes.numpy(), model.codes(IMAGES), atol=1e-5)


def test_recode():
    model = small()
    model.fit(IMAGES, verbose=0, epochs=2)
    assert np.abs(model.codebook.codes.numpy() - model.codes(IMAGES)).max() > 1e-3
    model.recode(IMAGES)
    np.testing.assert_array_equal(model.codebook.codes.numpy(), model.codes(IMAGES))
    with pytest.raises(UserError, match="holds 50 codes"):
        model.recode(IMAGES[:9])


def test_passing_the_codebook_as_a_callback_does_no_harm():
    model = small()
    history = model.fit(IMAGES, callbacks=[model.codebook], verbose=0).history
    assert len(history["codebook_used"]) == 1


@pytest.mark.fast(every=2)
@pytest.mark.parametrize("cls", [ACN, VAE])
def test_use_of_a_trained_model(cls):
    model = small(cls)
    model.fit(IMAGES, verbose=0)
    q = model.encode(IMAGES[:4])
    assert (q.batch_shape, q.event_shape) == ((4,), (3,))
    p = model.prior(q.mean())
    assert (p.batch_shape, p.event_shape) == ((4,), (3,))
    r = model.decode(q.sample(seed=1))
    assert (r.batch_shape, r.event_shape) == ((4,), (8, 8, 1))
    codes = model.codes(IMAGES, batch_size=7)
    np.testing.assert_allclose(codes[:4], q.mean(), rtol=1e-5, atol=1e-6)
    predicted = model.predict(IMAGES, batch_size=7, verbose=0)
    np.testing.assert_allclose(predicted, model.reconstruct(IMAGES), atol=1e-5)
    np.testing.assert_allclose(predicted[:4], model.decode(codes[:4]).mean(), atol=1e-5)
    drawn = model.reconstruct(IMAGES, sample=True, seed=3)
    assert set(np.unique(drawn)) <= {0, 1}
    np.testing.assert_array_equal(drawn, model.reconstruct(IMAGES, sample=True, seed=3))
    samples = model.sample(5, seed=1)
    assert samples.shape == (5, 8, 8, 1)
    assert (model.sample(5, seed=2) != samples).any()


def test_neighbors_are_scikit_learns():
    from sklearn.neighbors import NearestNeighbors

    model = small()
    model.fit(IMAGES, verbose=0)
    distance, index = model.neighbors(IMAGES[:9], k=4)
    tree = NearestNeighbors(n_neighbors=4).fit(model.codebook.codes.numpy())
    want, rows = tree.kneighbors(model.codes(IMAGES[:9]))
    np.testing.assert_allclose(distance, want, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(index, rows)
    assert model.neighbors(IMAGES[:2])[1].shape == (2, 5)


def test_daydream():
    model = small()
    model.fit(IMAGES, verbose=0)
    dream = model.daydream(IMAGES[:2], steps=3, seed=1)
    assert dream.shape == (4, 2, 8, 8, 1)
    np.testing.assert_array_equal(dream[0], IMAGES[:2])
    np.testing.assert_array_equal(dream, model.daydream(IMAGES[:2], steps=3, seed=1))
    assert (dream != model.daydream(IMAGES[:2], steps=3, seed=2)).any()
    # Means only: each frame is the decoded mean of the prior given the last one's code.
    dream = model.daydream(IMAGES[:2], steps=2, sample=False)
    want = model.decode(model.prior(model.codes(dream[1])).mean()).mean()
    np.testing.assert_allclose(dream[2], want, atol=1e-5)


@pytest.mark.slow
def test_saved_model_evaluates_bit_for_bit_in_a_new_process(tmp_path):
    model = small(codebook={"unique": True})
    model.fit(IMAGES, epochs=2, verbose=0)
    model.save(tmp_path / "acn.keras")
    np.save(tmp_path / "x.npy", IMAGES)
    program = (
        "import sys, numpy as np, keras, keras_acn.models\n"
        "model = keras.saving.load_model(sys.argv[1])\n"
        "x = np.load(sys.argv[2])\n"
        "print([v.hex() for v in model.evaluate(x, verbose=0)])\n"
        "print(model.codebook.used.numpy().sum(), int(model.optimizer.iterations))\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "acn.keras", tmp_path / "x.npy"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert out[-2] == str([float(v).hex() for v in model.evaluate(IMAGES, verbose=0)])
    assert out[-1] == f"{model.codebook.used.numpy().sum()} {int(model.optimizer.iterations)}"


@pytest.mark.slow
def test_xla():
    model = small()
    model.compile("adam", jit_compile=True)
    model.fit(IMAGES, verbose=0, batch_size=25, epochs=2)
    assert np.isfinite(model.fit(IMAGES, verbose=0, batch_size=25).history["loss"]).all()


@pytest.mark.slow
def test_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = small()
        model.compile("adam", jit_compile=False)
        loss = model.fit(IMAGES, verbose=0, epochs=2).history["loss"]
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(loss).all()
    assert model.codebook.codes.dtype == "float32"


def test_validation_split_holds_out_the_end():
    model = small()
    history = model.fit(IMAGES, validation_split=0.2, verbose=0).history
    assert model.codebook.size == 40
    assert "val_loss" in history


@pytest.mark.slow
def test_clipping_schedules_and_averaging_are_keras_own():
    schedule = keras.optimizers.schedules.CosineDecay(1e-2, 10)
    model = small()
    model.compile(keras.optimizers.Adam(schedule, clipnorm=1.0, use_ema=True))
    assert np.isfinite(model.fit(IMAGES, verbose=0).history["loss"]).all()


BAD = {
    "not compiled": (lambda m: ACN((8, 8, 1)).fit(IMAGES), "Compile the model before fit"),
    "a loss": (lambda m: m.compile("adam", loss="mse"), 'leave "loss" out'),
    "another shape": (
        lambda m: m.fit(np.zeros((9, 8, 9, 1), np.float32)),
        r"build it with image_shape=\(8, 9, 1\)",
    ),
    "0 to 255": (lambda m: m.fit(IMAGES * 255), "255"),
    "NaN": (lambda m: m.fit(np.full((20, 8, 8, 1), np.nan, np.float32)), "NaN"),
    "no index": (
        lambda m: m.fit(tf.data.Dataset.from_tensor_slices({"image": IMAGES}).batch(4)),
        "index_dataset",
    ),
    "one image": (lambda m: m.fit(IMAGES[:1]), "fewer than k=5"),
    "k of N": (lambda m: m.fit(IMAGES[:5]), "fewer than k=5"),
    "other size": (lambda m: m.fit(IMAGES, verbose=0) and m.fit(IMAGES[:20]), "holds 50 codes"),
    "an index that is no row": (
        lambda m: (
            m.fit(IMAGES[:20], verbose=0)
            and m.fit(keras_acn.data.from_arrays(IMAGES).dataset(10), verbose=0)
        ),
        r"30 data of this epoch have an index outside 0\.\.19",
    ),
    "0 to 255 in a dataset": (
        lambda m: m.fit(
            tf.data.Dataset.from_tensors({"image": IMAGES * 255, "index": np.arange(50)})
        ),
        "The dataset's images",
    ),
    "no end": (
        lambda m: m.fit(keras_acn.data.from_arrays(IMAGES).dataset(5).repeat()),
        "KNNCodebook",
    ),
    "empty codebook": (lambda m: m.neighbors(IMAGES), "call fit first"),
    "nothing to sample": (lambda m: m.sample(3), "call fit first"),
    "class weights": (lambda m: m.fit(IMAGES, class_weight={0: 2.0}), "no class_weight"),
    "two validations": (
        lambda m: m.fit(IMAGES, validation_split=0.1, validation_data=IMAGES),
        "not both",
    ),
    "negative beta": (lambda m: VAE((8, 8, 1), beta=-1), "beta must be zero or more"),
    "parts disagree": (
        lambda m: VAE((8, 8, 1), 3, encoder=keras_acn.MLPEncoder((8, 8, 1), 4)),
        "latent_dim 4, but the model needs 3",
    ),
    "negative steps": (lambda m: m.daydream(IMAGES[:1], steps=-1), "at least 0, not -1"),
}


@pytest.mark.parametrize("case", BAD)
def test_errors_name_the_fix(case):
    act, sentence = BAD[case]
    with pytest.raises(UserError, match=sentence):
        act(small())


def test_other_back_ends_are_refused_in_one_sentence(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ImportError, match="set KERAS_BACKEND=tensorflow"):
        keras_acn.__getattr__("ACN")


def test_codebook_size_given_for_a_dataset_without_an_end():
    model = small(codebook=KNNCodebook(size=50))
    endless = keras_acn.data.from_arrays(IMAGES).dataset(10).repeat()
    assert len(model.fit(endless, steps_per_epoch=5, verbose=0).history["loss"]) == 1


@pytest.mark.slow_sample("True")
@pytest.mark.parametrize("jit_compile", [False, True])
def test_several_steps_an_execution_are_the_same_training(jit_compile):
    """10 steps an epoch by 4: an execution stops where the epoch does, or passes would drift."""
    images = np.random.default_rng(0).random((80, 4, 4, 1)).astype(np.float32)
    histories, weights = [], []
    for together in (1, 4):
        keras.utils.set_random_seed(0)
        model = ACN(
            (4, 4, 1),
            latent_dim=3,
            encoder={"name": "mlp", "hidden": [8]},
            decoder={"name": "bernoulli_mlp", "hidden": [8]},
            prior={"name": "mixture", "hidden": [8], "components": 1},
            codebook={"unique": True},
        )
        model.compile("adam", jit_compile=jit_compile, steps_per_execution=together)
        history = model.fit(
            images, batch_size=8, epochs=3, validation_data=images[:20], verbose=0
        ).history
        assert model.optimizer.iterations == 30
        histories.append(history)
        weights.append(model.get_weights())
    assert histories[0]["codebook_used"] == histories[1]["codebook_used"]
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-5, err_msg=name)
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.fast(every=2)
@pytest.mark.parametrize("together", [1, 3])
def test_a_callback_may_evaluate_for_the_first_time_in_the_middle_of_a_fit(together):
    model = small()
    model.compile("adam", steps_per_execution=together)
    found = []

    class Evaluate(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            found.append(self.model.evaluate(IMAGES, verbose=0, return_dict=True)["loss"])

    model.fit(IMAGES, batch_size=10, epochs=2, callbacks=[Evaluate()], verbose=0)
    assert len(found) == 2 and np.isfinite(found).all()
    assert model.optimizer.iterations == 10
