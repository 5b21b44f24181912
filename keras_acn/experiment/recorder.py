"""The callback that writes a run's progress: history, checkpoints, the best weights."""

import time

import keras
import numpy as np

from keras_acn.experiment import checkpoint, history
from keras_acn.experiment.interrupt import Interrupted


class Recorder(keras.callbacks.Callback):
    """Keeps a run folder in step with the training.

    Args:
      folder: The run folder, a `pathlib.Path`.
      training: The config's training section.
      progress: The `Progress` to go on from; kept up to date.
      request: The `StopRequest` to obey.
      metrics: Values of the metrics' variables in the middle of an epoch, or `None`.
      writes: Whether this worker writes the folder, and obeys the request. The others keep
        the same progress in memory, and end when the one that writes does.

    Attributes:
      state: The arrays of the newest checkpoint; `None` before there is one.
    """

    def __init__(self, folder, training, progress, request, metrics=None, writes=True):
        super().__init__()
        self.folder = folder
        self.training = training
        self.progress = progress
        self.request = request
        self.writes = writes
        self.state = None
        self._metrics = metrics
        self._offset = 0
        self._began = self._saved = time.monotonic()

    @property
    def last(self):
        """Path of the newest checkpoint."""
        return self.folder / "checkpoints" / "last.npz"

    @property
    def best(self):
        """Path of the weights of the epoch that did best on the validation split."""
        return self.folder / "checkpoints" / "best.npz"

    def on_epoch_begin(self, epoch, logs=None):
        self._offset = self.progress.step
        self._began = time.monotonic() - self.progress.seconds
        if self._metrics is not None:
            # Keras has just reset them; this epoch goes on from its middle.
            variables = self.model.metrics_variables
            for variable, value in zip(variables, self._metrics, strict=True):
                variable.assign(value)
            self._metrics = None

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
            raise Interrupted(self.folder)

    def on_epoch_end(self, epoch, logs=None):
        progress = self.progress
        row = {"epoch": epoch + 1}
        row.update({key: float(value) for key, value in (logs or {}).items()})
        row["learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))
        row["seconds"] = round(time.monotonic() - self._began, 3)
        progress.history.append(row)
        progress.epoch, progress.step, progress.seconds = epoch + 1, 0, 0.0

        best = self.training.keep_best and history.best_epoch(progress.history) == progress.epoch
        if best and self.writes:
            checkpoint.save_weights(self.best, self.model)
        stop = stopped_early(self.training, progress.history)
        last = stop or progress.epoch >= self.training.epochs
        due = progress.epoch % self.training.checkpoint_every == 0
        # What is left of an epoch is a fit of its own, whose end must not be lost.
        if due or last or self._offset or self._stopping:
            self._save()
        if self.writes:
            history.write(self.folder / "history.csv", progress.history)
        if stop:
            self.model.stop_training = True
        if self._stopping and not last:
            raise Interrupted(self.folder)

    @property
    def _stopping(self):
        return self.writes and self.request.requested

    def _save(self):
        self.progress.seconds = time.monotonic() - self._began if self.progress.step else 0.0
        self.state = checkpoint.state(self.model)
        if self.writes:
            checkpoint.save(self.last, self.state, self.progress)
        self._saved = time.monotonic()


def stopped_early(training, rows):
    """Returns whether the validation cost has not improved for as long as was asked."""
    best = history.best_epoch(rows)
    patience = training.early_stopping
    return patience is not None and best is not None and rows[-1]["epoch"] - best >= patience


def unfinished_metrics(arrays, progress):
    """Returns the metrics' values in a checkpoint taken in mid-epoch, else `None`."""
    if not progress.step:
        return None
    return [arrays[key] for key in sorted(arrays) if key.startswith("metrics/")]
