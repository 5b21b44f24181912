"""Whether memory stays flat: neighbours with k varying, files written and read, and training.

    python benchmarks/soak.py --minutes 60 --out docs/images/soak.png

prints the process's memory in MiB along each of the three, as it goes, and draws the curves. The
training is a run as `keras-acn train` makes it, with its checkpoints, history and TensorBoard. The
first tenth of each is warming up: graphs are made, and buffers grow to their size; what counts is
the growth from there to the end.
"""

import argparse
import concurrent.futures
import gc
import multiprocessing
import pathlib
import tempfile
import time

import keras
import numpy as np

import keras_acn
from keras_acn.data import load
from keras_acn.experiment.config import load_config
from keras_acn.experiment.run import train

STEPS = 60


def memory() -> float:
    """Return the memory of this process in MiB.

    Without what it has read of files, libraries above all: the system takes that back when it
    likes, which would hide what grows.
    """
    gc.collect()
    words = pathlib.Path("/proc/self/status").read_text().split()
    return int(words[words.index("RssAnon:") + 1]) / 1024


class Curve:
    """The memory along something that goes from nothing to `end`, at some `STEPS` places.

    Args:
      name: What goes on.
      unit: What `end` counts.
      end: Where it is done.
    """

    def __init__(self, name: str, unit: str, end: float):
        self.name, self.unit, self.end = name, unit, end
        self.places: list[float] = []
        self.mebibytes: list[float] = []

    def at(self, place: float) -> None:
        """Measure, unless the last place measured is near."""
        if place >= self.end * (len(self.places) + 1) / STEPS:
            self.places.append(place)
            self.mebibytes.append(memory())
            told = f"{self.name}: {place:.1f} of {self.end:g} {self.unit}"
            print(f"{told}, {self.mebibytes[-1]:.1f} MiB", flush=True)

    def warm(self) -> float:
        """Return the memory after a tenth."""
        return next(
            m for at, m in zip(self.places, self.mebibytes, strict=True) if at >= self.end / 10
        )


def neighbors(calls):
    """Ask for neighbours, k going through 1 to 200."""
    model = keras_acn.load_pretrained("acn-digits")
    images = load("digits", binarize="threshold").test.arrays()[0][:50]
    curve = Curve("neighbors", "calls", calls)
    for i in range(calls):
        model.neighbors(images, k=1 + 7 * i % 200)
        curve.at(i + 1)
    return curve


def files(calls):
    """Compress and decompress, as a set and as a stream in turn; a third by the model's name."""
    model = keras_acn.load_pretrained("acn-digits")
    images = load("digits", binarize="threshold").train.arrays()[0].astype(np.uint8)
    curve = Curve("compress and decompress", "times", calls)
    for i in range(calls):
        levels = images[: 20 + i % 30]
        options = {"mode": ("set", "stream")[i % 2], "model_name": "acn-digits"}
        data = keras_acn.compress(levels, model, **options)
        again = keras_acn.decompress(data, model if i % 3 else None)
        assert sorted(map(bytes, again)) == sorted(map(bytes, levels))
        curve.at(i + 1)
    return curve


def training(minutes):
    """Train for so many minutes, a checkpoint after each epoch."""
    curve = Curve("training", "minutes", minutes)
    images = load("digits").train.arrays()[0]
    begin = time.monotonic()

    class Measure(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            passed = (time.monotonic() - begin) / 60
            curve.at(passed)
            if passed > minutes:
                self.model.stop_training = True

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "images.npy")
        np.save(path, np.concatenate([images] * 8))
        options = {"data.source": str(path), "data.test": 0.1, "training.epochs": 10**5}
        config = load_config("digits", overrides=list(options.items()))
        train(config, pathlib.Path(folder, "run"), callbacks=[Measure()])
    return curve


def main():
    """Run all three side by side, each in a process of its own, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60, help="of training")
    parser.add_argument("--neighbors", type=int, default=1000, help="calls")
    parser.add_argument("--files", type=int, default=500, help="written and read")
    parser.add_argument("--out", type=pathlib.Path, help="picture of the curves")
    given = parser.parse_args()
    parts = [(neighbors, given.neighbors), (files, given.files), (training, given.minutes)]
    with concurrent.futures.ProcessPoolExecutor(
        len(parts), multiprocessing.get_context("spawn")
    ) as pool:
        curves = [each.result() for each in [pool.submit(*part) for part in parts]]
    for curve in curves:
        warm, found = curve.warm(), curve.mebibytes
        print(
            f"{curve.name:<26}{warm:8.1f} MiB after a tenth, {found[-1]:8.1f} at the end, "
            f"{found[-1] - warm:+6.1f}; largest {max(found):.1f}"
        )
    if given.out is not None:
        draw(curves, given.out)


def draw(curves, out):
    """Draw curves, one beside the other, on one scale."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(curves), figsize=(10, 3), sharey=True)
    for axis, curve in zip(axes, curves, strict=True):
        axis.plot(curve.places, curve.mebibytes, marker=".", markersize=3)
        axis.set_title(curve.name, fontsize=10)
        axis.set_xlabel(curve.unit)
        axis.axvspan(0, curve.end / 10, color="0.92")
        axis.set_xlim(0, curve.end)
        axis.grid(alpha=0.3)
    axes[0].set_ylim(0, 1.1 * max(max(curve.mebibytes) for curve in curves))
    axes[0].set_ylabel("memory of its own, MiB")
    figure.tight_layout()
    figure.savefig(out, dpi=90)


if __name__ == "__main__":
    main()
