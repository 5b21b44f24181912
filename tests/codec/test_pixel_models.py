import numpy as np
import pytest
import tensorflow as tf
from codec_models import FAMILIES

from keras_acn._base.errors import UserError
from keras_acn.codec.decisions import pixel_model
from keras_acn.decoders.families import get_likelihood


def parameters(likelihood, channels, count=60, seed=0):
    rng = np.random.default_rng(seed)
    params = rng.normal(size=(count, likelihood.parameters_per_pixel(channels)))
    if likelihood.name == "discretized_logistic_mixture":
        m = likelihood.components
        params[:, (1 + channels) * m : (1 + 2 * channels) * m] -= 2.5
    return params


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_decisions_have_the_likelihoods_probabilities(family, channels):
    likelihood = get_likelihood(FAMILIES[family])
    pixels = pixel_model(likelihood)
    params = pixels.rounded(parameters(likelihood, channels, count=600))
    # Drawn from the model: a level it takes for impossible costs less than it says, since every
    # level has its share of a uniform distribution.
    uniform = np.random.default_rng(1).random((600, likelihood.noise_size(channels)))
    sample = likelihood.sample(
        tf.constant(params, tf.float32), channels, tf.constant(uniform, tf.float32)
    )
    levels = likelihood.level_index(sample).numpy()
    nats = 0.0
    for bits, probability in pixels.decisions(params, levels):
        chosen = -np.log(np.where(bits, probability, 1 - probability))
        nats = nats + (chosen.sum(axis=-1) if chosen.ndim == 2 else chosen)
    values = (levels / (likelihood.levels - 1)).astype(np.float32)
    expected = -likelihood.log_prob(tf.constant(params, tf.float32), tf.constant(values)).numpy()
    likely = expected < 10 * channels
    assert likely.mean() > 0.95
    np.testing.assert_allclose(nats[likely], expected[likely], rtol=0.03, atol=2e-3)
    assert nats.mean() == pytest.approx(expected.mean(), rel=1e-3)


@pytest.mark.parametrize("family", ["logistic", "categorical"])
def test_the_probabilities_of_all_levels(family):
    likelihood = get_likelihood(FAMILIES[family])
    pixels = pixel_model(likelihood)
    params = pixels.rounded(parameters(likelihood, 1, count=1))
    levels = np.arange(256)[:, None]
    mass = 1.0
    for bits, probability in pixels.decisions(np.repeat(params, 256, axis=0), levels):
        mass = mass * np.where(bits, probability, 1 - probability)
    expected = likelihood.pmf(tf.constant(params, tf.float32), tf.zeros([1, 0]), 1).numpy()[0]
    assert mass.sum() == pytest.approx(1.0, abs=1e-9)
    np.testing.assert_allclose(mass, expected, rtol=0.02, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_receiver_reads_what_a_sender_wrote(family, channels):
    likelihood = get_likelihood(FAMILIES[family])
    pixels = pixel_model(likelihood)
    params = pixels.rounded(parameters(likelihood, channels))
    levels = np.random.default_rng(2).integers(0, likelihood.levels, (60, channels))
    record = iter(pixels.decisions(params, levels))

    def decide(channel, bit, probability):
        bits, expected = next(record)
        np.testing.assert_array_equal(probability, expected)
        return bits

    np.testing.assert_array_equal(pixels.read(params, channels, decide), levels)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_probability_is_zero_whatever_the_parameters(family):
    likelihood = get_likelihood(FAMILIES[family])
    pixels = pixel_model(likelihood)
    for scale in (0.0, 30.0, 1e4):
        params = pixels.rounded(scale * parameters(likelihood, 3))
        for level in (0, 1, likelihood.levels - 1):
            for _, probability in pixels.decisions(params, np.full((60, 3), level)):
                assert np.all((probability > 0) & (probability < 1))


def test_an_unknown_family_is_refused():
    class Other:
        name = "other"

    with pytest.raises(UserError, match="output family"):
        pixel_model(Other())
