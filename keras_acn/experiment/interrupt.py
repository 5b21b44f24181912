"""Ctrl-C as a request: the batch in hand is finished, and the run saved."""

import signal
import threading


class Interrupted(KeyboardInterrupt):
    """Raised once a run that was asked to stop is saved.

    Attributes:
      folder: The run folder.
    """

    def __init__(self, folder):
        super().__init__(str(folder))
        self.folder = folder


class StopRequest:
    """A context in which the first Ctrl-C only sets `requested`.

    A second one acts as ever. Outside the main thread nothing is caught, since Python
    delivers signals to the main thread alone.
    """

    def __init__(self):
        self.requested = False
        self._before = None

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._request)
        return self

    def _request(self, number, frame):
        self.requested = True
        self._restore()

    def _restore(self):
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def __exit__(self, *exception):
        self._restore()
