"""A training that diverges is stopped where it does, and leaves weights that are numbers."""

import copy
import pickle
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_acn import ACN, VAE, VHE, Autoencoder, KNNCodebook, StopOnNonFinite, UserError
from keras_acn._base.errors import NotFinite

IMAGES = np.random.default_rng(0).random((40, 4, 4, 1), dtype=np.float32)
SMALL = {"encoder": {"name": "mlp", "hidden": [8]}, "decoder": {"name": "mlp", "hidden": [8]}}
MODELS = {
    "ACN": lambda **more: ACN((4, 4, 1), 3, codebook=KNNCodebook(k=2), **SMALL, **more),
    "VAE": lambda **more: VAE((4, 4, 1), 3, **SMALL, **more),
    "VHE": lambda **more: VHE((4, 4, 1), 3, supervised=False, **SMALL, **more),
    "Autoencoder": lambda **more: Autoencoder((4, 4, 1), 3, **SMALL, **more),
}


def weights(model):
    return [np.array(weight) for weight in model.weights]


def finite(model):
    return all(np.isfinite(each).all() for each in weights(model) if each.dtype.kind == "f")


def come_through_or_stop(model):
    """Train, which may end in the one sentence; and what is left are numbers in any case."""
    try:
        model.fit(IMAGES, epochs=2, batch_size=20, verbose=0)
    except NotFinite as error:
        assert error.exit_code == 3 and "\n" not in str(error)
    assert all(np.isfinite(np.float32(each)).all() for each in model.trainable_weights)


@pytest.mark.parametrize(
    "name,jit_compile",
    [*((name, False) for name in MODELS), pytest.param("ACN", True, marks=pytest.mark.slow)],
)
def test_a_diverging_fit_stops_and_keeps_its_weights(name, jit_compile):
    model = MODELS[name]()
    at_first = [np.array(weight) for weight in model.trainable_weights]
    model.compile(keras.optimizers.SGD(1e4), jit_compile=jit_compile)
    with pytest.raises(NotFinite, match="The training has diverged: in step .*clipnorm=1.0"):
        model.fit(IMAGES, epochs=50, batch_size=10, verbose=0)
    assert finite(model)
    # Nothing has been updated since the step that is told.
    assert int(model.optimizer.iterations) < int(model.random_step)
    # And it goes on as soon as the cause is gone.
    model.compile(keras.optimizers.Adam(1e-3))
    for weight, value in zip(model.trainable_weights, at_first, strict=True):
        weight.assign(value)
    model.fit(IMAGES, batch_size=10, verbose=0)


def test_the_error_names_step_term_and_images():
    model = VAE((4, 4, 1), 3, **SMALL)
    model.compile("sgd")
    inner = model.nats

    def nats(image, index, noise, training=False):
        reconstruction, kl = inner(image, index, noise, training)
        wrong = (model.random_step.value == 3) & training & (index % 2 == 1)
        return reconstruction, tf.where(wrong, np.inf, kl)

    model.nats = nats
    before = []

    def remember(batch, logs):
        if batch == 3:
            before.extend(map(np.array, model.trainable_weights))

    keep = keras.callbacks.LambdaCallback(on_train_batch_begin=remember)
    with pytest.raises(NotFinite) as caught:
        model.fit(IMAGES, batch_size=10, shuffle=False, verbose=0, callbacks=[keep])
    error = caught.value
    assert (error.step, error.rows, error.count) == (3, [31, 33, 35, 37, 39], 5)
    assert "the KL" in error.terms and "the reconstruction" not in error.terms
    assert "in step 3 the KL" in str(error) and "the images 31, 33, 35, 37, 39;" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    for trained, kept in zip(model.trainable_weights, before, strict=True):
        np.testing.assert_array_equal(trained, kept)


def test_a_gradient_alone_is_told_by_its_part():
    @tf.custom_gradient
    def broken(z):
        return z, lambda upstream: upstream * np.nan

    model = VAE((4, 4, 1), 3, **SMALL)
    model.compile("sgd")
    inner = model.decoder.call
    model.decoder.call = lambda z, training=False: inner(broken(z), training=training)
    before = weights(model.encoder)
    with pytest.raises(NotFinite) as caught:
        model.fit(IMAGES, batch_size=10, verbose=0)
    assert caught.value.terms == ["the gradient of the encoder"]
    assert caught.value.count == 10 and len(caught.value.rows) == 8
    assert "and 2 more" in str(caught.value)
    for now, then in zip(model.encoder.weights, before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.slow
def test_it_asks_as_often_as_it_is_told():
    seen = {}
    for every in (1, 100):
        model = VAE((4, 4, 1), 3, beta=1e38, **SMALL)
        model.compile(keras.optimizers.SGD(1e4))
        steps = seen[every] = []

        def note(batch, logs, steps=steps):
            steps.append(batch)

        count = keras.callbacks.LambdaCallback(on_train_batch_begin=note)
        with pytest.raises(NotFinite):
            model.fit(
                IMAGES, batch_size=1, verbose=0, callbacks=[count, StopOnNonFinite(every=every)]
            )
    assert len(seen[1]) < len(seen[100]) == 40


@pytest.mark.slow
def test_train_on_batch_tells_at_once():
    model = VAE((4, 4, 1), 3, beta=1e38, **SMALL)
    model.compile(keras.optimizers.SGD(1e4))
    with pytest.raises(UserError, match="diverged"):
        for _ in range(5):
            model.train_on_batch(IMAGES)


def test_half_precision_may_overflow_and_go_on():
    """A scale that is too large at the start is what the optimizer is there to find."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = VAE((4, 4, 1), 3, **SMALL)
        model.compile(
            keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), initial_scale=2.0**60)
        )
    finally:
        keras.config.set_dtype_policy("float32")
    model.fit(IMAGES, epochs=20, batch_size=10, verbose=0)
    assert finite(model) and float(model.optimizer.dynamic_scale) < 2.0**60


@pytest.mark.fast(every=7)
@pytest.mark.slow_sample(every=4)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("factor", [1e3, 1e18, 1e38])
def test_codes_of_any_scale_come_through_or_stop(name, factor):
    model = MODELS[name]()
    model.compile("adam")
    model.fit(IMAGES, batch_size=20, verbose=0)
    for weight in model.encoder.trainable_weights:
        weight.assign(np.array(weight) * np.float32(factor))
    come_through_or_stop(model)


@pytest.mark.parametrize("factor", [1e3, 1e38])
def test_stored_codes_of_any_scale_are_written_over(factor):
    model = MODELS["ACN"]()
    model.compile("adam")
    model.fit(IMAGES, batch_size=20, verbose=0)
    # Half of them: the others are near, and are found.
    codes = np.array(model.codebook.codes)
    codes[::2] *= np.float32(factor)
    model.codebook.codes.assign(codes)
    model.fit(IMAGES, epochs=2, batch_size=20, verbose=0)
    assert finite(model) and np.abs(model.codebook.codes).max() < 1e3


@pytest.mark.fast(every=7)
@pytest.mark.slow_sample(every=4)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_a_thousand_times_the_learning_rate_comes_through_or_stops(name, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = MODELS[name]()
    finally:
        keras.config.set_dtype_policy(before)
    model.compile(keras.optimizers.Adam(1.0))
    come_through_or_stop(model)


@pytest.mark.fast(every=4)
@pytest.mark.parametrize("value", [0.0, -1e30, 1e30, 3e38])
@pytest.mark.parametrize("part", ["prior", "encoder"])
def test_components_that_collapse_come_through_or_stop(part, value):
    """All components are one, or the weights and deviations are as far out as they can be."""
    prior = {"name": "mixture", "hidden": [4], "components": 3}
    model = MODELS["ACN"](prior=prior)
    model.compile("adam")
    *_, kernel, bias = getattr(model, part).trainable_weights
    kernel.assign(np.zeros(kernel.shape, np.float32))
    bias.assign(np.full(bias.shape, value, np.float32))
    come_through_or_stop(model)


@pytest.mark.fast(every=4)
@pytest.mark.parametrize("name", MODELS)
def test_images_and_codes_that_are_all_equal(name):
    model = MODELS[name]()
    model.compile("adam")
    model.fit(np.full_like(IMAGES, 0.5), epochs=2, batch_size=20, verbose=0)
    assert finite(model)
    for weight in model.encoder.trainable_weights:
        weight.assign(np.zeros(weight.shape, np.float32))
    model.fit(IMAGES, epochs=2, batch_size=20, verbose=0)
    assert finite(model)


def test_the_watch_is_no_weight_and_survives_copies():
    model = MODELS["VAE"]()
    model.compile("adam")
    names = [weight.path for weight in model.variables]
    assert not any("first_not_finite" in name for name in names)
    twin = copy.deepcopy(model)
    twin.compile("adam")
    twin.fit(IMAGES, batch_size=20, verbose=0)


def test_what_is_not_finite_is_not_written(tmp_path):
    model = MODELS["VAE"]()
    model.compile()
    weight = model.encoder.trainable_weights[0]
    weight.assign(np.full(weight.shape, np.nan, np.float32))
    for write in (lambda: model.save(tmp_path / "m.keras"), lambda: model.export(tmp_path / "e")):
        with pytest.raises(NotFinite, match=re.escape(f"the weight {weight.path} was not finite")):
            write()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("steps", [0, -1, 1.5, "x", True])
def test_steps_that_cannot_be_executed(steps):
    with pytest.raises(UserError, match="steps_per_execution must be"):
        MODELS["VAE"]().compile(steps_per_execution=steps)
