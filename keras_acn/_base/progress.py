"""How long work tells of its progress: one shape for the whole package."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable

# `progress(done, total)` is called now and then, with whole numbers; the last call has
# `done == total`. What they count (images, steps, files) the function that calls says.
Progress = Callable[[int, int], None]


def takes_tell(function: Callable) -> Callable:
    """Let a function whose `progress` was called `tell` take that name for one version more."""

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
    """Return `progress(done, total)`; for one version more it may be `progress(name, ...)`."""
    if progress is None:
        return None
    try:
        inspect.signature(progress).bind(0, 1)
    except TypeError:
        warnings.warn(
            "`progress` is now called with two numbers, progress(done, total).",
            DeprecationWarning,
            stacklevel=3,
        )
        return lambda done, total: progress(name, done, total)
    except ValueError:  # a function of C, whose signature is not known
        pass
    return progress


def share_of(progress: Progress | None, part: int, parts: int) -> Progress | None:
    """Return the progress of the `part`-th of `parts` equal shares of the work."""
    if progress is None:
        return None
    return lambda done, total: progress(part * total + done, parts * total)
