"""A sweep's figures: nats against what was swept, and its models' images side by side."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import numpy as np

from keras_acn import plots
from keras_acn._base.checks import check_seed
from keras_acn._base.shell import expanded
from keras_acn.experiment.folder import open_run
from keras_acn.experiment.grid import text_of
from keras_acn.experiment.sweep import Row, swept, table
from keras_acn.figures.subject import COUNT, choose_split, columns

# More lines than this on one chart cannot be told apart.
MOST_LINES = 7
TERMS = ("total_nats", "reconstruction_nats", "kl_nats")


def draw_sweep(out: str | os.PathLike, *, seed: int = 0) -> dict[str, Any]:
    """Draw the figures of a sweep's finished runs; there are none where no run is finished.

    Args:
      out: The sweep's folder.
      seed: Seed of the choice of images and of all that is sampled.

    Returns:
      `{name: figure}`, as `keras_acn.figures.draw`.
    """
    out, seed = pathlib.Path(expanded(out)), check_seed(seed)
    rows = [row for row in table(out) if row["finished"]]
    if not rows:
        return {}
    names = swept(out)
    return {**_charts(out, rows, names), **_pictures(out, rows, names, seed)}


def _charts(out: pathlib.Path, rows: list[Row], names: list[str]) -> dict[str, Any]:
    """Nats against each swept option that took more than one value, and the loss curves."""
    varied = [name for name in names if len({repr(row[name]) for row in rows}) > 1]
    # Where the validation split is swept, some runs have its costs and some those of the test.
    keys = dict.fromkeys(key for row in rows for key in row)
    figures = {}
    for name in varied:
        others = [other for other in varied if other != name]
        values = {key: [row.get(key) for row in rows] for key in keys}
        figures[f"nats-{name}"] = plots.sweep_curves(
            values, name, TERMS, by=others or None, log=_log_axis(rows), title=out.name
        )
    if len(rows) <= MOST_LINES:
        runs = (open_run(out / row["run"]) for row in rows)
        histories = {run.path.name: columns(run.history) for run in runs if run.history}
        if histories:
            figures["loss"] = plots.loss_curves(histories, "total_nats", title=out.name)
    return figures


def _log_axis(rows: list[Row]) -> str | bool:
    """Which axis is logarithmic: nats, where a code that costs nothing dwarfs all others."""
    totals = [row["total_nats"] for row in rows if row["total_nats"] is not None]
    return "y" if totals and min(totals) > 0 and max(totals) > 3 * min(totals) else False


def _pictures(out: pathlib.Path, rows: list[Row], names: list[str], seed: int) -> dict[str, Any]:
    """Reconstructions of the same images, and samples, a row for each run.

    Where the data are swept too, those runs are drawn that have the first one's.
    """
    originals, rebuilt, drawn = None, {}, {}
    for row in rows:
        run = open_run(out / row["run"])
        if originals is None:
            first = run.settings.data
            pixels = choose_split(run.data, None)[1].arrays()[0]
            chosen = np.sort(np.random.default_rng(seed).permutation(len(pixels))[:COUNT])
            originals = pixels[chosen]
        elif run.settings.data != first:
            continue
        label = ", ".join(f"{name} = {text_of(row[name])}" for name in names)
        rebuilt[label] = run.model.reconstruct(originals, seed=seed)
        drawn[label] = run.model.sample(COUNT, seed=seed)
    if originals is None:
        return {}
    return {
        "reconstructions": plots.comparison(
            originals, rebuilt, title=f"{out.name}: reconstructions"
        ),
        "samples": plots.rows(drawn, title=f"{out.name}: samples from the prior"),
    }
