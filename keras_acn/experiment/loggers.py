"""Where a run is logged beside its own files: MLflow and Weights & Biases.

Each by its own Keras callback. What they write to (a server, a folder, nothing but a file) is said
to them as ever, by their environment variables.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from keras_acn._base.atomic import write_text
from keras_acn._base.errors import UserError, short
from keras_acn._base.reading import read_text
from keras_acn.experiment.folder import Run

if TYPE_CHECKING:
    import keras

# In the run's folder: what the loggers call the run, by which a resumed one goes on there.
NAMES = "loggers.json"


def require_installed(names: Iterable[str]) -> None:
    """Check that the packages of some loggers are there.

    Raises:
      UserError: If one is not.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"training.loggers names {name}, which is not installed: pip install "
                f'"keras-acn[{name}]", or leave it out.'
            )


@contextlib.contextmanager
def logging(run: Run, *, writes: bool = True) -> Iterator[list[keras.callbacks.Callback]]:
    """A context in which a run is logged as its `training.loggers` say.

    Args:
      run: The run.
      writes: Whether this worker writes the run's folder; no other logs.

    Yields:
      Callbacks for `fit`.
    """
    with contextlib.ExitStack() as stack:
        names = run.settings.training.loggers if writes else []
        yield [stack.enter_context(_LOGGERS[name](run)) for name in names]


def _said(error: Exception) -> str:
    return short(str(error), 200).rstrip(". ")


def _names(run: Run) -> dict[str, str]:
    """Return what the loggers call a run, by logger.

    Raises:
      UserError: If the file that says so is damaged.
    """
    path = run.folder / NAMES
    if not path.exists():
        return {}
    try:
        return TypeAdapter(dict[str, str]).validate_json(read_text(path))
    except ValueError as error:
        raise UserError(
            f"{path} is damaged: delete it, and the run is logged under a new name."
        ) from error


def _keep_name(run: Run, logger: str, name: str) -> None:
    names = {**_names(run), logger: name}
    write_text(run.folder / NAMES, json.dumps(names, indent=2) + "\n")


@contextlib.contextmanager
def _mlflow(run: Run) -> Iterator[keras.callbacks.Callback]:
    import mlflow
    import mlflow.keras

    known = _names(run).get("mlflow")
    nested = mlflow.active_run() is not None
    try:
        if known is not None:
            try:
                mlflow.start_run(run_id=known, nested=nested)
            except mlflow.MlflowException:
                known = None  # deleted, or in another store
        if known is None:
            begun = mlflow.start_run(run_name=run.folder.name, nested=nested)
            _keep_name(run, "mlflow", begun.info.run_id)
            settings = run.settings.flat()
            mlflow.log_params(
                {name: value for name, value in settings.items() if value is not None}
            )
    except (mlflow.MlflowException, OSError) as error:
        raise UserError(
            f"MLflow cannot log to {mlflow.get_tracking_uri()} ({_said(error)}): set "
            "MLFLOW_TRACKING_URI to a store, such as sqlite:///mlflow.db."
        ) from error
    status = "FAILED"
    try:
        yield mlflow.keras.MlflowCallback()
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        mlflow.flush_async_logging()
        mlflow.end_run(status)


@contextlib.contextmanager
def _wandb(run: Run) -> Iterator[keras.callbacks.Callback]:
    import wandb
    from wandb.integration.keras import WandbMetricsLogger

    known = _names(run).get("wandb")
    try:
        begun = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "keras-acn"),
            name=run.folder.name,
            id=known,
            resume=None if known is None else "allow",
            config=run.settings.flat(),
        )
    except (wandb.Error, OSError) as error:
        raise UserError(
            f"Weights & Biases cannot begin a run ({_said(error)}): log in by `wandb "
            "login`, or set WANDB_MODE=offline."
        ) from error
    _keep_name(run, "wandb", begun.id)
    code = 1
    try:
        yield WandbMetricsLogger()
        code = 0
    finally:
        begun.finish(exit_code=code)


_LOGGERS = {"mlflow": _mlflow, "wandb": _wandb}
