"""The table of priors and the mixture over it, against direct sums in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import integrate, special, stats

from keras_acn._base.errors import UserError
from keras_acn.priors import MixturePrior, StandardNormal, codes_mixture
from keras_acn.priors.codes_mixture import MixtureOfCodes, PriorTable

tfd = tfp.distributions


def make_prior(latent_dim, components, seed=0):
    """A prior network with weights large enough for clearly different mixtures."""
    keras.utils.set_random_seed(seed)
    prior = MixturePrior(latent_dim, components=components, hidden=(32, 32))
    rng = np.random.default_rng(seed)
    prior.set_weights([rng.normal(size=w.shape) * 0.25 for w in prior.get_weights()])
    return prior


def direct_terms(prior, codes, z):
    """log p(z_b|c_n) in float64 by SciPy, `[B, N]`, from the network's parameters."""
    logits, mean, stddev = (
        np.asarray(each, np.float64) for each in prior.parameters(tf.constant(codes))
    )
    log_weight = logits - special.logsumexp(logits, axis=-1, keepdims=True)
    each = stats.norm.logpdf(z[:, None, :, None], mean[None], stddev[None]) + log_weight
    return special.logsumexp(each, axis=-1).sum(axis=-1)


def data(count, batch, latent_dim, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(count, latent_dim)).astype(np.float32) * 2
    z = rng.normal(size=(batch, latent_dim)).astype(np.float32) * 2
    return codes, z


@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("count,batch", [(1, 1), (7, 5), (333, 41)])
def test_agrees_with_direct_summation(components, count, batch):
    prior = make_prior(4, components)
    codes, z = data(count, batch, 4)
    expected = special.logsumexp(direct_terms(prior, codes, z), axis=1) - np.log(count)
    mixture = MixtureOfCodes(prior, codes, nearest=None)
    np.testing.assert_allclose(mixture.log_prob(z), expected, rtol=2e-5, atol=2e-4)


def test_blocks_change_nothing(monkeypatch):
    prior = make_prior(3, 2)
    codes, z = data(50_000 // (16 * 6), 300, 3)
    whole = np.asarray(MixtureOfCodes(prior, codes, nearest=100).exact_log_prob(z))
    monkeypatch.setattr(codes_mixture, "BLOCK_FLOATS", 1)
    monkeypatch.setattr(codes_mixture, "TERM_FLOATS", 16 * 6 * 7)
    small = np.asarray(MixtureOfCodes(prior, codes, nearest=100).exact_log_prob(z))
    np.testing.assert_allclose(small, whole, rtol=1e-5, atol=1e-4)


def test_far_away_it_neither_overflows_nor_vanishes():
    prior = make_prior(4, 3)
    codes, z = data(20, 3, 4)
    z = z + 1000.0
    expected = special.logsumexp(direct_terms(prior, codes, z), axis=1) - np.log(20)
    got = MixtureOfCodes(prior, codes).log_prob(z)
    assert np.all(expected < -1000)
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def trained_looking_prior(code):
    """Two components about the code, as a prior trained with unit posteriors has them."""
    parts = tfd.Normal(tf.stack([0.95 * code, 0.8 * code + 0.5], axis=-1), tf.constant([1.0, 1.5]))
    weights = tfd.Categorical(probs=tf.constant([0.7, 0.3]))
    return tfd.Independent(tfd.MixtureSameFamily(weights, parts), 1)


@pytest.mark.parametrize("kind", ["trained-looking", "random"])
def test_fewer_terms_are_a_lower_bound_that_converges(kind):
    prior = trained_looking_prior if kind == "trained-looking" else make_prior(4, 3)
    codes, z = data(600, 64, 4)
    exact = np.asarray(MixtureOfCodes(prior, codes, nearest=None).log_prob(z))
    errors = []
    for nearest in (1, 8, 64, 300, 599):
        mixture = MixtureOfCodes(prior, codes, nearest=nearest)
        got = np.asarray(mixture.log_prob(z))
        assert np.all(got <= exact + 1e-3)
        np.testing.assert_allclose(mixture.truncation_nats(z), exact - got, atol=1e-4)
        errors.append(float(np.mean(exact - got)))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 1 and errors[-1] < 0.01
    if kind == "trained-looking":
        assert errors[2] < 0.5 and errors[3] < 0.01


def test_another_number_of_terms_shares_the_table():
    codes, z = data(300, 20, 4)
    mixture = MixtureOfCodes(trained_looking_prior, codes, nearest=10)
    more = mixture.with_nearest(40)
    assert more.table is mixture.table and (mixture.nearest, more.nearest) == (10, 40)
    direct = MixtureOfCodes(trained_looking_prior, codes, nearest=40)
    np.testing.assert_allclose(more.log_prob(z), direct.log_prob(z))
    assert mixture.with_nearest(300).nearest is None


def test_terms_that_matter_are_found_first():
    # Codes that are their own narrow priors: one term is nearly the whole sum.
    def prior(code):
        return tfd.Independent(tfd.Normal(code, 0.1 * tf.ones_like(code)), 1)

    codes, _ = data(500, 1, 6)
    rows = np.arange(0, 500, 7)
    z = codes[rows] + 0.01
    mixture = MixtureOfCodes(prior, codes, nearest=2)
    assert np.all(np.asarray(mixture.truncation_nats(z)) < 1e-3)
    expected = stats.norm.logpdf(0.01, 0, 0.1) * 6 - np.log(500)
    np.testing.assert_allclose(mixture.log_prob(z), expected, rtol=1e-3)


def test_integrates_to_one():
    prior = make_prior(1, 3)
    codes, _ = data(30, 1, 1)
    mixture = MixtureOfCodes(prior, codes, nearest=None)
    grid = np.linspace(-60, 60, 200_001, dtype=np.float32)[:, None]
    density = np.exp(np.asarray(mixture.log_prob(grid), np.float64))
    assert abs(integrate.trapezoid(density, grid[:, 0].astype(np.float64)) - 1) < 1e-3


def test_samples_have_the_moments_of_the_mixture():
    prior = make_prior(2, 3)
    codes, _ = data(5, 1, 2)
    mixture = MixtureOfCodes(prior, codes)
    each = prior(tf.constant(codes))
    mean = np.mean(each.mean(), axis=0)
    second = np.mean(each.variance() + each.mean() ** 2, axis=0)
    z = mixture.sample(100_000, seed=1)
    stddev = np.sqrt(second - mean**2)
    np.testing.assert_allclose(z.mean(axis=0), mean, atol=5 * stddev.max() / 316)
    np.testing.assert_allclose(z.std(axis=0), stddev, rtol=0.03)
    assert np.array_equal(z, mixture.sample(100_000, seed=1))


def test_of_a_standard_normal_is_a_standard_normal():
    codes, z = data(10, 6, 3)
    got = MixtureOfCodes(StandardNormal(3), codes).log_prob(z)
    np.testing.assert_allclose(got, stats.norm.logpdf(z).sum(axis=1), rtol=1e-5)


@pytest.mark.parametrize("components", [1, 3])
def test_table_looks_up_what_the_network_says(components):
    prior = make_prior(4, components)
    codes, z = data(37, 9, 4)
    table = PriorTable(prior, codes, batch_size=10)
    index = np.random.default_rng(0).integers(37, size=(9, 5))
    got = table.log_prob(z, index)
    expected = np.take_along_axis(direct_terms(prior, codes, z), index, axis=1)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-3)


def test_table_kl_is_tfps():
    prior = make_prior(4, 1)
    codes, mean = data(6, 6, 4)
    stddev = np.linspace(0.2, 2, 24, dtype=np.float32).reshape(6, 4)
    index = np.arange(6)[:, None]
    got = PriorTable(prior, codes).gaussian_kl(mean, stddev, index)[:, 0]
    q = tfd.Independent(tfd.Normal(mean, stddev), 1)
    np.testing.assert_allclose(got, tfd.kl_divergence(q, prior(tf.constant(codes))), rtol=1e-4)
    with pytest.raises(ValueError, match="closed form"):
        PriorTable(make_prior(4, 2), codes).gaussian_kl(mean, stddev, index)


def test_bad_input():
    prior = make_prior(2, 2)
    codes, _ = data(5, 1, 2)
    with pytest.raises(UserError, match="N >= 1"):
        MixtureOfCodes(prior, codes[:0])
    with pytest.raises(UserError, match="nearest"):
        MixtureOfCodes(prior, codes, nearest=0)
    with pytest.raises(UserError, match=r"\[B, 2\]"):
        MixtureOfCodes(prior, codes).log_prob(np.zeros((4, 3), np.float32))
    with pytest.raises(UserError, match="Gaussian"):
        MixtureOfCodes(lambda c: tfd.Independent(tfd.Laplace(c, 1.0), 1), codes)


def test_no_queries():
    codes, z = data(5, 1, 2)
    assert MixtureOfCodes(make_prior(2, 2), codes).log_prob(z[:0]).shape == (0,)
