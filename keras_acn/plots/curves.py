"""Charts of a training history: nats against epochs, and against a swept value."""

import math

import numpy as np

from keras_acn._errors import UserError, unknown_name
from keras_acn.plots.history import as_runs, as_table, long_table
from keras_acn.plots.palette import line_colors

NATS = "nats per image"
TERMS = {"total_nats": "total", "reconstruction_nats": "reconstruction", "kl_nats": "KL"}


def loss_curves(histories, metrics="loss", *, validation=True, log=False, title=None):
    """Draws metrics against epochs, for one run or several in one chart.

    Args:
      histories: One history, or {name: history} for several runs. A history is a table
        (`pandas.DataFrame`, as read from `history.csv`), a dict of columns, or what
        `model.fit` returns. Its column `epoch` starts at 1; without one, rows are
        epochs 1, 2, ...
      metrics: A column's name or several, such as `"loss"` or `["total_nats", "kl_nats"]`.
        Each of several has its own panel when there are several runs too.
      validation: Whether to draw the columns `val_...` as dashed lines, where they exist.
      log: Whether both axes are logarithmic. Values that are not above zero cannot be
        shown there; the chart says which are left out.
      title: A line above the chart.

    Returns:
      A `plotnine.ggplot`.

    Raises:
      UserError: If a history is empty or lacks a metric, or nothing is left to draw.
    """
    metrics = [metrics] if isinstance(metrics, str) else list(metrics)
    if not metrics:
        raise UserError('No metric is named: give one such as "loss".')
    runs = as_runs(histories)
    several_runs, several_metrics = len(runs) > 1, len(metrics) > 1
    data = long_table(runs, metrics, validation)
    facet = several_runs and several_metrics
    color = "run" if several_runs or not several_metrics else "metric"
    label = _unit(metrics)
    if not several_metrics and metrics[0] != "loss":
        label = f"{TERMS.get(metrics[0], metrics[0])} ({label})"
    return _line_chart(data, "epoch", color, label, log=log, title=title, facet=facet)


def loss_terms(history, *, log=True, validation=True, title=None):
    """Draws total, reconstruction and KL of one run, on log-log axes as in the β-VAE post.

    Args:
      history: A history with the columns `total_nats`, `reconstruction_nats` and
        `kl_nats`; see `loss_curves`.
      log: Whether both axes are logarithmic.
      validation: Whether to draw the `val_...` columns as dashed lines, where they exist.
      title: A line above the chart.

    Returns:
      A `plotnine.ggplot`.

    Raises:
      UserError: As `loss_curves`.
    """
    runs = as_runs(history)
    if len(runs) > 1:
        raise UserError("`loss_terms` draws one run: give one history, or use `loss_curves`.")
    data = long_table(runs, list(TERMS), validation)
    data["metric"] = data["metric"].cat.rename_categories(TERMS)
    return _line_chart(data, "epoch", "metric", NATS, log=log, title=title)


def sweep_curves(table, x, metrics=tuple(TERMS), *, by=None, log=False, title=None):
    """Draws metrics against a swept value, one row of the table for each run.

    Args:
      table: A `pandas.DataFrame` or a dict of columns.
      x: The column of the swept value, such as `"beta"` or `"latent_dim"`: numbers.
      metrics: A column's name or several.
      by: The column of a second swept value: a line for each, and a panel for each metric.
      log: Whether both axes are logarithmic; a value of zero is left out, and said so.
      title: A line above the chart.

    Returns:
      A `plotnine.ggplot`.

    Raises:
      UserError: As `loss_curves`.
    """
    metrics = [metrics] if isinstance(metrics, str) else list(metrics)
    runs = {"": as_table(table, "sweep", x)}
    if by is not None:
        if by not in runs[""]:
            raise unknown_name("column of the sweep", by, runs[""].columns)
        runs = {f"{by} = {value}": part for value, part in runs[""].groupby(by)}
    data = long_table(runs, metrics, validation=False, x=x)
    data["metric"] = data["metric"].cat.rename_categories(lambda m: TERMS.get(m, m))
    color = "metric" if by is None else "run"
    facet = by is not None and len(metrics) > 1
    return _line_chart(data, x, color, _unit(metrics), log=log, title=title, facet=facet)


def _unit(metrics):
    """The unit that the names of the columns carry."""
    bare = {m.removeprefix("val_") for m in metrics}
    if all(m == "loss" or m.endswith("_nats") for m in bare):
        return NATS
    if bare == {"bits_per_dim"}:
        return "bits per dimension"
    if bare == {"seconds"}:
        return "seconds"
    return "value"


def _line_chart(data, x, color, y_label, *, log, title, facet=False):
    import plotnine as p9

    caption = None
    if log:
        shown = (data[x] > 0) & (data["value"] > 0)
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
        x_ticks = _whole_log_ticks if x == "epoch" else _log_ticks
        chart += p9.scale_x_log10(breaks=x_ticks, minor_breaks=None, labels=_plain)
        chart += p9.scale_y_log10(breaks=_log_ticks, minor_breaks=None, labels=_plain)
    elif x == "epoch":
        chart += p9.scale_x_continuous(breaks=_whole_ticks)
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


def _whole_ticks(limits):
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
    return ticks if len(ticks) > 2 else np.asarray(_whole_ticks(limits))


def _plain(ticks):
    return [f"{t:g}" for t in ticks]
