"""Everything that a run needs to go on exactly where it stopped, in one file."""

import dataclasses
import json
import zipfile
import zlib

import numpy as np

from keras_acn._base.atomic import replacing
from keras_acn._base.errors import UserError

# What NumPy raises for a file that is cut off, overwritten or something else.
_DAMAGED = (
    AttributeError,
    EOFError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclasses.dataclass
class Progress:
    """How far a run has come.

    Attributes:
      epoch: Epochs that are complete.
      step: Optimizer steps done in the epoch after those.
      seconds: Time spent in that unfinished epoch.
      history: One dict for each complete epoch, the rows of `history.csv`.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    history: list = dataclasses.field(default_factory=list)


def variables_of(model):
    """Returns the variables of a compiled model by what holds them.

    The codebook (codes, what is used up, its health) and the state of the random
    generators are weights of the model; the optimizer's averages (EMA) are among its own
    variables; the metrics' sums count in the middle of an epoch.
    """
    return {
        "model": model.variables,
        "optimizer": model.optimizer.variables,
        "metrics": model.metrics_variables,
    }


def state(model):
    """Returns the arrays that `restore` puts back, of a compiled model."""
    return {
        f"{kind}/{i:05d}": np.asarray(variable)
        for kind, variables in variables_of(model).items()
        for i, variable in enumerate(variables)
    }


def save(path, arrays, progress):
    """Writes a checkpoint, replacing the one before in one step.

    Args:
      path: The `.npz` file.
      arrays: The `state` of a compiled model whose optimizer is built.
      progress: Its `Progress`.
    """
    meta = json.dumps(dataclasses.asdict(progress)).encode()
    with replacing(path) as temporary:
        np.savez(temporary, meta=np.frombuffer(meta, np.uint8), **arrays)


def read(path):
    """Returns `(progress, arrays)` of the checkpoint at `path`.

    Raises:
      UserError: If the file is damaged.
    """
    try:
        arrays = _arrays(path)
        progress = Progress(**json.loads(bytes(arrays.pop("meta"))))
    except _DAMAGED as error:
        raise UserError(
            f"The checkpoint {path} is damaged: delete it to begin the run again."
        ) from error
    return progress, arrays


def _arrays(path):
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def restore(model, arrays, path):
    """Puts the arrays of a checkpoint into the variables of a model built alike.

    Args:
      model: A compiled model whose optimizer is built.
      arrays: As `read` returns them.
      path: Where they come from, for the error's sentence.

    Raises:
      UserError: If they belong to a model of another shape.
    """
    for kind, variables in variables_of(model).items():
        keys = [f"{kind}/{i:05d}" for i in range(len(variables))]
        count = sum(key.startswith(f"{kind}/") for key in arrays)
        fits = count == len(keys) and all(
            arrays[key].shape == tuple(variable.shape)
            for key, variable in zip(keys, variables, strict=True)
        )
        if not fits:
            raise UserError(
                f"The checkpoint {path} belongs to another model than the run's config.yaml "
                "describes: train again with another --out."
            )
        for key, variable in zip(keys, variables, strict=True):
            variable.assign(arrays[key])


def save_weights(path, model):
    """Writes the weights that the model would be used with: averaged ones under EMA."""
    kept = [np.asarray(variable) for variable in model.trainable_variables]
    model.optimizer.finalize_variable_values(model.trainable_variables)
    arrays = {f"model/{i:05d}": np.asarray(v) for i, v in enumerate(model.variables)}
    for variable, value in zip(model.trainable_variables, kept, strict=True):
        variable.assign(value)
    with replacing(path) as temporary:
        np.savez(temporary, **arrays)


def restore_weights(path, model):
    """Puts weights written by `save_weights` into a model built alike.

    Raises:
      UserError: If the file is damaged, or belongs to a model of another shape.
    """
    try:
        arrays = _arrays(path)
        values = [arrays[f"model/{i:05d}"] for i in range(len(model.variables))]
        for variable, value in zip(model.variables, values, strict=True):
            variable.assign(value)
    except _DAMAGED as error:
        raise UserError(
            f"The weights of the best epoch, {path}, are damaged: delete the file and resume "
            "the run, to keep the last epoch's instead."
        ) from error
