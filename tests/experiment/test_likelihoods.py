"""Default likelihoods fit the images; runs of before keep theirs; losses are called losses."""

import types
import warnings

import numpy as np
import pytest

import keras_acn
from keras_acn._base.errors import DataWarning
from keras_acn.decoders.families import Bernoulli, DiscretizedLogisticMixture
from keras_acn.experiment import Config, load_config, run_summary
from keras_acn.experiment.build import build_model, noting_likelihood
from keras_acn.experiment.resume import resumed_config
from keras_acn.serving.card import _figures

COSTS = dict.fromkeys(["total_nats", "reconstruction_nats", "kl_nats", "bits_per_dim"], 0.5)
SMALL = {
    "model": {"name": "VAE", "latent_dim": 2},
    "encoder": {"name": "mlp", "hidden": [3]},
    "decoder": {"name": "mlp", "hidden": [3]},
}


@pytest.mark.parametrize("decoder", [None, "conv", {"name": "mlp", "hidden": [3]}, "pixelcnn"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_default_follows_from_the_channels(decoder, channels):
    model = keras_acn.VAE((4, 4, channels), 2, encoder="mlp", decoder=decoder)
    wanted = Bernoulli() if channels == 1 else DiscretizedLogisticMixture()
    assert model.decoder.likelihood == wanted
    again = keras_acn.VAE.from_config(model.get_config())
    assert again.decoder.likelihood == wanted


@pytest.mark.parametrize("decoder", [SMALL["decoder"], None])
def test_a_run_of_before_keeps_its_bernoulli_colours(decoder):
    given = (
        {**SMALL, "decoder": decoder} if decoder else {k: SMALL[k] for k in SMALL if k[0] != "d"}
    )
    new, old = Config(**given), Config(**given, versions={"keras_acn": "0.1.0"})
    assert build_model(new, (4, 4, 3), 200).decoder.likelihood == DiscretizedLogisticMixture()
    assert build_model(old, (4, 4, 3), 200).decoder.likelihood == Bernoulli()
    assert build_model(new, (4, 4, 1), 200).decoder.likelihood == Bernoulli()


def test_a_new_run_notes_its_likelihood_and_can_be_gone_on_with(tmp_path):
    config = Config(**SMALL)
    noted = noting_likelihood(config, build_model(config, (4, 4, 3), 200))
    family = {"name": "discretized_logistic_mixture", "components": 10}
    assert noted.decoder.as_dict() == {"name": "mlp", "hidden": [3], "likelihood": family}
    assert noting_likelihood(config, build_model(config, (4, 4, 1), 200)) is config
    (tmp_path / "config.yaml").write_text(noted.to_yaml())
    assert resumed_config(tmp_path, config).decoder == noted.decoder
    again = load_config(file=tmp_path / "config.yaml").model_copy(update={"versions": {"x": "1"}})
    assert build_model(again, (4, 4, 3), 200).decoder.likelihood == DiscretizedLogisticMixture()


def test_fit_tells_of_grey_values_under_bernoulli_pixels():
    grey = np.random.default_rng(0).random((8, 4, 4, 1), "float32")
    model = keras_acn.VAE((4, 4, 1), 2, encoder="mlp", decoder="mlp")
    model.compile()
    with pytest.warns(DataWarning, match="training loss and no code length"):
        model.fit(grey, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        model.fit(grey.round(), verbose=0)
    assert model.is_code_length(grey.round()) and not model.is_code_length(grey)
    assert not keras_acn.Autoencoder((4, 4, 1), 2).is_code_length(grey.round())
    assert keras_acn.VAE((4, 4, 3), 2).is_code_length(np.repeat(grey, 3, axis=3))


@pytest.mark.parametrize("is_code_length", [True, False])
def test_tables_show_no_bits_of_a_training_loss(is_code_length):
    metrics = {"train": COSTS, "test": COSTS, "codebook": {}, "is_code_length": is_code_length}
    metrics |= {"epochs": 1, "epoch_of_the_model": 1, "seconds": 1.0, "parameters": 3}
    run = types.SimpleNamespace(metrics=metrics, path="run", settings=Config())
    for text in (run_summary(run), _figures(metrics)):
        assert ("bits/dim" in text) == is_code_length
        assert ("training loss" in text) != is_code_length
        assert ("0.5000" in text) == is_code_length
