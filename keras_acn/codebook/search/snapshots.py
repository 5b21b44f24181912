"""When the index of an approximate search is made: ahead of time, in a thread."""

import collections
import threading

import numpy as np

# So many codes, evenly spaced, tell whether the codes are those of a snapshot.
SAMPLE = 4096
# A snapshot is of no use where codes moved by more than this share of their spread.
MOVED = 0.5

Snapshot = collections.namedtuple("Snapshot", ["index", "sample"])


def sample_rows(size):
    """Returns some of the rows of `size` codes, NumPy int32, always the same ones."""
    return np.arange(0, size, -(-size // SAMPLE), dtype=np.int32)


class Snapshots:
    """Keeps an index of the codes, one epoch behind, and makes the next one meanwhile.

    Args:
      build: `build(codes, background) -> index`, of float32 `[N, d]`, NumPy.
    """

    def __init__(self, build):
        self._build = build
        self._current = None
        self._next = None
        self._training = False

    @property
    def index(self):
        return self._current.index

    def is_of(self, sample, strict):
        """Returns whether there is an index to search.

        Args:
          sample: `[S, d]`, the codes as they are in the `sample_rows`.
          strict: Whether the index must be of just these codes, save while training goes
            on, when codes never stay as they are.
        """
        if self._current is None or self._current.sample.shape != sample.shape:
            return False
        return not strict or self._training or np.array_equal(self._current.sample, sample)

    def make(self, codes):
        """Makes an index of `codes` `[N, d]`, NumPy, and waits for it."""
        self._current = self._made(np.array(codes, np.float32))

    def begin_epoch(self, codes):
        """Changes over to the index of an epoch ago, and starts on that of now.

        Args:
          codes: float32 `[N, d]`, NumPy. They are copied.
        """
        self._training = True
        self._finish()
        sample = codes[sample_rows(len(codes))]
        if self._current is None or _moved(self._current.sample, sample) > MOVED:
            self.make(codes)
        elif not np.array_equal(self._current.sample, sample):
            self._next = _Job(self._made, np.array(codes, np.float32))

    def end_training(self):
        """Waits for the thread."""
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
        """Returns what the call returned, or raises what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result


def _moved(old, new):
    """Returns how far codes `[n, d]` moved, as a share of their spread."""
    if old.shape != new.shape:
        return np.inf
    spread = np.sum(np.var(new.astype(np.float64), axis=0))
    moved = np.mean(np.sum((new.astype(np.float64) - old) ** 2, axis=1))
    if not np.isfinite(moved) or not np.isfinite(spread):
        return np.inf
    return 0.0 if moved == 0 else np.sqrt(moved / max(spread, np.finfo(np.float64).tiny))
