"""Where the time of a training step goes: a table, and a trace for TensorBoard.

Steps of the presets blog-vae and blog-acn, compiled by XLA, on batches that are at hand; the
ACN also with a search that costs nothing, so that what is left is the search. Beside them,
what the input pipeline takes for a batch, and what `fit` takes for a step in all.

    python benchmarks/step_profile.py [--data idx:DIR] [--batch-size 128 512] [--trace DIR]
"""

import argparse
import statistics

import tensorflow as tf
from _setup import in_turn, model, training_images

from keras_acn.codebook import NeighborSearch

STEPS = 20


class NoSearch(NeighborSearch):
    """Says that the first rows are the nearest."""

    def __call__(self, codes, query, k, exclude=None, used=None):
        rows = tf.tile(tf.range(k)[None], [tf.shape(query)[0], 1])
        return tf.cast(rows, tf.float32), rows


def steps_of(trained, batches):
    """Returns a function that does compiled steps on the batches."""
    train = tf.function(trained.train_step, jit_compile=True)

    def steps():
        for batch in batches:
            train(batch)

    return steps


def profile(images, batch_size, turns):
    """Returns ms a step, the least of the turns and their median, by what is done."""
    source = images.dataset(batch_size, shuffle=True, epochs=10**6, training=True)
    batches = list(source.take(STEPS))
    free = model("exact", images, batch_size)
    free.codebook.search_strategy = NoSearch()
    acn = {name: model(name, images, batch_size) for name in ("exact", "graph")}
    fitted = model("graph", images, batch_size)

    def fit():
        fitted.fit(source, epochs=1, steps_per_epoch=STEPS, verbose=0)

    def read():
        for _ in source.take(STEPS):
            pass

    seconds = in_turn(
        {
            "the batches, alone": read,
            "VAE": steps_of(model("vae", images, batch_size), batches),
            "ACN without a search": steps_of(free, batches),
            "ACN, exact": steps_of(acn["exact"], batches),
            "ACN, graph": steps_of(acn["graph"], batches),
            "fit of an ACN, graph": fit,
        },
        turns + 1,
    )
    per_step = {name: [1e3 * s / STEPS for s in found[1:]] for name, found in seconds.items()}
    return {name: (min(found), statistics.median(found)) for name, found in per_step.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="such as idx:DIR; noise of MNIST's size by default")
    parser.add_argument("--batch-size", type=int, nargs="*", default=[128, 512])
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--trace", metavar="DIR", help="write a trace for TensorBoard's profiler")
    arguments = parser.parse_args()
    images = training_images(arguments.data)
    print(f"{'batch':>6}  {'':<24}{'ms, least':>10}{'median':>8}{'/ VAE':>8}")
    for batch_size in arguments.batch_size:
        found = profile(images, batch_size, arguments.turns)
        for name, (least, median) in found.items():
            ratio = least / found["VAE"][0]
            print(f"{batch_size:>6}  {name:<24}{least:>10.2f}{median:>8.2f}{ratio:>8.2f}")
    if arguments.trace:
        trained = model("graph", images, arguments.batch_size[0])
        batches = images.dataset(arguments.batch_size[0], shuffle=True, training=True)
        steps = steps_of(trained, list(batches.take(STEPS)))
        steps()
        tf.profiler.experimental.start(arguments.trace)
        steps()
        tf.profiler.experimental.stop()
        print(f"{arguments.trace}: open it with tensorboard --logdir {arguments.trace}")


if __name__ == "__main__":
    main()
