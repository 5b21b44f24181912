"""Whole numbers, seeds, sizes and shapes: one check each, wherever the user gives one."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from typing import Any

from keras_acn._base.errors import UserError, short

SEEDS = 2**31
# More layers one after the other than any network has, and building each takes a while.
MOST_LAYERS = 1_000


def is_truth(value: Any) -> bool:
    """Return whether a value is True or False, Python's or NumPy's, alone or as an array.

    Both are numbers to Python, and NumPy's to `operator.index` until NumPy 2.

    Example:
      >>> is_truth(True), is_truth(1)
      (True, False)
    """
    return isinstance(value, bool) or getattr(getattr(value, "dtype", None), "name", "") == "bool"


def check_count(value: Any, what: str, least: int = 0, most: int | None = None) -> int:
    """Return `value` as an int.

    Args:
      value: What the user gave.
      what: What it is, as the subject of the error's sentence.
      least: The smallest number allowed.
      most: The largest one; by default any.

    Raises:
      UserError: If it is not a whole number, or is less than `least` or more than `most`.
    """
    try:
        if is_truth(value):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise UserError(
            f"{what} must be a whole number of at least {least}, not {short(value, to_text=repr)}."
        ) from None
    if number < least:
        raise UserError(f"{what} must be at least {least}, not {short(number)}.")
    if most is not None and number > most:
        raise UserError(f"{what} must be at most {most:,}, not {short(number)}.")
    return number


def check_optional(value: Any, what: str, least: int = 1) -> int | None:
    """Return `None` as it is, and all else as `check_count` does."""
    return None if value is None else check_count(value, what, least)


def check_number(value: Any, what: str, wanted: str, holds: Callable[[float], bool]) -> float:
    """Return a number that need not be whole as a float.

    Args:
      value: What the user gave.
      what: What it is, as the subject of the error's sentence.
      wanted: What it must be, in words.
      holds: Whether a number is so. NaN and the infinities are not asked about, and refused.

    Raises:
      UserError: If it is no number, or not as wanted.

    Example:
      >>> check_number(1, "beta", "a number of zero or more", lambda number: number >= 0)
      1.0
    """
    try:
        if is_truth(value) or isinstance(value, (str, bytes)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or not holds(number):
        raise UserError(f"{what} must be {wanted}, not {short(value, to_text=repr)}.")
    return number


def check_flag(value: Any, what: str) -> bool:
    """Return True or False, Python's or NumPy's, as Python's.

    Args:
      value: What the user gave.
      what: What it is, as the subject of the error's sentence.

    Raises:
      UserError: If it is anything else, as a text would count for true whatever it says.
    """
    if not is_truth(value) or bool(getattr(value, "ndim", None)):
        raise UserError(f"{what} must be true or false, not {short(value, to_text=repr)}.")
    return bool(value)


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
        raise UserError(f"{what} must be less than 2**31, not {short(seed)}.")
    return seed


def check_seed_of_draw(value: Any) -> int:
    """Return the seed of what is drawn from a model as an int, any int32, as a served model takes.

    Raises:
      UserError: If it is anything else.
    """
    return check_count(value, "The seed", -SEEDS, SEEDS - 1)


def check_widths(values, what: str, fewest: int = 0) -> tuple[int, ...]:
    """Return `values` as a tuple of positive ints, such as the widths of layers.

    Args:
      values: What the user gave.
      what: What it is, as the subject of the error's sentence.
      fewest: How many there must be at least.

    Raises:
      UserError: If it is no list of positive whole numbers, or too short.
    """
    is_list = isinstance(values, Iterable) and not isinstance(values, (str, bytes, dict))
    try:
        widths = tuple(check_count(value, what, 1) for value in values) if is_list else None
    except UserError:
        widths = None
    if widths is None or len(widths) < fewest:
        length = f" with at least {fewest}" if fewest else ""
        raise UserError(
            f"{what} must be a list of positive whole numbers{length}, such as [64, 32], not "
            f"{short(values, to_text=repr)}."
        )
    return widths


def without_non_finite(value: Any) -> Any:
    """Return nested dicts and lists with `None` for NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: without_non_finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_non_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def check_image_shape(image_shape) -> tuple[int, int, int]:
    """Return `image_shape` as a tuple of ints `(H, W, C)`.

    Raises:
      UserError: If it is not three positive whole numbers.
    """
    try:
        height, width, channels = check_widths(image_shape, "image_shape")
    except ValueError:
        raise UserError(
            "image_shape must be (height, width, channels), three positive whole numbers such as "
            f"(28, 28, 1), not {short(image_shape)}."
        ) from None
    return height, width, channels
