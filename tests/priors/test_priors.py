"""Priors against NumPy in float64, and KLs against closed forms and Monte Carlo."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import integrate, special, stats

from keras_acn import FittedNormal, MixturePrior, StandardNormal, UserError
from keras_acn.priors import has_closed_form, kl_nats
from keras_acn.testing import check_part

tfd = tfp.distributions
RNG = np.random.default_rng(0)
CODES = RNG.normal(size=(4, 3)).astype(np.float32)


def small(**kwargs):
    return MixturePrior(3, **{"components": 5, "hidden": (16, 12, 8), **kwargs})


def parameters_in_numpy(prior, code):
    """The paper's prior network, written out: logits, mean, log stddev, [B, d, M]."""
    x, outputs = code.astype(np.float64), []
    for i, layer in enumerate(prior.hidden_layers):
        kernel, bias = layer.get_weights()
        if prior.skip_connections and i > 0:
            x = np.concatenate([x, code], axis=1)
        x = x @ kernel + bias
        x = np.tanh(x) if prior.activation == "tanh" else np.maximum(x, 0)
        outputs.append(x)
    if prior.skip_connections:
        x = np.concatenate(outputs, axis=1)
    kernel, bias = prior.output_layer.get_weights()
    raw = (x @ kernel + bias).reshape(len(code), prior.latent_dim, -1)
    m = prior.components
    if m == 1:
        return np.zeros_like(raw[..., :1]), raw[..., :1], raw[..., 1:]
    return raw[..., :m], raw[..., m : 2 * m], raw[..., 2 * m :]


@pytest.mark.parametrize("components", [1, 5])
@pytest.mark.parametrize("skip, activation", [(True, "tanh"), (False, "relu")])
def test_mixture_log_prob_in_float64(components, skip, activation):
    prior = small(components=components, skip_connections=skip, activation=activation)
    z = RNG.normal(size=(4, 3)).astype(np.float32)
    logits, mean, log_stddev = parameters_in_numpy(prior, CODES)
    log_weight = special.log_softmax(logits, axis=-1)
    density = stats.norm.logpdf(z[..., None].astype(np.float64), mean, np.exp(log_stddev))
    want = special.logsumexp(log_weight + density, axis=-1).sum(-1)
    p = prior(CODES)
    assert (p.batch_shape, p.event_shape) == ((4,), (3,))
    np.testing.assert_allclose(p.log_prob(z), want, rtol=1e-4)


def test_density_integrates_to_one():
    p = small()(CODES[:1])
    z = np.linspace(-40, 40, 200_001, dtype=np.float32)
    marginal = p.distribution[0, 0]  # one dimension's mixture
    np.testing.assert_allclose(integrate.trapezoid(np.exp(marginal.log_prob(z)), z), 1, rtol=1e-3)


def test_the_papers_sizes():
    prior = MixturePrior(16)
    assert [layer.units for layer in prior.hidden_layers] == [512, 512, 512]
    assert [w.kernel.shape[0] for w in prior.hidden_layers] == [16, 528, 528]
    assert prior.output_layer.kernel.shape == (3 * 512, 16 * 3 * 8)


def test_the_posts_single_gaussian():
    prior = MixturePrior(20, components=1, hidden=(512,), activation="relu", skip_connections=False)
    assert [tuple(w.shape) for w in prior.weights] == [(20, 512), (512,), (512, 40), (40,)]
    assert has_closed_form(
        prior(np.zeros((1, 20), np.float32)), StandardNormal(20)(np.zeros((1, 20)))
    )


def test_standard_normal():
    p = StandardNormal(3)(CODES)
    want = stats.norm.logpdf(CODES.astype(np.float64)).sum(1)
    np.testing.assert_allclose(p.log_prob(CODES), want, rtol=1e-5)


def gaussian(mean, stddev):
    return tfd.Independent(tfd.Normal(np.float32(mean), np.float32(stddev)), 1)


def test_kl_of_gaussians_is_the_closed_form():
    m1, m2 = RNG.normal(size=(2, 6, 3))
    s1, s2 = np.exp(RNG.normal(size=(2, 6, 3)))
    want = (np.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5).sum(1)
    got = kl_nats(gaussian(m1, s1), gaussian(m2, s2))
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_kl_by_sampling_is_unbiased():
    q = gaussian(CODES, np.ones_like(CODES) * 0.7)
    p = small()(CODES[::-1].copy())
    assert not has_closed_form(q, p)
    draws = 20_000
    z = q.sample(draws, seed=[1, 2])
    got = tf.stack([kl_nats(q, p, z[i * 100 : (i + 1) * 100]) for i in range(200)])
    got = tf.reshape(got, [-1, 4]).numpy()
    # The oracle integrates each dimension on a grid, in float64.
    grid = np.linspace(-12, 12, 24_001)
    want = np.zeros(4)
    for d in range(3):
        q_d = stats.norm.pdf(grid[None], CODES[:, d : d + 1], 0.7)
        full = np.repeat(grid[:, None, None], 4, 1) * np.ones((1, 1, 3))
        log_p = p.distribution.log_prob(full.astype(np.float32)).numpy()[..., d].T  # [4, G]
        log_q = stats.norm.logpdf(grid[None], CODES[:, d : d + 1], 0.7)
        want += integrate.trapezoid(q_d * (log_q - log_p), grid, axis=1)
    error = got.std(0) / np.sqrt(draws)
    np.testing.assert_array_less(np.abs(got.mean(0) - want), 4 * error + 1e-3)


def test_kl_never_guesses():
    with pytest.raises(ValueError, match="pass z"):
        kl_nats(gaussian(CODES, np.ones_like(CODES)), small()(CODES))


@pytest.mark.fast(every=4)
@pytest.mark.parametrize(
    "make",
    [small, lambda: small(components=1), lambda: StandardNormal(3), lambda: FittedNormal(3)],
    ids=["mixture", "gaussian", "normal", "fitted"],
)
def test_it_keeps_what_a_part_promises(make):
    check_part(make)


def test_errors_name_the_fix():
    with pytest.raises(UserError, match="components must be at least 1"):
        MixturePrior(3, components=0)
    for cls in (MixturePrior, StandardNormal, FittedNormal):
        for latent_dim in (0, -1, None, 1.5):
            with pytest.raises(UserError, match="latent_dim must be"):
                cls(latent_dim)
    with pytest.raises(UserError, match="hidden must be a list"):
        MixturePrior(3, hidden=8)
