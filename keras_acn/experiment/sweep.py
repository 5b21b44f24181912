"""A sweep: one run for every point of a grid, its folder, and the table of them all."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import gc
import io
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from keras_acn._base import lazy
from keras_acn._base.atomic import make_folder, remove_temporaries, write_text
from keras_acn._base.errors import CannotWrite, NotFinite, UserError
from keras_acn._base.lock import FolderLock, require_free
from keras_acn._base.quiet import tensorflow_errors_only
from keras_acn._base.shell import expanded
from keras_acn.experiment import grid as grid_lib
from keras_acn.experiment import yaml
from keras_acn.experiment.config import absolute, load_config
from keras_acn.experiment.folder import CONFIG, Run, clear_leftovers, is_unused, open_run
from keras_acn.experiment.grid import Plan, Point
from keras_acn.experiment.grid import plan as plan
from keras_acn.experiment.schema import Config

if TYPE_CHECKING:
    import keras

build = lazy.module("keras_acn.experiment.build")
run_lib = lazy.module("keras_acn.experiment.run")

# A row of the table.
Row = dict[str, Any]

SWEEP, TABLE = "sweep.yaml", "sweep.csv"
COSTS = ("loss", "total_nats", "reconstruction_nats", "kl_nats", "bits_per_dim")
# What a run that goes on may differ in from what it was begun with.
_MAY_DIFFER = ("training.epochs", "description", "preset")


def run(
    planned: Plan,
    out: str | os.PathLike,
    *,
    on_begin: Callable[[Point, pathlib.Path], None] | None = None,
    on_end: Callable[[Point, Run, bool], None] | None = None,
    callbacks: Callable[[Point], list[keras.callbacks.Callback]] | tuple = (),
) -> list[Row]:
    """Train every run of a sweep that is not finished, and writes the table.

    Args:
      planned: The `Plan`.
      out: The sweep's folder, new or from an earlier call, whose finished runs are left
        alone and whose interrupted ones go on.
      on_begin: Called with `(point, folder)` before a run that is trained.
      on_end: Called with `(point, run, trained)` after each run.
      callbacks: A function that returns Keras callbacks for a `Point`, or a tuple of them.

    Returns:
      The rows of the table, as `table` does.

    Raises:
      UserError: Before anything is trained, if a point cannot be.
      NotFinite: If runs diverged, once all others are trained. A `UserError`.
      Interrupted: After Ctrl-C, once the run in hand is saved. A `KeyboardInterrupt`.
    """
    if planned.base.training.minutes is not None:
        raise UserError(
            "Each run of a sweep would choose another model: train once with the preset auto, and "
            "sweep what that came to, by --config and the run's config.yaml."
        )
    require_free(expanded(out), "The sweep")
    folders = find_runs(out, planned)
    unfinished = [point for point in planned.points if not _finished(folders[point.name], point)]
    check(dataclasses.replace(planned, points=unfinished))
    make_folder(pathlib.Path(expanded(out)))
    with FolderLock(expanded(out), "The sweep"), _telling_what_is_kept():
        # Another process may have been at it since.
        folders = find_runs(out, planned)
        remove_temporaries(expanded(out))
        write_sweep(out, planned)
        try:
            # Each model traces its functions once; TensorFlow takes that for one that can't stop.
            with tensorflow_errors_only():
                _train_all(planned, folders, on_begin, on_end, callbacks)
        finally:
            rows = table(out)
            write_table(out, rows)
    return rows


@contextlib.contextmanager
def _telling_what_is_kept() -> Iterator[None]:
    """A context in which an error of writing says how the sweep goes on."""
    try:
        yield
    except CannotWrite as error:
        raise error.keeping(
            "What was trained until then is kept: go on then with the same command and --out."
        ) from error


def check(planned: Plan) -> None:
    """Load the data and builds the model of every point, so that a bad value is said at once.

    Raises:
      UserError: With the point's name, if its data or its model cannot be made.
    """
    seen = {}
    for point in planned.points:
        config = point.config
        source = json.dumps([config.data.model_dump(), config.seed], default=str)
        try:
            if source not in seen:
                data = build.build_data(config)
                seen[source] = data.image_shape, len(data.train), data.validation is not None
            shape, count, has_validation = seen[source]
            run_lib.check_validation(config.training, has_validation)
            build.build_model(config, shape, count)
        except UserError as error:
            raise UserError(f"The run {point.name} cannot be trained: {error}") from error
        finally:
            gc.collect()


def find_runs(out: str | os.PathLike, planned: Plan) -> dict[str, pathlib.Path]:
    """Return `{point's name: run folder}` in a sweep's folder, new or old; makes nothing.

    A point that an earlier call trained, under whatever name, keeps its folder.

    Raises:
      UserError: If the folder holds anything else, or a sweep over other settings.
    """
    out = pathlib.Path(expanded(out))
    options = list(planned.options)
    if is_sweep(out):
        known, stored = read_sweep(out)
        options = list(dict.fromkeys([*known, *options]))
        _check_base(out, stored, planned.base, options)
    elif (out / CONFIG).exists():
        raise UserError(f"{out} holds a run, not a sweep: choose another --out.")
    elif out.is_file() or not is_unused(out):
        raise UserError(f"{out} is not empty, and no sweep: choose another --out.")
    there = {each: absolute(load_config(file=each / CONFIG)) for each in _folders(out)}
    folders = {}
    for point in planned.points:
        same = [f for f, config in there.items() if _same(config, point.config, options)]
        folder = same[0] if same else out / point.name
        if same and there[folder].training.epochs > point.config.training.epochs:
            raise UserError(
                f"The runs in {out} are set to {there[folder].training.epochs} epochs: --epochs "
                f"may raise that, not lower it to {point.config.training.epochs}."
            )
        folders[point.name] = folder
    return folders


def write_sweep(out: str | os.PathLike, planned: Plan) -> None:
    """Make a sweep's folder where there is none, and notes in it what is swept."""
    out = pathlib.Path(expanded(out))
    known = read_sweep(out)[0] if is_sweep(out) else []
    options = list(dict.fromkeys([*known, *planned.options]))
    make_folder(out)
    base = planned.base.model_dump(exclude={"versions"})
    write_text(out / SWEEP, yaml.dump({"options": options, "base": base}))


def table(out: str | os.PathLike) -> list[Row]:
    """Return the runs of a sweep as dicts, sorted by the swept values.

    Each has `run` (the folder's name), the swept values under their short names, the
    epochs done, whether it is finished, the costs of the last epoch, those on the validation
    split as `val_...` (where there is none, those on the test split as `test_...`, which no run
    of the sweep should be chosen by), the number of parameters and the seconds.
    """
    out = pathlib.Path(expanded(out))
    names = grid_lib.labels(*read_sweep(out))
    rows = []
    for folder in _folders(out):
        opened = open_run(folder)
        metrics, flat = opened.metrics, _values(opened.settings)
        if not metrics:
            continue
        row: dict[str, Any] = {"run": folder.name}
        row |= {names[option]: flat.get(option) for option in names}
        row |= {k: metrics[k] for k in ("epochs", "finished") if k not in row}
        # A training loss has no bits per dimension.
        hidden = () if metrics.get("is_code_length", True) else ("bits_per_dim",)
        trained = metrics.get("train") or {}
        row |= {name: trained.get(name) for name in COSTS if name not in hidden}
        prefix, split = ("val", "validation") if metrics.get("validation") else ("test", "test")
        held_out = metrics.get(split) or {}
        row |= {
            f"{prefix}_{name}": held_out[name]
            for name in COSTS
            if name in held_out and name not in hidden
        }
        row |= {k: metrics.get(k) for k in ("parameters", "seconds") if k not in row}
        rows.append(row)
    return sorted(rows, key=lambda row: [_order(row[name]) for name in names.values()])


def is_sweep(out: str | os.PathLike) -> bool:
    """Return whether a folder is that of a sweep."""
    return (pathlib.Path(expanded(out)) / SWEEP).exists()


def swept(out: str | os.PathLike) -> list[str]:
    """Return the short names of the options that a sweep's folder was ever given."""
    return list(grid_lib.labels(*read_sweep(out)).values())


def read_sweep(out: str | os.PathLike) -> tuple[list[str], Config]:
    """Return `(options, base)`: what was ever swept, dotted, and the `Config` under it.

    Raises:
      UserError: If the folder holds no sweep.
    """
    path = pathlib.Path(expanded(out)) / SWEEP
    if not path.exists():
        raise UserError(f"{out} holds no sweep, as it has no {SWEEP}.")
    stored = yaml.read(path)
    try:
        options = TypeAdapter(list[str]).validate_python(stored["options"])
        return options, absolute(Config.model_validate(stored["base"]))
    except (KeyError, TypeError, ValidationError) as error:
        raise UserError(f"{path} is damaged: choose another --out.") from error


def write_table(out: str | os.PathLike, rows: list[Row]) -> None:
    """Write `sweep.csv`, replacing the one before in one step."""
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row)) or ["run"]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        listed = {k: grid_lib.text_of(v) for k, v in row.items() if isinstance(v, (list, bool))}
        writer.writerow(row | listed)
    write_text(pathlib.Path(expanded(out)) / TABLE, text.getvalue())


def _train_all(
    planned: Plan, folders: dict[str, pathlib.Path], on_begin, on_end, callbacks
) -> None:
    diverged: list[tuple[str, NotFinite]] = []
    for point in planned.points:
        folder = folders[point.name]
        trained = not _finished(folder, point)
        if trained:
            if on_begin is not None:
                on_begin(point, folder)
            more = callbacks(point) if callable(callbacks) else callbacks
            where = {"resume": folder} if (folder / CONFIG).exists() else {"out": folder}
            try:
                run_lib.train(point.config, callbacks=more, **where)
            except NotFinite as error:
                diverged.append((point.name, error))
                continue
            finally:
                # Models are in circles of references, and the next one needs the memory.
                gc.collect()
        else:
            clear_leftovers(folder)
        if on_end is not None:
            on_end(point, open_run(folder), trained)
    if diverged:
        names, errors = zip(*diverged, strict=True)
        raise errors[0].advising(
            f"That was the run {names[0]}; {len(planned.points) - len(names)} of the "
            f"{len(planned.points)} runs are done, and these diverged: {'; '.join(names)}. What "
            "usually helps is training.clipnorm, a smaller training.learning_rate, or a warm-up of "
            "the KL (training.kl_warmup_epochs), in another --out."
        )


def _finished(folder: pathlib.Path, point: Point) -> bool:
    if not (folder / CONFIG).exists():
        return False
    opened = open_run(folder)
    wanted = point.config.training.epochs
    return opened.finished and opened.settings.training.epochs == wanted


def _folders(out: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path.parent for path in out.glob(f"*/{CONFIG}"))


def _order(value: Any) -> tuple[int, float, str]:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return (0, value, "") if number else (1, 0, grid_lib.text_of(value))


def _values(config: Config) -> dict[str, Any]:
    """Return a config's values under dotted names; a part's own name is its name."""
    flat = config.flat()
    parts = {key[: -len(".name")]: value for key, value in flat.items() if key.endswith(".name")}
    return flat | {key: value for key, value in parts.items() if flat.get(key) is None}


def _differences(
    one: Config, other: Config, apart_from: Iterable[str]
) -> Iterator[tuple[str, Any, Any]]:
    before, after = one.flat(), other.flat()
    for key in dict.fromkeys([*before, *after]):
        inside = any(key == option or key.startswith(f"{option}.") for option in apart_from)
        if not inside and before.get(key) != after.get(key):
            yield key, before.get(key), after.get(key)


def _same(config: Config, wanted: Config, options: list[str]) -> bool:
    apart = [key for key in _MAY_DIFFER if key not in options]
    return next(_differences(config, wanted, apart), None) is None


def _check_base(out: pathlib.Path, stored: Config, base: Config, options: list[str]) -> None:
    # Where the model or a part is swept by name, its options and its parts go with it.
    parts = {option.partition(".")[0] for option in options if option.endswith("name")}
    for key, before, after in _differences(stored, base, [*_MAY_DIFFER, *options, *parts]):
        raise UserError(
            f"{out} holds a sweep in which {key} is {grid_lib.text_of(before)}, not "
            f"{grid_lib.text_of(after)}: choose another --out."
        )
