"""Output families against float64 NumPy, exhaustive sums, and Monte Carlo."""

import itertools

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from keras_acn._base.errors import UserError
from keras_acn.decoders.families import (
    Bernoulli,
    Categorical256,
    DiscretizedLogisticMixture,
    get_likelihood,
)

FAMILIES = [Bernoulli(), Categorical256(), DiscretizedLogisticMixture(3)]
GRID = np.arange(256, dtype="float32")[:, None] / 255


def draw_params(likelihood, channels, shape=(), seed=0, spread=1.0):
    """Random parameters; for the logistics, scales from half a level to the whole range."""
    rng = np.random.default_rng(seed)
    params = spread * rng.normal(size=(*shape, likelihood.parameters_per_pixel(channels)))
    if isinstance(likelihood, DiscretizedLogisticMixture):
        m = likelihood.components
        scales = slice(m * (1 + channels), m * (1 + 2 * channels))
        params[..., scales] = rng.uniform(-5.5, 0, params[..., scales].shape)
    return params.astype("float32")


def all_pixels(levels, channels):
    grid = np.arange(levels, dtype="float32") / (levels - 1)
    return np.array(list(itertools.product(grid, repeat=channels)), "float32")


def bernoulli_oracle(params, pixels):
    p = scipy.special.expit(params)
    return (pixels * np.log(p) + (1 - pixels) * np.log1p(-p)).sum(-1)


def categorical_oracle(params, pixels):
    channels = pixels.shape[-1]
    logits = params.reshape(*params.shape[:-1], channels, 256)
    log_p = logits - scipy.special.logsumexp(logits, axis=-1, keepdims=True)
    index = np.rint(pixels * 255).astype(int)
    return np.take_along_axis(log_p, index[..., None], -1)[..., 0].sum(-1)


def logistic_oracle(params, pixels, m):
    """The definition of the class, term by term, with the tails taken from the near side."""
    channels = pixels.shape[-1]
    parts = np.split(params, params.shape[-1] // m, axis=-1)  # each [..., M]
    log_pi = parts[0] - scipy.special.logsumexp(parts[0], axis=-1, keepdims=True)
    means = parts[1 : 1 + channels]
    scales = [np.exp(np.maximum(p, -7)) for p in parts[1 + channels : 1 + 2 * channels]]
    links = iter(parts[1 + 2 * channels :])
    total = log_pi
    for c in range(channels):
        y = 2 * np.rint(pixels[..., c] * 255)[..., None] / 255 - 1
        mean = means[c]
        for earlier in range(c):
            y_earlier = 2 * np.rint(pixels[..., earlier] * 255)[..., None] / 255 - 1
            mean = mean + np.tanh(next(links)) * y_earlier
        upper = np.where(y > 1 - 1e-6, np.inf, (y - mean + 1 / 255) / scales[c])
        lower = np.where(y < -1 + 1e-6, -np.inf, (y - mean - 1 / 255) / scales[c])
        # F(b) - F(a) = F(-a) - F(-b): the side on which both numbers are small.
        flip = lower > 0
        upper, lower = np.where(flip, -lower, upper), np.where(flip, -upper, lower)
        mass = scipy.special.expit(upper) - scipy.special.expit(lower)
        total = total + np.log(mass)
    return scipy.special.logsumexp(total, axis=-1)


def oracle(likelihood, params, pixels):
    params, pixels = params.astype("float64"), pixels.astype("float64")
    if isinstance(likelihood, Bernoulli):
        return bernoulli_oracle(params, pixels)
    if isinstance(likelihood, Categorical256):
        return categorical_oracle(params, pixels)
    return logistic_oracle(params, pixels, likelihood.components)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("likelihood", FAMILIES, ids=lambda f: f.name)
def test_log_prob_agrees_with_float64(likelihood, channels):
    params = draw_params(likelihood, channels, (20, 6, 7))
    levels = np.random.default_rng(1).integers(0, likelihood.levels, (20, 6, 7, channels))
    levels[0], levels[1] = 0, likelihood.levels - 1
    image = (levels / (likelihood.levels - 1)).astype("float32")
    distribution = likelihood.distribution(params, (6, 7, channels))
    assert distribution.batch_shape == (20,) and distribution.event_shape == (6, 7, channels)
    expected = oracle(likelihood, params, image)
    np.testing.assert_allclose(likelihood.log_prob(params, image), expected, rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(distribution.log_prob(image), expected.sum((1, 2)), rtol=1e-5)


@pytest.mark.parametrize("log_scale", [-9.0, -7.0, -4.0, 0.0, 3.0])
@pytest.mark.parametrize("mean", [-3.0, -1.0, 0.1, 2.0])
def test_logistic_tails_stay_finite_and_exact(mean, log_scale):
    """Up to thousands of nats from the mean, value and gradient exist."""
    likelihood = DiscretizedLogisticMixture(1)
    params = tf.constant([0.0, mean, log_scale])
    with tf.GradientTape() as tape:
        tape.watch(params)
        value = likelihood.log_prob(params, tf.constant(GRID))
        total = tf.reduce_sum(value)
    # log F(-u) ~ -u is written out, since float64 has no exp(-4000).
    scale = np.exp(max(log_scale, -7.0))
    y = 2 * np.arange(256) / 255 - 1
    upper, lower = (y - mean + 1 / 255) / scale, (y - mean - 1 / 255) / scale
    below, above = -np.logaddexp(0, -upper), -np.logaddexp(0, lower)
    width = np.log(-np.expm1(-2 / 255 / scale))
    below[-1], above[0] = 0, 0
    expected = below + above + width * (np.arange(256) % 255 != 0)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=2e-4)
    assert np.all(np.isfinite(tape.gradient(total, params)))


@pytest.mark.parametrize("likelihood", FAMILIES, ids=lambda f: f.name)
def test_one_pixel_sums_to_one_over_all_values(likelihood):
    params = draw_params(likelihood, 1, (5, 1), spread=2.0)
    log_probs = likelihood.log_prob(params, all_pixels(likelihood.levels, 1))
    assert log_probs.shape == (5, likelihood.levels)
    np.testing.assert_allclose(np.exp(log_probs).sum(-1), 1.0, rtol=2e-6)


def test_binary_colour_pixel_sums_to_one():
    params = draw_params(Bernoulli(), 3)
    log_probs = Bernoulli().log_prob(params, all_pixels(2, 3))
    np.testing.assert_allclose(np.exp(log_probs).sum(), 1.0, rtol=1e-6)


@pytest.mark.parametrize("likelihood", FAMILIES[1:], ids=lambda f: f.name)
def test_two_of_three_channels_sum_to_one_by_enumeration(likelihood):
    """All 65,536 pairs of two channels: the family takes any number of channels."""
    params = draw_params(likelihood, 2, seed=2)
    log_probs = likelihood.log_prob(params, all_pixels(256, 2)).numpy().astype("float64")
    np.testing.assert_allclose(np.exp(log_probs).sum(), 1.0, rtol=1e-5)


@pytest.mark.parametrize("likelihood", FAMILIES[1:], ids=lambda f: f.name)
def test_colour_pixel_sums_to_one_by_monte_carlo(likelihood):
    """E over uniform pixels of 256**3 p(x), to three standard errors of its own estimate."""
    params = draw_params(likelihood, 3, seed=3)
    if isinstance(likelihood, DiscretizedLogisticMixture):
        m = likelihood.components
        # Wide enough that uniform pixels find the mass, and little of it in the end bins.
        params[m : 4 * m] *= 0.2
        params[4 * m : 7 * m] = -1.8
        params[7 * m :] *= 0.3
    pixels = np.random.default_rng(4).integers(0, 256, (50_000, 3)) / 255
    log_probs = likelihood.log_prob(params, pixels.astype("float32")).numpy().astype("float64")
    ratio = np.exp(log_probs + 3 * np.log(256))
    error = ratio.std() / np.sqrt(len(ratio))
    assert error < 0.025
    assert abs(ratio.mean() - 1) < 3 * error


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("likelihood", FAMILIES, ids=lambda f: f.name)
def test_chain_of_pmfs_is_the_log_prob(likelihood, channels):
    params = draw_params(likelihood, channels, (50,), seed=5)
    levels = np.random.default_rng(6).integers(0, likelihood.levels, (50, channels))
    pixels = (levels / (likelihood.levels - 1)).astype("float32")
    total = 0.0
    for c in range(channels):
        pmf = likelihood.pmf(params, tf.constant(pixels[:, :c]), channels).numpy()
        assert pmf.shape == (50, likelihood.levels)
        np.testing.assert_allclose(pmf.sum(-1), 1.0, rtol=5e-6)
        total += np.log(pmf[np.arange(50), levels[:, c]].astype("float64"))
    # float32 probabilities end at exp(-87): compare where they exist.
    alive = total > -80
    assert alive.sum() > 10
    expected = likelihood.log_prob(params, pixels).numpy()
    np.testing.assert_allclose(total[alive], expected[alive], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("likelihood", FAMILIES, ids=lambda f: f.name)
def test_samples_follow_the_pmf(likelihood):
    """Frequencies of each channel against the average pmf given the channels before it."""
    n, channels = 40_000, 3
    params = draw_params(likelihood, channels, (1, 1), seed=7)
    samples = likelihood.distribution(params, (1, 1, channels)).sample(n, seed=11)
    samples = samples[:, 0, 0]
    top = likelihood.levels - 1
    levels = np.rint(samples.numpy() * top).astype(int)
    np.testing.assert_allclose(samples, levels / top, atol=1e-7)
    for c in range(channels):
        expected = likelihood.pmf(params[0], samples[:, :c], channels).numpy().mean(0)
        found = np.bincount(levels[:, c], minlength=likelihood.levels) / n
        # Five standard errors, for up to 768 comparisons.
        np.testing.assert_array_less(np.abs(found - expected), 5 * np.sqrt(expected / n) + 5 / n)


@pytest.mark.parametrize("likelihood", FAMILIES, ids=lambda f: f.name)
def test_mean_is_the_expectation(likelihood):
    params = draw_params(likelihood, 1, (2, 3, 4), seed=8)
    distribution = likelihood.distribution(params, (3, 4, 1))
    pmf = likelihood.pmf(params, tf.zeros([2, 3, 4, 0]), 1).numpy()
    top = likelihood.levels - 1
    expected = (pmf * np.arange(likelihood.levels)).sum(-1) / top
    atol = 0.5 / 255 if isinstance(likelihood, DiscretizedLogisticMixture) else 1e-6
    np.testing.assert_allclose(distribution.mean()[..., 0], expected, atol=atol)


def test_mean_of_linked_channels_agrees_with_samples():
    likelihood = DiscretizedLogisticMixture(3)
    distribution = likelihood.distribution(draw_params(likelihood, 3, (4, 4), 9, 0.5), (4, 4, 3))
    samples = distribution.sample(20_000, seed=1)
    np.testing.assert_allclose(distribution.mean(), samples.numpy().mean(0), atol=0.05)


@pytest.mark.parametrize("likelihood", FAMILIES[:2], ids=lambda f: f.name)
def test_mode_is_the_likeliest_value(likelihood):
    params = draw_params(likelihood, 3, (2, 2), seed=10)
    mode = likelihood.distribution(params, (2, 2, 3)).mode().numpy()
    index = np.rint(mode * (likelihood.levels - 1)).astype(int)
    for c in range(3):
        pmf = likelihood.pmf(params, tf.zeros([2, 2, c]), 3).numpy()
        assert np.array_equal(pmf.argmax(-1), index[..., c])


@pytest.mark.parametrize("likelihood", FAMILIES, ids=lambda f: f.name)
def test_the_same_seed_gives_the_same_sample(likelihood):
    params = draw_params(likelihood, 1, (2, 5, 5), seed=12)
    distribution = likelihood.distribution(params, (5, 5, 1))
    first = distribution.sample(seed=3)
    assert first.shape == (2, 5, 5, 1) and first.dtype == tf.float32
    assert np.array_equal(first, distribution.sample(seed=3))
    assert np.array_equal(first, distribution.sample(seed=tf.constant([0, 3])))
    assert not np.array_equal(first, distribution.sample(seed=4))
    in_graph = tf.function(lambda s: distribution.sample(seed=s))
    assert np.array_equal(first, in_graph(tf.constant([0, 3])))


def test_off_grid_values():
    """The 8-bit families round; Bernoulli gives the cross-entropy of the grey value."""
    for likelihood in FAMILIES[1:]:
        params = draw_params(likelihood, 1)
        near = likelihood.log_prob(params, np.float32([100.4 / 255]))
        np.testing.assert_array_equal(near, likelihood.log_prob(params, np.float32([100 / 255])))
    grey = Bernoulli().log_prob(np.float32([0.7]), np.float32([0.25]))
    both = [Bernoulli().log_prob(np.float32([0.7]), np.float32([x])) for x in (0, 1)]
    np.testing.assert_allclose(grey, 0.75 * both[0] + 0.25 * both[1], rtol=1e-6)


def test_parameters_per_pixel():
    assert Bernoulli().parameters_per_pixel(3) == 3
    assert Categorical256().parameters_per_pixel(3) == 768
    assert DiscretizedLogisticMixture(10).parameters_per_pixel(1) == 30
    assert DiscretizedLogisticMixture(10).parameters_per_pixel(3) == 100


def test_lower_precision_parameters_are_computed_in_float32():
    params = draw_params(Bernoulli(), 1, (3, 4, 4))
    distribution = Bernoulli().distribution(tf.cast(params, tf.bfloat16), (4, 4, 1))
    assert distribution.log_prob(np.zeros((3, 4, 4, 1), "float32")).dtype == tf.float32


@pytest.mark.parametrize(
    "identifier,expected",
    [
        ("bernoulli", Bernoulli()),
        (None, Bernoulli()),
        ("categorical", Categorical256()),
        ("discretized_logistic_mixture", DiscretizedLogisticMixture(10)),
        (
            {"name": "discretized_logistic_mixture", "components": 4},
            DiscretizedLogisticMixture(4),
        ),
        (DiscretizedLogisticMixture(4), DiscretizedLogisticMixture(4)),
    ],
)
def test_get_likelihood_and_config_round_trip(identifier, expected):
    found = get_likelihood(identifier)
    assert found == expected
    written = keras.saving.serialize_keras_object(found)
    assert keras.saving.deserialize_keras_object(written) == found
    assert get_likelihood({"name": found.name, **found.get_config()}) == found


@pytest.mark.parametrize(
    "identifier,message",
    [
        ("bernouli", 'Did you mean "bernoulli"'),
        ({"name": "discretized_logistic_mixture", "component": 4}, 'Did you mean "components"'),
        ({"name": "discretized_logistic_mixture", "components": 0}, "must be at least 1"),
        (7, "not int"),
    ],
)
def test_bad_identifiers_are_told(identifier, message):
    with pytest.raises(UserError, match=message):
        get_likelihood(identifier)


def test_wrong_parameter_shape_is_told():
    with pytest.raises(UserError, match=r"\[..., 4, 4, 768\]"):
        Categorical256().distribution(np.zeros((2, 4, 4, 256), "float32"), (4, 4, 3))
