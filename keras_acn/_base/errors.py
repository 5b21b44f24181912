"""The exception and the warning that carry a sentence meant for the user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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


class DataWarning(UserWarning):
    """Images were read otherwise than they are stored, or left out, or are others than before."""


def did_you_mean(word: object, known: Iterable) -> str:
    """Return `' Did you mean "x"?'` for the nearest of `known`, or an empty string."""
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
        f'Unknown {kind} "{word}": known are {", ".join(known)}.{did_you_mean(word, known)}'
    )
