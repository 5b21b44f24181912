"""Runs of the rest of the family: they resume bit for bit, and one option makes another."""

import os
import signal

import keras
import numpy as np
import pytest

from keras_acn._base.errors import UserError
from keras_acn.experiment import checkpoint, load_config, open_run
from keras_acn.experiment.build import build_data, build_model
from keras_acn.experiment.callbacks import Interrupted
from keras_acn.experiment.folder import CHECKPOINT
from keras_acn.experiment.run import train

TINY = [
    "data.source=digits",
    "data.limit=100",
    "training.batch_size=20",
    "training.epochs=3",
    "model.latent_dim=3",
    "encoder.hidden=[8]",
    "decoder.hidden=[8]",
]
VHE = [
    *TINY,
    "model.class_dim=2",
    "class_encoder.hidden=[8]",
    "prior.hidden=[8]",
    "pseudo_labels.clusters=4",
    "pseudo_labels.weighting=gradient",
    "data.binarize=dynamic",
]


class Interrupt(keras.callbacks.Callback):
    """Presses Ctrl-C in the middle of the second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == (1, 2):
            os.kill(os.getpid(), signal.SIGINT)


def state(folder):
    progress, arrays = checkpoint.read(folder / CHECKPOINT)
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in progress.history]
    return {k: v for k, v in arrays.items() if not k.startswith("metrics/")}, rows


@pytest.mark.parametrize("supervised", ["true", "false"])
def test_a_resumed_homoencoder_is_the_uninterrupted_one(tmp_path, supervised):
    config = load_config("blog-vhe", overrides=[*VHE, f"model.supervised={supervised}"])
    train(config, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(config, tmp_path / "cut", callbacks=[Interrupt()])
    train(resume=tmp_path / "cut")
    (arrays, rows), (other, other_rows) = state(tmp_path / "whole"), state(tmp_path / "cut")
    assert rows == other_rows and len(rows) == 3
    assert arrays.keys() == other.keys()
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, other[key], err_msg=key)
    run, cut = (open_run(tmp_path / name) for name in ("whole", "cut"))
    assert run.metrics["test"] == cut.metrics["test"]
    assert {"gradient_share_z", "kl_c_nats", "test_kl_z_nats"} <= set(run.history[0])
    assert ("pseudo_label_ami" in run.metrics) == (supervised == "false")
    assert ("pseudo_label_ami" in run.history[0]) == (supervised == "false")
    # The saved model says of the test data what the run wrote down.
    again = run.model.evaluate(run.data.test, batch_size=20, verbose=0, return_dict=True)
    assert again["total_nats"] == run.metrics["test"]["total_nats"]


def test_an_autoencoder_by_one_option(tmp_path):
    config = load_config(
        "blog-vae", overrides=[*TINY, "model=Autoencoder", "encoder.variance=unit"]
    )
    run = train(config, tmp_path / "run")
    assert type(run.model).__name__ == "Autoencoder"
    assert run.metrics["test"]["kl_nats"] == 0


def test_the_presets_are_the_posts():
    vae = build_model(load_config("vae-2d"), (28, 28, 1), 200)
    assert vae.latent_dim == 2 and vae.encoder.variance == "sigmoid"
    assert float(vae.encode(np.zeros([1, 28, 28, 1])).stddev().numpy().max()) < 1
    beta = build_model(load_config("beta-vae"), (28, 28, 1), 200)
    # 0.01 of a mean over 10 dimensions against a mean over 784 pixels, in nats per image.
    assert beta.beta == pytest.approx(0.01 * 784 / 10)
    assert beta.encoder.hidden == beta.decoder.hidden == (100, 100) and beta.latent_dim == 10
    training = load_config("beta-vae").training
    assert training.epochs * training.steps_per_epoch == 1024 and training.batch_size == 64
    vhe = build_model(load_config("blog-vhe"), (28, 28, 1), 200)
    assert not vhe.supervised and vhe.pseudo_labels.size == 200
    for part in (vhe.encoder, vhe.class_encoder, vhe.prior, vhe.decoder):
        assert part.hidden == (512,)
    omniglot = build_model(load_config("vhe-omniglot"), (28, 28, 1), 200)
    assert omniglot.supervised and omniglot.decoder.is_autoregressive


def test_the_strokes_of_omniglot_stay_whole(tmp_path):
    """Black lines three pixels wide on white, at every place that a pixel of 28 can have."""
    images = np.full((8, 105, 105, 3), 255, np.uint8)
    for i in range(8):
        images[i, 20:90, 40 + i : 43 + i] = 0
    np.save(tmp_path / "strokes.npy", images)
    source = f"data.source=npy:{tmp_path / 'strokes.npy'}"
    images = build_data(load_config("vhe-omniglot", overrides=[source])).train.arrays()[0]
    assert images.shape[1:] == (28, 28, 1) and set(np.unique(images)) == {0, 1}
    # Rows 6 to 23 lie within the stroke.
    ink = (images[:, 6:23, :, 0] == 0).sum(axis=2)
    assert (ink >= 1).all() and (ink <= 2).all()


@pytest.mark.parametrize(
    "preset, overrides, match",
    [
        ("blog-vhe", ["model.class_encoder=mlp"], "section of its own"),
        ("blog-vhe", ["pseudo_labels.size=3"], "pseudo_labels.size follows"),
        ("blog-vhe", ["pseudo_labels.weighting=anneal"], 'Did you mean "annealed"'),
        ("blog-vhe", ["pseudo_labels.cluster=3"], 'Did you mean "clusters"'),
        ("blog-vhe", ["model.supervize=true"], 'Did you mean "supervised"'),
        ("blog-vae", ["class_encoder=mlp"], "VAE has no class_encoder"),
        ("blog-vae", ["pseudo_labels.clusters=3"], "VAE has no pseudo_labels"),
        ("blog-vhe", ["model=Autoencoder", "prior=normal"], "Autoencoder has no prior"),
    ],
)
def test_bad_settings_are_one_sentence(preset, overrides, match):
    with pytest.raises(UserError, match=match):
        build_model(load_config(preset, overrides=overrides), (8, 8, 1), 200)


def test_another_model_drops_the_parts_of_the_one_before():
    config = load_config("blog-vhe", overrides=["model=VAE"])
    assert config.class_encoder is config.pseudo_labels is config.prior is None
    assert type(build_model(config, (8, 8, 1), 200)).__name__ == "VAE"
