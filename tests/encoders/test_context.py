"""Encoders of an image and a context: q(z|c,x)."""

import numpy as np
import pytest

from keras_acn import ConvEncoder, FittedNormal, MixturePrior, MLPEncoder, StandardNormal, UserError
from keras_acn.testing import check_config, check_part

X = np.random.default_rng(0).random((3, 8, 8, 1)).astype(np.float32)
C = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)


def make(cls, **kwargs):
    options = {"hidden": (8,)} if cls is MLPEncoder else {"filters": (4,), "dense": 8}
    return cls((8, 8, 1), 2, variance="learned", **{"context_dim": 4, **options, **kwargs})


@pytest.mark.slow
@pytest.mark.parametrize("cls", [MLPEncoder, ConvEncoder])
def test_both_inputs_count(cls):
    encoder = make(cls)
    check_part(encoder)
    mean = encoder(X, C).mean().numpy()
    assert mean.shape == (3, 2)
    for other in (encoder(X[::-1].copy(), C), encoder(X, -C)):
        assert np.abs(other.mean().numpy() - mean)[[0, 2]].max() > 1e-4


@pytest.mark.parametrize("cls", [MLPEncoder, ConvEncoder])
def test_errors_name_the_fix(cls):
    with pytest.raises(UserError, match="a context of 4 numbers an image, not none"):
        make(cls)(X)
    with pytest.raises(UserError, match="not 3 numbers"):
        make(cls)(X, C[:, :3])
    with pytest.raises(UserError, match="context_dim"):
        make(cls, context_dim=-1)


@pytest.mark.slow
def test_priors_of_a_code_of_another_size():
    prior = MixturePrior(2, components=2, hidden=(8, 8), code_dim=4)
    check_part(prior)
    check_config(FittedNormal(2, momentum=0.5))
    for p in (prior(C), StandardNormal(2)(C), FittedNormal(2)(C)):
        assert p.batch_shape == (3,) and p.event_shape == (2,)
