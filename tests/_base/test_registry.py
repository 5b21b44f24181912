"""Parts by name, config or instance, and what they take from a model's default part."""

import keras
import pytest

from keras_acn import ACN, VAE, VHE, Autoencoder, ConvEncoder, UserError, decoders, encoders, priors
from keras_acn._base.registry import Registry
from keras_acn.experiment import load_config
from keras_acn.experiment.build import build_model

SHAPE = (8, 8, 1)


@pytest.mark.parametrize(
    "encoder", [None, "conv", "ConvEncoder", {"filters": [4]}, {"name": "conv", "dense": 8}, "mlp"]
)
def test_a_vae_learns_its_variance_whatever_its_encoder_is_called(encoder):
    assert VAE(SHAPE, 2, encoder=encoder).encoder.variance == "learned"
    vhe = VHE(SHAPE, 2, encoder=encoder, class_encoder=encoder)
    assert vhe.encoder.variance == vhe.class_encoder.variance == "learned"
    assert vhe.encoder.context_dim == 2 and vhe.class_encoder.context_dim == 0
    assert Autoencoder(SHAPE, 2, encoder=encoder).encoder.variance == "unit"


def test_what_is_given_counts_more_than_the_default():
    assert VAE(SHAPE, 2, encoder={"variance": "unit"}).encoder.variance == "unit"
    assert (
        VAE(SHAPE, 2, encoder={"name": "mlp", "variance": "sigmoid"}).encoder.variance == "sigmoid"
    )
    given = ConvEncoder(SHAPE, 2, filters=(4,))
    assert VAE(SHAPE, 2, encoder=given).encoder is given and given.variance == "unit"
    described = keras.saving.serialize_keras_object(given)
    assert VAE(SHAPE, 2, encoder=described).encoder.variance == "unit"


def test_a_prior_given_in_part_keeps_the_rest():
    prior = VHE(SHAPE, 2, prior={"hidden": [16]}).prior
    assert (prior.components, prior.hidden, prior.activation) == (1, (16,), "relu")
    assert not prior.skip_connections
    assert VHE(SHAPE, 2, prior="mixture").prior.components == 1
    # The options of a mixture say nothing about a prior of another class.
    assert isinstance(VHE(SHAPE, 2, prior="normal").prior, priors.StandardNormal)
    assert ACN(SHAPE, 2, prior={"hidden": [16]}).prior.components == 8


@pytest.mark.parametrize("override", ["encoder.name=conv", "encoder.filters=[4]"])
def test_a_configuration_does_the_same(override, tmp_path):
    (tmp_path / "c.yaml").write_text(
        "model: {name: VAE, latent_dim: 2}\ndata: {source: digits, binarize: threshold}\n"
    )
    config = load_config(file=tmp_path / "c.yaml", overrides=[override])
    assert build_model(config, SHAPE, 200).encoder.variance == "learned"


def test_carried_options_reach_another_class():
    class Part:
        pass

    class First(Part):
        def __init__(self, variance="unit", width=1):
            self.variance, self.width = variance, width

    class Second(First):
        pass

    class Third(Part):
        def __init__(self, width=1):
            self.width = width

    registry = Registry("part", [First, Second, Third], Part, carried=("variance",))
    default = {"name": "first", "variance": "learned", "width": 7}
    assert vars(registry.get("first", default)) == {"variance": "learned", "width": 7}
    assert vars(registry.get("second", default)) == {"variance": "learned", "width": 1}
    assert vars(registry.get("third", default)) == {"width": 1}
    assert vars(registry.get({}, default, variance="sized")) == {"variance": "learned", "width": 7}
    assert vars(registry.get("first", "first", variance="sized", other=3))["variance"] == "sized"


@pytest.mark.parametrize(
    "room, declared",
    [
        (decoders, {"is_autoregressive": False, "likelihood": None}),
        (priors, {"is_conditional": True, "code_dim": None}),
    ],
)
def test_a_plain_keras_model_gets_what_the_base_declares(room, declared):
    class Mine(keras.Model):
        pass

    part = room.registry.get(Mine())
    assert {name: getattr(part, name) for name in declared} == declared


def test_what_is_no_part():
    with pytest.raises(
        UserError, match='must be a Decoder, a name or a dict with a "name", not int'
    ):
        decoders.registry.get(7)
    with pytest.raises(UserError, match="must be a PosteriorEncoder.* not Model"):
        encoders.registry.get(keras.Model())
