"""A run that diverges keeps its last good state, says how to go on, and does so."""

import json
import math

import keras
import numpy as np
import pytest

from keras_acn import experiment
from keras_acn._base.errors import NotFinite
from keras_acn.cli import main
from keras_acn.experiment import checkpoint
from keras_acn.experiment import run as run_room
from keras_acn.experiment.folder import CHECKPOINT

SMALL = ["data.limit=60", "encoder.hidden=[8]", "decoder.hidden=[8]", "model.latent_dim=2"]
SMALL += ["training.batch_size=20", "training.epochs=3", "training.schedule=constant"]


def config(*overrides):
    return experiment.load_config("digits", overrides=[*SMALL, *overrides])


class Spoil(keras.callbacks.Callback):
    """Makes the weights of the decoder too large by the last step of the second epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.random_step) == 2 * self.params["steps"]:
            for weight in self.model.decoder.trainable_weights:
                weight.assign(np.full(weight.shape, 3e38, np.float32))


def test_the_checkpoint_survives_and_resume_takes_another_rate(tmp_path):
    out = tmp_path / "run"
    told = "loss on the test split after epoch 2.*after epoch 1.*--resume.*learning_rate=0.0003"
    with pytest.raises(NotFinite, match=told):
        experiment.train(config(), out, callbacks=[Spoil()])
    progress, arrays = checkpoint.read(out / CHECKPOINT)
    assert progress.epoch == len(progress.history) == 1
    # Where the first step after a checkpoint diverges, its weights may be what is wrong.
    kept = next(int(each) for name, each in arrays.items() if name.endswith("random_step"))
    run = experiment.open_run(out)
    for step, anew in ((kept, True), (kept + 1, False)):
        assert ("begin a new run" in run_room._way_on(run, NotFinite(step, ["the KL"]))) == anew
    checkpoint.require_finite(arrays)
    assert not (out / "model.keras").exists() and not (out / "metrics.json").exists()
    code = main(
        ["train", "--resume", str(out), "--set", "training.learning_rate=1e-4", "-q"]
        + ["--set", "training.clipnorm=1", "--no-figures"]
    )
    run = experiment.open_run(out)
    assert code == 0 and run.finished
    assert [row["learning_rate"] for row in run.history[1:]] == pytest.approx([1e-4, 1e-4])
    assert run.config.training.learning_rate == 1e-4 and run.config.training.clipnorm == 1
    assert float(run.model.optimizer.learning_rate) == pytest.approx(1e-4)


def test_the_command_exits_with_3(tmp_path, capsys):
    out = tmp_path / "run"
    more = ["training.learning_rate=1e4", "training.clipnorm=null", "training.optimizer=sgd"]
    settings = [word for text in [*SMALL, *more] for word in ("--set", text)]
    assert main(["train", "digits", "--out", str(out), "-q", "--no-figures", *settings]) == 3
    error = capsys.readouterr().err
    assert error.startswith("Error: The training has diverged: in step ") and "step" in error
    for word in ("training.clipnorm", "training.kl_warmup_epochs", f"--resume {out} --set "):
        assert word in error
    assert not list(out.rglob("*.keras")) and not list(out.rglob("*.npz"))
    assert main(["evaluate", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "no model yet" in error
    # Nothing was worth keeping, so that it begins anew with what is said now.
    again = ["--set", "training.learning_rate=1e-3", "-q", "--no-figures"]
    assert main(["train", "--resume", str(out), *again]) == 0
    assert len(experiment.open_run(out).history) == 3


@pytest.mark.slow
def test_weights_that_overflow_are_not_written(tmp_path):
    """A finite gradient may be too large for the optimizer's memory of its square."""
    run = experiment.train(config(), tmp_path / "run")
    before = (run.folder / CHECKPOINT).read_bytes()
    run.model.decoder.trainable_weights[0].assign_add(np.float32(np.inf))
    for write in (
        lambda: checkpoint.save(run.folder / CHECKPOINT, checkpoint.state(run.model), None),
        lambda: checkpoint.save_weights(run.folder / "checkpoints" / "best.npz", run.model),
    ):
        with pytest.raises(NotFinite, match="decoder"):
            write()
    assert (run.folder / CHECKPOINT).read_bytes() == before
    assert [each.name for each in (run.folder / "checkpoints").iterdir()] == ["last.npz"]


@pytest.mark.slow
def test_figures_that_are_no_numbers_are_null(tmp_path, monkeypatch):
    from keras_acn.models import LatentModel

    evaluate = LatentModel.evaluate

    def with_infinity(self, *args, **kwargs):
        costs = evaluate(self, *args, **kwargs)
        return {**costs, "kl_nats": math.inf} if isinstance(costs, dict) else costs

    monkeypatch.setattr(LatentModel, "evaluate", with_infinity)
    run = experiment.train(config("training.epochs=1"), tmp_path / "run")

    def refuse(word):
        raise AssertionError(word)

    metrics = json.loads((run.folder / "metrics.json").read_text(), parse_constant=refuse)
    assert metrics["test"]["kl_nats"] is None
    assert "nan" in experiment.run_summary(experiment.open_run(run.folder))


@pytest.mark.slow
def test_a_sweep_goes_on_past_a_run_that_diverges(tmp_path):
    planned = experiment.sweep.plan(
        "digits",
        ["learning_rate=1e30,1e-3"],
        overrides=[*SMALL, "training.epochs=1", "training.optimizer=sgd"],
    )
    with pytest.raises(NotFinite, match="1 of the 2 runs are done, and these diverged: learning"):
        experiment.sweep.run(planned, tmp_path / "sweep")
    rows = experiment.sweep.table(tmp_path / "sweep")
    assert [row["learning_rate"] for row in rows] == [1e-3]
