"""Times the greedy tour over random and over clustered codes.

Usage: python benchmarks/greedy_tour.py [--count 60000] [--dim 16]
"""

import argparse
import time
import tracemalloc

import numpy as np

from keras_acn.codebook.tour import greedy_tour


def codes_like(kind, count, dim, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(count, dim))
    if kind == "clustered":
        codes = 0.3 * codes + 4.0 * rng.normal(size=(10, dim))[rng.integers(10, size=count)]
    return codes.astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, nargs="*", default=[10_000, 60_000])
    parser.add_argument("--dim", type=int, nargs="*", default=[16, 128])
    arguments = parser.parse_args()
    print(f"{'codes':>8}{'dim':>6}  {'kind':<10}{'seconds':>9}{'MiB':>8}")
    for count in arguments.count:
        for dim in arguments.dim:
            for kind in ("random", "clustered"):
                codes = codes_like(kind, count, dim)
                start = time.perf_counter()
                greedy_tour(codes)
                seconds = time.perf_counter() - start
                tracemalloc.start()
                greedy_tour(codes[: min(count, 5000)])
                bytes_a_code = tracemalloc.get_traced_memory()[1] / min(count, 5000)
                tracemalloc.stop()
                mebibytes = bytes_a_code * count / 2**20
                print(f"{count:>8}{dim:>6}  {kind:<10}{seconds:>9.2f}{mebibytes:>8.1f}")


if __name__ == "__main__":
    main()
