"""Exact search against faiss's flat index and scikit-learn's brute force, side by side.

Each finds the 5 nearest codes of B queries that are codes themselves (6, with the query's
own). The indices of the others are built beforehand; all use all cores. The three are called
in turn, and a ratio is the median over the turns of theirs to ours.

    python benchmarks/exact_search.py [--count 60000 1000000] [--dim 16 64 128] [--batch 128 512]

"compiled" is what a training step runs (XLA), "graph" what evaluation runs.
"""

import argparse
import statistics
import time

import numpy as np
import tensorflow as tf
from sklearn.neighbors import NearestNeighbors

from keras_acn.codebook import ExactSearch

K = 5


def contestants(codes, batch):
    """Returns functions without arguments that return the rows found, `[B, k]`."""
    import faiss

    variable = tf.Variable(codes)
    query, own = tf.constant(codes[:batch]), tf.range(batch)
    search = ExactSearch()
    functions = {}
    for name, jit in (("compiled", True), ("graph", False)):

        def find(query, own):
            return search(tf.identity(variable), query, K, own)

        call = tf.function(find, jit_compile=jit, autograph=False)
        functions[name] = lambda call=call: call(query, own)[1].numpy()
    flat = faiss.IndexFlatL2(codes.shape[1])
    flat.add(codes)
    functions["faiss"] = lambda: flat.search(codes[:batch], K + 1)[1]
    brute = NearestNeighbors(n_neighbors=K + 1, algorithm="brute").fit(codes)
    functions["sklearn"] = lambda: brute.kneighbors(codes[:batch], return_distance=False)
    return functions


def in_turn(functions, turns, seconds):
    """Seconds of each call, `{name: [turn]}`, after one call each to warm up."""
    for function in functions.values():
        function()
    times = {name: [] for name in functions}
    end = time.perf_counter() + seconds
    for turn in range(turns):
        if turn >= 5 and time.perf_counter() > end:
            break
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return times


def agreement(ours, theirs):
    """Share of our rows that are among the others' nearest, the query itself left out."""
    same = [len(set(a) & (set(b) - {i})) for i, (a, b) in enumerate(zip(ours, theirs, strict=True))]
    return np.mean(same) / K


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, nargs="*", default=[60_000, 1_000_000])
    parser.add_argument("--dim", type=int, nargs="*", default=[16, 64, 128])
    parser.add_argument("--batch", type=int, nargs="*", default=[128, 512])
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=15, help="at most so long a line")
    args = parser.parse_args()

    names = ("compiled", "graph", "faiss", "sklearn")
    print(
        f"{'codes':>8}{'dim':>5}{'batch':>6} |" + "".join(f"{name:>10}" for name in names), end=""
    )
    print(f" | {'faiss':>6}{'sklearn':>8} | {'faiss':>6}{'sklearn':>8} | same rows")
    print(f"{'':>19} |{'ms, least of the turns':>40} | {'/ compiled':>14} | {'/ graph':>14} |")
    for count in args.count:
        for dim in args.dim:
            rng = np.random.default_rng(0)
            codes = rng.standard_normal((count, dim), dtype=np.float32)
            for batch in args.batch:
                functions = contestants(codes, batch)
                times = in_turn(functions, args.turns, args.seconds)

                def ratio(theirs, ours, times=times):
                    pairs = zip(times[theirs], times[ours], strict=True)
                    return statistics.median(a / b for a, b in pairs)

                same = agreement(functions["compiled"](), functions["faiss"]())
                print(
                    f"{count:>8}{dim:>5}{batch:>6} |"
                    + "".join(f"{1e3 * min(times[name]):>10.1f}" for name in names)
                    + f" | {ratio('faiss', 'compiled'):>6.2f}{ratio('sklearn', 'compiled'):>8.2f}"
                    + f" | {ratio('faiss', 'graph'):>6.2f}{ratio('sklearn', 'graph'):>8.2f}"
                    + f" | {same:.4f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
