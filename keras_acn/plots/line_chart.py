"""The chart of lines that all curves are drawn by: values against epochs or what was swept."""

import math

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.plots.palette import line_colors

NATS = "nats per image"
TERMS = {"total_nats": "total", "reconstruction_nats": "reconstruction", "kl_nats": "KL"}


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
    """Returns the `plotnine.ggplot` of a table as `history.long_table` makes it.

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
    import plotnine as p9

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
    if groups.size().max() > 1:
        chart += p9.geom_line(size=0.8)
    if groups.size().max() <= 25:
        chart += p9.geom_point(p9.aes(shape="part"), size=2, fill="white")
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
    chart += p9.theme_bw()
    chart += p9.theme(
        figure_size=(min(width, 11), 4),
        dpi=100,
        panel_grid_minor=p9.element_blank(),
        plot_caption=p9.element_text(size=8),
        legend_key_width=28,
    )
    return chart


def _ticks_at(ticks):
    """The x axis with ticks at given words, or at those of given numbers that have room."""
    import plotnine as p9

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
    """Ticks at 1, 2, 5 times the powers of ten, or at round steps where those are too few."""
    from matplotlib.ticker import MaxNLocator

    low, high = (float(v) for v in limits)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**p for p in powers for m in (1, 2, 5)]
    ticks = [t for t in ticks if low * 0.999 <= t <= high * 1.001]
    if len(ticks) > 8:
        ticks = [t for t in ticks if math.isclose(math.log10(t) % 1, 0, abs_tol=1e-6)]
    if len(ticks) < 3 and high > low:
        even = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)
        ticks = [t for t in even if low <= t <= high and t > 0]
    return np.asarray(ticks or [low])


def _whole_log_ticks(limits):
    """The same, without the ticks between whole numbers."""
    ticks = _log_ticks(limits)
    ticks = ticks[ticks == ticks.round()]
    return ticks if len(ticks) > 2 else np.asarray(ticks_of_epochs(limits))


def _plain(ticks):
    return [f"{t:g}" for t in ticks]
