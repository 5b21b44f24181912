"""The fitted Gaussian mixture: a density, well fitted, and no straw man."""

import numpy as np
import pytest
from scipy import special, stats

import keras_acn
from keras_acn._base.errors import UserError
from keras_acn.evaluation import encode_images, evaluate_model
from keras_acn.evaluation.costs import Posteriors
from keras_acn.evaluation.unconditional import StandardNormalPrior, fit_gaussian_mixture


def clusters(count, seed=0, stddev=0.5):
    """Codes in three tilted clusters, and the density of z ~ q about them."""
    rng = np.random.default_rng(seed)
    means = np.array([[6.0, 0.0], [-6.0, 0.0], [0.0, 8.0]])
    tilt = np.array([[1.0, 0.9], [0.0, 0.4]])
    codes = means[rng.integers(3, size=count)] + rng.normal(size=(count, 2)) @ tilt
    covariance = tilt.T @ tilt + stddev**2 * np.eye(2)
    codes = codes.astype(np.float32)
    q = Posteriors(codes, np.full((count, 2), stddev, np.float32))
    return q, [stats.multivariate_normal(mean, covariance) for mean in means]


def test_finds_the_density_that_the_codes_come_from():
    q, true = clusters(3000)
    prior = fit_gaussian_mixture(q, components=(1, 3, 9), seed=0)
    z = clusters(3000, seed=1)[0].sample(0)
    exact = special.logsumexp([each.logpdf(z) for each in true], axis=0) - np.log(3)
    got = prior.log_prob(z)
    assert got.mean() == pytest.approx(exact.mean(), abs=0.02)
    assert prior.components in (3, 9)
    independent = stats.norm.logpdf(z, z.mean(axis=0), z.std(axis=0)).sum(axis=1)
    assert got.mean() > independent.mean() + 1.0


def test_more_components_stop_when_they_do_not_help():
    rng = np.random.default_rng(0)
    q = Posteriors(rng.normal(size=(600, 2)).astype(np.float32), np.ones((600, 2), np.float32))
    prior = fit_gaussian_mixture(q, components=(1, 10, 20, 40), max_points=600)
    assert prior.components == 1
    assert sorted(prior.tried) == [1, 10]


def test_log_prob_is_the_density_of_its_parameters():
    prior = fit_gaussian_mixture(clusters(800)[0], components=(2,))
    z = clusters(50, seed=2)[0].mean
    mixture = prior.mixture
    terms = [
        np.log(w) + stats.multivariate_normal(m, c).logpdf(z)
        for w, m, c in zip(mixture.weights_, mixture.means_, mixture.covariances_, strict=True)
    ]
    np.testing.assert_allclose(prior.log_prob(z), special.logsumexp(terms, axis=0), rtol=1e-6)


def test_same_seed_same_prior():
    q = clusters(700)[0]
    z = q.sample(9)
    first, again = (fit_gaussian_mixture(q, (1, 3), seed=4).log_prob(z) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, fit_gaussian_mixture(q, (1, 3), seed=5).log_prob(z))


@pytest.mark.parametrize("count", [1, 2, 11])
def test_few_codes(count):
    """One code is one Gaussian: its own posterior."""
    q = clusters(count)[0]
    prior = fit_gaussian_mixture(q)
    if count == 1:
        z = q.sample(5)
        expected = stats.norm.logpdf(z, q.mean, q.stddev).sum(axis=1)
        np.testing.assert_allclose(prior.log_prob(z), expected, atol=0.2)
    assert np.all(np.isfinite(prior.log_prob(q.sample(1))))


def test_codes_that_fill_one_dimension_only():
    rng = np.random.default_rng(0)
    codes = np.concatenate([rng.normal(size=(500, 1)), np.zeros((500, 3))], 1).astype(np.float32)
    prior = fit_gaussian_mixture(Posteriors(codes, np.full_like(codes, 1e-6)))
    assert np.all(np.isfinite(prior.log_prob(codes)))


def test_standard_normal():
    z = np.random.default_rng(0).normal(size=(7, 3))
    np.testing.assert_allclose(StandardNormalPrior().log_prob(z), stats.norm.logpdf(z).sum(axis=1))


def test_progress_and_bad_input():
    told = []
    fit_gaussian_mixture(
        clusters(300)[0], components=(1, 3), progress=lambda done, total: told.append((done, total))
    )
    assert told[-1] == (3, 3)
    with pytest.raises(UserError, match="no codes"):
        fit_gaussian_mixture(clusters(3)[0][:0])


@pytest.mark.parametrize("prior", ["learned_mixture", "vamp"])
def test_a_learned_prior_is_reported_beside_the_fitted_ones(prior):
    rng = np.random.default_rng(0)
    images = (rng.random((60, 4, 4, 1)) < rng.random((60, 1, 1, 1))).astype(np.float32)
    model = keras_acn.VAE(
        (4, 4, 1),
        2,
        encoder={"name": "mlp", "hidden": [8], "variance": "learned"},
        prior={"name": prior, "components": 3},
        decoder={"name": "bernoulli_mlp", "hidden": [8]},
    )
    model.compile()
    model.fit(images[:40], epochs=2, verbose=0)
    report = evaluate_model(model, images[:40], images[40:], samples=2, iwae_samples=4, seed=1)
    costs = report.code_lengths.per_image
    assert "kl_standard_normal_nats" not in costs and "kl_gaussian_mixture_nats" in costs
    q = encode_images(model, images[40:])
    log_weight, mean, stddev = (np.asarray(each, np.float64) for each in model.prior.mixture())
    want = -q.entropy_nats()
    for draw in range(2):
        z = q.sample(1, draw).astype(np.float64)
        each = stats.norm.logpdf(z[:, None], mean, stddev).sum(axis=-1)
        want -= special.logsumexp(log_weight + each, axis=1) / 2
    np.testing.assert_allclose(costs["kl_own_prior_nats"], want, rtol=1e-3, atol=1e-3)
    name = type(model.prior).__name__
    assert report.priors["own_prior"] == {"prior": name, "components": 3}
    assert "KL, unconditional: the model's own prior" in report.to_text()
    if report.code_lengths.unconditional == "own_prior":
        assert f"the best unconditional prior is the model's own, its {name}." in report.to_text()
