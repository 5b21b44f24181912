"""The deterministic autoencoder, and the VAE that beta = 0 turns into one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_acn
from keras_acn import VAE, Autoencoder, FittedNormal, UserError

RNG = np.random.default_rng(0)
IMAGES = (RNG.random((40, 4, 4, 1)) < 0.4).astype(np.float32)
MLP = {"name": "mlp", "hidden": [8]}
DECODER = {"name": "bernoulli_mlp", "hidden": [8]}


def make(**kwargs):
    keras.utils.set_random_seed(0)
    model = Autoencoder((4, 4, 1), 3, encoder=MLP, decoder=DECODER, **kwargs)
    model.compile(keras.optimizers.Adam(1e-2))
    return model


def test_z_is_the_code_and_costs_nothing():
    model = make()
    nats, kl = model.nats(tf.constant(IMAGES), None, None)
    assert (kl.numpy() == 0).all()
    p = model.decode(model.codes(IMAGES)).mean().numpy().astype(np.float64)
    want = -(IMAGES * np.log(p) + (1 - IMAGES) * np.log1p(-p)).sum((1, 2, 3))
    np.testing.assert_allclose(nats, want, rtol=1e-5)


def test_the_life_of_a_model(tmp_path):
    model = make()
    history = model.fit(IMAGES, epochs=10, validation_data=IMAGES[:9], verbose=0).history
    assert history["total_nats"][-1] < history["total_nats"][0]
    assert not any(history["kl_nats"]) and not any(history["val_kl_nats"])
    np.testing.assert_allclose(
        model.reconstruct(IMAGES), model.decode(model.codes(IMAGES)).mean(), atol=1e-6
    )
    assert model.evaluate(IMAGES, verbose=0) == model.evaluate(IMAGES, verbose=0)
    model.save(tmp_path / "ae.keras")
    loaded = keras_acn.load_model(tmp_path / "ae.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(loaded.sample(5, seed=1), model.sample(5, seed=1))
    assert model.daydream(IMAGES[:2], steps=2).shape == (3, 2, 4, 4, 1)


def test_it_samples_from_the_gaussian_of_its_codes():
    model = make()
    model.prior.momentum = 0.9
    model.optimizer.learning_rate = 0.0
    model.fit(IMAGES, epochs=60, batch_size=40, verbose=0)
    codes = model.codes(IMAGES).astype(np.float64)
    p = model.prior(np.zeros([2, 3], np.float32))
    assert p.batch_shape == (2,) and p.event_shape == (3,)
    np.testing.assert_allclose(p.mean()[1], codes.mean(0), atol=5e-3)
    covariance = np.cov(codes.T, bias=True) + 1e-4 * np.eye(3)
    np.testing.assert_allclose(p.covariance()[0], covariance, atol=1e-2)
    z = p.sample(4000, seed=1).numpy()[:, 0]
    np.testing.assert_allclose(z.mean(0), codes.mean(0), atol=0.1)


def test_fitted_normal_before_training_is_standard():
    p = FittedNormal(2)(np.zeros([3, 2], np.float32))
    np.testing.assert_allclose(p.mean(), np.zeros([3, 2]))
    np.testing.assert_allclose(p.covariance()[0], np.eye(2), atol=1e-3)
    with pytest.raises(UserError, match="momentum"):
        FittedNormal(2, momentum=1.0)


def test_fitted_normal_averages_the_first_two_moments():
    """Against moving averages of z and of zz' in float64, from which S = E[zz'] - mm'."""
    rng, prior, keep = np.random.default_rng(1), FittedNormal(3, momentum=0.8), 0.8
    first, second = np.zeros(3), np.eye(3)
    for step in range(12):
        z = (rng.normal(size=(20, 3)) @ rng.normal(size=(3, 3)) + step).astype(np.float32)
        prior.update(z)
        z = z.astype(np.float64)
        first = keep * first + (1 - keep) * z.mean(0)
        second = keep * second + (1 - keep) * z.T @ z / len(z)
    np.testing.assert_allclose(prior.mean.numpy(), first, rtol=1e-5)
    covariance = second - np.outer(first, first)
    np.testing.assert_allclose(prior.covariance.numpy(), covariance, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("mean, stddev", [(10.0, 0.01), (1000.0, 1.0), (0.0, 300.0)])
def test_fitted_normal_far_from_zero(mean, stddev):
    """Codes far from zero with little spread, one of them repeating another."""
    rng, prior = np.random.default_rng(0), FittedNormal(4, momentum=0.9)
    for _ in range(300):
        z = mean + stddev * rng.normal(size=(64, 4))
        z[:, 3] = z[:, 0]
        prior.update(z.astype(np.float32))
    p = prior(np.zeros([1, 4], np.float32))
    assert np.isfinite(p.sample(5, seed=1)).all()
    np.testing.assert_allclose(p.mean()[0], np.full(4, mean), atol=stddev)
    np.testing.assert_allclose(p.stddev()[0], np.hypot(stddev, 0.01), rtol=0.2)


def test_errors_name_the_fix():
    with pytest.raises(UserError, match="has variance learned, but the model needs unit"):
        Autoencoder((4, 4, 1), 3, encoder={**MLP, "variance": "learned"})


def test_beta_zero_leaves_the_kl_without_influence():
    """The gradient of a beta-0 VAE is that of its reconstruction alone, to the bit."""
    model = VAE((4, 4, 1), 3, encoder=MLP, decoder=DECODER, beta=0.0, seed=4)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    before = [w.numpy() for w in model.trainable_weights]
    batch = {"image": tf.constant(IMAGES), "index": tf.range(40)}
    with tf.GradientTape() as tape:
        nats, _ = model.nats(batch["image"], batch["index"], tf.constant([4, 0]), True)
        loss = tf.reduce_mean(nats)
    gradients = tape.gradient(loss, model.trainable_weights)
    logs = model.train_step(batch)
    assert float(logs["kl_nats"]) > 0
    np.testing.assert_allclose(logs["loss"], logs["reconstruction_nats"])
    for old, gradient, new in zip(before, gradients, model.trainable_weights, strict=True):
        np.testing.assert_allclose(new.numpy(), old - 0.1 * gradient, rtol=1e-5, atol=1e-7)
