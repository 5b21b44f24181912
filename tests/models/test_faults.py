"""Faults that were found by reading, each with what it looked like."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_acn
from keras_acn import ACN, VAE, VHE, Autoencoder, KNNCodebook, UserError
from keras_acn._base.noise import Noise
from keras_acn.distribute.keras_trainer import Ratio

RNG = np.random.default_rng(3)
IMAGES = (RNG.random((60, 4, 4, 1)) < np.linspace(0.1, 0.9, 60)[:, None, None, None]).astype("f4")
SMALL = {"encoder": {"name": "mlp", "hidden": [8]}, "decoder": {"name": "mlp", "hidden": [8]}}


def trained(**options):
    model = ACN((4, 4, 1), 3, codebook=KNNCodebook(k=2), **SMALL, **options)
    model.compile("sgd")
    model.fit(IMAGES, epochs=2, verbose=0)
    model.recode(IMAGES)
    return model


def test_rows_to_exclude_are_checked():
    """On rows 30 to 59 `exclude_self=True` excluded rows 0 to 29, and said nothing."""
    model, part = trained(), IMAGES[30:]
    with pytest.raises(UserError, match=r"exclude_self=np.arange\(30, 60\)"):
        model.evaluate(part, exclude_self=True, verbose=0)
    with pytest.raises(UserError, match="exclude_self"):
        model.image_nats(part, exclude_self=True)
    honest = model.image_nats(IMAGES, exclude_self=True)["kl_nats"][30:]
    same_noise = model.image_nats(IMAGES, exclude_self=np.arange(60))["kl_nats"][30:]
    np.testing.assert_array_equal(honest, same_noise)
    nobody = model.image_nats(part, exclude_self=np.full(30, -1))["kl_nats"]
    np.testing.assert_allclose(nobody, model.image_nats(part)["kl_nats"], rtol=1e-5)
    given = model.evaluate(part, exclude_self=np.arange(30, 60), verbose=0, return_dict=True)
    assert given["kl_nats"] != model.evaluate(part, verbose=0, return_dict=True)["kl_nats"]


def test_each_row_named_is_the_one_left_out():
    model = trained()
    seen = []
    call = model.codebook.call
    model.codebook.call = lambda code, index=None, **rest: (
        seen.append(call(code, index=index, **rest)) or seen[-1]
    )
    model.run_eagerly = True
    rows = np.arange(59, -1, -1)
    model.evaluate(IMAGES[rows], exclude_self=rows, batch_size=60, verbose=0)
    picked = seen[0].index.numpy()
    assert (picked >= 0).all() and (picked != rows).all()


@pytest.mark.fast(every=3)
@pytest.mark.parametrize(
    "rows,sentence",
    [
        (np.arange(5), "the row of each of the 60 images"),
        (np.zeros(60), "integers"),
        (np.arange(60) + 5, "has the rows 0 to 59"),
    ],
)
def test_rows_that_cannot_be_are_one_sentence(rows, sentence):
    with pytest.raises(UserError, match=sentence):
        trained().evaluate(IMAGES, exclude_self=rows, verbose=0)


def test_costs_of_training_images_warn_of_the_leak():
    model = trained()
    with pytest.warns(UserWarning, match="exclude_self=True"):
        model.image_nats(IMAGES)


@pytest.mark.slow
def test_other_images_of_the_same_number_do_not_warn(recwarn):
    trained().image_nats(IMAGES[::-1].copy())
    assert not [w for w in recwarn if "exclude_self" in str(w.message)]


@pytest.mark.fast(every=2)
@pytest.mark.parametrize("cls", [ACN, VAE, VHE, Autoencoder])
def test_the_same_seed_gives_the_same_initial_weights(cls):
    def weights(seed):
        return [w.numpy() for w in cls((8, 8, 1), latent_dim=3, seed=seed).trainable_weights]

    random.seed(0)
    before = random.getstate()
    first = weights(5)
    assert random.getstate() == before
    keras.utils.set_random_seed(99)
    second, other = weights(5), weights(6)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    # No two parts of one shape start alike.
    kernels = [w for w in first if w.ndim == 2]
    for i, one in enumerate(kernels):
        assert not any(np.array_equal(one, two) for two in kernels[:i])


@pytest.mark.parametrize("seed", [2**31, -1, 1.5, "a"])
def test_a_seed_that_is_none_is_one_sentence(seed):
    with pytest.raises(UserError, match="seed"):
        VAE((4, 4, 1), seed=seed, **SMALL)


def test_validation_split_of_an_image_set():
    images = keras_acn.data.from_arrays(IMAGES)
    model = VAE((4, 4, 1), 3, **SMALL)
    model.compile("adam")
    history = model.fit(images, validation_split=0.25, verbose=0, shuffle=False).history
    again = VAE((4, 4, 1), 3, **SMALL)
    again.compile("adam")
    same = again.fit(IMAGES[:45], validation_data=IMAGES[45:], verbose=0, shuffle=False).history
    for name, values in history.items():
        np.testing.assert_allclose(values, same[name], rtol=1e-5, err_msg=name)
    for share in (1.0, -0.5, "half"):
        with pytest.raises(UserError, match="share"):
            model.fit(images, validation_split=share, verbose=0)


def test_an_infinite_gradient_leaves_the_ratio_finite():
    ratio = Ratio(name="ratio")
    ratio.update_state(tf.constant(1.0), tf.constant(2.0))
    ratio.update_state(tf.constant(np.inf), tf.constant(np.inf))
    ratio.update_state(tf.constant(np.nan), tf.constant(1.0))
    assert float(ratio.result()) == 0.5


def test_a_loss_of_ones_own_gets_a_noise_that_does_for_a_seed():
    """Subclasses written for `seed` pass it on; those for `noise` draw from it."""

    class Noisy(VAE):
        def nats(self, image, index, noise, training=False):
            reconstruction, kl = super().nats(image, index, noise, training)
            extra = keras_acn._base.noise.Noise.of(noise).stream(9).uniform(kl)
            return reconstruction, kl + 0.0 * extra

    plain, noisy = VAE((4, 4, 1), 3, **SMALL), Noisy((4, 4, 1), 3, **SMALL)
    noisy.set_weights(plain.get_weights())
    for model in (plain, noisy):
        model.compile("adam")
    a, b = (m.evaluate(IMAGES, verbose=0, return_dict=True) for m in (plain, noisy))
    assert a == b


@pytest.mark.slow
def test_a_loss_written_for_a_seed_is_trained_and_evaluated():
    """In version 0.1.0 `nats` got a stateless seed, and could hand it to TensorFlow."""

    class Dropped(VAE):
        def nats(self, image, index, seed, training=False):
            reconstruction, kl = super().nats(image, index, seed, training)
            return reconstruction, kl + tf.random.stateless_uniform(tf.shape(kl), seed)

    model = Dropped((4, 4, 1), 3, **SMALL)
    model.compile("adam")
    assert np.isfinite(model.fit(IMAGES, epochs=1, verbose=0).history["loss"]).all()
    seed = np.array([3, 4], np.int32)
    added = tf.random.stateless_uniform([60], seed)
    for noise in (Noise(seed), seed):
        kl = model.nats(IMAGES, None, noise)[1]
        np.testing.assert_allclose(kl - VAE.nats(model, IMAGES, None, noise)[1], added, atol=1e-5)
    costs = model.image_nats(IMAGES)["kl_nats"].mean()
    assert model.evaluate(IMAGES, batch_size=60, verbose=0, return_dict=True)["kl_nats"] == (
        pytest.approx(costs, rel=1e-5)
    )
