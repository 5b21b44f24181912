"""Whole numbers and seeds: one check each, wherever the user gives one."""

from __future__ import annotations

import operator
from typing import Any

from keras_acn._base.errors import UserError

SEEDS = 2**31


def check_count(value: Any, what: str, least: int = 0) -> int:
    """Return `value` as an int.

    Args:
      value: What the user gave.
      what: What it is, as the subject of the error's sentence.
      least: The smallest number allowed.

    Raises:
      UserError: If it is not a whole number, or is less than `least`.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise UserError(
            f"{what} must be a whole number of at least {least}, not {value!r}."
        ) from None
    if number < least:
        raise UserError(f"{what} must be at least {least}, not {number}.")
    return number


def check_seed(value: Any, what: str = "The seed") -> int:
    """Return a seed as an int from 0 to 2**31 - 1, which is what TensorFlow's int32 seeds hold.

    Args:
      value: What the user gave.
      what: What it is, as the subject of the error's sentence.

    Raises:
      UserError: If it is anything else.
    """
    seed = check_count(value, what)
    if seed >= SEEDS:
        raise UserError(f"{what} must be less than 2**31, not {seed}.")
    return seed
