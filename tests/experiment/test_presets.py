"""Every preset makes its model; the paper's colour recipe trains on real photographs."""

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from keras_acn.experiment import load_config, open_run
from keras_acn.experiment.build import build_model
from keras_acn.experiment.presets import preset_names
from keras_acn.experiment.run import train

SHAPES = {
    "digits": (8, 8, 1),
    "paper-cifar10": (32, 32, 3),
    "paper-imagenet32": (32, 32, 3),
    "paper-celeba": (32, 32, 3),
    "photos-small": (32, 32, 3),
}


@pytest.mark.fast(every=4)
@pytest.mark.parametrize("name", preset_names())
def test_every_preset_builds_its_model(name):
    config = load_config(name)
    shape = SHAPES.get(name, (28, 28, 1))
    model = build_model(config, shape, num_images=200)
    assert type(model).__name__ == config.model.name
    assert model.latent_dim == config.model.latent_dim
    assert model.encoder.image_shape == model.decoder.image_shape == shape
    if name.startswith("paper"):
        assert model.encoder.variance == "unit"
        assert model.prior.hidden == (512, 512, 512) and model.prior.activation == "tanh"
        assert model.codebook.k == 5
        # It rises to 1, in colour from less, as codes have little to add to the neighbours there.
        assert float(model.beta(0)) == pytest.approx(0.02 if shape[-1] == 3 else 0.05)
        assert float(model.beta(10**6)) == 1.0


@pytest.mark.slow
def test_the_colour_recipe_trains_on_patches_of_photographs(tmp_path):
    photograph = load_sample_images().images[0]
    patches = [photograph[i : i + 8, 100:108] for i in range(0, 320, 8)]
    np.save(tmp_path / "patches.npy", np.stack(patches))
    overrides = [
        f"data.source=npy:{tmp_path / 'patches.npy'}",
        "data.validation=4",
        "training.epochs=1",
        "training.batch_size=16",
        "model.latent_dim=4",
        "encoder.filters=[4]",
        "encoder.dense=8",
        "prior.hidden=[8]",
        "decoder.layers=2",
        "decoder.filters=4",
        "decoder.likelihood.components=2",
    ]
    train(load_config("paper-cifar10", overrides=overrides), tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert 0 < run.metrics["validation"]["bits_per_dim"] < 20
    # Three channels of 8 bits: bits per dim are those of all 8 * 8 * 3 values.
    assert run.metrics["validation"]["bits_per_dim"] == pytest.approx(
        run.metrics["validation"]["total_nats"] / np.log(2) / 192
    )
    assert run.model.codebook.size == run.metrics["data"]["train"]
