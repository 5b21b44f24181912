"""What TensorBoard reads: the images of every epoch, and the codes for its projector."""

import pathlib
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_acn.data import load
from keras_acn.experiment import load_config, tensorboard
from keras_acn.experiment.callbacks import TestCosts
from keras_acn.experiment.run import train

OVERRIDES = ["data.limit=40", "encoder.hidden=[8]", "decoder.hidden=[8]", "prior.hidden=[8]"]
OVERRIDES += ["training.batch_size=10", "training.epochs=2", "model.latent_dim=3"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with TensorBoard's files."""
    pytest.importorskip("tensorboard")
    folder = tmp_path_factory.mktemp("runs") / "run"
    return train(load_config("digits", overrides=OVERRIDES), folder)


def test_images_of_every_epoch(run):
    (events,) = (run.folder / "tensorboard" / "images").glob("events*")
    shown = {}
    for record in tf.data.TFRecordDataset(str(events)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            pixels = tf.io.decode_png(value.tensor.string_val[2]).numpy()
            shown[value.tag, event.step] = pixels
    assert set(shown) == {(tag, i) for tag in ("reconstructions", "samples") for i in (0, 1)}
    last = shown["reconstructions", 1]
    # Two rows of ten digits of 8x8, every pixel seven times.
    assert last.shape == (2 * 56, 10 * 56, 1)
    assert set(np.unique(last[:56])) == {0, 255} and len(np.unique(last[56:])) > 20
    assert (shown["reconstructions", 0][:56] == last[:56]).all()
    assert (shown["reconstructions", 0][56:] != last[56:]).any()


def test_the_projector_shows_the_codebook(run):
    folder = run.folder / "tensorboard" / "images"
    codes = np.loadtxt(folder / "codes.tsv", delimiter="\t")
    np.testing.assert_allclose(codes, run.model.codebook.codes.numpy(), rtol=1e-4, atol=1e-5)
    images, labels = run.data.train.arrays()
    np.testing.assert_array_equal(np.loadtxt(folder / "labels.tsv", dtype=int), labels)
    # The sprite of datum i is at row i // side, column i % side.
    sprite = np.asarray(Image.open(folder / "sprite.png"))
    side = int(np.ceil(np.sqrt(len(images))))
    assert sprite.shape == (side * 8, side * 8)
    for i in (0, side - 1, side, len(images) - 1):
        y, x = 8 * (i // side), 8 * (i % side)
        np.testing.assert_array_equal(sprite[y : y + 8, x : x + 8], images[i, ..., 0] * 255)


def test_tensorboard_itself_reads_the_projector_files(run):
    pytest.importorskip("tensorboard.plugins.projector")
    from google.protobuf import text_format
    from tensorboard.plugins.projector import ProjectorConfig

    text = (run.folder / "tensorboard" / "images" / "projector_config.pbtxt").read_text()
    (embedding,) = text_format.Parse(text, ProjectorConfig()).embeddings
    assert list(embedding.sprite.single_image_dim) == [8, 8]
    for path in (embedding.tensor_path, embedding.metadata_path, embedding.sprite.image_path):
        assert (run.folder / "tensorboard" / "images" / path).exists()


def test_of_many_codes_a_random_part_is_shown(run, tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard, "MOST_CODES", 7)
    tensorboard.write_codes(tmp_path, run.model, run.data.train, seed=1)
    codes = np.loadtxt(tmp_path / "images" / "codes.tsv", delimiter="\t")
    every = run.model.codebook.codes.numpy()
    rows = [int(np.abs(every - code).sum(axis=1).argmin()) for code in codes]
    assert len(set(rows)) == 7
    np.testing.assert_allclose(codes, every[rows], rtol=1e-4, atol=1e-5)


def test_no_summary_is_asked_for_between_epochs(tmp_path, monkeypatch):
    # Each would leave memory behind, and a run asks for thousands a minute.
    pytest.importorskip("tensorboard")
    asked = {}
    monkeypatch.setattr(tf.summary, "scalar", lambda name, value, **_: asked.update({name: value}))
    scalars = tensorboard.Scalars(tmp_path)
    scalars.set_model(mock.Mock(optimizer=keras.optimizers.SGD()))
    scalars.on_train_batch_end(0, {"loss": 1.0})
    assert asked == {}
    # Nor any of Python's numbers, each of which TensorFlow would keep.
    scalars.on_epoch_end(0, {"loss": 1.0, "val_loss": 2.0, "test_loss": 3.0})
    costs = [value for name, value in asked.items() if name == "epoch_loss"]
    assert costs and all(isinstance(value, np.ndarray) for value in costs)


def test_the_test_split_is_one_dataset_for_all_epochs():
    costs = TestCosts(load("digits").test, batch_size=50)
    asked = []
    costs.set_model(mock.Mock(evaluate=lambda images, **_: asked.append(images) or {"loss": 1.0}))
    logs = {}
    costs.on_epoch_end(0, logs), costs.on_epoch_end(1, logs)
    assert asked[0] is asked[1] and logs == {"test_loss": 1.0}


def test_nothing_is_written_where_tensorboard_is_absent(tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard, "installed", lambda: False)
    done = train(load_config("digits", overrides=OVERRIDES), tmp_path / "run")
    assert done.finished and not pathlib.Path(done.folder / "tensorboard").exists()
