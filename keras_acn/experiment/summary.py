"""What a training and a sweep print: a line for each epoch or run, and a table at the end."""

from __future__ import annotations

import math
import os
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_acn._base import progress
from keras_acn._base.shell import command
from keras_acn.experiment.folder import Run
from keras_acn.experiment.grid import Plan, Point, text_of
from keras_acn.experiment.sweep import TABLE, Row, swept

_COLUMNS = {
    "total": ("total_nats", ".2f"),
    "reconstruction": ("reconstruction_nats", ".2f"),
    "KL": ("kl_nats", ".2f"),
    "bits/dim": ("bits_per_dim", ".4f"),
}


class EpochLines(keras.callbacks.Callback):
    """Print the costs and the time of each epoch on a line, where a progress bar would not do.

    Args:
      epochs: Number of the last epoch.

    Example:
      >>> from keras_acn.experiment import EpochLines
      >>> lines = EpochLines(epochs=20)  # train(config, callbacks=[lines])
    """

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs = epochs
        self._began = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        print(self._line(epoch, logs), flush=True)

    def _line(self, epoch, logs, most: int | None = None) -> str:
        """Return an epoch's line, in fewer words where it has more than `most` letters."""
        seconds = time.monotonic() - self._began
        held_out = logs.get("val_total_nats", logs.get("test_total_nats"))
        lines = [
            f"{self._head(epoch)}{costs}  {seconds:.1f} s"
            for costs in (_costs(logs, held_out), _costs(logs, held_out, brief=True))
        ]
        return lines[0] if most is None or len(lines[0]) <= most else lines[1]

    def _head(self, epoch):
        return f"epoch {epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"


class EpochBar(EpochLines):
    """The same for a terminal: while an epoch runs, one line that shows how far it is.

    Args:
      epochs: Number of the last epoch.

    Example:
      >>> from keras_acn.experiment import EpochBar
      >>> bar = EpochBar(epochs=20)  # train(config, callbacks=[bar])
    """

    # Seconds between two drawings.
    EVERY = 0.1

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._epoch, self._drawn = epoch, 0.0

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        done, steps = batch + 1, self.params.get("steps")
        if now - self._drawn < self.EVERY or not steps:
            return
        self._drawn = now
        left = (now - self._began) / done * (steps - done)
        loss = f"loss {logs['loss']:.2f}  " if logs and "loss" in logs else ""
        line = progress.bar(self._head(self._epoch), done, steps, f"{loss}{left:.0f} s left")
        print(progress.over(line), end="", flush=True)

    def on_epoch_end(self, epoch, logs=None):
        print(progress.over(self._line(epoch, logs, progress.width())), flush=True)


def _number(cost: float | None) -> float:
    """Return a cost of `metrics.json`, which has null for what is no finite number."""
    return math.nan if cost is None else cost


def run_summary(run: Run, figures: Sequence[pathlib.Path] = ()) -> str:
    """Return the table of a finished run: costs, codebook, files, what to type next.

    Args:
      run: The run.
      figures: Paths of the figures that were drawn.
    """
    metrics = run.metrics
    # Of a training loss there are no bits per dimension. (Earlier versions did not note which.)
    is_code_length = metrics.get("is_code_length", True)
    columns = {k: v for k, v in _COLUMNS.items() if is_code_length or k != "bits/dim"}
    lines = ["", f"{'nats per image':<16}" + "".join(f"{name:>16}" for name in columns)]
    for split in ("train", "validation", "test"):
        if metrics.get(split):
            costs = metrics[split]
            cells = "".join(f"{_number(costs[key]):>16{form}}" for key, form in columns.values())
            lines.append(f"{split:<16}{cells}")
    if not is_code_length:
        lines.append("These nats are a training loss, and no code length.")
    lines.append("")
    book = metrics["codebook"]
    if book:
        unique = bool(run.settings.codebook and run.settings.codebook.unique)
        lines.append(
            f"codebook   {metrics['data']['train']} codes; mean distance to the neighbour "
            f"{book['codebook_distance']:.2f}, drift {book['codebook_drift']:.2f}, used "
            f"{book['codebook_used']:.0%}{', each at most once a pass' if unique else ''}"
        )
        if "codebook_recall" in book:
            lines.append(
                f"{'':<11}{book['search']} search, which found {book['codebook_recall']:.1%} of "
                "the true neighbours in the last epoch"
            )
    kept = metrics["epoch_of_the_model"]
    which = "" if kept == metrics["epochs"] else f"; the model is that of epoch {kept}, the best"
    lines.append(
        f"training   {metrics['parameters']:,} parameters, {metrics['epochs']} epochs in "
        f"{metrics['seconds']:.1f} s{_after(metrics)}{which}"
    )
    lines.append(f"files      {run.path}/ with model.keras, history.csv, metrics.json, config.yaml")
    lines += _figure_lines(figures)
    names = ("evaluate", "plot", "daydream") if book else ("evaluate", "plot")
    for i, name in enumerate(names):
        lines.append(f"{'next' if i == 0 else '':<11}{command(name, run.path)}")
    return "\n".join(lines)


def _after(metrics: Mapping[str, Any]) -> str:
    """Return what the weights were trained for before the run began, in words."""
    before = metrics.get("legs", [0])[:-1]
    if not before:
        return ""
    each = " + ".join("unknown" if epochs is None else str(epochs) for epochs in before)
    return f", after {each} of the model it began with"


class SweepLines:
    """Print a line for each run of a sweep: `sweep.run(planned, out, **lines.hooks())`.

    Args:
      planned: The sweep.
      terminal: Whether the output is a terminal, on which the epochs are counted up.

    Example:
      >>> from keras_acn.experiment import sweep
      >>> lines = SweepLines(sweep.plan("digits", {"beta": [0, 1]}))
      >>> sorted(lines.hooks())
      ['callbacks', 'on_begin', 'on_end']
    """

    def __init__(self, planned: Plan, *, terminal: bool = False):
        self._places = {point.name: i + 1 for i, point in enumerate(planned.points)}
        self._terminal = terminal

    def hooks(self) -> dict:
        """Return the arguments of `sweep.run` that print the lines."""
        return {"on_begin": self._begin, "on_end": self._end, "callbacks": self._epochs}

    def _begin(self, point: Point, folder: pathlib.Path) -> None:
        head = self._head(point)
        if self._terminal:
            print(progress.over(head), end="", flush=True)
        else:
            # A line of its own: notes of the run, or the next run, may follow.
            print(f"{head}  begins", flush=True)

    def _epochs(self, point: Point) -> list[keras.callbacks.Callback]:
        count, head = point.config.training.epochs, self._head(point)

        def show(epoch, logs):
            if self._terminal:
                print(progress.over(f"{head}  epoch {epoch + 1}/{count}"), end="", flush=True)

        return [keras.callbacks.LambdaCallback(on_epoch_end=show)]

    def _end(self, point: Point, run: Run, trained: bool) -> None:
        metrics = run.metrics
        head = self._head(point)
        if trained and self._terminal:
            head = progress.over("") + head
        held_out = metrics.get("validation") or metrics.get("test") or {}
        costs = _costs(metrics.get("train") or {}, held_out.get("total_nats"))
        took = f"{metrics['seconds']:.1f} s" if trained else "done before"
        print(f"{head}{costs}  {took}", flush=True)

    def _head(self, point: Point) -> str:
        count = len(self._places)
        return f"[{self._places[point.name]:>{len(str(count))}}/{count}] {point.name}"


def sweep_summary(
    out: str | os.PathLike, rows: Sequence[Row], figures: Sequence[pathlib.Path] = ()
) -> str:
    """Return the table of a sweep: the swept values, the costs, the files.

    Args:
      out: The sweep's folder.
      rows: As `sweep.run` and `sweep.table` return them.
      figures: Paths of the figures that were drawn.
    """
    names = swept(out)
    rows = [{**r, "held_out": r.get("val_total_nats", r.get("test_total_nats"))} for r in rows]
    columns = {name: key for name, (key, _) in _COLUMNS.items() if name != "bits/dim"}
    if any(row["held_out"] is not None for row in rows):
        columns["held out"] = "held_out"
    header = [*names, *columns]
    cells = [
        [text_of(row[name]) for name in names]
        + [f"{row[key]:.2f}" if row.get(key) is not None else "" for key in columns.values()]
        for row in rows
    ]
    widths = [max(len(line[i]) for line in [header, *cells]) for i in range(len(header))]
    lines = ["", "nats per image"]
    for line in [header, *cells]:
        lines.append("  ".join(f"{cell:>{w}}" for cell, w in zip(line, widths, strict=True)))
    lines += ["", f"files      {out}/ with {TABLE} and a folder for each run"]
    return "\n".join(lines + _figure_lines(figures))


def _costs(costs: Mapping[str, float], held_out: float | None, brief: bool = False) -> str:
    total, reconstruction, kl = (
        f"{_number(costs.get(name)):.2f}"
        for name in ("total_nats", "reconstruction_nats", "kl_nats")
    )
    line = f"  total {total} nats (reconstruction {reconstruction}, KL {kl})"
    if brief:
        line = f"  {total} nats (KL {kl})"
    return line if held_out is None else f"{line}  held out {held_out:.2f}"


def _figure_lines(figures: Sequence[pathlib.Path]) -> list[str]:
    if not figures:
        return []
    return [f"figures    {figures[0].parent}/ with {', '.join(f.name for f in figures)}"]
