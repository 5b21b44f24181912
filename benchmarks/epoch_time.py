"""An epoch of an ACN against one of the VAE of the same sizes, side by side.

The models are those of the presets blog-vae and blog-acn (784-512-20), trained by `fit`; what
is timed is whole epochs, after one in which XLA compiles. The models take turns, so that
whatever else the machine does meets all of them; the ratio is that of the shortest epochs.

    python benchmarks/epoch_time.py [--data idx:DIR] [--batch-size 128 512] [--turns 5]
        [--models vae exact graph "exact unique" "graph unique"] [--steps-per-execution 16]

Without --data the images are noise of MNIST's size.
"""

import argparse
import statistics
import time

import keras
from _setup import MODELS, in_turn, model, training_images


class EpochTime(keras.callbacks.Callback):
    """Keeps the seconds of the last epoch; to begin and to end a `fit` is no part of it."""

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.perf_counter() - self.began


def epochs_of(name, images, batch_size, **settings):
    """Returns a function that trains a model for one more epoch and returns the seconds."""
    clock = EpochTime()
    trained, done = model(name, images, batch_size, **settings), [0]

    def one():
        trained.fit(
            images,
            batch_size=batch_size,
            initial_epoch=done[0],
            epochs=done[0] + 1,
            callbacks=[clock],
            verbose=0,
        )
        done[0] += 1
        return clock.seconds

    return one


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="such as idx:DIR")
    parser.add_argument("--batch-size", type=int, nargs="*", default=[128, 512])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--models", nargs="*", default=list(MODELS)[:3], choices=list(MODELS))
    parser.add_argument("--steps-per-execution", type=int, default=1)
    arguments = parser.parse_args()
    settings = {"training.steps_per_execution": arguments.steps_per_execution}
    images = training_images(arguments.data)
    print(f"{len(images)} images; seconds an epoch, ratios to the first model")
    print(f"{'batch':>6}  {'model':<14}{'shortest':>9}{'median':>9}{'ratio':>8}{'median':>8}")
    for batch_size in arguments.batch_size:
        functions = {
            name: epochs_of(name, images, batch_size, **settings) for name in arguments.models
        }
        in_turn(functions, 1)
        seconds = in_turn(functions, arguments.turns)
        first = seconds[arguments.models[0]]
        for name, found in seconds.items():
            ratios = [a / b for a, b in zip(found, first, strict=True)]
            print(
                f"{batch_size:>6}  {name:<14}{min(found):>9.2f}{statistics.median(found):>9.2f}"
                f"{min(found) / min(first):>8.2f}{statistics.median(ratios):>8.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
