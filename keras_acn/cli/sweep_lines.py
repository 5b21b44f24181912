"""What a sweep prints: a line a run, and the table at the end."""

import click
import keras

_COLUMNS = {
    "total": "total_nats",
    "reconstruction": "reconstruction_nats",
    "KL": "kl_nats",
    "held out": "val_total_nats",
}


class SweepLines:
    """Prints a line for each run of a sweep.

    Args:
      planned: The `Plan`.
      terminal: Whether the output is a terminal, on which the epochs are counted up.
    """

    def __init__(self, planned, terminal):
        self._places = {point.name: i + 1 for i, point in enumerate(planned.points)}
        self._terminal = terminal

    def begin(self, point, folder):
        """Says which run begins, without ending the line."""
        click.echo(self._head(point), nl=False)

    def epochs(self, point):
        """Returns the Keras callback that counts the epochs of a run."""
        count = point.config.training.epochs
        head = self._head(point)

        def show(epoch, logs):
            if self._terminal:
                click.echo(f"\r{head}  epoch {epoch + 1}/{count}", nl=False)

        return keras.callbacks.LambdaCallback(on_epoch_end=show)

    def end(self, point, run, trained):
        """Says what a run came to."""
        metrics = run.metrics
        costs = metrics["train"]
        if not trained:
            click.echo(self._head(point), nl=False)
        elif self._terminal:
            click.echo(f"\r\x1b[K{self._head(point)}", nl=False)
        held_out = metrics.get("validation") or metrics.get("test")
        click.echo(
            f"  total {costs['total_nats']:.2f} nats (reconstruction "
            f"{costs['reconstruction_nats']:.2f}, KL {costs['kl_nats']:.2f})"
            + (f"  held out {held_out['total_nats']:.2f}" if held_out else "")
            + (f"  {metrics['seconds']:.1f} s" if trained else "  done before")
        )

    def _head(self, point):
        count = len(self._places)
        return f"[{self._places[point.name]:>{len(str(count))}}/{count}] {point.name}"


def text(out, rows, figures=()):
    """Returns the table of a sweep: the swept values, the costs, the files.

    Args:
      out: The sweep's folder.
      rows: As `table` returns them.
      figures: Paths of the figures that were drawn.
    """
    from keras_acn.experiment.grid import text_of
    from keras_acn.experiment.sweep_folder import TABLE, swept

    names = swept(out)
    shown = {name: key for name, key in _COLUMNS.items() if any(key in row for row in rows)}
    header = [*names, *shown]
    cells = [
        [text_of(row[name]) for name in names]
        + [f"{row[key]:.2f}" if row.get(key) is not None else "" for key in shown.values()]
        for row in rows
    ]
    widths = [max(len(line[i]) for line in [header, *cells]) for i in range(len(header))]
    lines = ["", "nats per image"]
    for line in [header, *cells]:
        lines.append("  ".join(f"{cell:>{w}}" for cell, w in zip(line, widths, strict=True)))
    lines += ["", f"files      {out}/ with {TABLE} and a folder for each run"]
    if figures:
        lines.append(f"figures    {figures[0].parent}/ with {', '.join(f.name for f in figures)}")
    return "\n".join(lines)
