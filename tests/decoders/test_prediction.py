"""Pixels centred on a linear function of their neighbours: what it is, and what it sees."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_decoders import FAMILIES, make
from test_incremental import stepwise_parameters
from test_pixelcnn import random_images

from keras_acn._base.errors import UserError
from keras_acn.codec.float64 import exact_copy
from keras_acn.decoders import GatedPixelCNN, get_likelihood

LOGISTIC = FAMILIES["logistic"]


def predicting(shape, **options):
    return make(shape, likelihood=LOGISTIC, prediction="linear", **options)


@pytest.mark.parametrize("channels", [1, 3])
def test_moved_parameters_give_the_moved_distribution(channels):
    """Oracle: p(x) is that of y - centre under the unmoved parameters, channel by channel."""
    likelihood = get_likelihood(LOGISTIC)
    rng = np.random.default_rng(0)
    levels = rng.integers(60, 120, (5, channels))
    shift = rng.integers(-40, 40, (5, channels))  # whole levels, so that both lie on the grid
    params = tf.constant(0.3 * rng.normal(size=(5, likelihood.parameters_per_pixel(channels))))
    params = tf.cast(params, tf.float32)
    moved = likelihood.around(params, tf.constant(shift / 127.5, tf.float32), channels)
    found = likelihood.log_prob(moved, tf.constant((levels + shift) / 255.0, tf.float32))
    expected = likelihood.log_prob(params, tf.constant(levels / 255.0, tf.float32))
    np.testing.assert_allclose(found, expected, atol=1e-3)
    unmoved = likelihood.around(params, tf.zeros([5, channels]), channels)
    np.testing.assert_allclose(unmoved, params, atol=1e-6)


@pytest.mark.parametrize("block", [1, 2])
def test_the_first_centre_is_that_of_the_neighbours(block):
    """Brute force over pixels; what lies outside the image counts as zero on [-1, 1]."""
    keras.utils.set_random_seed(0)
    decoder = GatedPixelCNN(
        (6, 4, 3), 3, LOGISTIC, layers=2, filters=4, block=block, prediction="linear"
    )
    for layer in decoder.head.output_layers:
        layer.kernel.assign(tf.zeros_like(layer.kernel))
    image = random_images(2, (6, 4, 3))
    params = decoder.parameters(image, tf.zeros([2, 3]))
    padded = np.pad(2.0 * image - 1.0, ((0, 0), (1, 0), (1, 0), (0, 0)))
    left, above, both = padded[:, 1:, :-1], padded[:, :-1, 1:], padded[:, :-1, :-1]
    predicted = 0.75 * (left + above) - 0.5 * both
    likelihood = get_likelihood(LOGISTIC)
    first = np.broadcast_to(likelihood.first_bias(3), params.shape)
    expected = likelihood.around(tf.constant(first), tf.constant(predicted, tf.float32), 3)
    np.testing.assert_allclose(params, expected, atol=1e-5)


@pytest.mark.parametrize("block,channels", [(1, 3), (2, 1)])
def test_cached_steps_agree_with_the_parallel_pass(block, channels):
    shape = (6, 4, channels)
    decoder = predicting(shape, conditioning="spatial", block=block)
    image = random_images(2, shape)
    z = tf.random.stateless_normal([2, 3], [1, 2])
    parallel = decoder.parameters(image, z).numpy()
    cached = stepwise_parameters(decoder, image, z)
    np.testing.assert_allclose(cached, parallel, atol=1e-5 * np.abs(parallel).max())
    exact = exact_copy(decoder)
    wide = exact.parameters(image, tf.cast(z, tf.float64))
    assert wide.dtype == "float64"
    np.testing.assert_allclose(wide, parallel, atol=1e-4)


def test_no_parameter_sees_its_own_pixel_or_a_later_one():
    shape, block = (4, 4, 1), 2
    decoder = predicting(shape, block=block)
    image = tf.constant(random_images(1, shape))
    with tf.GradientTape() as tape:
        tape.watch(image)
        outputs = tf.reduce_sum(decoder.parameters(image, tf.zeros([1, 3]))[0, ..., 2:4], axis=-1)
    jacobian = np.abs(tape.jacobian(outputs, image)[:, :, 0, :, :, 0].numpy())
    pixels = list(itertools.product(range(4), range(4)))

    def turn(pixel):
        """Where a pixel comes among all: by blocks, and in its block by rows."""
        row, column = pixel
        return (row // 2, column // 2, row % 2, column % 2)

    for one, other in itertools.product(pixels, pixels):
        if turn(other) >= turn(one):
            assert jacobian[(*one, *other)] == 0, (one, other)
    # The pixels next to it in other blocks do reach it.
    assert jacobian[2, 2, 2, 1] and jacobian[2, 2, 1, 2] and jacobian[3, 3, 3, 2]


def test_it_is_part_of_the_config_and_learns():
    decoder = predicting((4, 4, 3), block=2)
    copy = GatedPixelCNN.from_config(decoder.get_config())
    assert copy.prediction == "linear"
    copy.set_weights(decoder.get_weights())
    image, z = random_images(2, (4, 4, 3)), tf.zeros([2, 3])
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(copy(z).log_prob(image))
    gradients = tape.gradient(loss, copy.trainable_variables)
    assert all(gradient is not None for gradient in gradients)
    assert float(loss) == float(-tf.reduce_mean(decoder(z).log_prob(image)))
    assert copy.steps.sample(z, [1, 2]).shape == (2, 4, 4, 3)


@pytest.mark.parametrize(
    "options,message",
    [
        ({"prediction": "cubic"}, "must be one of none, linear"),
        ({"prediction": "linear", "likelihood": "bernoulli"}, "discretized_logistic_mixture"),
    ],
)
def test_what_does_not_fit_is_told(options, message):
    with pytest.raises(UserError, match=message):
        GatedPixelCNN((4, 4, 1), **options)
