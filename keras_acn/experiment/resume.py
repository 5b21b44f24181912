"""Going on with a run that was interrupted, where its last checkpoint left it."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING, Any

from keras_acn._base import lazy
from keras_acn._base.errors import UserError
from keras_acn._base.shell import expanded
from keras_acn.experiment.config import Config, absolute, load_config
from keras_acn.experiment.folder import CHECKPOINT, CONFIG, HISTORY, Run, write_history

if TYPE_CHECKING:
    from keras_acn.experiment.checkpoint import Progress

# What a run may go on with other values of, besides the epochs: what helps one that has diverged,
# and changes nothing in what a checkpoint holds.
MAY_CHANGE = (
    "training.learning_rate",
    "training.final_learning_rate",
    "training.clipnorm",
    "training.kl_warmup_epochs",
    "training.kl_warmup_from",
    "training.kl_schedule",
)

_LIKELIHOOD = "decoder.likelihood"

checkpoint = lazy.module("keras_acn.experiment.checkpoint")


def resumed_config(folder: str | os.PathLike, config: Config | None = None) -> Config:
    """Return the config to go on with: the run's own, with more epochs perhaps.

    What `MAY_CHANGE` names may be other than it was, such as the learning rate.

    Args:
      folder: The run folder.
      config: The `Config` asked for, `None` for the run's own.

    Raises:
      UserError: If there is no run, or anything else differs.
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
        if key in (*MAY_CHANGE, "training.epochs", "description"):
            continue
        if before.get(key) == after.get(key):
            continue
        if key.startswith(_LIKELIHOOD) and not any(each.startswith(_LIKELIHOOD) for each in after):
            # A run notes its likelihood where its config left that to the images' channels.
            continue
        raise UserError(
            f"A resumed run keeps its settings, and {key} was {before.get(key)}, not "
            f"{after.get(key)}: only --epochs may be raised, and "
            f"{', '.join(MAY_CHANGE)} be changed; begin a new run to change more."
        )
    if config.training.epochs < stored.training.epochs:
        raise UserError(
            f"The run {folder} is set to {stored.training.epochs} epochs: --epochs may raise "
            f"that, not lower it to {config.training.epochs}."
        )
    may_change = [key.removeprefix("training.") for key in ("training.epochs", *MAY_CHANGE)]
    changed = {key: getattr(config.training, key) for key in may_change}
    return stored.model_copy(update={"training": stored.training.model_copy(update=changed)})


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


def set_learning_rate(run: Run, progress: Progress, writes: bool) -> None:
    """Give a run just restored the learning rate of its config, where that has changed.

    A constant rate is a variable of the optimizer, which the checkpoint has brought back.

    Args:
      run: The run.
      progress: As `restore_run` returned it.
      writes: Whether this process writes the run's files: its checkpoint gets the new rate.
    """
    training, outer = run.settings.training, run.model.optimizer
    optimizer: Any = getattr(outer, "inner_optimizer", outer)
    if training.schedule != "constant" or training.warmup_epochs:
        return
    optimizer.learning_rate = training.learning_rate
    last = run.folder / CHECKPOINT
    if writes and last.exists():
        checkpoint.save(last, checkpoint.state(run.model), progress)
