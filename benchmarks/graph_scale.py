"""A training step with graph search at growing numbers of codes, side by side.

The network is that of the preset blog-acn; codes and lists are random, as are the rows that
are visited. The peak of the process's memory is printed too. Steps take turns.

    python benchmarks/graph_scale.py [--codes 60000 250000 1000000] [--dim 20] [--batch 128]
        [--search graph exact] [--seconds 20]
"""

import argparse
import resource
import time

import numpy as np
import tensorflow as tf

import keras_acn


def step_of(search, size, dim, batch_size):
    """Returns a function that does one compiled training step on random rows."""
    encoder = {"name": "mlp", "hidden": [512], "activation": "relu", "variance": "learned"}
    decoder = {"name": "bernoulli_mlp", "hidden": [512], "activation": "relu"}
    prior = {"name": "mixture", "components": 1, "hidden": [512], "activation": "relu"}
    model = keras_acn.ACN(
        (28, 28, 1),
        dim,
        encoder=encoder,
        prior={**prior, "skip_connections": False},
        decoder=decoder,
        codebook={"search": search, "size": size},
    )
    model.compile("adam")
    train = tf.function(model.train_step, jit_compile=True)
    rng = np.random.default_rng(0)
    images = tf.constant(rng.random((batch_size, 28, 28, 1), np.float32))

    def step():
        rows = rng.choice(size, batch_size, replace=False).astype(np.int32)
        train({"image": images, "index": tf.constant(rows)})

    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codes", type=int, nargs="*", default=[60_000, 250_000, 1_000_000])
    parser.add_argument("--dim", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--search", nargs="*", default=["graph"], choices=["graph", "exact"])
    parser.add_argument("--seconds", type=float, default=20, help="how long to measure")
    arguments = parser.parse_args()
    steps = {
        (search, size): step_of(search, size, arguments.dim, arguments.batch)
        for search in arguments.search
        for size in arguments.codes
    }
    seconds = {key: [] for key in steps}
    for step in steps.values():
        step()
    end = time.perf_counter() + arguments.seconds
    while time.perf_counter() < end:
        for key, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[key].append(time.perf_counter() - start)
    print(f"dim {arguments.dim}, batch {arguments.batch}; ms a step, ratio to the fewest codes")
    print(f"{'search':<8}{'codes':>10}{'shortest':>10}{'median':>8}{'ratio':>8}{'median':>8}")
    for (search, size), found in seconds.items():
        first = seconds[search, arguments.codes[0]]
        low, middle = 1e3 * np.quantile(found, 0.05), 1e3 * np.median(found)
        print(
            f"{search:<8}{size:>10}{low:>10.2f}{middle:>8.2f}"
            f"{low / (1e3 * np.quantile(first, 0.05)):>8.2f}"
            f"{middle / (1e3 * np.median(first)):>8.2f}"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"peak memory of the process, all of these models together: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
