"""The exception and the warning that carry a sentence meant for the user."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable


class UserError(ValueError):
    """Bad input, told in one sentence that names the fix.

    The command line prints the sentence and exits with code 2. In Python it is a
    `ValueError` like any other.

    Example:
      >>> try:
      ...     raise UserError("image_shape must be (height, width, channels), not (8, 8).")
      ... except ValueError as error:
      ...     print(error)
      image_shape must be (height, width, channels), not (8, 8).
    """

    # What the command line exits with.
    exit_code = 2


class NotFinite(UserError):
    """A training has diverged: costs, gradients or weights are no finite numbers any more.

    The command line exits with code 3.

    Args:
      step: The step, counted from 0 over the whole training; `None` where nobody knows.
      terms: What is not finite, in words.
      rows: Some of the images concerned, by their row or index.
      count: How many images are concerned.
      help: What to do about it, in one sentence.

    Example:
      >>> raise NotFinite(3, ["the KL"], [5, 8], 9)
      Traceback (most recent call last):
      ...
      keras_acn._base.errors.NotFinite: The training has diverged: in step 3 the KL was not \
finite, of the images 5, 8 and 7 more; it was stopped, and made no update from then on. What \
usually helps is clipnorm=1.0 or a smaller learning rate for the optimizer, or a beta that grows \
from 0.
    """

    exit_code = 3

    def __init__(
        self,
        step: int | None,
        terms: Iterable[str],
        rows: Iterable[int] = (),
        count: int = 0,
        *,
        help: str = (
            "What usually helps is clipnorm=1.0 or a smaller learning rate for the optimizer, or "
            "a beta that grows from 0."
        ),
    ):
        self.step, self.terms = step, list(terms)
        self.rows, self.count = list(rows), count
        where = "" if step is None else f"in step {step} "
        verb = "was" if len(self.terms) == 1 else "were"
        of = f", of {_images(self.rows, count)}" if self.rows else ""
        done = "" if step is None else "; it was stopped, and made no update from then on"
        super().__init__(
            f"The training has diverged: {where}{_listed(self.terms)} {verb} not finite"
            f"{of}{done}. {help}"
        )

    def __reduce__(self):
        return (_same_error, (type(self), str(self), self.__dict__))

    def advising(self, help: str) -> NotFinite:
        """Return the same error with another advice."""
        return NotFinite(self.step, self.terms, self.rows, self.count, help=help)


class CannotWrite(UserError):
    """A file or folder cannot be written: the disk is full, read-only or gone.

    Args:
      path: What was to be written.
      reason: Why it cannot be, in words.
      fix: What to do about it, in words.
      kept: What there still is, in a sentence.

    Example:
      >>> raise CannotWrite("a.npy", "no space left on device", "make room there", "It is kept.")
      Traceback (most recent call last):
      ...
      keras_acn._base.errors.CannotWrite: a.npy cannot be written (no space left on device): make \
room there. It is kept.
    """

    def __init__(self, path: str | os.PathLike, reason: str, fix: str, kept: str):
        self.path, self.reason, self.fix, self.kept = path, reason, fix, kept
        super().__init__(f"{path} cannot be written ({reason}): {fix}. {kept}")

    def __reduce__(self):
        return (type(self), (self.path, self.reason, self.fix, self.kept))

    def keeping(self, kept: str) -> CannotWrite:
        """Return the same error, saying of more than a file what is kept."""
        return CannotWrite(self.path, self.reason, self.fix, kept)


def not_writable(
    folder: str | os.PathLike, error: OSError, fix: str = "choose another --out"
) -> UserError:
    """Return the error of a folder that the system does not let us write to."""
    reason = (error.strerror or "unknown reason").lower()
    return UserError(f"The folder {folder} cannot be written to ({reason}): {fix}.")


def _listed(words: list[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _images(rows: list[int], count: int) -> str:
    more = f" and {count - len(rows)} more" if count > len(rows) else ""
    return f"the image{'s' if count > 1 else ''} {', '.join(map(str, rows))}{more}"


def _same_error(cls: type[NotFinite], sentence: str, state: dict) -> NotFinite:
    error = cls.__new__(cls, sentence)
    vars(error).update(state)
    return error


class DataWarning(UserWarning):
    """Images were read otherwise than they are stored, or left out, or are others than before."""


def short(value: object, most: int = 80, to_text: Callable[[object], str] = str) -> str:
    """Return what a user gave as text to stand in a sentence: on one line, cut where it is long.

    Example:
      >>> short("a" * 100, 10)
      'aaaaaaa...'
    """
    try:
        text = to_text(value)
    except (ValueError, RecursionError):
        # A number of thousands of digits, or lists within lists.
        text = f"a {type(value).__name__} that is too long to print"
    text = text if len(text) <= most else f"{text[: most - 3]}..."
    # A terminal obeys some of what cannot be printed.
    return "".join(letter if letter.isprintable() else " " for letter in text)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's words, to stand in a sentence; its class if it has none.

    Example:
      >>> first_line(ValueError("No such layer.\\nUse another.")), first_line(KeyError())
      ('No such layer', 'KeyError')
    """
    return short((str(error).strip() or type(error).__name__).splitlines()[0], 200).rstrip(".")


def did_you_mean(word: object, known: Iterable) -> str:
    """Return `' Did you mean "x"?'` for the nearest of `known`, or an empty string."""
    if len(str(word)) > 200:
        return ""
    near = difflib.get_close_matches(str(word), [str(k) for k in known], n=1, cutoff=0.5)
    return f' Did you mean "{near[0]}"?' if near else ""


def unknown_name(kind: str, word: object, known: Iterable) -> UserError:
    """Return the `UserError` for a name that is not one of `known`.

    Args:
      kind: What is being named, such as `"encoder"` or `"preset"`.
      word: The name as the user gave it.
      known: The names that exist.
    """
    known = sorted(str(k) for k in known)
    return UserError(
        f'Unknown {kind} "{short(word)}": known are {", ".join(known)}.{did_you_mean(word, known)}'
    )
