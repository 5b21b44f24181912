"""The chart of lines that all curves are drawn by, and the tables it is drawn from.

A history or a sweep becomes one long table with a row for each point, and `line_chart` draws that.
"""

import math

import numpy as np

from keras_acn._base import lazy
from keras_acn._base.errors import UserError, did_you_mean
from keras_acn.plots.picture import line_colors

pd = lazy.module("pandas")
p9 = lazy.module("plotnine")
ticker = lazy.module("matplotlib.ticker")

NATS = "nats per image"
TERMS = {"total_nats": "total", "reconstruction_nats": "reconstruction", "kl_nats": "KL"}


def as_runs(histories):
    """Return {name: DataFrame} from one history or several."""
    if isinstance(histories, dict):
        if not histories:
            raise UserError("There is no history to draw: the dict is empty.")
        kinds = [
            isinstance(h, (dict, pd.DataFrame)) or hasattr(h, "history") for h in histories.values()
        ]
        if all(kinds):
            return {str(name): as_table(h, str(name)) for name, h in histories.items()}
    return {"": as_table(histories, "run")}


def as_table(history, name, x="epoch"):
    """Return one history as a DataFrame with a column `x`, at least one row."""
    history = getattr(history, "history", history)
    if not isinstance(history, (dict, pd.DataFrame)):
        raise UserError(
            "A history must be a table, a dict of columns or what `fit` returns, "
            f"not {type(history).__name__}."
        )
    try:
        table = pd.DataFrame(history)
    except ValueError as error:
        raise UserError(
            f'The columns of the history "{name}" must be lists of one length.'
        ) from error
    if table.empty:
        raise UserError(f'The history "{name}" has no rows: train for one epoch first.')
    if x not in table and x == "epoch":
        table = table.assign(epoch=range(1, len(table) + 1))
    return table


def long_table(runs, metrics, validation, x="epoch"):
    """Return a row for each point, with columns x, value, run, metric, part.

    The part is "training", or "held out" for the columns `val_...` and `test_...`: a run that
    has no validation split has the latter.
    """
    pieces = []
    for name, table in runs.items():
        for metric in [x, *metrics]:
            if metric not in table:
                known = [c for c in table.columns if not str(c).startswith(("val_", "test_"))]
                raise UserError(
                    f'The history{f" {name!r}" if name else ""} has no column "{metric}": it has '
                    f"{', '.join(map(str, known))}.{did_you_mean(metric, known)}"
                )
        for metric in metrics:
            for part, column in (
                ("training", metric),
                ("held out", f"val_{metric}"),
                ("held out", f"test_{metric}"),
            ):
                if column not in table or (part == "held out" and not validation):
                    continue
                piece = pd.DataFrame(
                    {
                        x: pd.to_numeric(table[x], errors="coerce"),
                        "value": pd.to_numeric(table[column], errors="coerce"),
                    }
                )
                pieces.append(piece.assign(run=name, metric=metric, part=part))
    data = pd.concat(pieces, ignore_index=True).replace([float("inf"), -float("inf")], float("nan"))
    # A blank is an epoch without validation, or one after the loss left the numbers.
    data = data.dropna(subset=[x, "value"]).reset_index(drop=True)
    if data.empty:
        raise UserError(f"Nothing to draw: {', '.join(metrics)} hold no finite number.")
    for column, order in (("run", runs), ("metric", metrics), ("part", None)):
        present = data[column].unique()
        order = [o for o in (order or ("training", "held out")) if o in present]
        data[column] = pd.Categorical(data[column], categories=order)
    return data


def unit_of(metrics):
    """The unit that the names of the columns carry."""
    bare = {m.removeprefix("val_").removeprefix("test_") for m in metrics}
    if all(m == "loss" or m.endswith("_nats") for m in bare):
        return NATS
    if bare == {"bits_per_dim"}:
        return "bits per dimension"
    if bare == {"seconds"}:
        return "seconds"
    return "value"


def line_chart(data, x, color, y_label, *, log, title, facet=False, ticks=None):
    """Return the `plotnine.ggplot` of a table as `long_table` makes it.

    Args:
      data: Columns x, value, run, metric, part.
      x: Name of the column along the x axis.
      color: `"run"` or `"metric"`, whichever the colours tell apart.
      y_label: Name of the y axis.
      log: Whether both axes are logarithmic, or `"y"` for that one alone.
      title: A line above the chart.
      facet: Whether each metric has a panel of its own.
      ticks: Values along the x axis to put ticks at; or words, for x = 0, 1, 2, ...
    """
    caption = None
    if log:
        log_x = log != "y" and ticks is None
        shown = ((data[x] > 0) | (not log_x)) & (data["value"] > 0)
        if not shown.any():
            raise UserError("Nothing is above zero, so log axes are empty: use log=False.")
        if not shown.all():
            dropped = sorted(map(str, data.loc[~shown, color].unique()))
            what = f" of {', '.join(dropped)}" if any(dropped) else ""
            caption = f"{int((~shown).sum())} values{what} not above zero are left out"
        data = data[shown].reset_index(drop=True)
        for column in ("run", "metric", "part"):
            data[column] = data[column].cat.remove_unused_categories()
    names = list(data[color].cat.categories)
    groups = data.groupby(["run", "metric", "part"], observed=True)
    data = data.assign(line=groups.ngroup())

    chart = p9.ggplot(data, p9.aes(x, "value", color=color, linetype="part", group="line"))
    chart += lines_and_points(groups.size().max(), p9.aes(shape="part"))
    chart += p9.scale_color_manual(
        values=line_colors(names), guide="legend" if len(names) > 1 else None, name=" "
    )
    chart += p9.scale_linetype_manual(
        values={"training": "solid", "held out": "dashed"},
        guide="legend" if len(data["part"].cat.categories) > 1 else None,
        name=" ",
    )
    chart += p9.scale_shape_manual(
        values={"training": "o", "held out": "D"},
        guide="legend" if len(data["part"].cat.categories) > 1 else None,
        name=" ",
    )
    if facet:
        labels = p9.as_labeller(lambda m: TERMS.get(m, m))
        chart += p9.facet_wrap("metric", scales="free_y", labeller=labels)
    if log:
        if log_x:
            x_ticks = _whole_log_ticks if x == "epoch" else _log_ticks
            chart += p9.scale_x_log10(breaks=x_ticks, minor_breaks=None, labels=_plain)
        chart += p9.scale_y_log10(breaks=_log_ticks, minor_breaks=None, labels=_plain)
    if x == "epoch" and (not log or not log_x):
        chart += p9.scale_x_continuous(breaks=ticks_of_epochs)
    elif ticks is not None:
        chart += _ticks_at(ticks)
    chart += p9.labs(x=x, y=y_label, title=title, caption=caption)
    width = 4.5 + 3 * (data["metric"].nunique() - 1) if facet else 7
    return chart + page(min(width, 11), 4, legend_key_width=28)


def page(width, height, **options):
    """Return the look of every chart as plotnine's parts, its sides in inches."""
    look = {"panel_grid_minor": p9.element_blank(), "plot_caption": p9.element_text(size=8)}
    return [p9.theme_bw(), p9.theme(figure_size=(width, height), dpi=100, **look, **options)]


def lines_and_points(most, mapping=None):
    """Return the marks of lines with at most `most` points each: points only where few."""
    marks = [p9.geom_line(size=0.8)] if most > 1 else []
    return marks + ([p9.geom_point(mapping, size=2, fill="white")] if most <= 25 else [])


def _ticks_at(ticks):
    """The x axis with ticks at given words, or at those of given numbers that have room."""
    if isinstance(ticks[0], str):
        return p9.scale_x_continuous(
            breaks=list(range(len(ticks))), labels=ticks, minor_breaks=None, expand=(0, 0.5)
        )
    room = (ticks[-1] - ticks[0]) / 20
    kept = ticks[:1]
    for tick in ticks[1:]:
        if tick - kept[-1] >= room:
            kept.append(tick)
    return p9.scale_x_continuous(breaks=kept, minor_breaks=None, labels=_plain)


def ticks_of_epochs(limits):
    """About six ticks on whole numbers."""
    low, high = math.ceil(limits[0]), math.floor(limits[1])
    if high <= low:
        return [max(low, high)]
    step = max(1, math.ceil((high - low) / 6))
    magnitude = 10 ** math.floor(math.log10(step))
    step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= step)
    return list(range(-(-low // step) * step, high + 1, step)) or [low]


def _log_ticks(limits):
    """Tick at 1, 2, 5 times the powers of ten, or at round steps where those are too few."""
    low, high = (float(v) for v in limits)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**p for p in powers for m in (1, 2, 5)]
    ticks = [t for t in ticks if low * 0.999 <= t <= high * 1.001]
    if len(ticks) > 8:
        ticks = [t for t in ticks if math.isclose(math.log10(t) % 1, 0, abs_tol=1e-6)]
    if len(ticks) < 3 and high > low:
        even = ticker.MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)
        ticks = [t for t in even if low <= t <= high and t > 0]
    return np.asarray(ticks or [low])


def _whole_log_ticks(limits):
    """The same, without the ticks between whole numbers."""
    ticks = _log_ticks(limits)
    ticks = ticks[ticks == ticks.round()]
    return ticks if len(ticks) > 2 else np.asarray(ticks_of_epochs(limits))


def _plain(ticks):
    return [f"{t:g}" for t in ticks]
