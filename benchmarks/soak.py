"""Whether memory stays flat: neighbours with k varying, files written and read, and training.

    python benchmarks/soak.py --minutes 60 --out soak.png

prints the process's memory in MiB along each of the three, and draws the curves. The first tenth of
each is warming up: graphs are made, and buffers grow to their size; what counts is the growth from
there to the end.
"""

import argparse
import gc
import pathlib
import time

import keras
import numpy as np

import keras_acn
from keras_acn.data import load

STEPS = 20


def memory() -> float:
    """Return the resident memory of this process in MiB."""
    gc.collect()
    words = pathlib.Path("/proc/self/status").read_text().split()
    return int(words[words.index("VmRSS:") + 1]) / 1024


def along(count, act):
    """Return the memory at each of `STEPS` points of so many calls `act(i)`."""
    found = []
    for i in range(count):
        act(i)
        if (i + 1) % max(1, count // STEPS) == 0:
            found.append(memory())
    return found


def neighbors(model, images, calls):
    """Ask for neighbours, k going through 1 to 200."""
    return along(calls, lambda i: model.neighbors(images, k=1 + 7 * i % 200))


def files(model, images, calls):
    """Compress and decompress, as a set and as a stream in turn; a third by the model's name."""

    def act(i):
        levels = images[: 20 + i % 30]
        options = {"mode": ("set", "stream")[i % 2], "model_name": "acn-digits"}
        data = keras_acn.compress(levels, model, **options)
        again = keras_acn.decompress(data, model if i % 3 else None)
        assert sorted(map(bytes, again)) == sorted(map(bytes, levels))

    return along(calls, act)


def training(images, minutes):
    """Train for so many minutes, an epoch after the other."""
    model = keras_acn.ACN(image_shape=images.shape[1:], latent_dim=8)
    model.compile("adam")
    found = []
    begin = time.monotonic()

    class Measure(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            passed = time.monotonic() - begin
            if passed > len(found) * minutes * 60 / STEPS:
                found.append(memory())
            if passed > minutes * 60:
                self.model.stop_training = True

    model.fit(images, epochs=10**6, verbose=0, callbacks=[Measure()])
    return found


def main():
    """Run all three, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60, help="of training")
    parser.add_argument("--neighbors", type=int, default=1000, help="calls")
    parser.add_argument("--files", type=int, default=500, help="written and read")
    parser.add_argument("--out", type=pathlib.Path, help="picture of the curves")
    given = parser.parse_args()
    model = keras_acn.load_pretrained("acn-digits")
    data = load("digits", binarize="threshold")
    images = data.train.arrays()[0]
    curves = {
        "neighbors": neighbors(model, data.test.arrays()[0][:50], given.neighbors),
        "compress and decompress": files(model, images.astype(np.uint8), given.files),
        "training": training(images, given.minutes),
    }
    for name, found in curves.items():
        warm = found[len(found) // 10]
        print(
            f"{name:<26}{warm:8.1f} MiB after a tenth, {found[-1]:8.1f} at the end, "
            f"{found[-1] - warm:+6.1f}; largest {max(found):.1f}"
        )
    if given.out is not None:
        import matplotlib

        matplotlib.use("agg")
        from matplotlib import pyplot

        for name, found in curves.items():
            pyplot.plot(np.linspace(0, 100, len(found)), found, marker=".", label=name)
        pyplot.xlabel("done, %")
        pyplot.ylabel("resident memory, MiB")
        pyplot.ylim(bottom=0)
        pyplot.legend()
        pyplot.savefig(given.out, dpi=90)


if __name__ == "__main__":
    main()
