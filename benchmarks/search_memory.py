"""What a search takes in memory over the codes themselves, each in a process of its own.

The resident memory of the process is read every millisecond, from before the search is
first called (compiling included) until it was called a few times.

    python benchmarks/search_memory.py [--count 250000 1000000] [--dim 64] [--batch 512]
"""

import argparse
import multiprocessing
import os
import threading
import time

STRATEGIES = ("exact, compiled", "exact, graph", "one matrix", "faiss")


class Peak:
    """The highest resident memory of this process while in its context, in MiB."""

    def __enter__(self):
        self.before = self.highest = self._resident()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _watch(self):
        while not self._stop.is_set():
            self.highest = max(self.highest, self._resident())
            time.sleep(0.001)

    @staticmethod
    def _resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(strategy, count, dim, batch, answer):
    """Puts `(MiB before, MiB at the peak)` into the queue `answer`."""
    import numpy as np
    import tensorflow as tf

    from keras_acn.codebook.search import ExactSearch, FaissSearch

    search = FaissSearch() if strategy == "faiss" else ExactSearch()
    rng = np.random.default_rng(0)
    codes = tf.Variable(rng.standard_normal((count, dim), dtype=np.float32))
    query, own = tf.identity(codes[:batch]), tf.range(batch)

    def find(query, own):
        if strategy == "one matrix":
            score = tf.matmul(query, codes, transpose_b=True)
            score -= 0.5 * tf.reduce_sum(tf.square(tf.identity(codes)), axis=1)
            return tf.math.top_k(score, 6)
        return search(tf.identity(codes), query, 5, own)

    call = tf.function(find, jit_compile=strategy == "exact, compiled", autograph=False)
    with Peak() as peak:
        for _ in range(4):
            call(query, own)[1].numpy()
    answer.put((peak.before, peak.highest))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, nargs="*", default=[250_000, 1_000_000])
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--strategy", nargs="*", default=STRATEGIES, choices=STRATEGIES)
    args = parser.parse_args()

    context = multiprocessing.get_context("spawn")
    print(f"dim {args.dim}, batch {args.batch}; MiB")
    print(f"{'codes':>10}  {'strategy':<17}{'codes':>8}{'[B, N]':>8}{'process':>9}{'search':>8}")
    for count in args.count:
        for strategy in args.strategy:
            answer = context.Queue()
            worker = context.Process(
                target=measure, args=(strategy, count, args.dim, args.batch, answer)
            )
            worker.start()
            before, highest = answer.get()
            worker.join()
            print(
                f"{count:>10}  {strategy:<17}{4 * count * args.dim / 2**20:>8.0f}"
                f"{4 * count * args.batch / 2**20:>8.0f}{highest:>9.0f}{highest - before:>8.0f}",
                flush=True,
            )
    print("process: resident memory at the peak; search: how much of it came with the search")


if __name__ == "__main__":
    main()
