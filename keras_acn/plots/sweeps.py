"""Charts of a sweep: nats against the swept values."""

from keras_acn._base.errors import unknown_name
from keras_acn.plots.history import as_table, long_table
from keras_acn.plots.line_chart import TERMS, line_chart, unit_of


def sweep_curves(
    table, x, metrics=tuple(TERMS), *, by=None, validation=True, log=False, title=None
):
    """Draws metrics against a swept value, one row of the table for each run.

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
    import pandas as pd

    metrics = [metrics] if isinstance(metrics, str) else list(metrics)
    table = as_table(table, "sweep", x)
    runs = {"": table}
    if by is not None:
        columns = [by] if isinstance(by, str) else list(by)
        for column in columns:
            if column not in table:
                raise unknown_name("column of the sweep", column, table.columns)
        cells = [[f"{column} = {_text(value)}" for value in table[column]] for column in columns]
        lines = pd.Series([", ".join(parts) for parts in zip(*cells, strict=True)], table.index)
        runs = {line: table[lines == line] for line in dict.fromkeys(lines)}
    words = None
    if x in table and pd.to_numeric(table[x], errors="coerce").isna().any():
        words = [str(value) for value in dict.fromkeys(map(str, table[x]))]
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
