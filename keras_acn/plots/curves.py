"""Charts of histories: nats and gradients against epochs, nats against what a sweep varied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keras_acn._base import lazy
from keras_acn._base.errors import UserError, unknown_name
from keras_acn.plots.line_chart import (
    NATS,
    TERMS,
    as_runs,
    as_table,
    line_chart,
    lines_and_points,
    long_table,
    page,
    ticks_of_epochs,
    unit_of,
)
from keras_acn.plots.picture import line_colors

if TYPE_CHECKING:
    import plotnine

pd = lazy.module("pandas")
p9 = lazy.module("plotnine")

# The columns that a VHE logs.
GRADIENTS = ("gradient_share_z", "gradient_share_c")


def loss_curves(
    histories: Any,
    metrics: str | Sequence[str] = "loss",
    *,
    validation: bool = True,
    log: bool | str = False,
    title: str | None = None,
) -> plotnine.ggplot:
    """Draw metrics against epochs, for one run or several in one chart.

    Args:
      histories: One history, or {name: history} for several runs. A history is a table
        (`pandas.DataFrame`, as read from `history.csv`), a dict of columns, or what
        `model.fit` returns. Its column `epoch` starts at 1; without one, rows are
        epochs 1, 2, ...
      metrics: A column's name or several, such as `"loss"` or `["total_nats", "kl_nats"]`.
        Each of several has its own panel when there are several runs too.
      validation: Whether to draw the columns `val_...` as dashed lines, where they exist.
      log: Whether both axes are logarithmic, or `"y"` for that one alone. Values that are not
        above zero cannot be shown there; the chart says which are left out.
      title: A line above the chart.

    Returns:
      A `plotnine.ggplot`.

    Raises:
      UserError: If a history is empty or lacks a metric, or nothing is left to draw.

    Example:
      >>> from keras_acn.plots import loss_curves
      >>> chart = loss_curves({"ACN": {"loss": [90.0, 81.5]}, "VAE": {"loss": [95.0, 88.0]}})
      >>> chart.data["value"].tolist()
      [90.0, 81.5, 95.0, 88.0]
    """
    metrics = [metrics] if isinstance(metrics, str) else list(dict.fromkeys(metrics))
    if not metrics:
        raise UserError('No metric is named: give one such as "loss".')
    runs = as_runs(histories)
    several_runs, several_metrics = len(runs) > 1, len(metrics) > 1
    data = long_table(runs, metrics, validation)
    facet = several_runs and several_metrics
    color = "run" if several_runs or not several_metrics else "metric"
    label = unit_of(metrics)
    if not several_metrics and metrics[0] != "loss":
        name = TERMS.get(metrics[0], metrics[0])
        label = name if label == "value" else f"{name} ({label})"
    return line_chart(data, "epoch", color, label, log=log, title=title, facet=facet)


def loss_terms(
    history: Any,
    *,
    log: bool | str = True,
    validation: bool = True,
    title: str | None = None,
) -> plotnine.ggplot:
    """Draw total, reconstruction and KL of one run, on log-log axes as in the β-VAE post.

    Args:
      history: A history with the columns `total_nats`, `reconstruction_nats` and
        `kl_nats`; see `loss_curves`.
      log: Whether both axes are logarithmic, or `"y"` for that one alone.
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
    return line_chart(data, "epoch", "metric", NATS, log=log, title=title)


def gradient_curves(
    history: Any,
    columns: Sequence[str] = GRADIENTS,
    *,
    names: Sequence[str] = ("z", "c"),
    title: str | None = None,
) -> plotnine.ggplot:
    """Draw the gradients through two parts of a code, and their ratio, against epochs.

    Args:
      history: A history with both columns; see `loss_curves`.
      columns: Two columns: each part's share of the gradient, or its norm.
      names: What the parts are called.
      title: A line above the chart.

    Returns:
      A `plotnine.ggplot` of two panels; its data has the columns epoch, value, line, panel.

    Raises:
      UserError: If the history is empty or lacks a column, or not two columns are named.
    """
    if len(columns) != 2 or len(names) != 2:
        raise UserError("A gradient's two columns are drawn, under two names: give two of each.")
    runs = as_runs(history)
    if len(runs) > 1:
        raise UserError("`gradient_curves` draws one run: give one history, or use `loss_curves`.")
    data = long_table(runs, list(columns), validation=False)
    first, second = (
        data[data["metric"] == column].set_index("epoch")["value"] for column in columns
    )
    share = "share of the gradient"
    ratio = f"ratio, {names[0]} to {names[1]}"
    pieces = [
        pd.DataFrame({"epoch": values.index, "value": values.values, "line": line, "panel": panel})
        for values, line, panel in (
            (first, names[0], share),
            (second, names[1], share),
            ((first / second).dropna(), ratio, ratio),
        )
    ]
    data = pd.concat(pieces, ignore_index=True)
    data["panel"] = pd.Categorical(data["panel"], [share, ratio])
    data["line"] = pd.Categorical(data["line"], [*names, ratio])
    even = pd.DataFrame({"panel": pd.Categorical([ratio], [share, ratio]), "value": [1.0]})
    colors = line_colors([*names, ratio])
    colors[ratio] = "#000000"
    chart = p9.ggplot(data, p9.aes("epoch", "value", color="line", group="line"))
    chart += p9.geom_hline(p9.aes(yintercept="value"), data=even, linetype="dotted", color="grey")
    chart += lines_and_points(data.groupby("line", observed=True).size().max())
    chart += p9.facet_wrap("panel", scales="free_y")
    chart += p9.scale_color_manual(values=colors, breaks=list(names), name=" ")
    chart += p9.scale_x_continuous(breaks=ticks_of_epochs)
    return chart + p9.labs(x="epoch", y="", title=title) + page(9, 3.6)


def sweep_curves(
    table: Mapping[str, Sequence],
    x: str,
    metrics: str | Sequence[str] = tuple(TERMS),
    *,
    by: str | Sequence[str] | None = None,
    validation: bool = True,
    log: bool | str = False,
    title: str | None = None,
) -> plotnine.ggplot:
    """Draw metrics against a swept value, one row of the table for each run.

    Args:
      table: A `pandas.DataFrame` or a dict of columns.
      x: The column of the swept value, such as `"beta"` or `"latent_dim"`. Values that are
        not all numbers stand side by side, in the table's order.
      metrics: A column's name or several.
      by: The column of a second swept value, or several: a line for each combination, and a
        panel for each metric.
      validation: Whether to draw the columns `val_...` as dashed lines, where they exist.
      log: Whether both axes are logarithmic, or `"y"` for that one alone; a value of zero on
        such an axis is left out, and said so.
      title: A line above the chart.

    Returns:
      A `plotnine.ggplot`.

    Raises:
      UserError: As `loss_curves`.
    """
    metrics = [metrics] if isinstance(metrics, str) else list(dict.fromkeys(metrics))
    frame: Any = as_table(table, "sweep", x)  # a DataFrame
    runs = {"": frame}
    if by is not None:
        columns = [by] if isinstance(by, str) else list(by)
        for column in columns:
            if column not in frame:
                raise unknown_name("column of the sweep", column, frame.columns)
        cells = [[f"{column} = {_text(value)}" for value in frame[column]] for column in columns]
        lines = pd.Series([", ".join(parts) for parts in zip(*cells, strict=True)], frame.index)
        runs = {line: frame[lines == line] for line in dict.fromkeys(lines)}
    words = None
    if x in frame and pd.to_numeric(frame[x], errors="coerce").isna().any():
        words = [str(value) for value in dict.fromkeys(map(str, frame[x]))]
        runs = {
            name: part.assign(**{x: [words.index(str(value)) for value in part[x]]})
            for name, part in runs.items()
        }
    data = long_table(runs, metrics, validation, x=x)
    data["metric"] = data["metric"].cat.rename_categories(lambda m: TERMS.get(m, m))
    color = "metric" if by is None else "run"
    facet = by is not None and len(metrics) > 1
    # On a linear axis the ticks stand at the values that were tried.
    ticks = words if words or log is True else sorted(data[x].unique())
    return line_chart(
        data, x, color, unit_of(metrics), log=log, title=title, facet=facet, ticks=ticks
    )


def _text(value):
    return f"{value:g}" if isinstance(value, float) else str(value)
