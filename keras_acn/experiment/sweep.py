"""A sweep: one run for every point of a grid."""

import dataclasses
import gc
import json

from keras_acn._base.errors import UserError
from keras_acn._base.quiet import tensorflow_errors_only
from keras_acn.experiment import config as config_lib
from keras_acn.experiment import grid as grid_lib
from keras_acn.experiment.folder import CHECKPOINT, CONFIG, open_run
from keras_acn.experiment.sweep_folder import find_runs, table, write_sweep, write_table


@dataclasses.dataclass(frozen=True)
class Point:
    """One run of a sweep.

    Attributes:
      name: Of its folder, such as `"beta=0.5,latent_dim=10"`.
      values: `{option: value}`, the options dotted.
      config: The whole `Config`.
    """

    name: str
    values: dict
    config: config_lib.Config


@dataclasses.dataclass(frozen=True)
class Plan:
    """A grid laid over a preset.

    Attributes:
      base: The `Config` without the grid.
      options: The swept options, dotted.
      points: The runs to train, the last option fastest.
    """

    base: config_lib.Config
    options: tuple
    points: list


def plan(preset=None, grid=(), file=None, overrides=()):
    """Returns the `Plan` of a sweep; every point's config is read, nothing is trained.

    Args:
      preset: Name of a preset, as for `load_config`.
      grid: `{name: [value, ...]}`, or texts `"name=value,value"`. A name is a dotted
        option, or the last part of one where that says which.
      file: A YAML file laid over the preset.
      overrides: Settings that all runs share, as for `load_config`.

    Raises:
      UserError: If a name or a value is wrong.
    """
    base = config_lib.load_config(preset, file, overrides)
    rows = grid.items() if isinstance(grid, dict) else map(grid_lib.parse_grid, grid)
    resolved = {}
    for name, values in rows:
        option = grid_lib.resolve(name, base)
        if option in resolved:
            raise UserError(f"The grid names {option} twice: give all its values in one.")
        resolved[option] = values
    names = grid_lib.labels(resolved, base)
    points = []
    for values in grid_lib.points(resolved):
        config = config_lib.load_config(preset, file, [*overrides, *values.items()])
        points.append(Point(grid_lib.folder_name(values, names), values, config))
    if len({point.name for point in points}) < len(points):
        raise UserError(
            "Two values of the grid would have one folder's name: sweep them in two sweeps."
        )
    return Plan(base, tuple(resolved), points)


def check(planned):
    """Loads the data and builds the model of every point, so that a bad value is said at once.

    Raises:
      UserError: With the point's name, if its data or its model cannot be made.
    """
    from keras_acn.experiment import build
    from keras_acn.experiment.run import check_validation

    seen = {}
    for point in planned.points:
        config = point.config
        source = json.dumps([config.data.model_dump(), config.seed], default=str)
        try:
            if source not in seen:
                data = build.build_data(config)
                seen[source] = data.image_shape, len(data.train), data.validation is not None
            shape, count, has_validation = seen[source]
            check_validation(config.training, has_validation)
            build.build_model(config, shape, count)
        except UserError as error:
            raise UserError(f"The run {point.name} cannot be trained: {error}") from error
        finally:
            gc.collect()


def run(planned, out, on_begin=None, on_end=None, callbacks=()):
    """Trains every run of a sweep that is not finished, and writes the table.

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
      Interrupted: After Ctrl-C, once the run in hand is saved. A `KeyboardInterrupt`.
    """
    folders = find_runs(out, planned)
    unfinished = [point for point in planned.points if not _finished(folders[point.name], point)]
    check(dataclasses.replace(planned, points=unfinished))
    write_sweep(out, planned)
    try:
        # Each model traces its functions once; TensorFlow takes that for one that can't stop.
        with tensorflow_errors_only():
            _train_all(planned, folders, on_begin, on_end, callbacks)
    finally:
        rows = table(out)
        write_table(out, rows)
    return rows


def _train_all(planned, folders, on_begin, on_end, callbacks):
    from keras_acn.experiment.run import train

    for point in planned.points:
        folder = folders[point.name]
        trained = not _finished(folder, point)
        if trained:
            if on_begin is not None:
                on_begin(point, folder)
            more = callbacks(point) if callable(callbacks) else callbacks
            where = {"resume": folder} if _begun(folder) else {"out": folder}
            train(point.config, callbacks=more, **where)
            # Models are in circles of references, and the next one needs the memory.
            gc.collect()
        if on_end is not None:
            on_end(point, open_run(folder), trained)


def _begun(folder):
    """Whether there is a run to go on with; what a crash left of making its folder is removed."""
    if (folder / CONFIG).exists():
        return True
    checkpoints = folder / CHECKPOINT.parent
    if checkpoints.is_dir() and not any(checkpoints.iterdir()):
        checkpoints.rmdir()
    return False


def _finished(folder, point):
    if not (folder / CONFIG).exists():
        return False
    opened = open_run(folder)
    wanted = point.config.training.epochs
    return opened.finished and opened.config.training.epochs == wanted
