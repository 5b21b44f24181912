"""The callbacks of a run: what is measured and written after each epoch, and how it is stopped."""

from __future__ import annotations

import contextlib
import pathlib
import signal
import threading
import time
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_acn import data as data_lib
from keras_acn._base.errors import NotFinite
from keras_acn._base.shell import stop_signals
from keras_acn.experiment import checkpoint, folder, tensorboard
from keras_acn.experiment.folder import Run
from keras_acn.experiment.schema import TrainingSection
from keras_acn.experiment.snapshots import SNAPSHOTS, Snapshots, chosen_images

# Images that are reconstructed after every epoch.
SHOWN = 10


def run_callbacks(run: Run, *, writes: bool = True) -> list[keras.callbacks.Callback]:
    """Return the callbacks that a run's config asks for, all but the `Recorder`.

    They swap in averaged weights, measure the test split where there is no validation split,
    and write TensorBoard's files and the movie's frames.

    Args:
      run: The run.
      writes: Whether this worker writes the run's folder.
    """
    training, data, seed = run.settings.training, run.data, run.settings.seed
    averages = [] if training.ema is None else [keras.callbacks.SwapEMAWeights()]
    callbacks: list[keras.callbacks.Callback] = [*averages]
    if data.validation is None and data.test is not None:
        callbacks.append(TestCosts(data.test, training.batch_size, averages))
    every = training.snapshots_every
    if not writes or not (every or tensorboard.installed()):
        return callbacks
    images, labels = chosen_images(data.validation or data.test or data.train, seed)
    if tensorboard.installed():
        logs = run.folder / folder.TENSORBOARD
        callbacks.append(tensorboard.Scalars(logs))
        callbacks.append(tensorboard.TensorBoardImages(logs, images[:SHOWN], seed))
    if every:
        callbacks.append(Snapshots(images, labels, SHOWN, every, run.folder / SNAPSHOTS))
    return callbacks


class TestCosts(keras.callbacks.Callback):
    """Measures the test split after every epoch, and adds the costs to the logs as `test_...`.

    As `validation_data` of `fit` they would be called `val_...`, and a callback such as
    `keras.callbacks.EarlyStopping` would choose a model by the split that is to judge it.

    Args:
      images: The test split.
      batch_size: Images per step.
      callbacks: Those that an evaluation calls too, such as `SwapEMAWeights`.
    """

    # No test of pytest's.
    __test__ = False

    def __init__(
        self,
        images: data_lib.ImageSet,
        batch_size: int,
        callbacks: Iterable[keras.callbacks.Callback] = (),
    ):
        super().__init__()
        # One for all epochs: TensorFlow keeps something of each dataset for good.
        self.batches = images.dataset(batch_size)
        self.callbacks = list(callbacks)

    def on_epoch_end(self, epoch, logs=None):
        costs = self.model.evaluate(
            self.batches,
            callbacks=self.callbacks,
            verbose=0,
            return_dict=True,
        )
        # The callbacks of one `fit` share the dict: the history and the progress bar have them.
        if logs is not None:
            logs.update({f"test_{name}": value for name, value in costs.items()})


class Interrupted(KeyboardInterrupt):
    """Raised once a run that was asked to stop is saved.

    Attributes:
      folder: The run folder.
      signal: The number of the signal that asked.
    """

    def __init__(self, folder: pathlib.Path, signal: int = int(signal.SIGINT)):
        super().__init__(str(folder))
        self.folder = folder
        self.signal = int(signal)


class StopRequest(contextlib.AbstractContextManager):
    """A context in which the first request to stop only sets `requested`.

    That is Ctrl-C; SIGTERM, which Slurm, Kubernetes and `timeout` send some time before they
    kill; and SIGHUP of a terminal that closes, unless `nohup` has it ignored. The batch in hand is
    then finished, and the run saved. A second request acts as ever. Outside the main thread
    nothing is caught, since Python delivers signals to the main thread alone.

    Attributes:
      requested: The number of the signal, 0 while there was none.
    """

    def __init__(self) -> None:
        self.requested = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in stop_signals():
                self._before[number] = signal.signal(number, self._request)
        return self

    def _request(self, number, frame):
        self.requested = number
        self._restore()

    def _restore(self):
        while self._before:
            signal.signal(*self._before.popitem())

    def __exit__(self, *exception):
        self._restore()


class Recorder(keras.callbacks.Callback):
    """Keeps a run folder in step with the training: history, checkpoints, the best weights.

    Args:
      run: The run, its model restored from the checkpoint where there is one.
      progress: The `Progress` to go on from; kept up to date.
      request: The `StopRequest` to obey.
      writes: Whether this worker writes the folder, and obeys the request. The others keep
        the same progress in memory, and end when the one that writes does.

    Attributes:
      state: The arrays of the newest checkpoint; `None` before there is one.
    """

    def __init__(
        self,
        run: Run,
        progress: checkpoint.Progress,
        request: StopRequest,
        *,
        writes: bool = True,
    ):
        super().__init__()
        self.folder = run.folder
        self.training = run.settings.training
        self.progress = progress
        self.request = request
        self.writes = writes
        self.state: checkpoint.Arrays | None = None
        # Version 0.1.0 called the costs of the test split `val_...` too; a history that it began
        # keeps its columns.
        begun = progress.history and "val_total_nats" in progress.history[0]
        self._test_prefix = "val_" if begun and run.data.validation is None else "test_"
        # In the middle of an epoch the metrics have sums that Keras will reset.
        metrics = run.model.metrics_variables if progress.step else ()
        self._metrics = [np.array(variable) for variable in metrics]
        self._offset = 0
        self._began = self._saved = time.monotonic()

    @property
    def last(self) -> pathlib.Path:
        """Path of the newest checkpoint."""
        return self.folder / folder.CHECKPOINT

    @property
    def best(self) -> pathlib.Path:
        """Path of the weights of the epoch that did best on the validation split."""
        return self.folder / folder.BEST

    def on_epoch_begin(self, epoch, logs=None):
        self._offset = self.progress.step
        self._began = time.monotonic() - self.progress.seconds
        if self._metrics:
            # Keras has just reset them; this epoch goes on from its middle.
            variables = self.model.metrics_variables
            for variable, value in zip(variables, self._metrics, strict=True):
                variable.assign(value)
            self._metrics = []

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 >= self.params["steps"]:
            # The end of the epoch follows, and is what is saved.
            return
        self.progress.step = self._offset + batch + 1
        minutes = self.training.checkpoint_minutes
        overdue = minutes and time.monotonic() - self._saved > 60 * minutes
        if self._stopping or (overdue and self.writes):
            self._save()
        if self._stopping:
            raise Interrupted(self.folder, self.request.requested)

    def on_epoch_end(self, epoch, logs=None):
        progress = self.progress
        row = {"epoch": epoch + 1}
        for key, value in (logs or {}).items():
            if key.startswith("test_"):
                key = self._test_prefix + key.removeprefix("test_")
            row[key] = float(value)
        self._require_finite(row)
        row["learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))
        row["seconds"] = round(time.monotonic() - self._began, 3)
        progress.history.append(row)
        progress.epoch, progress.step, progress.seconds = epoch + 1, 0, 0.0

        best = self.training.keep_best and folder.best_epoch(progress.history) == progress.epoch
        if best and self.writes:
            checkpoint.save_weights(self.best, self.model)
        stop = stopped_early(self.training, progress.history)
        last = stop or progress.epoch >= self.training.epochs
        due = progress.epoch % self.training.checkpoint_every == 0
        # What is left of an epoch is a fit of its own, whose end must not be lost.
        if due or last or self._offset or self._stopping:
            self._save()
        if self.writes:
            folder.write_history(self.folder / folder.HISTORY, progress.history)
        if stop:
            self.model.stop_training = True
        if self._stopping and not last:
            raise Interrupted(self.folder, self.request.requested)

    def _require_finite(self, row):
        """Raise `NotFinite` if an epoch's last steps have ruined the weights.

        They may be finite numbers, and give none. Before they are written over the last good
        ones, what is held out has told.
        """
        for prefix, split in (("val_", "validation"), (self._test_prefix, "test")):
            if not np.isfinite(row.get(f"{prefix}loss", 0.0)):
                raise NotFinite(None, [f"the loss on the {split} split after epoch {row['epoch']}"])

    @property
    def _stopping(self):
        return self.writes and bool(self.request.requested)

    def _save(self):
        self.progress.seconds = time.monotonic() - self._began if self.progress.step else 0.0
        self.state = checkpoint.state(self.model)
        if self.writes:
            checkpoint.save(self.last, self.state, self.progress)
        self._saved = time.monotonic()


def stopped_early(training: TrainingSection, rows: list[dict[str, float]]) -> bool:
    """Return whether the validation cost has not improved for as long as was asked."""
    best = folder.best_epoch(rows)
    patience = training.early_stopping
    return patience is not None and best is not None and rows[-1]["epoch"] - best >= patience
