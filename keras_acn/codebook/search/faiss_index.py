"""The index of a `FaissSearch`, and when it is made: ahead of time, in a thread."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from keras_acn._base.errors import UserError

STORAGES = ("flat", "sq8", "pq")
# With fewer codes the index is small however it stores them.
COMPRESS_FROM = 10_000
# As faiss advises: fewer codes a cell make a poor k-means.
CODES_A_CELL = 39
# More do not make a better one.
TRAINING_A_CELL = 64
KMEANS_ROUNDS = 6
# So many codes, evenly spaced, tell whether the codes are those of a snapshot.
SAMPLE = 4096
# A snapshot is of no use where codes moved by more than this share of their spread.
MOVED = 0.5

Snapshot = collections.namedtuple("Snapshot", ["index", "sample"])


def require_faiss() -> ModuleType:
    """Return the module faiss, or raises a `UserError` that tells how to install it."""
    try:
        import faiss
    except ImportError:
        raise UserError(
            'The search strategy "faiss" needs faiss: pip install "keras-acn[faiss]", or choose '
            '"graph" or "exact".'
        ) from None
    return faiss


class CellIndex:
    """Codes sorted into the cells of a k-means, of which a query looks into some.

    Args:
      codes: float32 `[N, d]`, NumPy. A code that is not finite is never found.
      nlist: Number of cells, or `None` for 2 sqrt(N) with 39 codes in each or more.
      nprobe: Cells a query looks into, or `None` for 1 in 128, but at least 16.
      storage: `"flat"`, `"sq8"` or `"pq"`.
      seed: Seed of the k-means.
      background: Whether it is made beside a training, which then keeps half of the
        processor's cores.
    """

    def __init__(
        self,
        codes: np.ndarray,
        *,
        nlist: int | None = None,
        nprobe: int | None = None,
        storage: str = "flat",
        seed: int = 0,
        background: bool = False,
    ):
        faiss = require_faiss()
        size = len(codes)
        if nlist is None:
            nlist = min(int(2 * np.sqrt(size)), size // CODES_A_CELL)
        nlist = max(1, min(nlist, size))
        self.nprobe = min(nlist, nprobe or max(16, nlist // 128))
        # An index takes a row for every code: zeros, left out of the search, for one that is
        # no number.
        self._finite = np.isfinite(codes).all(axis=1)
        self._all_finite = self._finite.all()
        # Product quantization takes numbers in pairs.
        self._pad = codes.shape[1] % 2
        codes = np.where(self._finite[:, None], codes, np.float32(0))
        codes = np.pad(codes, [(0, 0), (0, self._pad)])
        threads = faiss.omp_get_max_threads()
        if background:
            # OpenMP keeps this number by thread.
            faiss.omp_set_num_threads(max(1, threads // 2))
        try:
            self._index = self._trained(faiss, codes, nlist, storage, seed)
            self._index.add(codes)
        finally:
            faiss.omp_set_num_threads(threads)
        # From a row to where it is stored.
        self._index.make_direct_map()

    @staticmethod
    def _trained(faiss, codes, nlist, storage, seed):
        size, dim = codes.shape
        cells = faiss.IndexFlatL2(dim)
        if storage == "flat" or size < COMPRESS_FROM:
            index = faiss.IndexIVFFlat(cells, dim, nlist)
        elif storage == "sq8":
            index = faiss.IndexIVFScalarQuantizer(cells, dim, nlist, faiss.ScalarQuantizer.QT_8bit)
        else:
            index = faiss.IndexIVFPQ(cells, dim, nlist, dim // 2, 8)
            index.pq.cp.seed = seed
        index.cp.seed = seed
        index.cp.niter = KMEANS_ROUNDS
        index.cp.min_points_per_centroid = 1
        index.cp.max_points_per_centroid = TRAINING_A_CELL
        wanted = max(TRAINING_A_CELL * nlist, COMPRESS_FROM)
        if size > wanted:
            chosen = np.random.default_rng(seed).choice(size, wanted, replace=False)
            index.train(codes[np.sort(chosen)])
        else:
            index.train(codes)
        return index

    def search(
        self, query: np.ndarray, count: int, own: np.ndarray, used: np.ndarray
    ) -> np.ndarray:
        """Find candidate rows.

        Args:
          query: float32 `[B, d]`, NumPy.
          count: How many rows to return.
          own: int32 `[B]`, the row of each query, -1 for none: such a query asks a second
            time with the code that the index has of it. `[0]` if no query has one.
          used: bool `[N]`, rows to leave out, `[0]` for none.

        Returns:
          int32 `[B, count]`, or `[B, 2 count]` with `own`; in a row each at most once and
          otherwise -1, and the lowest row first.
        """
        faiss = require_faiss()
        query = np.where(np.isfinite(query), query, np.float32(0))
        query = np.pad(query, [(0, 0), (0, self._pad)])
        if len(own):
            stored = self._index.reconstruct_batch(np.maximum(own, 0).astype(np.int64))
            known = (own >= 0) & self._finite[own]
            asked = np.concatenate([query, np.where(known[:, None], stored, query)])
        else:
            asked = query
        options = faiss.SearchParametersIVF(nprobe=self.nprobe)
        if len(used) or not self._all_finite:
            free = self._finite & ~used if len(used) else self._finite
            free = np.packbits(free, bitorder="little")
            options.sel = faiss.IDSelectorBitmap(free)
        _, rows = self._index.search(np.ascontiguousarray(asked), count, params=options)
        rows = np.concatenate(np.split(rows, len(asked) // max(1, len(query))), axis=1)
        rows = np.sort(rows.astype(np.int32), axis=1)
        rows[:, 1:][rows[:, 1:] == rows[:, :-1]] = -1
        return rows


def sample_rows(size: int) -> np.ndarray:
    """Return some of the rows of `size` codes, NumPy int32, always the same ones."""
    return np.arange(0, size, -(-size // SAMPLE), dtype=np.int32)


class IndexSnapshots:
    """Keeps an index of the codes, one epoch behind, and makes the next one meanwhile.

    Args:
      build: `build(codes, background) -> index`, of float32 `[N, d]`, NumPy.
    """

    def __init__(self, build: Callable[[np.ndarray, bool], Any]):
        self._build = build
        self._current: Any = None  # a Snapshot, once there is one
        self._next: _Job | None = None
        self._training = False

    @property
    def index(self) -> Any:
        """The index to search, as `build` returned it."""
        return self._current.index

    def is_of(self, sample: np.ndarray, *, strict: bool) -> bool:
        """Return whether there is an index to search.

        Args:
          sample: `[S, d]`, the codes as they are in the `sample_rows`.
          strict: Whether the index must be of just these codes, save while training goes
            on, when codes never stay as they are.
        """
        if self._current is None or self._current.sample.shape != sample.shape:
            return False
        return not strict or self._training or _same(self._current.sample, sample)

    def make(self, codes: np.ndarray) -> None:
        """Make an index of `codes` `[N, d]`, NumPy, and wait for it."""
        self._current = self._made(np.array(codes, np.float32))

    def begin_epoch(self, codes: np.ndarray) -> None:
        """Change over to the index of an epoch ago, and start on that of now.

        Args:
          codes: float32 `[N, d]`, NumPy. They are copied.
        """
        self._training = True
        self._finish()
        sample = codes[sample_rows(len(codes))]
        if self._current is None or _moved(self._current.sample, sample) > MOVED:
            self.make(codes)
        elif not _same(self._current.sample, sample):
            self._next = _Job(self._made, np.array(codes, np.float32))

    def end_training(self) -> None:
        """Wait for the thread."""
        self._finish()
        self._training = False

    def _made(self, codes, background=False):
        return Snapshot(self._build(codes, background), codes[sample_rows(len(codes))])

    def _finish(self):
        if self._next is not None:
            job, self._next = self._next, None
            self._current = job.result()


class _Job:
    """A call in a thread of its own."""

    def __init__(self, function, codes):
        self._result = self._error = None

        def run():
            try:
                self._result = function(codes, background=True)
            except Exception as error:  # Raised again where the result is asked for.
                self._error = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def result(self):
        """Return what the call returned, or raises what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result


def _same(old, new):
    """Return whether codes are the same, those that are no numbers included."""
    return np.array_equal(old, new, equal_nan=True)


def _moved(old, new):
    """Return how far the finite ones of codes `[n, d]` moved, as a share of their spread."""
    if old.shape != new.shape:
        return np.inf
    finite = np.isfinite(old).all(axis=1) & np.isfinite(new).all(axis=1)
    if not finite.any():
        return np.inf
    old, new = old[finite].astype(np.float64), new[finite].astype(np.float64)
    spread = np.sum(np.var(new, axis=0))
    moved = np.mean(np.sum((new - old) ** 2, axis=1))
    return 0.0 if moved == 0 else np.sqrt(moved / max(spread, np.finfo(np.float64).tiny))
