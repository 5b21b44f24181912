"""A sweep's figures: nats against what was swept, and its models' images side by side."""

import numpy as np

from keras_acn import plots
from keras_acn.figures import save
from keras_acn.figures.subject import choose_split, columns

COUNT = 10
# More lines than this on one chart cannot be told apart.
MOST_LINES = 7
TERMS = ("total_nats", "reconstruction_nats", "kl_nats")


def draw(out, folder, seed=0):
    """Draws the figures of a sweep's finished runs into a folder and returns their paths.

    Args:
      out: The sweep's folder, a `pathlib.Path`.
      folder: Where to draw, made where it is missing.
      seed: Seed of the choice of images and of all that is sampled.
    """
    from keras_acn.experiment.sweep_folder import swept, table

    rows = [row for row in table(out) if row["finished"]]
    if not rows:
        return []
    names = swept(out)
    figures = {**_charts(out, rows, names), **_pictures(out, rows, names, seed)}
    return [save(figure, folder, name) for name, figure in figures.items()]


def _charts(out, rows, names):
    """Nats against each swept option that took more than one value, and the loss curves."""
    from keras_acn.experiment.folder import open_run

    varied = [name for name in names if len({repr(row[name]) for row in rows}) > 1]
    figures = {}
    for name in varied:
        others = [other for other in varied if other != name]
        values = {key: [row.get(key) for row in rows] for key in rows[0]}
        figures[f"nats-{name}"] = plots.sweep_curves(
            values, name, TERMS, by=others or None, log=_log_axis(rows)
        )
    if len(rows) <= MOST_LINES:
        runs = (open_run(out / row["run"]) for row in rows)
        histories = {run.path.name: columns(run) for run in runs if run.history}
        if histories:
            figures["loss"] = plots.loss_curves(histories, "total_nats")
    return figures


def _log_axis(rows):
    """Which axis is logarithmic: nats, where a code that costs nothing dwarfs all others."""
    totals = [row["total_nats"] for row in rows if row["total_nats"] is not None]
    return "y" if totals and min(totals) > 0 and max(totals) > 3 * min(totals) else False


def _pictures(out, rows, names, seed):
    """Reconstructions of the same images, and samples, a row for each run.

    Where the data are swept too, those runs are drawn that have the first one's.
    """
    from keras_acn.experiment.folder import open_run
    from keras_acn.experiment.grid import text_of

    originals, rebuilt, drawn = None, {}, {}
    for row in rows:
        run = open_run(out / row["run"])
        if originals is None:
            first = run.config.data
            pixels = choose_split(run.data, None)[1].arrays()[0]
            chosen = np.sort(np.random.default_rng(seed).permutation(len(pixels))[:COUNT])
            originals = pixels[chosen]
        elif run.config.data != first:
            continue
        label = ", ".join(f"{name} = {text_of(row[name])}" for name in names)
        rebuilt[label] = run.model.reconstruct(originals, seed=seed)
        drawn[label] = run.model.sample(COUNT, seed=seed)
    return {
        "reconstructions": plots.comparison(originals, rebuilt),
        "samples": plots.rows(drawn, title="samples from the prior"),
    }
