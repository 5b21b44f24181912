"""The history of a run: one row an epoch."""

import csv
import io
import math

from keras_acn._base.atomic import write_text
from keras_acn._base.errors import UserError

_FIRST = ("epoch", "loss", "reconstruction_nats", "kl_nats", "total_nats", "bits_per_dim")
_LAST = ("learning_rate", "seconds")


def columns(rows):
    """Returns the names of all columns: the costs, their `val_` twins, the others."""
    names = dict.fromkeys(name for row in rows for name in row)
    first = [*_FIRST, *(f"val_{name}" for name in _FIRST[1:])]
    ordered = [name for name in first if name in names]
    last = [name for name in _LAST if name in names]
    middle = [name for name in names if name not in ordered and name not in last]
    return ordered + middle + last


def write(path, rows):
    """Writes the rows as a CSV file, replacing the one before in one step."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read(path):
    """Returns the rows of a CSV file, numbers as floats and `epoch` as an int.

    Raises:
      UserError: If a cell is no number, or a row has no epoch.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
        for row in rows:
            row["epoch"] = int(row["epoch"])
    except (ValueError, TypeError, KeyError, OverflowError, csv.Error) as error:
        raise UserError(
            f"{path} is damaged, as a row of it has no epoch or holds what is no number: delete "
            "it, or resume the run to write it again."
        ) from error
    return rows


def best_epoch(rows):
    """Returns the epoch with the least `val_total_nats`, or `None` without one."""
    scored = [(row["val_total_nats"], row["epoch"]) for row in rows if "val_total_nats" in row]
    scored = [pair for pair in scored if math.isfinite(pair[0])]
    return min(scored)[1] if scored else None
