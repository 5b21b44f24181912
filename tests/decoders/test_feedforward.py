"""Decoders with independent pixels: shapes, families, configs, files, precision."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from keras_acn import BernoulliConv, BernoulliMLP, ConvDecoder, MLPDecoder, UserError
from keras_acn.decoders import registry
from keras_acn.testing import check_config, check_part

Z = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
FAMILIES = [
    "bernoulli",
    {"name": "discretized_logistic_mixture", "components": 2},
    "categorical",
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("cls", [MLPDecoder, ConvDecoder])
@pytest.mark.parametrize("shape", [(8, 8, 1), (5, 6, 3)])
def test_shapes(cls, family, shape):
    small = {"hidden": (8,)} if cls is MLPDecoder else {"filters": (8, 4)}
    decoder = cls(shape, 4, likelihood=family, **small)
    r = decoder(Z)
    assert (r.batch_shape, r.event_shape) == ((3,), shape)
    image = r.sample(seed=tf.constant([1, 2]))
    assert image.shape == (3, *shape)
    assert np.isfinite(r.log_prob(image)).all()
    check_config(decoder)


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("cls", [MLPDecoder, ConvDecoder])
def test_it_keeps_what_a_part_promises(cls, family):
    small = {"hidden": (8,)} if cls is MLPDecoder else {"filters": (8, 4)}
    check_part(cls((5, 6, 3), 4, likelihood=family, **small), fit=family == "bernoulli")


@pytest.mark.parametrize(
    "decoder", [BernoulliMLP((8, 8, 1), 4, hidden=(8,)), BernoulliConv((8, 8, 1), 4, (4, 4))]
)
def test_bernoulli_in_float64(decoder):
    logits = decoder.parameters(Z).numpy().astype(np.float64)
    x = (np.random.default_rng(1).random((3, 8, 8, 1)) < 0.5).astype(np.float32)
    want = (x * special.log_expit(logits) + (1 - x) * special.log_expit(-logits)).sum((1, 2, 3))
    np.testing.assert_allclose(decoder(Z).log_prob(x), want, rtol=1e-5)
    np.testing.assert_allclose(decoder(Z).mean(), special.expit(logits), rtol=1e-4)


def test_the_posts_decoder_is_20_512_784():
    decoder = BernoulliMLP((28, 28, 1), 20)
    assert [tuple(w.shape) for w in decoder.weights] == [(20, 512), (512,), (512, 784), (784,)]


def test_errors_name_the_fix():
    with pytest.raises(UserError, match='Did you mean "bernoulli"'):
        MLPDecoder((8, 8, 1), likelihood="bernouli")
    with pytest.raises(UserError, match="filters must be .* with at least 1"):
        ConvDecoder((8, 8, 1), filters=[])
    with pytest.raises(UserError, match='Unknown option "likelihood" of the decoder BernoulliMLP'):
        registry.get({"name": "bernoulli_mlp", "likelihood": "categorical"}, image_shape=(8, 8, 1))
