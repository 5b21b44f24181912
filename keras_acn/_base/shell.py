"""What comes from a shell and goes back there: paths, commands to print, requests to stop."""

from __future__ import annotations

import os
import shlex
import signal

from keras_acn._base.errors import UserError, short

# Bytes of a file's name, on all file systems in use.
LONGEST_NAME = 255


def command(*words: object) -> str:
    """Return a line of `keras-acn` that can be pasted into a shell, whatever is in its words.

    Example:

    >>> command("plot", "runs/my first")
    "keras-acn plot 'runs/my first'"
    """
    return shlex.join(["keras-acn", *map(str, words)])


def expanded(path: str | os.PathLike) -> str:
    """Return a path with `~` as the home folder, which a shell leaves alone in `--out=~/x`.

    Raises:
      UserError: If it is no path, or has a name or a character in it that none has.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise UserError(f"A path must be a text or a Path, not {short(path, to_text=repr)}.")
    text = os.fspath(path)
    if "\0" in text:
        raise UserError(f"No path has a null character in it, as {short(text, to_text=repr)} has.")
    if any(len(os.fsencode(name)) > LONGEST_NAME for name in text.split(os.sep)):
        raise UserError(
            f"{short(text)} cannot be a path (file name too long): give a shorter path."
        )
    return os.path.expanduser(text)


def stop_signals() -> list[int]:
    """Return the signals that ask a training to stop, but for those that are being ignored."""
    numbers = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
    # A handler that was not set by Python is `None`, and could not be set again.
    left_alone = (signal.SIG_IGN, None)
    return [n for n in numbers if n is not None and signal.getsignal(n) not in left_alone]
