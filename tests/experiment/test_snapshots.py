"""The frames of the training movie: one an epoch, kept over an interruption."""

import types

import keras
import numpy as np
import pytest

import keras_acn
from keras_acn._base.errors import NotFinite, UserError
from keras_acn.experiment import load_config
from keras_acn.experiment.callbacks import Interrupted
from keras_acn.experiment.run import train
from keras_acn.experiment.snapshots import SNAPSHOTS, Snapshots, chosen_images, read_snapshots

IMAGES = np.random.default_rng(0).random((12, 8, 8, 1)).astype(np.float32)
LABELS = np.arange(12) % 3
TINY = [
    "data.limit=40",
    "model.name=VAE",
    "model.latent_dim=2",
    "encoder.hidden=[8]",
    "decoder.hidden=[8]",
    "training.batch_size=10",
    "training.snapshots_every=1",
]


def model():
    keras.utils.set_random_seed(0)
    small = {"encoder": {"name": "mlp", "hidden": [8]}, "prior": None}
    vae = keras_acn.VAE((8, 8, 1), 2, decoder={"name": "bernoulli_mlp", "hidden": [8]}, **small)
    vae.compile()
    return vae


def test_a_frame_before_training_and_one_every_nth_epoch():
    vae, seen = model(), []
    untrained = vae.codes(IMAGES)
    snapshots = Snapshots(IMAGES, LABELS, n=5, every=2)
    after = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(vae.codes(IMAGES))
    )
    vae.fit(IMAGES, epochs=5, verbose=0, callbacks=[snapshots, after])
    frames = snapshots.frames
    assert [frame["epoch"] for frame in frames] == [0, 2, 4]
    np.testing.assert_array_equal(frames[0]["codes"], untrained)
    np.testing.assert_array_equal(frames[2]["codes"], seen[3])
    for frame in frames:
        np.testing.assert_array_equal(frame["originals"], IMAGES[:5])
        assert frame["reconstructions"].shape == (5, 8, 8, 1)
    assert len(keras_acn.plots.training_movie(frames, snapshots.labels)) == 3
    # Another fit begins anew.
    vae.fit(IMAGES, epochs=1, verbose=0, callbacks=[snapshots])
    assert [frame["epoch"] for frame in snapshots.frames] == [0]
    np.testing.assert_array_equal(snapshots.frames[0]["codes"], seen[4])


@pytest.mark.slow
def test_a_run_keeps_its_frames_and_goes_on_with_them(tmp_path):
    config = load_config("digits", overrides=[*TINY, "training.epochs=3"])
    whole = train(config, tmp_path / "whole")

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise Interrupted(tmp_path)

    with pytest.raises(Interrupted):
        train(config, tmp_path / "parts", callbacks=[Stop()])
    train(resume=tmp_path / "parts")
    frames, labels = read_snapshots(whole.folder / SNAPSHOTS)
    again, _ = read_snapshots(tmp_path / "parts" / SNAPSHOTS)
    assert [frame["epoch"] for frame in frames] == [0, 1, 2, 3]
    for one, other in zip(frames, again, strict=True):
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])
    images, classes = chosen_images(whole.data.test, config.seed)
    np.testing.assert_array_equal(labels, classes)
    np.testing.assert_array_equal(frames[0]["originals"], images[:10])
    np.testing.assert_allclose(frames[-1]["codes"], whole.model.codes(images), atol=1e-6)
    rebuilt = whole.model.reconstruct(images[:10])
    assert np.abs(frames[-1]["reconstructions"] / 255 - rebuilt).max() <= 0.5 / 255 + 1e-6


@pytest.mark.slow
def test_the_frames_leave_the_training_as_it_is(tmp_path):
    rows = []
    for every in (0, 1):
        overrides = [*TINY, "training.epochs=2", f"training.snapshots_every={every}"]
        history = train(load_config("digits", overrides=overrides), tmp_path / str(every)).history
        rows.append([{k: v for k, v in row.items() if k != "seconds"} for row in history])
    assert rows[0] == rows[1]
    assert not (tmp_path / "0" / SNAPSHOTS).exists()


def test_no_frame_is_made_of_what_is_not_finite(tmp_path):
    images = np.zeros((3, 4, 4, 1), np.float32)
    frames = Snapshots(images, n=2, every=1, folder=tmp_path)
    frames.set_model(
        types.SimpleNamespace(reconstruct=lambda x: x, codes=lambda x: np.full((3, 2), np.nan))
    )
    with pytest.raises(NotFinite, match="after epoch 1 was not finite"):
        frames.on_epoch_end(0)
    assert not frames.frames and not list(tmp_path.iterdir())


def test_without_labels_and_without_a_folder(tmp_path):
    assert read_snapshots(tmp_path) == ([], None)
    vae = model()
    snapshots = Snapshots(IMAGES, folder=tmp_path / "frames")
    vae.fit(IMAGES, epochs=1, verbose=0, callbacks=[snapshots])
    frames, labels = read_snapshots(tmp_path / "frames")
    assert labels is None and len(frames) == 2
    (tmp_path / "frames" / "000001 (copy).npz").write_bytes(b"somebody's")
    assert len(read_snapshots(tmp_path / "frames")[0]) == 2
    last = tmp_path / "frames" / "000001.npz"
    good = dict(np.load(last))
    for name, array in (
        ("codes", good["codes"][:5]),
        ("codes", np.full_like(good["codes"], np.nan)),
        ("codes", good["codes"].astype(str)),
        ("reconstructions", good["reconstructions"][:, :4]),
    ):
        np.savez(last, **{**good, name: array})
        with pytest.raises(UserError, match="000001.npz is damaged"):
            read_snapshots(tmp_path / "frames")
    last.write_bytes(b"no array")
    with pytest.raises(UserError, match="000001.npz is damaged"):
        read_snapshots(tmp_path / "frames")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((IMAGES[..., 0],), "N, H, W, C"),
        ((IMAGES[:0],), "at least one"),
        ((IMAGES, LABELS[:3]), "3 labels for 12 images"),
        ((IMAGES, None, 0), "n must be at least 1, not 0"),
        ((IMAGES, None, 1, 0), "every must be at least 1, not 0"),
    ],
)
def test_bad_input_is_told_in_a_sentence(arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        Snapshots(*arguments)
