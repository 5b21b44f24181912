"""Reading files that may be damaged or a stranger's: regular ones only, in bounded memory.

A reader looks at a file's header first, works out what its body takes, and asks `require_memory`
before it reads on. The limit is one for all readers. Whoever trusts a file raises it: in Python by
`memory_limit`, on the command line by `--max-gb`, for good by the environment variable.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import pathlib
import stat
import threading
from collections.abc import Iterator

from keras_acn._base.checks import check_number
from keras_acn._base.errors import UserError

# No byte of what deflate has packed (gzip, zip, PNG) becomes more than these.
DEFLATE_RATIO = 1032
# The variable holds gigabytes of 10^9 bytes. Processes that are started from here inherit it.
VARIABLE = "KERAS_ACN_MAX_GB"
_DEFAULT = 4 * 10**9
# More than any text that this package writes beside a model.
_LONGEST_TEXT = 2**26


@functools.cache
def machine_bytes() -> int | None:
    """Return how much memory the machine has; `None` where nobody says."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
    return memory if memory > 0 else None


def _default() -> int:
    memory = machine_bytes()
    return _DEFAULT if memory is None else min(_DEFAULT, memory // 2)


def limit_bytes() -> int:
    """Return how many bytes of memory reading one source may take.

    By default 4 GB, or half of the machine's memory where that is less.

    Raises:
      UserError: If the environment variable holds no positive number.
    """
    given = os.environ.get(VARIABLE, "").strip()
    if not given:
        return _default()
    return _bytes_of(given, f"{VARIABLE} (--max-gb)")


def _bytes_of(gigabytes: float | str, what: str) -> int:
    with contextlib.suppress(ValueError):
        # The environment gives text.
        gigabytes = float(gigabytes) if isinstance(gigabytes, str) else gigabytes
    wanted = "a number of gigabytes above 0, such as 8"
    return int(check_number(gigabytes, what, wanted, lambda number: 0 < number < 1e9) * 10**9)


@contextlib.contextmanager
def memory_limit(gigabytes: float) -> Iterator[None]:
    """A context in which reading a file may take so much memory, in this whole process.

    Args:
      gigabytes: Of 10^9 bytes. By default 4, or half of the machine's memory where that is less.

    Raises:
      UserError: If it is no positive number.

    Example:
      >>> import keras_acn
      >>> with keras_acn.memory_limit(16):
      ...     data = keras_acn.load_data("digits")
      >>> len(data.train)
      1437
    """
    _bytes_of(gigabytes, "The memory limit")
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(gigabytes)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before


def in_gigabytes(size: int) -> str:
    """Return a number of bytes in words.

    Example:
      >>> in_gigabytes(12_884_901_888), in_gigabytes(5_000_000)
      ('12.9 GB', '0.005 GB')
    """
    number = min(size, 10**24) / 10**9
    return f"{number:,.1f} GB" if 0.1 <= number < 10**6 else f"{number:.3g}".rstrip(".") + " GB"


def over_limit(size: int) -> str | None:
    """Return why so many bytes are too many, and what to do, in words; `None` if they are not."""
    limit = limit_bytes()
    if size <= limit:
        return None
    enough = math.ceil(min(size, 10**18) / 10**9)
    return (
        f"{in_gigabytes(size)} in memory, and {in_gigabytes(limit)} are allowed: if you trust the "
        f"file, allow more by --max-gb {enough} (keras_acn.memory_limit({enough}) in Python)"
    )


def require_memory(size: int, what: str) -> None:
    """Raise a `UserError` if reading something takes more memory than is allowed.

    Args:
      size: The bytes that it takes.
      what: Of what, in the plural, as the subject of the sentence: "The images of x take".
    """
    fault = over_limit(size)
    if fault is not None:
        raise UserError(f"{what} take {fault}.")


class _Shared:
    """Memory that threads have for a while, so that together they stay within the limit."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._used = 0

    @contextlib.contextmanager
    def taken(self, size: int) -> Iterator[None]:
        with self._changed:
            # One of them may always go on.
            while self._used and self._used + size > limit_bytes():
                self._changed.wait()
            self._used += size
        try:
            yield
        finally:
            with self._changed:
                self._used -= size
                self._changed.notify_all()


# `with shared_memory(size):` waits until so many bytes are there beside what other threads have.
shared_memory = _Shared().taken


def is_endless(path: str | os.PathLike) -> bool:
    """Return whether there is a pipe or a device, which may never end or never begin."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def require_regular(path: str | os.PathLike) -> None:
    """Raise a `UserError` if there is a pipe or a device; what is missing is none of both."""
    if is_endless(path):
        raise UserError(
            f'"{path}" is a pipe or a device, which can be read only once, or without end: save '
            "it as a file first."
        )


def read_text(path: str | os.PathLike, most: int = _LONGEST_TEXT) -> str:
    """Return a regular file's text.

    Args:
      path: The file.
      most: The bytes that it may have.

    Raises:
      UserError: If there is a pipe or a device, or more than that.
      OSError: If it cannot be read.
      UnicodeDecodeError: If it is no text.
    """
    path = pathlib.Path(path)
    require_regular(path)
    with open(path, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise UserError(f"{path} has more than {most:,} bytes, which no such file has.")
    # Some editors put a mark before all else.
    return content.decode("utf-8-sig")
