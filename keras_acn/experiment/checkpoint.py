"""Everything that a run needs to go on exactly where it stopped, in one file."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import keras
import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter

from keras_acn._base.atomic import replacing
from keras_acn._base.errors import NotFinite, UserError
from keras_acn._base.numpy_files import read_arrays

Arrays = dict[str, np.ndarray]

# What NumPy raises for a file that is cut off, overwritten or something else.
_DAMAGED = (
    AttributeError,
    EOFError,
    KeyError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
_BY_POSITION = re.compile(r"(model|optimizer|metrics)/\d{5}")


@dataclasses.dataclass
class Progress:
    """How far a run has come.

    Attributes:
      epoch: Epochs that are complete.
      step: Optimizer steps done in the epoch after those.
      seconds: Time spent in that unfinished epoch.
      history: One dict for each complete epoch, the rows of `history.csv`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    epoch: Annotated[int, Field(ge=0, le=10**8)] = 0
    step: Annotated[int, Field(ge=0)] = 0
    seconds: Annotated[float, Field(ge=0)] = 0.0
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)


def _progress(meta: bytes) -> Progress:
    """Return the progress that a checkpoint's JSON tells; raise `ValueError` if it is none."""
    progress = TypeAdapter(Progress).validate_python(json.loads(meta))
    rows = [row.get("epoch") for row in progress.history]
    if rows and (len(rows) != progress.epoch or rows != list(range(1, len(rows) + 1))):
        raise ValueError("The history is not that of the epochs.")
    for row in progress.history:
        # Else `history.csv` would be another after a resumption: 1.0 for 1.
        row["epoch"] = int(row["epoch"])
    return progress


def variables_of(model: keras.Model) -> dict[str, keras.Variable]:
    """Return the variables of a compiled model, each under a name that says what it is.

    The names are Keras's `variable.path` under the attribute of the model that holds it, such as
    `"model/encoder/dense_1/kernel"`, `"optimizer/adam/encoder/dense_1/kernel/momentum"` and
    `"metrics/loss/total"`. Keras counts layers of a kind over the whole process; here they are
    counted within what holds them, so that another process has the same names.

    The codebook (codes, what is used up, its health) and the state of the random generators are
    weights of the model; the optimizer's averages (EMA) are among its own variables; the metrics'
    sums count in the middle of an epoch.
    """
    weights = _model_names(model)
    return {
        **{f"model/{name}": variable for name, variable in weights.items()},
        **{f"optimizer/{n}": v for n, v in _optimizer_names(model, weights).items()},
        **{f"metrics/{name}": variable for name, variable in _metric_names(model).items()},
    }


def state(model: keras.Model) -> Arrays:
    """Return the arrays that `restore` puts back, of a compiled model."""
    return {name: np.asarray(variable) for name, variable in variables_of(model).items()}


def require_finite(arrays: Arrays) -> None:
    """Raise `NotFinite` if a weight or the optimizer's memory of it is no number any more.

    A step of finite gradients may still be too large for the weights.

    Args:
      arrays: By name, as `state` returns them. Sums of metrics may be what they are.
    """
    for name, array in arrays.items():
        # Of `bfloat16` too, which NumPy takes for no float.
        of_model = name.startswith(("model/", "optimizer/")) and array.dtype.kind not in "biuSU"
        if of_model and not np.isfinite(array.astype(np.float64)).all():
            raise NotFinite(None, [name])


def save(path: pathlib.Path, arrays: Arrays, progress: Progress) -> None:
    """Write a checkpoint, replacing the one before in one step.

    Args:
      path: The `.npz` file.
      arrays: The `state` of a compiled model whose optimizer is built.
      progress: How far it has come.

    Raises:
      NotFinite: If a weight is no number; the checkpoint before is kept.
    """
    require_finite(arrays)
    meta = json.dumps(dataclasses.asdict(progress)).encode()
    with replacing(path) as temporary:
        named: dict[str, Any] = {"meta": np.frombuffer(meta, np.uint8), **arrays}
        np.savez(temporary, **named)


def read(path: pathlib.Path) -> tuple[Progress, Arrays]:
    """Return `(progress, arrays)` of the checkpoint at `path`.

    Raises:
      UserError: If the file is damaged.
    """
    try:
        arrays = read_arrays(path, packed=False)
        progress = _progress(bytes(arrays.pop("meta")))
    except _DAMAGED as error:
        raise UserError(
            f"The checkpoint {path} is damaged: delete it to begin the run again."
        ) from error
    return progress, arrays


def restore(model: keras.Model, arrays: Arrays, path: pathlib.Path) -> None:
    """Put the arrays of a checkpoint into the variables of a model built alike.

    Args:
      model: A compiled model whose optimizer is built.
      arrays: As `read` returns them: by name, or in version 0.1.0's files by position.
      path: Where they come from, for the error's sentence.

    Raises:
      UserError: If they belong to another model; the sentence says in what they differ.
    """
    _assign(variables_of(model), arrays, path)


def save_weights(path: pathlib.Path, model: keras.Model) -> None:
    """Write the weights that the model would be used with: averaged ones under EMA.

    Raises:
      NotFinite: If one of them is no number; the file before is kept.
    """
    kept = [np.asarray(variable) for variable in model.trainable_variables]
    model.optimizer.finalize_variable_values(model.trainable_variables)
    names = _model_names(model)
    arrays: dict[str, Any] = {f"model/{name}": np.asarray(v) for name, v in names.items()}
    for variable, value in zip(model.trainable_variables, kept, strict=True):
        variable.assign(value)
    require_finite(arrays)
    with replacing(path) as temporary:
        np.savez(temporary, **arrays)


def restore_weights(path: pathlib.Path, model: keras.Model) -> None:
    """Put weights written by `save_weights` into a model built alike.

    Raises:
      UserError: If the file is damaged, or belongs to another model.
    """
    weights = {f"model/{name}": variable for name, variable in _model_names(model).items()}
    try:
        arrays = read_arrays(path, packed=False)
    except _DAMAGED as error:
        raise UserError(
            f"The weights of the best epoch, {path}, are damaged: delete the file and resume "
            "the run, to keep the last epoch's instead."
        ) from error
    _assign(weights, arrays, path)


def _assign(variables: dict[str, keras.Variable], arrays: Arrays, path: pathlib.Path) -> None:
    if any(_BY_POSITION.fullmatch(key) for key in arrays):
        arrays = _named(arrays, list(variables))
    fault = _difference(variables, arrays)
    if fault:
        raise UserError(
            f"The checkpoint {path} belongs to another model than the run's config.yaml "
            f"describes, as {fault}: train again with another --out."
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _named(arrays: Arrays, names: list[str]) -> Arrays:
    """Return the arrays of version 0.1.0, which are numbered in the order of the variables."""
    named: Arrays = {}
    for kind in dict.fromkeys(name.partition("/")[0] for name in [*arrays, *names]):
        old = sorted(key for key in arrays if key.startswith(f"{kind}/"))
        new = [name for name in names if name.startswith(f"{kind}/")]
        # What one has more than the other keeps its name, which then fits nothing.
        new += old[len(new) :]
        named |= {name: arrays[key] for name, key in zip(new, old, strict=False)}
    return named


def _difference(variables: dict[str, keras.Variable], arrays: Arrays) -> str | None:
    """Return the first thing in which arrays and variables differ, in words."""
    for name, variable in variables.items():
        if name not in arrays:
            return f"it has no {name}"
        if arrays[name].dtype.kind not in "biufV":
            return f"its {name} holds no numbers"
        there, wanted = arrays[name].shape, tuple(variable.shape)
        if there != wanted:
            return f"its {name} has the shape {list(there)}, not {list(wanted)}"
    more = next((name for name in arrays if name not in variables), None)
    return None if more is None else f"the model has no {more}"


def _model_names(model: keras.Model) -> dict[str, keras.Variable]:
    owners: dict[int, str] = {}
    for attribute, value in vars(model).items():
        if isinstance(value, keras.Layer):
            owners |= {id(each): attribute for each in value.variables if id(each) not in owners}
    return _unlike(
        (f"{owners[id(v)]}/{v.path}" if id(v) in owners else v.path, v) for v in model.variables
    )


def _optimizer_names(
    model: keras.Model, weights: dict[str, keras.Variable]
) -> dict[str, keras.Variable]:
    """Name an optimizer's variables after the weights that they are about.

    Keras calls them `PATH_WITH_UNDERSCORES_momentum`. Weights of one path have theirs in the
    order of the weights.
    """
    names = {id(variable): name for name, variable in weights.items()}
    flat: dict[str, list[str]] = {}
    for variable in model.trainable_variables:
        flat.setdefault(variable.path.replace("/", "_"), []).append(names[id(variable)])
    seen: dict[str, int] = {}

    def pairs() -> Iterator[tuple[str, keras.Variable]]:
        for variable in model.optimizer.variables:
            optimizer, _, last = variable.path.rpartition("/")
            cuts = [i for i, letter in enumerate(last) if letter == "_"]
            cut = next((i for i in reversed(cuts) if last[:i] in flat), None)
            if cut is None:
                yield variable.path, variable
                continue
            candidates = flat[last[:cut]]
            place = seen[variable.path] = seen.get(variable.path, -1) + 1
            weight = candidates[place % len(candidates)]
            yield f"{optimizer}/{weight}/{last[cut + 1 :]}", variable

    return _unlike(pairs())


def _metric_names(model: keras.Model) -> dict[str, keras.Variable]:
    owners = {id(v): metric.name for metric in model.metrics for v in metric.variables}
    return _unlike((f"{owners.get(id(v), 'other')}/{v.path}", v) for v in model.metrics_variables)


def _unlike(pairs: Iterable[tuple[str, keras.Variable]]) -> dict[str, keras.Variable]:
    """Return variables by their paths, with the numbers of a process taken out of these.

    `dense_7` and `dense_9` beside each other become `dense` and `dense_1`; a path that is there
    twice gets a `#2`.
    """
    siblings: dict[tuple[str, str], list[str]] = {}
    named: dict[str, keras.Variable] = {}
    for path, variable in pairs:
        name = ""
        for part in path.split("/"):
            stem = re.sub(r"_\d+$", "", part)
            alike = siblings.setdefault((name, stem), [])
            if part not in alike:
                alike.append(part)
            rank = alike.index(part)
            name += f"/{stem}_{rank}" if rank else f"/{stem}"
        name, count = name[1:], 2
        while f"{name}#{count}" in named:
            count += 1
        named[f"{name}#{count}" if name in named else name] = variable
    return named
