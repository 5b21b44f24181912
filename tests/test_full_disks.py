"""Disks that are full, read-only or gone: one sentence, and nothing half written under a name."""

import os
import pathlib
import pickle
import shutil

import keras
import numpy as np
import pytest
from disks import FULL, GONE, READ_ONLY, files_of_at_most, refusing

import keras_acn
from keras_acn import experiment, figures, plots
from keras_acn._base import atomic
from keras_acn._base.atomic import NewFolder, replacing, require_room, write_text, writing
from keras_acn._base.errors import CannotWrite, UserError
from keras_acn.cli import main
from keras_acn.codec.files import appearing
from keras_acn.experiment import checkpoint, sweep
from keras_acn.experiment.folder import CHECKPOINT, is_unused, read_history

IMAGES = np.random.default_rng(0).integers(0, 2, (60, 8, 8)).astype(np.uint8)
SMALL = ["data.limit=60", "encoder.hidden=[8]", "decoder.hidden=[8]", "model.latent_dim=2"]
SMALL += ["training.batch_size=20", "training.epochs=3"]


@pytest.fixture(scope="module")
def model():
    return keras_acn.load_pretrained("acn-digits")


def animation():
    rng = np.random.default_rng(0)
    return plots.Animation([rng.integers(0, 255, (64, 64, 3), np.uint8) for _ in range(5)])


def written(path):
    """As `compress` and `decompress` write, block by block."""
    with appearing(path) as file:
        for _ in range(3):
            file.write(bytes(10_000))


def strip():
    return plots.strip(np.random.default_rng(0).random((3, 4, 8, 8, 1), np.float32))


WRITERS = {
    "text.json": lambda path, model: write_text(path, "x" * 50_000),
    "best.npz": lambda path, model: checkpoint.save(
        path, {"model/a": np.zeros(10_000)}, checkpoint.Progress()
    ),
    "images.acn": lambda path, model: written(path),
    "dreams.gif": lambda path, model: animation().save(path),
    "figure.png": lambda path, model: strip().save(path),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("before", [True, False], ids=["over a file", "new"])
def test_files(name, before, model, tmp_path, monkeypatch):
    path = tmp_path / name

    def refused(words):
        with pytest.raises(CannotWrite, match=f"{name} cannot be written .*{words}") as caught:
            WRITERS[name](path, model)
        sentence = str(caught.value)
        assert len(sentence) < 400 and "\n" not in sentence
        kept = "The file that was there is as it was" if before else "There is none now"
        assert kept in sentence
        assert [each.name for each in tmp_path.iterdir()] == [name] * before
        assert not before or path.read_bytes() == b"before"

    if before:
        path.write_bytes(b"before")
    with files_of_at_most(100):
        refused("file too large.*allow larger files")
    for number, words in ((FULL, "make room"), (READ_ONLY, "choose another"), (GONE, "bring its")):
        with monkeypatch.context() as patch:
            patch.setattr(atomic.os, "replace", refusing(number))
            refused(words)
    WRITERS[name](path, model)
    assert path.read_bytes() != b"before"


def test_a_folder_that_vanishes(model, tmp_path):
    for name, write in WRITERS.items():
        folder = tmp_path / name
        folder.mkdir()

        def clear(path, folder=folder):
            shutil.rmtree(folder)

        with pytest.raises(UserError, match="cannot be written .*no such file|does not exist"):
            shutil.rmtree(folder)
            write(folder / name, model)
        assert not folder.exists()


def test_images_that_come_back(model, tmp_path):
    with files_of_at_most(100), pytest.raises(CannotWrite, match=r"x\.acn cannot be written"):
        keras_acn.compress(IMAGES, model, tmp_path / "x.acn", verify=False)
    data, out = keras_acn.compress(IMAGES, model, verify=False), tmp_path / "x.npy"
    with files_of_at_most(300), pytest.raises(CannotWrite, match=r"x\.npy cannot be written"):
        keras_acn.decompress(data, model, out)
    assert not list(tmp_path.iterdir())
    with pytest.raises(CannotWrite, match=r"it takes .* bytes, and .* are free.*make room"):
        require_room(out, 10**18)


def test_errors_of_others_are_known_by_their_words(tmp_path):
    class Odd(Exception):
        pass

    path = tmp_path / "x.bin"
    for error, words in (
        (Odd("Unable to flush: errno = 28, error message = 'No space left on device'"), "no space"),
        (Odd(f"{tmp_path}/events.v2; Permission denied"), "permission denied"),
        (OSError("encoder error -2 when writing image file"), "encoder error -2"),
    ):
        with pytest.raises(CannotWrite, match=words), writing(path):
            raise error
    # What is raised while an archive is closed hides it.
    with pytest.raises(CannotWrite, match="no space"), writing(path):
        try:
            raise OSError(FULL, os.strerror(FULL))
        finally:
            raise ValueError("Can't close the archive.")
    for error in (Odd("Permission denied"), UserError("no"), FileNotFoundError(2, "x", "/other")):
        with pytest.raises(type(error)) as caught, writing(path):
            raise error
        assert caught.value is error
    told = CannotWrite("a", "b", "c", "d")
    assert str(pickle.loads(pickle.dumps(told))) == str(told) == "a cannot be written (b): c. d"


def test_a_folder_appears_whole_or_not(tmp_path):
    with pytest.raises(CannotWrite, match="others are as they were"):
        with files_of_at_most(10), NewFolder(tmp_path, "1") as folder:
            (folder.path / "a").write_text("x" * 100)
    with pytest.raises(ZeroDivisionError), NewFolder(tmp_path, "1"):
        1 / 0  # noqa: B018
    with pytest.raises(CannotWrite, match="bring its folder back"):
        with NewFolder(tmp_path / "in", "1") as folder:
            (folder.path / "a").write_text("x")
            shutil.rmtree(tmp_path / "in")
    assert not list(tmp_path.iterdir())


def test_the_cleaning_up_hides_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(pathlib.Path, "unlink", refusing(READ_ONLY))
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "x"):
        1 / 0  # noqa: B018


def test_figures_and_dreams(tmp_path):
    drawn = {"daydream.gif": animation(), "strip": strip()}
    with files_of_at_most(200), pytest.raises(CannotWrite, match="daydream.gif cannot be written"):
        figures.save(drawn, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_export(model, tmp_path):
    (tmp_path / "m" / "1").mkdir(parents=True)
    # Of the weights there is room for a part.
    with (
        files_of_at_most(10_000),
        pytest.raises(CannotWrite, match="m cannot be written.*too large"),
    ):
        model.export(tmp_path / "m", codebook=False)
    assert [each.name for each in (tmp_path / "m").iterdir()] == ["1"]


class FillsUp(keras.callbacks.Callback):
    """From the second epoch on the disk is full."""

    def __init__(self, size):
        super().__init__()
        self.limit = files_of_at_most(size)

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            self.limit.__enter__()


def config(*overrides):
    return experiment.load_config("digits", overrides=[*SMALL, *overrides])


# 10 bytes stop TensorBoard's files, 20,000 the checkpoint.
@pytest.mark.fast("10-tensorboard")
@pytest.mark.parametrize("size,what", [(10, "tensorboard"), (20_000, "last.npz")])
def test_a_run_is_kept_and_goes_on(size, what, tmp_path, capsys):
    pytest.importorskip("tensorboard")
    out, fills = tmp_path / "run", FillsUp(size)
    try:
        with pytest.raises(
            CannotWrite, match=f"{what} cannot.*kept as it was after epoch 1.*--resume {out}"
        ):
            experiment.train(config(), out, callbacks=[fills])
    finally:
        fills.limit.__exit__(None, None, None)
    assert not [each for each in out.rglob("*") if atomic.is_temporary(each)]
    assert checkpoint.read(out / CHECKPOINT)[0].epoch == 1
    assert main(["train", "--resume", str(out), "--no-figures", "--quiet"]) == 0
    assert [row["epoch"] for row in read_history(out / "history.csv")] == [1, 2, 3]


def test_a_run_that_cannot_begin(tmp_path):
    with files_of_at_most(0), pytest.raises(CannotWrite, match=r"config\.yaml.*Nothing of the run"):
        experiment.train(config(), tmp_path / "run")
    # Nothing that would be in the way of another.
    assert is_unused(tmp_path / "run")


@pytest.mark.slow
def test_a_sweep_that_cannot_go_on(tmp_path):
    planned = sweep.plan("digits", grid=["seed=0,1"], overrides=[*SMALL, "training.epochs=1"])
    limit = files_of_at_most(0)
    try:
        with pytest.raises(CannotWrite, match="same command and --out"):
            sweep.run(planned, tmp_path / "s", on_begin=lambda *_: limit.__enter__())
    finally:
        limit.__exit__(None, None, None)
    assert not [each for each in tmp_path.rglob("*") if atomic.is_temporary(each)]
    assert not os.path.exists(tmp_path / "s" / ".lock")
