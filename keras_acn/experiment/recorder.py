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
    """

    def __init__(self, folder, training, progress, request, metrics=None):
        super().__init__()
        self.folder = folder
        self.training = training
        self.progress = progress
        self.request = request
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
        if self.request.requested or overdue:
            self._save()
        if self.request.requested:
            raise Interrupted(self.folder)

    def on_epoch_end(self, epoch, logs=None):
        progress = self.progress
        row = {"epoch": epoch + 1}
        row.update({key: float(value) for key, value in (logs or {}).items()})
        row["learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))
        row["seconds"] = round(time.monotonic() - self._began, 3)
        progress.history.append(row)
        progress.epoch, progress.step, progress.seconds = epoch + 1, 0, 0.0

        if self.training.keep_best and history.best_epoch(progress.history) == progress.epoch:
            checkpoint.save_weights(self.best, self.model)
        stop = stopped_early(self.training, progress.history)
        last = stop or progress.epoch >= self.training.epochs
        due = progress.epoch % self.training.checkpoint_every == 0
        # What is left of an epoch is a fit of its own, whose end must not be lost.
        if due or last or self._offset or self.request.requested:
            self._save()
        history.write(self.folder / "history.csv", progress.history)
        if stop:
            self.model.stop_training = True
        if self.request.requested and not last:
            raise Interrupted(self.folder)

    def _save(self):
        self.progress.seconds = time.monotonic() - self._began if self.progress.step else 0.0
        checkpoint.save(self.last, self.model, self.progress)
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
