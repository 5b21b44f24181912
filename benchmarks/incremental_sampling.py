"""Sampling with cached features against one full pass per pixel.

Both ways draw the same images from the same noise. The full passes are timed at a few
pixels only and scaled to all of them, since each costs the same.

    python benchmarks/incremental_sampling.py [--batch 100] [--size 28] [--timed-pixels 8]
"""

import argparse
import statistics
import time

import keras
import tensorflow as tf

from keras_acn.decoders.pixelcnn import GatedPixelCNN


def seconds(function, repeats):
    """Median wall-clock seconds of a call, after one call to warm up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--timed-pixels", type=int, default=8)
    parser.add_argument("--conditioning", default="global")
    options = parser.parse_args()

    keras.utils.set_random_seed(0)
    shape = (options.size, options.size, 1)
    decoder = GatedPixelCNN(
        shape,
        layers=options.layers,
        filters=options.filters,
        conditioning=options.conditioning,
    )
    z = tf.random.stateless_normal([options.batch, decoder.latent_dim], [1, 2])
    seed = tf.constant([0, 1])
    pixels = options.size**2

    cached = seconds(lambda: decoder.steps.sample(z, seed).numpy(), repeats=5)
    compiled = seconds(lambda: decoder.steps.sample(z, seed, jit_compile=True).numpy(), repeats=5)

    full_pass = tf.function(decoder.parameters)
    images = decoder.steps.sample(z, seed)
    one_pass = seconds(lambda: full_pass(images, z).numpy(), repeats=options.timed_pixels)
    full = one_pass * pixels

    print(
        f"{options.batch} images of {options.size}x{options.size}, {options.layers} layers of "
        f"{options.filters} features, {options.conditioning} conditioning, "
        f"TensorFlow {tf.__version__}"
    )
    print(f"cached sampling             {cached:8.3f} s   ({cached / pixels * 1e3:.3f} ms a pixel)")
    print(f"cached sampling, XLA        {compiled:8.3f} s")
    print(
        f"one full pass per pixel     {full:8.1f} s   (scaled: median of {options.timed_pixels} "
        f"passes, {one_pass * 1e3:.1f} ms each, times {pixels} pixels)"
    )
    print(f"ratio {full / cached:.0f}  (target: at least 50)")


if __name__ == "__main__":
    main()
