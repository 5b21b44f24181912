"""How long work tells of its progress: one shape for the whole package, one line on a terminal."""

from __future__ import annotations

import functools
import inspect
import shutil
import warnings
from collections.abc import Callable
from typing import IO

# `progress(done, total)` is called now and then, with whole numbers; the last call has
# `done == total`. What they count (images, steps, files) the function that calls says.
Progress = Callable[[int, int], None]

# Letters of the bar that a terminal shows.
_BAR = 24


def takes_tell(function: Callable) -> Callable:
    """Let a function whose `progress` was called `tell` take that name until version 0.3.0."""

    @functools.wraps(function)
    def renamed(*args, tell=None, **kwargs):
        if tell is not None:
            warnings.warn(
                f"The argument `tell` of {function.__name__} is now called `progress`.",
                DeprecationWarning,
                stacklevel=2,
            )
            kwargs["progress"] = tell
        return function(*args, **kwargs)

    return renamed


def of_two(progress: Callable | None, name: str) -> Progress | None:
    """Return `progress(done, total)`, also of one that `is_by_stage`."""
    if progress is None or not is_by_stage(progress):
        return progress
    warnings.warn(
        "`progress` is now called with two numbers, progress(done, total).",
        DeprecationWarning,
        stacklevel=3,
    )
    return lambda done, total: progress(name, done, total)


def is_by_stage(progress: Callable) -> bool:
    """Return whether `progress` takes `(stage, done, total)`, as it may until version 0.3.0."""

    def takes(count):
        try:
            inspect.signature(progress).bind(*range(count))
        except (TypeError, ValueError):  # the latter of a function of C, which is not known
            return False
        return True

    return takes(3) and not takes(2)


def share_of(progress: Progress | None, part: int, parts: int) -> Progress | None:
    """Return the progress of the `part`-th of `parts` equal shares of the work."""
    if progress is None:
        return None
    return lambda done, total: progress(part * total + done, parts * total)


def bar(stage: str, done: int, total: int, more: str = "") -> str:
    """Return the line that a terminal shows of work in hand.

    Args:
      stage: What is being done.
      done: How much of it.
      total: Of how much; 0 where there is nothing to do.
      more: What else to say, after the numbers; cut off where the terminal is too narrow.

    Example:

    >>> bar("encode", 250, 1000)
    'encode               [######                  ] 250/1,000'
    """
    share = done / total if total else 1.0
    text = f"{stage:<20} [{'#' * round(_BAR * share):<{_BAR}}] {done:,}/{total:,}"
    return f"{text}  {more}" if more else text


def over(text: str) -> str:
    """Return what writes a line over the last one of a terminal: no wider than that is.

    A line that wraps could not be written over, as the cursor goes back by one row at most.
    """
    return f"\r\x1b[K{text[: width()]}"


def apart(text: str, stream: IO) -> str:
    """Return a line for `stream` that a line of work in hand on the same terminal gives way to."""
    return f"{over('')}{text}" if stream.isatty() else text


def width() -> int:
    """Return how many letters fit in a row of the terminal; in the last column it may wrap."""
    return max(1, shutil.get_terminal_size().columns - 1)
