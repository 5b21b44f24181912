"""Encoders: shapes, the three variances, configs, files, precision, errors."""

import keras
import numpy as np
import pytest

from keras_acn import ConvEncoder, MLPEncoder, UserError
from keras_acn.testing import check_part

IMAGES = np.random.default_rng(0).random((3, 8, 8, 1), dtype=np.float32)
MAKERS = {
    "mlp": lambda **kw: MLPEncoder((8, 8, 1), 4, hidden=(16, 12), **kw),
    "conv": lambda **kw: ConvEncoder((8, 8, 1), 4, filters=(8, 16), dense=16, **kw),
    "conv-group": lambda **kw: ConvEncoder(
        (8, 8, 1), 4, (8,), dense=0, normalization="group", **kw
    ),
    "conv-layer": lambda **kw: ConvEncoder((8, 8, 1), 4, (8,), normalization="layer", **kw),
}


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


@pytest.mark.parametrize("variance", ["unit", "learned", "sigmoid"])
def test_posterior(make, variance):
    q = make(variance=variance)(IMAGES)
    assert (q.batch_shape, q.event_shape) == ((3,), (4,))
    stddev = q.stddev().numpy()
    assert (stddev > 0).all()
    if variance == "unit":
        assert (stddev == 1).all()
    if variance == "sigmoid":
        assert (stddev < 1).all()


def test_learned_variance_is_exp_of_its_output():
    encoder = MAKERS["mlp"](variance="learned")
    bias = np.array([-100, -1, 0.5, 100], np.float32)
    encoder.scale_head.set_weights([np.zeros((12, 4), np.float32), bias])
    want = np.exp(np.clip(bias.astype(np.float64), -8, 4))
    np.testing.assert_allclose(encoder(IMAGES).stddev()[0], want, rtol=1e-5)


def test_mlp_against_numpy():
    encoder = MAKERS["mlp"](variance="unit")
    x = IMAGES.reshape(3, -1).astype(np.float64)
    for layer in encoder.hidden_layers:
        kernel, bias = layer.get_weights()
        x = np.maximum(x @ kernel + bias, 0)
    kernel, bias = encoder.mean_head.get_weights()
    np.testing.assert_allclose(encoder(IMAGES).mean(), x @ kernel + bias, rtol=1e-4, atol=1e-6)


@pytest.mark.fast("mlp", "conv-group")
def test_it_keeps_what_a_part_promises(make):
    check_part(make(variance="learned"))
    check_part(make(variance="unit"), fit=False)


def test_an_odd_and_colour_image():
    q = ConvEncoder((5, 7, 3), 2, filters=(4, 4, 4))(np.zeros((2, 5, 7, 3), np.float32))
    assert q.event_shape == (2,)


def test_errors_name_the_fix():
    with pytest.raises(UserError, match='Unknown posterior variance "units".*Did you mean "unit"'):
        MLPEncoder((8, 8, 1), variance="units")
    with pytest.raises(UserError, match="latent_dim must be at least 1"):
        MLPEncoder((8, 8, 1), latent_dim=0)
    for latent_dim in (None, 2.5, True, "4"):
        with pytest.raises(UserError, match="latent_dim must be a whole number of at least 1"):
            MLPEncoder((8, 8, 1), latent_dim=latent_dim)
    with pytest.raises(UserError, match="hidden must be a list of positive whole numbers"):
        MLPEncoder((8, 8, 1), hidden=512)
    with pytest.raises(UserError, match="filters must be a list of positive whole numbers"):
        ConvEncoder((8, 8, 1), filters=[8, 0])
    with pytest.raises(UserError, match="normalization must be"):
        ConvEncoder((8, 8, 1), normalization="batch")
    with pytest.raises((UserError, ValueError), match=r"images of shape \(8, 8, 1\)"):
        MLPEncoder((8, 8, 1))(np.zeros((1, 9, 8, 1), np.float32))


def test_registry_names():
    from keras_acn.encoders import registry

    part = registry.get({"name": "conv", "filters": [4]}, image_shape=(8, 8, 1), latent_dim=3)
    assert isinstance(part, ConvEncoder) and part.latent_dim == 3
    assert registry.get(part) is part
    assert isinstance(registry.get(keras.saving.serialize_keras_object(part)), ConvEncoder)
    with pytest.raises(UserError, match='Unknown encoder "comv".*Did you mean "conv"'):
        registry.get("comv", image_shape=(8, 8, 1))
    with pytest.raises(UserError, match='Unknown option "filter".*Did you mean "filters"'):
        registry.get({"name": "conv", "filter": 3}, image_shape=(8, 8, 1))
