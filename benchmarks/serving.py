"""A served model against calling the Keras model: latency and throughput, side by side.

Each signature is asked in batches of 1, 32 and 256, in turn: by the Keras model's own method,
and by the exported model in a TensorFlow session, which is the path that TensorFlow Serving
takes. The model server's own work (gRPC, copying, queues) is not in it.

    python benchmarks/serving.py [MODEL] [--batch 1 32 256] [--repeats 20] [--quantize float16]

MODEL is a run folder, a .keras file or the name of a saved model; `acn-mnist` by default.
"""

import argparse
import functools
import pathlib
import statistics
import tempfile
import time

import numpy as np
import tensorflow as tf

from keras_acn.experiment import open_run


class Served:
    """An export in a session of its own."""

    def __init__(self, path):
        graph = tf.Graph()
        with graph.as_default():
            self.session = tf.compat.v1.Session(graph=graph)
            meta = tf.compat.v1.saved_model.load(self.session, ["serve"], str(path))
        self.signatures = meta.signature_def

    def call(self, signature, inputs):
        """Returns a function without arguments that asks the signature."""
        definition = self.signatures[signature]
        names = list(definition.inputs)
        fetches = [value.name for value in definition.outputs.values()]
        feeds = {definition.inputs[name].name: inputs[name] for name in names}
        return lambda: self.session.run(fetches, feeds)


def in_turn(functions, repeats, seconds):
    """Median seconds of each function, called in turn after two calls each to warm up."""
    for function in functions * 2:
        function()
    times = [[] for _ in functions]
    end = time.perf_counter() + seconds
    for turn in range(repeats):
        if turn >= 3 and time.perf_counter() > end:
            break
        for function, found in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            found.append(time.perf_counter() - start)
    return [statistics.median(each) for each in times]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="acn-mnist")
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 32, 256])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20, help="at most this long a line")
    parser.add_argument("--quantize")
    args = parser.parse_args()

    model = open_run(args.model).model
    with tempfile.TemporaryDirectory() as folder:
        export = model.export(pathlib.Path(folder) / "model", quantize=args.quantize)
        served = Served(export.path)
    print(f"{args.model}, {export.total_bytes / 1e6:.1f} MB exported, TensorFlow {tf.__version__}")
    print(f"{'':<12}{'batch':>6}{'keras ms':>10}{'served ms':>11}{'images/s':>10}{'ratio':>8}")
    rng = np.random.default_rng(0)
    # `codes` is what `encode` computes, as a compiled graph; `encode` itself runs eagerly.
    methods = {
        "encode": ("encode", lambda x: model.encode(x).mean().numpy()),
        "codes": ("encode", lambda x: model.codes(x)),
        "neighbors": ("neighbors", lambda x: model.neighbors(x)),
        "reconstruct": ("reconstruct", lambda x: model.reconstruct(x)),
    }
    for name, (signature, method) in methods.items():
        if signature not in served.signatures:
            continue
        for batch in args.batch:
            images = rng.integers(0, 2, (batch, *model.image_shape)).astype(np.float32)
            keras_call = functools.partial(method, images)
            inputs = {"image": images, "seed": np.zeros(batch, np.int32)}
            serve = served.call(signature, inputs)
            python, graph = in_turn([keras_call, serve], args.repeats, args.seconds)
            print(
                f"{name:<12}{batch:>6}{python * 1e3:>10.2f}{graph * 1e3:>11.2f}"
                f"{batch / graph:>10.0f}{python / graph:>8.2f}"
            )
    print("ratio: how many times faster the served model answers")


if __name__ == "__main__":
    main()
