"""Charts of a training history: nats against epochs."""

from keras_acn._base.errors import UserError
from keras_acn.plots.history import as_runs, long_table
from keras_acn.plots.line_chart import NATS, TERMS, line_chart, unit_of


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
      log: Whether both axes are logarithmic, or `"y"` for that one alone. Values that are not
        above zero cannot be shown there; the chart says which are left out.
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
    label = unit_of(metrics)
    if not several_metrics and metrics[0] != "loss":
        name = TERMS.get(metrics[0], metrics[0])
        label = name if label == "value" else f"{name} ({label})"
    return line_chart(data, "epoch", color, label, log=log, title=title, facet=facet)


def loss_terms(history, *, log=True, validation=True, title=None):
    """Draws total, reconstruction and KL of one run, on log-log axes as in the β-VAE post.

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
