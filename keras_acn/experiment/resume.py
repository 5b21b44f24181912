"""Going on with a run that was interrupted, where its last checkpoint left it."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING

from keras_acn._base import lazy
from keras_acn._base.errors import UserError
from keras_acn._base.shell import expanded
from keras_acn.experiment.config import Config, absolute, load_config
from keras_acn.experiment.folder import CHECKPOINT, CONFIG, HISTORY, Run, write_history

if TYPE_CHECKING:
    from keras_acn.experiment.checkpoint import Progress

checkpoint = lazy.module("keras_acn.experiment.checkpoint")


def resumed_config(folder: str | os.PathLike, config: Config | None = None) -> Config:
    """Return the config to go on with: the run's own, with more epochs perhaps.

    Args:
      folder: The run folder.
      config: The `Config` asked for, `None` for the run's own.

    Raises:
      UserError: If there is no run, or anything but the number of epochs differs.
    """
    folder = pathlib.Path(expanded(folder))
    if not (folder / CONFIG).exists():
        raise UserError(f"There is no run to resume in {folder}, as it has no {CONFIG}.")
    # Runs of earlier versions hold the data's path as it was typed.
    stored = absolute(load_config(file=folder / CONFIG))
    if config is None:
        return stored
    before, after = stored.flat(), absolute(config).flat()
    for key in [*before, *after]:
        if key in ("training.epochs", "description") or before.get(key) == after.get(key):
            continue
        raise UserError(
            f"A resumed run keeps its settings, and {key} was {before.get(key)}, not "
            f"{after.get(key)}: only --epochs may be raised; begin a new run to change more."
        )
    if config.training.epochs < stored.training.epochs:
        raise UserError(
            f"The run {folder} is set to {stored.training.epochs} epochs: --epochs may raise "
            f"that, not lower it to {config.training.epochs}."
        )
    epochs = {"epochs": config.training.epochs}
    return stored.model_copy(update={"training": stored.training.model_copy(update=epochs)})


def restore_run(run: Run, writes: bool) -> Progress:
    """Bring a run's model to the state of its last checkpoint, and return how far that was.

    The weights, the optimizer, the codebook and the step of the random numbers are those of
    that moment, so that training goes on as if it had not been interrupted. A run without a
    checkpoint is at its beginning.

    Args:
      run: The run, with a model just built from its config.
      writes: Whether this process writes the run's files: the history is cut to the checkpoint.
    """
    last = run.folder / CHECKPOINT
    if not last.exists():
        return checkpoint.Progress()
    progress, arrays = checkpoint.read(last)
    checkpoint.restore(run.model, arrays, last)
    if writes:
        write_history(run.folder / HISTORY, progress.history)
    return progress
