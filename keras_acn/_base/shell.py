"""What comes from a shell and goes back there: paths, commands to print, requests to stop."""

from __future__ import annotations

import os
import shlex
import signal


def command(*words: object) -> str:
    """Return a line of `keras-acn` that can be pasted into a shell, whatever is in its words.

    Example:

    >>> command("plot", "runs/my first")
    "keras-acn plot 'runs/my first'"
    """
    return shlex.join(["keras-acn", *map(str, words)])


def expanded(path: str | os.PathLike) -> str:
    """Return a path with `~` as the home folder, which a shell leaves alone in `--out=~/x`."""
    return os.path.expanduser(os.fspath(path))


def stop_signals() -> list[int]:
    """Return the signals that ask a training to stop, but for those that are being ignored."""
    numbers = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
    # A handler that was not set by Python is `None`, and could not be set again.
    left_alone = (signal.SIG_IGN, None)
    return [n for n in numbers if n is not None and signal.getsignal(n) not in left_alone]
