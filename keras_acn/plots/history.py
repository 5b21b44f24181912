"""Training histories as tables: one or several runs, brought to one row a point."""

from keras_acn._base.errors import UserError, did_you_mean


def as_runs(histories):
    """Returns {name: DataFrame} from one history or several."""
    import pandas as pd

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
    """Returns one history as a DataFrame with a column `x`, at least one row."""
    import pandas as pd

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
    """Returns a row for each point, with columns x, value, run, metric, part.

    The part is "training", or "held out" for the columns `val_...` and `test_...`: a run that
    has no validation split has the latter.
    """
    import pandas as pd

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
