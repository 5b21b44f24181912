"""Distributions that can be sliced: slice then log_prob is log_prob then slice."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_acn import (
    ACN,
    ConvDecoder,
    FittedNormal,
    GatedPixelCNN,
    MixturePrior,
    MLPDecoder,
    MLPEncoder,
    StandardNormal,
)

RNG = np.random.default_rng(0)
SHAPE = (4, 4, 1)
IMAGES = (RNG.random((6, *SHAPE)) < 0.5).astype(np.float32)
Z = RNG.normal(size=(6, 2)).astype(np.float32)
LOGISTIC = {"name": "discretized_logistic_mixture", "components": 2}
PIXELCNN = {"layers": 2, "filters": 4, "first_kernel_size": 3, "kernel_size": 3}
MAKERS = {
    "unit": lambda: (MLPEncoder(SHAPE, 2, [4], variance="unit")(IMAGES), Z),
    "learned": lambda: (MLPEncoder(SHAPE, 2, [4])(IMAGES), Z),
    "normal": lambda: (StandardNormal(2)(Z), Z),
    "fitted": lambda: (FittedNormal(2)(Z), Z),
    "gaussian": lambda: (MixturePrior(2, components=1, hidden=[4])(Z), Z),
    "mixture": lambda: (MixturePrior(2, components=3, hidden=[4])(Z), Z),
    "bernoulli": lambda: (MLPDecoder(SHAPE, 2, [4])(Z), IMAGES),
    "categorical": lambda: (MLPDecoder(SHAPE, 2, [4], likelihood="categorical")(Z), IMAGES),
    "logistic": lambda: (ConvDecoder(SHAPE, 2, [4], likelihood=LOGISTIC)(Z), IMAGES),
    "pixelcnn": lambda: (GatedPixelCNN(SHAPE, 2, **PIXELCNN)(Z), IMAGES),
    "pixelcnn-blocks": lambda: (GatedPixelCNN(SHAPE, 2, block=2, **PIXELCNN)(Z), IMAGES),
}


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("name", MAKERS)
def test_slices(name):
    keras.utils.set_random_seed(0)
    distribution, value = MAKERS[name]()
    nats = distribution.log_prob(value).numpy()

    def agrees(sliced, at, want):
        assert tuple(sliced.batch_shape) == want.shape
        assert sliced.event_shape == distribution.event_shape
        np.testing.assert_allclose(sliced.log_prob(at), want, rtol=1e-5, atol=1e-5)

    agrees(distribution[0], value[0], nats[0])
    agrees(distribution[-1], value[-1], nats[-1])
    agrees(distribution[2:5], value[2:5], nats[2:5])
    agrees(distribution[::2], value[::2], nats[::2])
    agrees(distribution[..., None], value[:, None], nats[:, None])
    agrees(distribution[None], value[None], nats[None])
    agrees(distribution[1:][0], value[1], nats[1])
    if distribution.event_shape == SHAPE:  # TFP's own `Independent` takes no tensors.
        agrees(distribution[tf.constant(3)], value[3], nats[3])
    agrees(distribution.copy(), value, nats)
    assert type(distribution.copy()) is type(distribution)


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("name", ["mixture", "bernoulli", "pixelcnn"])
def test_slices_sample(name):
    distribution, value = MAKERS[name]()
    assert distribution[0].sample(seed=1).shape == value.shape[1:]
    assert distribution[2:5].sample(2, seed=1).shape == (2, 3, *value.shape[1:])
    assert distribution[None, :2].sample(seed=1).shape == (1, 2, *value.shape[1:])


def test_gradients_go_through_a_slice():
    decoder = GatedPixelCNN(SHAPE, 2, **PIXELCNN)
    z = tf.constant(Z)
    with tf.GradientTape() as tape:
        tape.watch(z)
        nats = decoder(z)[2:4].log_prob(IMAGES[2:4])
    gradient = tape.gradient(nats, z).numpy()
    assert np.any(gradient[2:4] != 0) and not np.any(gradient[[0, 1, 4, 5]])


def test_of_a_model():
    model = ACN(SHAPE, 2, encoder={"name": "mlp", "hidden": [4]}, decoder={"filters": [2]})
    r = model.decode(Z)
    assert r[0].event_shape == SHAPE and r[0].mean().shape == SHAPE
    np.testing.assert_allclose(r[1:3].mean(), r.mean()[1:3], rtol=1e-6)
