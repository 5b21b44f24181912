"""The hash of a model stays what it was, whatever later versions change."""

import inspect
import pathlib

import keras
import numpy as np
import pytest
from codec_models import noise, small_model

import keras_acn
from keras_acn import codec, decoders, encoders, priors
from keras_acn.codec.fingerprints import FORMAT_1
from keras_acn.decoders.families import FAMILIES, DiscretizedLogisticMixture

GOLDEN = pathlib.Path(__file__).parent / "golden"


def model_of(name):
    header, _ = codec.info(GOLDEN / f"{name}.acn")
    return keras_acn.load_model(GOLDEN / f"{header.model_name}.keras")


def decodes(name, model=None):
    """Asserts that a golden file decodes with its model, by default one that is read anew."""
    model = model or model_of(name)
    images = codec.decompress(GOLDEN / f"{name}.acn", model)
    np.testing.assert_array_equal(images, np.load(GOLDEN / f"{name}.npy"))


def set_default(monkeypatch, cls, option, value):
    """Gives an option of a class another default, as a later version may."""
    function = cls.__init__
    with_default = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not parameter.empty
    ]
    defaults = list(function.__defaults__)
    defaults[with_default.index(option)] = value
    monkeypatch.setattr(function, "__defaults__", tuple(defaults))
    assert inspect.signature(cls.__init__).parameters[option].default == value


@pytest.mark.parametrize(
    ("name", "cls", "option", "value"),
    [
        # An option that the file's model has as it was by default.
        ("mlp-set", keras_acn.MixturePrior, "activation", "relu"),
        ("mlp-set", keras_acn.MLPEncoder, "variance", "unit"),
        ("pixelcnn-set", keras_acn.GatedPixelCNN, "residual", "horizontal"),
        # An option that it has otherwise, and that becomes the default.
        ("mlp-set", keras_acn.MixturePrior, "components", 3),
        ("pixelcnn-set", keras_acn.GatedPixelCNN, "filters", 8),
    ],
)
def test_old_files_decode_when_a_default_changes(monkeypatch, name, cls, option, value):
    set_default(monkeypatch, cls, option, value)
    decodes(name)


def test_old_files_decode_when_the_default_of_a_later_option_changes(monkeypatch):
    # The file is older than the option.
    model = model_of("pixelcnn-set")
    assert model.decoder.block == 1
    set_default(monkeypatch, keras_acn.GatedPixelCNN, "block", 2)
    decodes("pixelcnn-set", model)


def test_old_files_decode_when_an_output_family_gets_an_option(monkeypatch):
    monkeypatch.setitem(FORMAT_1["DiscretizedLogisticMixture"], "tails", "wide")
    monkeypatch.setattr(
        DiscretizedLogisticMixture,
        "get_config",
        lambda self: {"components": self.components, "tails": "wide"},
    )
    monkeypatch.setattr(
        DiscretizedLogisticMixture,
        "from_config",
        classmethod(lambda cls, config: cls(components=config["components"])),
    )
    decodes("vae-logistic")


@pytest.mark.parametrize("room", [encoders, priors, decoders])
def test_every_option_of_every_part_is_in_the_table(room):
    """A new option must be entered, with the value that makes the part what it was without it."""
    for cls in set(room.registry.by_name.values()):
        name = keras.saving.get_registered_name(cls).removeprefix("keras_acn>")
        options = set(inspect.signature(cls.__init__).parameters) - {"self", "kwargs"}
        assert options <= set(FORMAT_1[name]), name


def test_every_option_of_every_family_is_in_the_table():
    # Real numbers are not coded.
    for cls in {cls for cls in FAMILIES.by_name.values() if cls.is_discrete}:
        assert set(cls().get_config()) <= set(FORMAT_1[cls.__name__])


def test_a_decoder_of_binary_images_goes_by_two_names(tmp_path):
    options = {"decoder": {"name": "mlp", "hidden": [16]}, "encoder": {"name": "mlp"}}
    one = keras_acn.VAE((6, 5, 1), latent_dim=4, **options)
    options["decoder"]["name"] = "bernoulli_mlp"
    other = keras_acn.VAE((6, 5, 1), latent_dim=4, **options)
    other.set_weights(one.get_weights())
    images = noise(20)
    for written, read in ((one, other), (other, one)):
        data = codec.compress(images, written, verify=False)
        np.testing.assert_array_equal(codec.decompress(data, read), images)


def test_options_that_differ_are_told_apart():
    one = codec.fingerprint(small_model("pixelcnn", shape=(4, 4, 1)))
    assert one != codec.fingerprint(small_model("blocks", shape=(4, 4, 1)))


def test_a_part_of_the_users_own_goes_by_its_own_defaults():
    @keras.saving.register_keras_serializable("mine")
    class MLPEncoder(keras_acn.MLPEncoder):
        def __init__(self, image_shape, latent_dim=16, hidden=(7,), gain=1.0, **kwargs):
            super().__init__(image_shape, latent_dim, hidden, **kwargs)
            self.gain = gain

        def get_config(self):
            return {**super().get_config(), "gain": self.gain}

    def printed(gain):
        keras.utils.set_random_seed(0)
        encoder = MLPEncoder((6, 5, 1), 4, gain=gain)
        return codec.fingerprint(keras_acn.VAE((6, 5, 1), latent_dim=4, encoder=encoder))

    assert printed(1.0) == printed(1.0) != printed(2.0)
