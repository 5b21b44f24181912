"""The chart of what parts of a code do to the loss: their gradients, and the ratio."""

from keras_acn._base.errors import UserError
from keras_acn.plots.history import as_runs, long_table
from keras_acn.plots.line_chart import ticks_of_epochs
from keras_acn.plots.palette import line_colors

# The columns that a VHE logs.
GRADIENTS = ("gradient_share_z", "gradient_share_c")


def gradient_curves(history, columns=GRADIENTS, *, names=("z", "c"), title=None):
    """Draws the gradients through two parts of a code, and their ratio, against epochs.

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
    import pandas as pd
    import plotnine as p9

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
    if data.groupby("line", observed=True).size().max() > 1:
        chart += p9.geom_line(size=0.8)
    if data.groupby("line", observed=True).size().max() <= 25:
        chart += p9.geom_point(size=2, fill="white")
    chart += p9.facet_wrap("panel", scales="free_y")
    chart += p9.scale_color_manual(values=colors, breaks=list(names), name=" ")
    chart += p9.scale_x_continuous(breaks=ticks_of_epochs)
    chart += p9.labs(x="epoch", y="", title=title)
    chart += p9.theme_bw()
    chart += p9.theme(figure_size=(9, 3.6), dpi=100, panel_grid_minor=p9.element_blank())
    return chart
