"""A run's folder: where one may begin, how one goes on, and reading what is in it."""

from __future__ import annotations

import contextlib
import csv
import datetime
import functools
import io
import json
import math
import os
import pathlib
import shlex
import warnings
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from keras_acn._base import lazy
from keras_acn._base.atomic import check_folder, is_temporary, remove_temporaries, write_text
from keras_acn._base.errors import DataWarning, UserError, did_you_mean
from keras_acn._base.lock import LOCK, FolderLock, require_free
from keras_acn._base.reading import read_text
from keras_acn._base.shell import command, expanded
from keras_acn._base.shipped import pretrained_folders, require_weights
from keras_acn.experiment import trained_on, yaml
from keras_acn.experiment.config import load_config
from keras_acn.experiment.schema import Config

if TYPE_CHECKING:
    from keras_acn.data import Data
    from keras_acn.models import LatentModel

readers = lazy.module("keras_acn.data.readers")
models = lazy.module("keras_acn.models")
build = lazy.module("keras_acn.experiment.build")
checkpoint = lazy.module("keras_acn.experiment.checkpoint")

CONFIG, MODEL, HISTORY, METRICS = "config.yaml", "model.keras", "history.csv", "metrics.json"
CHECKPOINT = pathlib.PurePath("checkpoints", "last.npz")
BEST = pathlib.PurePath("checkpoints", "best.npz")
# The logs of the workers that write no folder.
WORKERS = "workers"
TENSORBOARD = "tensorboard"

# The columns of `history.csv`: the costs first, then the same on the split that is held out.
_FIRST = ("epoch", "loss", "reconstruction_nats", "kl_nats", "total_nats", "bits_per_dim")
_LAST = ("learning_rate", "seconds")


class _Metrics(BaseModel):
    """What is made use of in `metrics.json`; null is what is no finite number."""

    finished: bool
    stopped_early: bool = False
    is_code_length: bool = True
    epochs: int = Field(ge=0, le=10**8)
    legs: list[int | None] = Field([0], min_length=1)
    seconds: float = 0.0
    parameters: int = 0
    train: dict[str, float | None] = Field(default_factory=dict)
    validation: dict[str, float | None] = Field(default_factory=dict)
    test: dict[str, float | None] = Field(default_factory=dict)
    codebook: dict[str, Any] = Field(default_factory=dict)


class Run:
    """A trained model with what is known about how it was trained.

    Attributes:
      path: The run folder, or the `.keras` file.
      folder: The folder that holds the model.
      config: The `Config` it was trained with, `None` for a model file on its own.

    Example:
      >>> from keras_acn.experiment import open_run
      >>> run = open_run("acn-digits")
      >>> run.config.model.name, run.history[0]["epoch"]
      ('ACN', 1)
    """

    def __init__(
        self,
        path: pathlib.Path,
        folder: pathlib.Path,
        model_file: pathlib.Path,
        config: Config | None,
    ):
        self.path = path
        self.folder = folder
        self.config = config
        self._model_file = model_file

    @property
    def settings(self) -> Config:
        """The config, of a run that must have one.

        Raises:
          UserError: If the run is a model file on its own.
        """
        if self.config is None:
            raise UserError(f"{self.path} has no {CONFIG} beside it: give a run folder.")
        return self.config

    @functools.cached_property
    def model(self) -> LatentModel:
        """The model, as saved; of a run cut short, as of its last checkpoint."""
        if self._model_file.exists():
            return models.load_model(self._model_file)
        last = self.folder / CHECKPOINT
        if not last.exists():
            raise UserError(
                f"The run {self.path} holds no model yet: go on with "
                f"{command('train', '--resume', self.path)}."
            )
        model = build.build_model(self.config, self.data.image_shape, len(self.data.train))
        checkpoint.restore(model, checkpoint.read(last)[1], last)
        model.optimizer.finalize_variable_values(model.trainable_variables)
        return model

    @functools.cached_property
    def data(self) -> Data:
        """The `keras_acn.data.Data` it was trained on."""
        return self.load_data()

    def load_data(
        self,
        source: str | None = None,
        data_dir: str | None = None,
        *,
        classes: list[int | str] | None = None,
        background: str | None = None,
        skip_damaged: bool | None = None,
    ) -> Data:
        """Return the run's data, or other data treated likewise.

        Where the run's own data are others than they were in training, a `DataWarning` says so.

        Args:
          source: As for `keras_acn.data.load`; the run's own by default.
          data_dir: Likewise.
          classes: Likewise, the labels or the names of the classes to keep.
          background: Likewise, of a folder of pictures; by default as the run has it.
          skip_damaged: Likewise.

        Raises:
          UserError: If neither the run nor the caller names a source.
        """
        given: dict[str, Any] = {"source": source, "data_dir": data_dir, "classes": classes}
        given |= {"background": background, "skip_damaged": skip_damaged}
        given = {key: value for key, value in given.items() if value is not None}
        config = self.with_data(**given)
        data = build.build_data(config)
        if not given:
            self._check_same(data)
        return data

    def with_data(self, **given: Any) -> Config:
        """Return the run's config with some options of its data changed, as `load_data` reads it.

        Args:
          **given: Options of `keras_acn.data.load`.

        Raises:
          UserError: If neither the run nor the caller names a source.
        """
        config = self.config
        if config is None:
            if "source" not in given:
                raise UserError(
                    f"{self.path} does not say what it was trained on: name the data with --data."
                )
            config = Config()
        section = config.data.model_copy(update=given)
        if not readers.is_folder_of_images(section.source):
            # What the run's own pictures needed, other data do not; what is asked for is told.
            of_pictures = {"background": None, "skip_damaged": False}
            asked = {key: given.get(key, value) for key, value in of_pictures.items()}
            section = section.model_copy(update=asked)
        return config.model_copy(update={"data": section})

    def _check_same(self, data: Data) -> None:
        """Warn where the data are others than the run was trained on."""
        differs = trained_on.difference(self.folder, data)
        if differs is not None:
            warnings.warn(
                f"The data of {self.path} are not those it was trained on: {differs}, in "
                f"{self.settings.data.source}. What follows is of the data as they are now.",
                DataWarning,
                stacklevel=3,
            )

    @property
    def history(self) -> list[dict[str, float]]:
        """The rows of `history.csv`, one dict an epoch; empty where there is none.

        The columns `val_...` are measured on the validation split; where there is none, `test_...`
        are measured on the test split. (Runs of version 0.1.0 call those `val_...` too.)
        """
        path = self.folder / HISTORY
        return read_history(path) if path.exists() else []

    @property
    def metrics(self) -> dict[str, Any]:
        """What `metrics.json` holds; empty where there is none."""
        path = self.folder / METRICS
        try:
            if not path.exists():
                return {}
            metrics = json.loads(read_text(path))
            _Metrics.model_validate(metrics, strict=True)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path} is damaged: delete it, and resume the run.") from error
        return metrics

    @property
    def finished(self) -> bool:
        """Whether the run has done all the epochs of its config."""
        metrics = self.metrics
        return bool(metrics.get("finished")) and (
            bool(metrics.get("stopped_early")) or metrics["epochs"] >= self.settings.training.epochs
        )


def open_run(model: str | os.PathLike) -> Run:
    """Return the `Run` for a run folder, a `.keras` file, or a saved model.

    Args:
      model: Path of a run folder or a `.keras` file, or the path or the name of a folder
        under `saved_models/`.

    Raises:
      UserError: If there is none, or it was written by a newer version.
    """
    path = pathlib.Path(expanded(model))
    if not path.exists():
        path = _saved_model(model)
    if path.is_file():
        if path.suffix != ".keras":
            raise UserError(f"{path} is no model: give a run folder or a .keras file.")
        return Run(path, path.parent, path, _config_beside(path))
    config = _read_config(path / CONFIG)
    if config is None:
        raise UserError(
            f"{path} is no run folder, as it has no {CONFIG}: give a run folder, a .keras file "
            "or the name of a saved model."
        )
    return Run(path, path, path / MODEL, config)


def _read_config(path: pathlib.Path) -> Config | None:
    return load_config(file=path) if path.exists() else None


def _config_beside(model_file: pathlib.Path) -> Config | None:
    """Return the config beside a model file; `None` where that is someone else's file."""
    path = model_file.parent / CONFIG
    try:
        known = str(yaml.read(path).get("format")).isdigit()
    except UserError:
        return None
    return _read_config(path) if known else None


def _saved_model(name: str | os.PathLike) -> pathlib.Path:
    folders = pretrained_folders()
    beside = pathlib.Path("saved_models")
    if beside.is_dir():
        folders |= {each.name: each for each in beside.iterdir() if (each / MODEL).exists()}
    if str(name) in folders:
        return folders[str(name)]
    require_weights(str(name))
    raise UserError(
        f'There is no model "{name}": give a run folder, a .keras file or the name of a saved '
        f"model.{did_you_mean(name, folders)}"
    )


def clear_leftovers(folder: str | os.PathLike) -> None:
    """Remove what a process that was killed as it ended a run has left: its lock, half a file.

    Where another process writes the folder, or nobody can, nothing is done.
    """
    with contextlib.suppress(UserError, OSError), FolderLock(folder):
        remove_temporaries(folder)


def new_folder(out: str | os.PathLike | None, config: Config) -> pathlib.Path:
    """Return the path of the folder for a new run; makes nothing.

    Args:
      out: The path asked for, `None` for `runs/<preset>-<date>-<time>`.
      config: The run's `Config`.

    Raises:
      UserError: If the folder holds anything already, or another process is at it. What a
        process leaves that is killed before there is a run in it counts for nothing.
    """
    if out is None:
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        stem = pathlib.Path("runs", f"{config.preset or 'run'}-{now}")
        return next(
            path
            for i in range(1, 1000)
            if not (path := stem if i == 1 else stem.with_name(f"{stem.name}-{i}")).exists()
        )
    path = pathlib.Path(expanded(out))
    require_free(path, "The run")
    require_unused(path)
    return check_folder(path)


def require_unused(path: pathlib.Path) -> None:
    """Raise `UserError` unless a new run may have the folder `path`."""
    if path.is_file():
        raise UserError(f"{path} is a file, not a folder: choose another --out.")
    if (path / CONFIG).exists():
        raise UserError(
            f"{path} holds a run already: go on with it by --resume {shlex.quote(str(path))}, or "
            "choose another --out."
        )
    if not is_unused(path):
        raise UserError(f"{path} is not empty, and no run folder: choose another --out.")


def is_unused(folder: pathlib.Path) -> bool:
    """Return whether a folder is not there, or holds nothing but what a crash may leave."""
    if not folder.is_dir():
        return True
    for each in folder.iterdir():
        # The logs of the other workers are made before the first one begins.
        known = each.name in (WORKERS, LOCK) or is_temporary(each)
        empty = each.is_dir() and not any(each.iterdir())
        if not known and not (each.name == CHECKPOINT.parent.name and empty):
            return False
    return True


def write_history(path: pathlib.Path, rows: list[dict[str, float]]) -> None:
    """Write the rows of a history as a CSV file, replacing the one before in one step.

    The costs come first, then the same on the split that is held out, then all others.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    first = [*_FIRST, *(f"{split}_{name}" for split in ("val", "test") for name in _FIRST[1:])]
    first = [name for name in first if name in names]
    last = [name for name in _LAST if name in names]
    middle = [name for name in names if name not in first and name not in last]
    text = io.StringIO()
    writer = csv.DictWriter(text, first + middle + last, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_history(path: pathlib.Path) -> list[dict[str, float]]:
    """Return the rows of a history's CSV file, numbers as floats and `epoch` as an int.

    Raises:
      UserError: If a cell is no number, or a row has no epoch.
    """
    try:
        lines = io.StringIO(read_text(path), newline="")
        rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(lines)]
        for row in rows:
            row["epoch"] = int(row["epoch"])
    except (ValueError, TypeError, KeyError, OverflowError, csv.Error) as error:
        raise UserError(
            f"{path} is damaged, as a row of it has no epoch or holds what is no number: delete "
            "it, or resume the run to write it again."
        ) from error
    return rows


def best_epoch(rows: list[dict[str, float]]) -> int | None:
    """Return the epoch with the least `val_total_nats`, or `None` without one."""
    scored = [(row["val_total_nats"], row["epoch"]) for row in rows if "val_total_nats" in row]
    scored = [pair for pair in scored if math.isfinite(pair[0])]
    return int(min(scored)[1]) if scored else None
