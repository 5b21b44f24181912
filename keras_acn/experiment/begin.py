"""Where a run may begin, and how one may go on."""

import datetime
import pathlib

from keras_acn._base.errors import UserError
from keras_acn.experiment import config as config_lib
from keras_acn.experiment.folder import CONFIG


def new_folder(out, config):
    """Returns the path of the folder for a new run; makes nothing.

    Args:
      out: The path asked for, `None` for `runs/<preset>-<date>-<time>`.
      config: The run's `Config`.

    Raises:
      UserError: If the folder holds anything already.
    """
    if out is None:
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        stem = pathlib.Path("runs", f"{config.preset or 'run'}-{now}")
        return next(
            path
            for i in range(1, 1000)
            if not (path := stem if i == 1 else stem.with_name(f"{stem.name}-{i}")).exists()
        )
    path = pathlib.Path(out)
    if path.is_file():
        raise UserError(f"{path} is a file, not a folder: choose another --out.")
    if (path / CONFIG).exists():
        raise UserError(
            f"{path} holds a run already: go on with it by --resume {path}, or choose another "
            "--out."
        )
    # The logs of the other workers are made before the first one begins.
    if path.is_dir() and any(each.name != "workers" for each in path.iterdir()):
        raise UserError(f"{path} is not empty, and no run folder: choose another --out.")
    return path


def resumed_config(folder, config=None):
    """Returns the config to go on with: the run's own, with more epochs perhaps.

    Args:
      folder: The run folder.
      config: The `Config` asked for, `None` for the run's own.

    Raises:
      UserError: If there is no run, or anything but the number of epochs differs.
    """
    folder = pathlib.Path(folder)
    if not (folder / CONFIG).exists():
        raise UserError(f"There is no run to resume in {folder}, as it has no {CONFIG}.")
    stored = config_lib.load_config(file=folder / CONFIG)
    if config is None:
        return stored
    before, after = stored.flat(), config.flat()
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
