"""Local workers against one: loss curves, bytes exchanged and seconds, in one run.

Trains the same preset with the same seed and batch, once for each number of workers, by
`keras-acn train --workers N`, and prints how far the curve of the loss is from one worker's,
the bytes that went over the loopback device in a step (Linux only; what else used it meanwhile
is in it too) beside those that were expected, and the seconds of an epoch against one worker's.
The first epoch, in which the graphs are traced, is left out of bytes and seconds.

    python benchmarks/workers.py [PRESET] [--data digits] [--workers 1 2 4] [--epochs 5]
        [--batch-size 128] [--set PART.OPTION=VALUE ...]

On one machine the workers share its cores, so they cannot be faster than one worker that has
all of them: the ratio says what the exchange costs, not what more machines would bring.
"""

import argparse
import csv
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from keras_acn.codebook import KNNCodebook
from keras_acn.experiment import open_run

PROGRAM = "import sys; from keras_acn.cli import main; sys.exit(main())"


def loopback_bytes():
    """Returns the bytes the loopback device has sent, `None` where nobody tells."""
    try:
        return int(pathlib.Path("/sys/class/net/lo/statistics/tx_bytes").read_text())
    except OSError:
        return None


def history(folder):
    """Returns the rows of a run's history so far, as dicts of floats."""
    try:
        with open(folder / "history.csv", newline="") as file:
            return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
    except FileNotFoundError:
        return []


def train(folder, workers, options):
    """Trains a run; returns its history, and the loopback's bytes after each of its epochs."""
    command = [sys.executable, "-c", PROGRAM, "train", *options]
    command += ["--out", str(folder), "--no-figures", "--quiet"]
    command += ["--workers", str(workers)] * (workers > 1)
    process = subprocess.Popen(command, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    counts = []
    while process.poll() is None:
        if len(history(folder)) > len(counts):
            counts.append(loopback_bytes())
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(process.returncode)
    return history(folder), counts


def expected_bytes(folder, workers, batch):
    """Returns the bytes that all workers together send in a step of an ACN.

    A ring all-reduce of P gradients, and what each of B rows tells all other workers: its
    code, its index, and the list of its nearest with a mark.
    """
    model = open_run(folder).model
    parameters = sum(v.numpy().size for v in model.trainable_variables)
    size = 2 * (workers - 1) * 4 * parameters
    codebook = getattr(model, "codebook", None)
    if isinstance(codebook, KNNCodebook):
        row = 4 * (codebook.latent_dim + 1) + 4 * (codebook.list_length + 1)
        size += (workers - 1) * batch * row
    return size


def main():
    """Prints a row for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset", nargs="?", default="blog-acn")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    given = parser.parse_args()

    options = [given.preset, "--data", given.data, "--epochs", str(given.epochs)]
    options += ["--batch-size", str(given.batch_size)]
    options += [word for each in given.overrides for word in ("--set", each)]
    # XLA draws other numbers from the same seed, and only one worker could use it.
    options += ["--set", "training.jit_compile=false"]
    runs = {}
    with tempfile.TemporaryDirectory() as scratch:
        for workers in dict.fromkeys([1, *given.workers]):
            folder = pathlib.Path(scratch, f"run-{workers}")
            rows, counts = train(folder, workers, options)
            images = open_run(folder).metrics["data"]["train"]
            steps = -(-images // given.batch_size)
            seconds = statistics.median(row["seconds"] for row in rows[1:])
            sent = None
            if len(counts) == given.epochs and None not in counts:
                sent = (counts[-1] - counts[0]) / ((given.epochs - 1) * steps)
            expected = expected_bytes(folder, workers, given.batch_size)
            runs[workers] = (rows, seconds, sent, expected)

    one, base = runs[1][0], runs[1][1]
    print(f"{given.preset} on {given.data}, batch {given.batch_size}, {os.cpu_count()} cores")
    print("workers  last total_nats  furthest from one  bytes/step  expected  s/epoch  ratio")
    for workers, (rows, seconds, sent, expected) in runs.items():
        furthest = max(
            abs(row["total_nats"] - other["total_nats"])
            for row, other in zip(rows, one, strict=True)
        )
        told = "?" if sent is None else f"{sent:,.0f}"
        print(
            f"{workers:>7}  {rows[-1]['total_nats']:>15.4f}  {furthest:>17.5f}  {told:>10}  "
            f"{expected:>8,}  {seconds:>7.2f}  {seconds / base:>5.2f}"
        )


if __name__ == "__main__":
    main()
