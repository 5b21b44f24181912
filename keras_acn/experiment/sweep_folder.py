"""The folder of a sweep: which runs are in it, and the table of them all."""

import csv
import io
import pathlib

from pydantic import ValidationError

from keras_acn._base.atomic import make_folder, write_text
from keras_acn._base.errors import UserError
from keras_acn.experiment import config as config_lib
from keras_acn.experiment import grid as grid_lib
from keras_acn.experiment import yaml
from keras_acn.experiment.folder import CONFIG, open_run

SWEEP, TABLE = "sweep.yaml", "sweep.csv"
COSTS = ("loss", "total_nats", "reconstruction_nats", "kl_nats", "bits_per_dim")
# What a run that goes on may differ in from what it was begun with.
_MAY_DIFFER = ("training.epochs", "description", "preset")


def find_runs(out, planned):
    """Returns `{point's name: run folder}` in a sweep's folder, new or old; makes nothing.

    A point that an earlier call trained, under whatever name, keeps its folder.

    Raises:
      UserError: If the folder holds anything else, or a sweep over other settings.
    """
    out = pathlib.Path(out)
    options = list(planned.options)
    if (out / SWEEP).exists():
        known, stored = read_sweep(out)
        options = list(dict.fromkeys([*known, *options]))
        _check_base(out, stored, planned.base, options)
    elif (out / CONFIG).exists():
        raise UserError(f"{out} holds a run, not a sweep: choose another --out.")
    elif out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UserError(f"{out} is not empty, and no sweep: choose another --out.")
    there = {folder: config_lib.load_config(file=folder / CONFIG) for folder in _folders(out)}
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


def write_sweep(out, planned):
    """Makes a sweep's folder where there is none, and notes in it what is swept."""
    out = pathlib.Path(out)
    known = read_sweep(out)[0] if (out / SWEEP).exists() else []
    options = list(dict.fromkeys([*known, *planned.options]))
    make_folder(out)
    base = planned.base.model_dump(exclude={"versions"})
    write_text(out / SWEEP, yaml.dump({"options": options, "base": base}))


def table(out):
    """Returns the runs of a sweep as dicts, sorted by the swept values.

    Each has `run` (the folder's name), the swept values under their short names, the
    epochs done, whether it is finished, the costs of the last epoch, `val_...` for the
    costs on the validation split (on the test split where there is none), the number of
    parameters and the seconds.
    """
    out = pathlib.Path(out)
    names = grid_lib.labels(*read_sweep(out))
    rows = []
    for folder in _folders(out):
        opened = open_run(folder)
        metrics, flat = opened.metrics, _values(opened.config)
        if not metrics:
            continue
        row = {"run": folder.name}
        row |= {names[option]: flat.get(option) for option in names}
        row |= {k: metrics[k] for k in ("epochs", "finished") if k not in row}
        held_out = metrics.get("validation") or metrics.get("test") or {}
        row |= {name: metrics["train"].get(name) for name in COSTS}
        row |= {f"val_{name}": held_out[name] for name in COSTS if name in held_out}
        row |= {k: metrics.get(k) for k in ("parameters", "seconds") if k not in row}
        rows.append(row)
    return sorted(rows, key=lambda row: [_order(row[name]) for name in names.values()])


def swept(out):
    """Returns the short names of the options that a sweep's folder was ever given."""
    return list(grid_lib.labels(*read_sweep(out)).values())


def read_sweep(out):
    """Returns `(options, base)`: what was ever swept, dotted, and the `Config` under it.

    Raises:
      UserError: If the folder holds no sweep.
    """
    path = pathlib.Path(out) / SWEEP
    if not path.exists():
        raise UserError(f"{out} holds no sweep, as it has no {SWEEP}.")
    stored = yaml.read(path)
    try:
        return list(stored["options"]), config_lib.Config.model_validate(stored["base"])
    except (KeyError, TypeError, ValidationError) as error:
        raise UserError(f"{path} is damaged: choose another --out.") from error


def write_table(out, rows):
    """Writes `sweep.csv`, replacing the one before in one step."""
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row)) or ["run"]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        listed = {k: grid_lib.text_of(v) for k, v in row.items() if isinstance(v, (list, bool))}
        writer.writerow(row | listed)
    write_text(pathlib.Path(out) / TABLE, text.getvalue())


def _folders(out):
    return sorted(path.parent for path in out.glob(f"*/{CONFIG}"))


def _order(value):
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return (0, value, "") if number else (1, 0, grid_lib.text_of(value))


def _values(config):
    """Returns a config's values under dotted names; a part's own name is its name."""
    flat = config.flat()
    parts = {key[: -len(".name")]: value for key, value in flat.items() if key.endswith(".name")}
    return flat | {key: value for key, value in parts.items() if flat.get(key) is None}


def _differences(one, other, apart_from):
    one, other = one.flat(), other.flat()
    for key in dict.fromkeys([*one, *other]):
        inside = any(key == option or key.startswith(f"{option}.") for option in apart_from)
        if not inside and one.get(key) != other.get(key):
            yield key, one.get(key), other.get(key)


def _same(config, wanted, options):
    apart = [key for key in _MAY_DIFFER if key not in options]
    return next(_differences(config, wanted, apart), None) is None


def _check_base(out, stored, base, options):
    # Where the model or a part is swept by name, its options and its parts go with it.
    parts = {option.partition(".")[0] for option in options if option.endswith("name")}
    for key, before, after in _differences(stored, base, [*_MAY_DIFFER, *options, *parts]):
        raise UserError(
            f"{out} holds a sweep in which {key} is {grid_lib.text_of(before)}, not "
            f"{grid_lib.text_of(after)}: choose another --out."
        )
