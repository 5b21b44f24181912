"""Output families of real numbers, against SciPy in float64 and sampled frequencies."""

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf

import keras_acn
from keras_acn import VAE, UserError
from keras_acn.decoders import GatedPixelCNN, get_likelihood
from keras_acn.decoders.families import ContinuousBernoulli, Gaussian
from keras_acn.evaluation.tables import notes_on_the_data

RNG = np.random.default_rng(0)
LOGITS = [-12.0, -3.0, -0.3, 0.0, 1e-3, 0.7, 5.0, 20.0]


def continuous_bernoulli(x, logit):
    """Equation 4 of Loaiza-Ganem and Cunningham, in float64."""
    p = 1 / (1 + np.exp(-np.float64(logit)))
    constant = 2.0 if abs(p - 0.5) < 1e-9 else 2 * np.arctanh(1 - 2 * p) / (1 - 2 * p)
    return constant * p**x * (1 - p) ** (1 - x)


@pytest.mark.parametrize("logit", LOGITS)
def test_the_continuous_bernoulli_is_the_papers_and_integrates_to_one(logit):
    family, params = ContinuousBernoulli(), tf.constant([[logit]], tf.float32)
    x = np.linspace(0, 1, 201)
    found = np.exp(family.log_prob(tf.repeat(params, 201, axis=0), x[:, None].astype("float32")))
    np.testing.assert_allclose(found, continuous_bernoulli(x, logit), rtol=2e-3)
    total, _ = scipy.integrate.quad(continuous_bernoulli, 0, 1, (logit,), points=[0, 0.01, 0.99])
    assert total == pytest.approx(1, abs=1e-6)
    mean, _ = scipy.integrate.quad(lambda v: v * continuous_bernoulli(v, logit), 0, 1)
    np.testing.assert_allclose(family.mean(params, 1)[0, 0], mean, atol=1e-4)


def test_gaussian_pixels_are_normal_with_bounds_on_the_scale():
    family = Gaussian(smallest=0.01)
    params = RNG.normal(size=(50, 6)).astype("float32") * [3, 3, 3, 4, 4, 4]
    x = RNG.random((50, 3)).astype("float32")
    mean = 1 / (1 + np.exp(-params[:, :3].astype(np.float64)))
    scale = np.clip(np.exp(params[:, 3:].astype(np.float64)), 0.01, 1)
    want = scipy.stats.norm(mean, scale).logpdf(x).sum(axis=1)
    np.testing.assert_allclose(family.log_prob(params.astype("float32"), x), want, rtol=1e-4)
    np.testing.assert_allclose(family.mean(params.astype("float32"), 3), mean, rtol=1e-5)


@pytest.mark.parametrize("family", [ContinuousBernoulli(), Gaussian()])
def test_samples_follow_the_density_and_stay_in_the_unit_interval(family):
    params = np.array([[0.8, -1.5][: family.parameters_per_pixel(1)]], "float32")
    noise = np.random.default_rng(1).random((20_000, 1)).astype("float32")
    drawn = np.asarray(family.sample(np.repeat(params, 20_000, axis=0), 1, noise))[:, 0]
    assert drawn.min() >= 0 and drawn.max() <= 1
    inside = (drawn > 0.2) & (drawn < 0.6)
    density = np.exp(
        family.log_prob(
            np.repeat(params, 400, axis=0), np.linspace(0.2, 0.6, 400, dtype="float32")[:, None]
        )
    )
    share = density.mean() * 0.4
    # Four standard errors of a share of 20,000.
    assert inside.mean() == pytest.approx(share, abs=4 * np.sqrt(0.25 / 20_000) + 2e-3)


@pytest.mark.parametrize("name", ["continuous_bernoulli", "gaussian"])
def test_a_model_trains_with_it_and_calls_its_nats_a_loss(name, tmp_path):
    keras.utils.set_random_seed(0)
    images = RNG.random((40, 4, 4, 1)).astype("float32")
    decoder = {"name": "mlp", "hidden": [8], "likelihood": name}
    model = VAE((4, 4, 1), 2, encoder={"name": "mlp", "hidden": [8]}, decoder=decoder)
    model.compile(keras.optimizers.Adam(1e-2))
    losses = model.fit(images, epochs=3, batch_size=10, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    assert not model.is_code_length(images.round())
    assert "no code length" not in " ".join(notes_on_the_data(model, images, 0, False))
    assert "a training loss, not a code length" in notes_on_the_data(model, images, 0, False)[0]
    model.save(tmp_path / "a.keras")
    again = keras_acn.load_model(tmp_path / "a.keras")
    assert again.decoder.likelihood == get_likelihood(name)
    with pytest.raises(UserError, match="real numbers"):
        keras_acn.compress(images.round().astype(np.uint8), model)
    with pytest.raises(UserError, match="table of probabilities"):
        GatedPixelCNN((4, 4, 1), 2, likelihood=name)
