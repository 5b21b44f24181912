"""Parts by name, config or instance, and what they take from a model's default part."""

import keras
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

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


def drawn(shape):
    """A Keras model that returns a distribution over such events."""

    class Mine(keras.Model):
        def call(self, x):
            event = tf.zeros([tf.shape(x)[0], *shape])
            return tfd.Independent(tfd.Normal(event, 1.0), len(shape))

    return Mine()


def test_a_plain_keras_model_gets_what_the_base_declares():
    part = drawn((4, 4, 1))
    assert decoders.registry.get(part, image_shape=(4, 4, 1), latent_dim=2) is part
    assert part.is_autoregressive is False and part.likelihood is None
    part = drawn((2,))
    assert priors.registry.get(part, image_shape=(4, 4, 1), latent_dim=2) is part
    assert part.is_conditional is True and part.code_dim is None
    with pytest.raises(UserError, match=r"over \(3,\) for a code, but latents are \(2,\)"):
        priors.registry.get(drawn((3,)), latent_dim=2)
    with pytest.raises(UserError, match=r"over \(4, 4\) for a code, but images are \(4, 4, 1\)"):
        decoders.registry.get(drawn((4, 4)), image_shape=(4, 4, 1), latent_dim=2)


def test_what_is_no_part():
    with pytest.raises(
        UserError, match='must be a Decoder, a Keras model, a name or a dict with a "name", not int'
    ):
        decoders.registry.get(7)
    with pytest.raises(UserError, match=r"network \(Model\) cannot take \[batch, 4, 4, 1\]"):
        encoders.registry.get(keras.Model(), image_shape=(4, 4, 1), latent_dim=2)
