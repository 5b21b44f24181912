"""The importance-weighted bound on a model whose exact log p(x) is known."""

import numpy as np
import pytest

from keras_acn._base.errors import UserError
from keras_acn.evaluation.costs import encode_images
from keras_acn.evaluation.importance_bound import importance_weighted_bound
from keras_acn.evaluation.unconditional import StandardNormalPrior
from keras_acn.priors.codes_mixture import MixtureOfCodes


def test_converges_from_below_and_the_elbo_lies_under_it(linear_gaussian):
    model = linear_gaussian(associative=False, stddev_scale=1.5)
    images = model.data(500)
    exact = model.log_likelihood(images).mean()
    prior = StandardNormalPrior()
    bounds = [
        importance_weighted_bound(model, images, prior, samples=s, seed=1) for s in (1, 5, 50, 500)
    ]
    means = [each.log_likelihood_nats.mean() for each in bounds]
    assert means[0] < means[1] < means[2] < means[3]
    assert means[-1] == pytest.approx(exact, abs=0.02)
    # 500 images with an error of a few hundredths: a bound may be above by chance, by this.
    assert means[-1] < exact + 0.02 and means[1] < exact - 0.05
    for each in bounds[1:]:
        assert np.all(each.elbo_nats <= each.log_likelihood_nats + 1e-9)
        assert each.elbo_nats.mean() < exact - 0.3


def test_one_sample_is_the_elbo(linear_gaussian):
    model = linear_gaussian()
    bound = importance_weighted_bound(model, model.data(9), StandardNormalPrior(), samples=1)
    np.testing.assert_allclose(bound.log_likelihood_nats, bound.elbo_nats)
    np.testing.assert_allclose(bound.effective_samples, 1.0)


def test_the_elbo_is_exact_for_the_true_posterior():
    """In one latent dimension a diagonal posterior can be the true one: no gap at all."""
    import tensorflow as tf
    import tensorflow_probability as tfp
    from scipy import stats

    tfd = tfp.distributions

    class Exact:  # z ~ N(0, 1), x ~ N(z, 1): z|x ~ N(x/2, 1/2), x ~ N(0, 2)
        def encoder(self, x):
            return tfd.Independent(tfd.Normal(x[:, :, 0, 0] / 2, np.float32(0.5**0.5)), 1)

        def decoder(self, z):
            return tfd.Independent(tfd.Normal(tf.reshape(z, (-1, 1, 1, 1)), 1.0), 3)

    images = np.linspace(-3, 3, 7, dtype=np.float32).reshape(7, 1, 1, 1)
    bound = importance_weighted_bound(Exact(), images, StandardNormalPrior(), samples=4)
    exact = stats.norm.logpdf(images.ravel(), 0, 2**0.5)
    np.testing.assert_allclose(bound.log_likelihood_nats, exact, atol=1e-5)
    np.testing.assert_allclose(bound.elbo_nats, exact, atol=1e-5)
    np.testing.assert_allclose(bound.effective_samples, 4.0, rtol=1e-4)


def test_against_the_formula_in_numpy(linear_gaussian):
    from scipy import special, stats

    model = linear_gaussian()
    images = model.data(11)
    codes = encode_images(model, model.data(40, seed=5)).mean
    prior = MixtureOfCodes(model.prior, codes)
    bound = importance_weighted_bound(model, images, prior, samples=6, seed=2, batch_size=4)
    q = encode_images(model, images)
    weights = []
    for draw in range(6):
        z = q.sample(2 + 7919, draw).astype(np.float64)
        terms = stats.norm.logpdf(z[:, None], 0.9 * codes.astype(np.float64), 0.5).sum(axis=2)
        log_prior = special.logsumexp(terms, axis=1) - np.log(40)
        mean = z @ model.weight + model.bias
        log_image = stats.norm.logpdf(images.reshape(11, 6), mean, 0.5).sum(axis=1)
        weights.append(log_image + log_prior - stats.norm.logpdf(z, q.mean, q.stddev).sum(axis=1))
    weights = np.array(weights)
    expected = special.logsumexp(weights, axis=0) - np.log(6)
    np.testing.assert_allclose(bound.log_likelihood_nats, expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(bound.elbo_nats, weights.mean(axis=0), rtol=1e-4, atol=1e-3)
    normal = np.exp(weights - special.logsumexp(weights, axis=0))
    np.testing.assert_allclose(bound.effective_samples, 1 / np.sum(normal**2, axis=0), rtol=1e-2)
    summary = bound.summary()
    assert summary["nats"] == pytest.approx(-expected.mean(), rel=1e-4)
    assert summary["nats"] <= summary["negative_elbo_nats"]


def test_same_seed_same_bound(linear_gaussian):
    model = linear_gaussian()
    images = model.data(10)
    first, again, other = (
        importance_weighted_bound(model, images, StandardNormalPrior(), samples=3, seed=seed)
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first.log_likelihood_nats, again.log_likelihood_nats)
    assert not np.array_equal(first.log_likelihood_nats, other.log_likelihood_nats)


def test_no_samples(linear_gaussian):
    model = linear_gaussian()
    with pytest.raises(UserError, match="samples must be at least 1, not 0"):
        importance_weighted_bound(model, model.data(3), StandardNormalPrior(), samples=0)
