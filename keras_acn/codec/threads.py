"""Parts of a batch on several threads.

The library that NumPy multiplies matrices by, BLAS, has threads of its own, which share a product.
The products of a small network are too small for that, and what is done between them is on one
thread. So where a batch is cut in parts, each thread takes whole parts, and BLAS has one thread in
each. The parts are the same on any number of threads, and so are the numbers that come out.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_LOCK = threading.Lock()
# How many are at it in this process, and while there are any: what BLAS had before.
_USERS, _LIMIT, _THREADS = 0, None, 1


@contextlib.contextmanager
def side_by_side() -> Iterator[Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]]:
    """Yield `each(function, parts)`, which returns `[function(part), ...]` from several threads.

    There are as many as BLAS would have: as many as processors, or as `OMP_NUM_THREADS` says.

    Example:
      >>> with side_by_side() as each:
      ...     each(len, ["a", "bc", ""])
      [1, 2, 0]
    """
    with _one_thread_of_blas() as threads:
        if threads == 1:
            yield lambda function, parts: [function(part) for part in parts]
            return
        with ThreadPoolExecutor(threads - 1) as pool:
            yield functools.partial(_each, pool, threads)


def _each(pool, threads, function, parts):
    results = [None] * len(parts)
    left = iter(range(len(parts)))

    def work():
        for place in left:
            results[place] = function(parts[place])

    others = [pool.submit(work) for _ in range(min(threads, len(parts)) - 1)]
    work()
    for other in others:
        other.result()
    return results


@contextlib.contextmanager
def _one_thread_of_blas():
    """Let BLAS have one thread; yield how many it had. The last one to leave gives them back."""
    global _USERS, _LIMIT, _THREADS
    with _LOCK:
        if not _USERS:
            blas = _blas()
            _THREADS = max((each.num_threads for each in blas.lib_controllers), default=1)
            _LIMIT = blas.limit(limits=1)
        _USERS += 1
        threads = _THREADS
    try:
        yield threads
    finally:
        with _LOCK:
            _USERS -= 1
            if not _USERS:
                _LIMIT.restore_original_limits()


@functools.cache
def _blas():
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
