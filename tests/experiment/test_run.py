"""Runs: the folder they leave, and going on exactly where they stopped."""

import importlib.util
import json
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_acn._base.atomic import temporary_beside
from keras_acn._base.errors import UserError
from keras_acn.experiment import checkpoint, load_config, open_run
from keras_acn.experiment.callbacks import Interrupted
from keras_acn.experiment.folder import CHECKPOINT
from keras_acn.experiment.run import train

EPOCHS = 4
# 120 images in batches of 16: seven full batches and one of eight.
TINY = [
    "data.limit=120",
    "training.batch_size=16",
    f"training.epochs={EPOCHS}",
    "training.kl_warmup_epochs=2",
    "model.latent_dim=3",
    "encoder.hidden=[16]",
    "decoder.hidden=[16]",
    "prior.hidden=[8, 8]",
]
KILLED = """
import json, os, signal, sys
import keras
from keras_acn.experiment import load_config
from keras_acn.experiment.run import train

class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (2, 4):
            os.kill(os.getpid(), signal.SIGKILL)

out, overrides = json.loads(sys.argv[1])
train(load_config("digits", overrides=overrides), out, callbacks=[Kill()])
"""


class Interrupt(keras.callbacks.Callback):
    """Presses Ctrl-C while batch `batch` of epoch `epoch` is in hand."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.at = (epoch, batch)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            os.kill(os.getpid(), signal.SIGINT)


def run_tiny(out, *overrides, **kwargs):
    return train(load_config("digits", overrides=[*TINY, *overrides]), out, **kwargs)


def state(folder):
    """Every variable and every row of a run's last checkpoint; what is timed left out."""
    progress, arrays = checkpoint.read(folder / CHECKPOINT)
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in progress.history]
    return {k: v for k, v in arrays.items() if not k.startswith("metrics/")}, rows


def assert_same(folder, other):
    (arrays, rows), (other_arrays, other_rows) = state(folder), state(other)
    assert rows == other_rows and len(rows) == EPOCHS
    assert arrays.keys() == other_arrays.keys()
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, other_arrays[key], err_msg=key)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that was never interrupted."""
    return run_tiny(tmp_path_factory.mktemp("runs") / "finished")


def test_the_folder_of_a_run(finished):
    folder = finished.folder
    there = {path.name for path in folder.iterdir()}
    assert {"config.yaml", "model.keras", "checkpoints", "history.csv", "metrics.json"} <= there
    assert not [path for path in folder.rglob("*") if ".tmp" in path.name]
    if importlib.util.find_spec("tensorboard"):
        assert list((folder / "tensorboard" / "test").glob("events*"))
    rows = finished.history
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    for name in ("loss", "reconstruction_nats", "kl_nats", "total_nats", "bits_per_dim"):
        assert np.isfinite([row[name] for row in rows]).all()
        assert np.isfinite([row[f"test_{name}"] for row in rows]).all()
    for name in ("codebook_distance", "codebook_drift", "codebook_used", "seconds"):
        assert all(row[name] >= 0 for row in rows)
    # A cosine from 3e-3 to nothing.
    assert rows[0]["learning_rate"] < 3e-3 and rows[-1]["learning_rate"] == pytest.approx(0)
    header = (folder / "history.csv").read_text().splitlines()[0].split(",")
    assert header[:3] == ["epoch", "loss", "reconstruction_nats"]
    assert header[-2:] == ["learning_rate", "seconds"]


class Seen(keras.callbacks.Callback):
    """The logs of every epoch, beside what the test split costs then."""

    def __init__(self):
        super().__init__()
        self.logs = []

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(dict(logs))


@pytest.mark.slow
def test_no_callback_can_choose_by_the_test_split(tmp_path):
    """Where there is no validation split, the test split is measured under another name."""
    seen, stop = Seen(), keras.callbacks.EarlyStopping("val_loss", patience=0, baseline=-1e9)
    run = run_tiny(tmp_path / "run", "training.ema=0.5", callbacks=[stop, seen])
    assert len(seen.logs) == len(run.history) == EPOCHS
    for row in [*seen.logs, *run.history]:
        assert not [name for name in row if name.startswith("val_")]
        assert row["test_total_nats"] > 0
    # They are costs of the averaged weights, as the model that is kept has them.
    last, kept = run.history[-1]["test_reconstruction_nats"], run.metrics["test"]
    assert last == pytest.approx(kept["reconstruction_nats"], rel=1e-6)
    assert run.metrics["best_epoch"] is None

    seen = Seen()
    held_out = run_tiny(tmp_path / "held", "data.validation=20", callbacks=[seen])
    for row in [*seen.logs, *held_out.history]:
        assert row["val_total_nats"] > 0
        assert not [name for name in row if name.startswith("test_")]


@pytest.mark.slow
def test_a_history_with_the_names_of_the_version_before_keeps_them(tmp_path):
    with pytest.raises(Interrupted):
        run_tiny(tmp_path / "run", callbacks=[Interrupt(2, 3)])
    last = tmp_path / "run" / CHECKPOINT
    progress, arrays = checkpoint.read(last)
    progress.history = [
        {name.replace("test_", "val_"): value for name, value in row.items()}
        for row in progress.history
    ]
    checkpoint.save(last, arrays, progress)
    seen = Seen()
    run = train(resume=tmp_path / "run", callbacks=[seen])
    names = [set(row) for row in run.history]
    assert len(names) == EPOCHS and all(each == names[0] for each in names)
    assert "val_total_nats" in names[0] and "test_total_nats" not in names[0]
    assert "test_total_nats" in seen.logs[0] and "val_total_nats" not in seen.logs[0]


def test_what_a_crash_left_half_written_is_removed(tmp_path):
    with pytest.raises(Interrupted):
        run_tiny(tmp_path / "run", callbacks=[Interrupt(0, 0)])
    left = temporary_beside(tmp_path / "run" / CHECKPOINT)
    # As if another process had begun it, which is dead.
    left = left.with_name(left.name.replace(f"{os.getpid():x}-", "7fffffff-"))
    left.touch()
    with pytest.raises(Interrupted):
        train(resume=tmp_path / "run", callbacks=[Interrupt(0, 0)])
    assert not left.exists()


def test_the_figures_of_a_run(finished):
    metrics = json.loads((finished.folder / "metrics.json").read_text())
    last = finished.history[-1]
    assert metrics["finished"] and metrics["epochs"] == EPOCHS
    assert metrics["train"]["total_nats"] == pytest.approx(last["total_nats"])
    # Those of the model that is kept, whose codebook holds the codes of its own weights.
    run = open_run(finished.folder)
    test = finished.data.test
    batch_size = run.config.training.batch_size
    measured = run.model.evaluate(test, batch_size=batch_size, verbose=0, return_dict=True)
    assert metrics["test"] == {name: measured[name] for name in metrics["test"]}
    codes = run.model.codes(finished.data.train)
    np.testing.assert_array_equal(run.model.codebook.codes.numpy(), codes)
    assert metrics["seed"] == 0
    assert metrics["data"]["train"] == 120
    assert metrics["parameters"] == sum(w.numpy().size for w in finished.model.trainable_weights)
    assert {"keras_acn", "tensorflow", "keras", "python"} <= set(metrics["versions"])
    assert open_run(finished.folder).config.versions == metrics["versions"]


def test_a_run_is_opened_again(finished):
    for path in (finished.folder, finished.folder / "model.keras"):
        again = open_run(path)
        assert again.config.flat() == finished.config.flat()
        images = again.data.test.arrays()[0]
        np.testing.assert_array_equal(again.model.codes(images), finished.model.codes(images))
        figures = again.model.evaluate(again.data.test, batch_size=16, verbose=0, return_dict=True)
        assert figures["total_nats"] == pytest.approx(finished.metrics["test"]["total_nats"])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run(finished, tmp_path):
    run_tiny(tmp_path / "again")
    assert_same(tmp_path / "again", finished.folder)


@pytest.mark.slow_sample("True")
@pytest.mark.parametrize("unique", [False, True])
def test_a_run_killed_in_mid_epoch_goes_on_exactly(unique, finished, tmp_path):
    overrides = [f"codebook.unique={str(unique).lower()}"]
    reference = run_tiny(tmp_path / "reference", *overrides) if unique else finished
    # With unique on a checkpoint follows every batch, so that what is used up matters.
    minutes = ["training.checkpoint_minutes=1e-9"] if unique else []
    given = json.dumps([str(tmp_path / "killed"), [*TINY, *overrides, *minutes]])
    killed = subprocess.run([sys.executable, "-c", KILLED, given], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    progress, _ = checkpoint.read(tmp_path / "killed" / CHECKPOINT)
    assert (progress.epoch, progress.step) == ((2, 5) if unique else (2, 0))
    assert not (tmp_path / "killed" / "model.keras").exists()
    assert open_run(tmp_path / "killed").model.codebook.size == 120
    train(resume=tmp_path / "killed")
    assert_same(tmp_path / "killed", reference.folder)


def test_a_request_while_the_model_is_written_is_told_once_it_is(tmp_path, monkeypatch):
    # Such as between two runs of a sweep, which would else begin the next one, or end unsaid.
    finish = sys.modules["keras_acn.experiment.run"]._finish

    def asked_to_stop(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        finish(*arguments)

    monkeypatch.setattr("keras_acn.experiment.run._finish", asked_to_stop)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted) as caught:
        run_tiny(tmp_path / "run", "training.epochs=1")
    assert caught.value.signal == signal.SIGTERM and signal.getsignal(signal.SIGTERM) is before
    assert open_run(tmp_path / "run").finished and (tmp_path / "run" / "model.keras").exists()


@pytest.mark.slow_sample("vae")
@pytest.mark.parametrize(
    "overrides",
    [
        ["codebook.unique=true", "training.ema=0.9", "training.checkpoint_every=3"],
        ["model=VAE", "prior=null", "training.steps_per_epoch=5", "data.binarize=dynamic"],
    ],
    ids=["acn", "vae"],
)
def test_ctrl_c_saves_and_the_run_goes_on_exactly(overrides, tmp_path):
    run_tiny(tmp_path / "reference", *overrides)
    out = tmp_path / "interrupted"
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as caught:
        run_tiny(out, *overrides, callbacks=[Interrupt(1, 2)])
    assert caught.value.folder == out
    assert signal.getsignal(signal.SIGINT) is before
    progress, _ = checkpoint.read(out / CHECKPOINT)
    assert (progress.epoch, progress.step) == (1, 3)
    run = open_run(out)
    assert not run.finished and (out / "model.keras").exists()
    # Again, in the last batch of an epoch, which then ends as ever.
    steps = 5 if "training.steps_per_epoch=5" in overrides else 8
    with pytest.raises(Interrupted):
        train(resume=out, callbacks=[Interrupt(2, steps - 1)])
    progress, _ = checkpoint.read(out / CHECKPOINT)
    assert (progress.epoch, progress.step) == (3, 0)
    # And in the last epoch.
    with pytest.raises(Interrupted):
        train(resume=out, callbacks=[Interrupt(3, 0)])
    train(resume=out)
    assert open_run(out).finished
    assert_same(out, tmp_path / "reference")


@pytest.mark.slow
def test_more_epochs_go_on_and_a_finished_run_is_left_alone(tmp_path):
    constant = "training.schedule=constant"
    run_tiny(tmp_path / "reference", constant)
    run_tiny(tmp_path / "short", constant, "training.epochs=2")
    before = (tmp_path / "short" / "model.keras").stat().st_mtime_ns
    train(resume=tmp_path / "short")
    assert (tmp_path / "short" / "model.keras").stat().st_mtime_ns == before
    longer = load_config(
        file=tmp_path / "short" / "config.yaml", overrides=[f"training.epochs={EPOCHS}"]
    )
    train(longer, resume=tmp_path / "short")
    assert open_run(tmp_path / "short").config.training.epochs == EPOCHS
    assert_same(tmp_path / "short", tmp_path / "reference")


def test_the_best_epoch_is_kept_and_training_stops_early(tmp_path):
    run = run_tiny(
        tmp_path / "run",
        "data.validation=0.2",
        "training.keep_best=true",
        "training.early_stopping=1",
        "training.epochs=30",
        "training.schedule=constant",
        "training.learning_rate=0.03",
        "training.ema=0.5",
    )
    metrics = run.metrics
    costs = [row["val_total_nats"] for row in run.history]
    assert metrics["stopped_early"] and metrics["finished"] and metrics["epochs"] < 30
    assert metrics["epoch_of_the_model"] == metrics["best_epoch"] == 1 + int(np.argmin(costs))
    assert metrics["best_epoch"] == metrics["epochs"] - 1
    # The figures in the history are those of the averaged weights that are kept.
    figures = open_run(run.folder).model.evaluate(
        run.data.validation, batch_size=16, verbose=0, return_dict=True
    )
    best = run.history[metrics["best_epoch"] - 1]
    # The KL is not compared: the codes it is measured against are written anew at the end.
    assert figures["reconstruction_nats"] == pytest.approx(
        best["val_reconstruction_nats"], rel=1e-6
    )
    assert figures == metrics["validation"]
    assert open_run(run.folder).finished


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("training.batch_size=8", "training.batch_size was 16, not 8"),
        ("seed=5", "seed was 0, not 5"),
        ("encoder=conv", "encoder.name was mlp, not conv"),
        ("training.epochs=1", "not lower it"),
    ],
)
def test_a_resumed_run_keeps_its_settings(change, words, finished):
    config = load_config(file=finished.folder / "config.yaml", overrides=[change])
    with pytest.raises(UserError, match=words):
        train(config, resume=finished.folder)


def test_folders_that_are_in_use_are_refused(finished, tmp_path):
    with pytest.raises(UserError, match="--resume"):
        run_tiny(finished.folder)
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(UserError, match="is not empty"):
        run_tiny(tmp_path)
    with pytest.raises(UserError, match="is a file"):
        run_tiny(tmp_path / "thesis.txt")
    with pytest.raises(UserError, match="cannot be written to|is a file"):
        run_tiny(tmp_path / "thesis.txt" / "run")
    with pytest.raises(UserError, match="There is no run to resume"):
        train(resume=tmp_path)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["training.batch_size=121"], "larger than the training data"),
        (["codebook.k=120"], "codebook.k of 120"),
        (["data.limit=1", "training.batch_size=1"], "codebook.k of 5"),
        (["encoder.hiden=[3]"], 'Did you mean "hidden"'),
        (["encoder=cnn"], 'Unknown encoder "cnn"'),
        (["model=AC"], 'Unknown model "AC"'),
        (["model.latent=3"], 'Unknown option "latent" of the model'),
        (["codebook.uniqe=true"], 'Did you mean "unique"'),
        (["codebook.size=7"], "codebook.size follows from"),
        (["codebook.search=exactly"], 'Unknown search strategy "exactly"'),
        (["model=VAE", "prior=null", "codebook.k=3"], "VAE has no codebook"),
        (["training.keep_best=true"], "validation split, and there is none"),
        (["training.warmup_epochs=4"], "training.warmup_epochs"),
        (["training.warmup_epochs=1", "training.schedule=linear"], "training.schedule=cosine"),
    ],
)
def test_what_cannot_be_built_leaves_no_folder(overrides, words, tmp_path):
    with pytest.raises(UserError, match=words) as caught:
        run_tiny(tmp_path / "run", *overrides)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear"])
def test_learning_rates(schedule):
    from keras_acn.experiment.build import _learning_rate

    training = load_config(
        "digits",
        overrides=[
            f"training.schedule={schedule}",
            "training.epochs=10",
            "training.learning_rate=0.1",
            "training.final_learning_rate=0.01",
        ],
    ).training
    rate = _learning_rate(training, steps=10)
    steps = np.array([0, 25, 50, 100])
    got = [float(rate(step)) if callable(rate) else rate for step in steps]
    expected = {
        "constant": np.full(4, 0.1),
        "cosine": 0.01 + 0.09 * (1 + np.cos(np.pi * steps / 100)) / 2,
        "linear": 0.1 - 0.09 * steps / 100,
    }[schedule]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_warm_up_rises_linearly(schedule):
    from keras_acn.experiment.build import _learning_rate

    training = load_config(
        "digits",
        overrides=[
            f"training.schedule={schedule}",
            "training.warmup_epochs=2",
            "training.learning_rate=0.1",
        ],
    ).training
    rate = _learning_rate(training, steps=10)
    np.testing.assert_allclose([float(rate(s)) for s in (0, 10, 20)], [0, 0.05, 0.1], rtol=1e-5)
    later = float(rate(400))
    assert later == pytest.approx(0.1 if schedule == "constant" else later)
    assert schedule == "constant" or later < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_is_the_models_and_not_the_sessions(precision, tmp_path):
    run = run_tiny(tmp_path / "run", f"training.precision={precision}", "training.epochs=1")
    assert run.model.encoder.dtype_policy.name == precision
    assert keras.config.dtype_policy().name == "float32"
    assert np.isfinite(run.history[-1]["total_nats"])


def test_damaged_files_are_one_sentence(finished, tmp_path):
    import shutil

    damaged = tmp_path / "run"
    shutil.copytree(finished.folder, damaged)
    (damaged / "model.keras").write_bytes(b"not a zip file")
    with pytest.raises(UserError, match="is damaged"):
        _ = open_run(damaged).model
    (damaged / "metrics.json").write_text("{")
    with pytest.raises(UserError, match="metrics.json is damaged"):
        _ = open_run(damaged).metrics
    (damaged / "metrics.json").unlink()
    last = damaged / CHECKPOINT
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(UserError, match="checkpoint .* is damaged"):
        train(resume=damaged)


@pytest.mark.parametrize("content", [b"", b"PK", "cut", "flipped", "array"])
def test_damaged_weights_are_one_sentence(content, finished, tmp_path):
    import io

    from keras_acn.experiment import checkpoint

    good, bad = tmp_path / "good.npz", tmp_path / "best.npz"
    checkpoint.save_weights(good, finished.model)
    checkpoint.restore_weights(good, finished.model)
    whole = bytearray(good.read_bytes())
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    flipped = whole[:300] + bytes(b ^ 255 for b in whole[300:600]) + whole[600:]
    kinds = {"cut": whole[:1000], "flipped": flipped, "array": array.getvalue()}
    bad.write_bytes(kinds.get(content, content))
    with pytest.raises(UserError, match="best.npz, are damaged"):
        checkpoint.restore_weights(bad, finished.model)
    with pytest.raises(UserError, match="best.npz is damaged"):
        checkpoint.read(bad)


def test_models_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "saved_models" / "good-model").mkdir(parents=True)
    (tmp_path / "saved_models" / "good-model" / "model.keras").touch()
    with pytest.raises(UserError, match='Did you mean "good-model"'):
        open_run("god-model")
    (tmp_path / "file.txt").touch()
    with pytest.raises(UserError, match="is no model"):
        open_run("file.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is no run folder"):
        open_run("empty")
    lone = open_run("saved_models/good-model/model.keras")
    with pytest.raises(UserError, match="--data"):
        lone.load_data()
