"""Which rows go where: parts held out by a seed, limits, and some of the classes."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_acn._base.checks import check_count
from keras_acn._base.errors import UserError, unknown_name


class Part(NamedTuple):
    """uint8 or float32 `images` `[N, H, W, C]`, int32 `labels` `[N]` or `None`."""

    images: np.ndarray
    labels: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> Part:
        """Return the part made of `rows`."""
        return Part(self.images[rows], None if self.labels is None else self.labels[rows])


def check_amount(amount: Any, what: str) -> int | float:
    """Return how much to hold out: an int (a count) or a float in (0, 1) (a share).

    Args:
      amount: 0, a count or a share.
      what: Name of the option, such as `"validation"`.

    Raises:
      UserError: If it is neither.
    """
    is_real = isinstance(amount, numbers.Real) and not isinstance(amount, bool)
    if is_real:
        if isinstance(amount, numbers.Integral) and int(amount) >= 0:
            return int(amount)
        if 0 <= amount < 1:
            return float(amount) or 0
    raise UserError(
        f"{what} must be a share in [0, 1), such as 0.1, or a number of images, not {amount!r}."
    )


def _quotas(sizes, amount):
    """Share `amount` out in proportion to `sizes` by largest remainders."""
    exact = amount * sizes / sizes.sum()
    quotas = np.floor(exact).astype(int)
    order = np.argsort(-(exact - quotas), kind="stable")
    quotas[order[: amount - quotas.sum()]] += 1
    return quotas


def held_out(
    count: int,
    labels: np.ndarray | None,
    amount: int | float,
    seed: Sequence[int],
    what: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Pick the rows to hold out, each class by its share where there are labels.

    Args:
      count: Number of rows.
      labels: int `[count]` or `None`.
      amount: How many: a count, or a share in (0, 1), rounded, at least one.
      seed: A sequence of ints. The same seed picks the same rows.
      what: Name of the option, for the error.

    Returns:
      `(kept, held)`: int arrays, ascending, disjoint, together all rows.

    Raises:
      UserError: If no row would be left.
    """
    wanted = max(1, round(count * amount)) if isinstance(amount, float) else amount
    if wanted >= count:
        raise UserError(
            f"{what}={amount} holds out {wanted} of {count} images and leaves none to train on: "
            "give a smaller number."
        )
    rng = np.random.default_rng(seed)
    groups = [np.arange(count)]
    if labels is not None:
        groups = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    quotas = _quotas(np.array([len(g) for g in groups]), wanted)
    held = np.zeros(count, bool)
    for rows, quota in zip(groups, quotas, strict=True):
        held[rng.permutation(rows)[:quota]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def limited(rows: np.ndarray, limit: int | None, spread: bool = False) -> np.ndarray:
    """Return at most `limit` of `rows`: the first, or evenly spread over all of them."""
    if limit is None or len(rows) <= limit:
        return rows
    if spread:
        return rows[np.arange(limit) * len(rows) // limit]
    return rows[:limit]


def check_classes(classes: Any) -> tuple[int | str, ...] | None:
    """Return labels as a sorted tuple of ints, names as they are; `None` for `None`.

    Args:
      classes: A label or a name, or several of them.

    Raises:
      UserError: If they are not whole numbers from 0 or names, or none at all.
    """
    if classes is None:
        return None
    if isinstance(classes, np.ndarray):
        classes = classes.tolist()
    if isinstance(classes, (str, int, np.integer)):
        classes = [classes]
    is_list = isinstance(classes, (list, tuple, set, range))
    if not is_list or any(np.ndim(label) for label in classes):
        raise UserError(f"classes must be the labels to keep, such as [0, 1, 2], not {classes!r}.")
    each = list(classes)
    if not each:
        raise UserError("classes is empty: name at least one label, or leave it out.")
    names = dict.fromkeys(label for label in each if isinstance(label, str))
    labels = {
        check_count(label, "Each of the classes") for label in each if not isinstance(label, str)
    }
    return (*sorted(labels), *names)


def class_labels(
    classes: Sequence[int | str], class_names: Sequence[str] | None
) -> tuple[int, ...]:
    """Return the labels of classes that are named by label or by name, ascending.

    Args:
      classes: As `check_classes` returns them.
      class_names: Name of each label from 0, or `None`.

    Raises:
      UserError: If there is no class of a name.

    Example:

    >>> class_labels((0, "dog"), ["ant", "cat", "dog"])
    (0, 2)
    """
    labels = set()
    for each in classes:
        if not isinstance(each, str):
            labels.add(each)
        elif each in (class_names or ()):
            labels.add(list(class_names or ()).index(each))
        elif class_names is None:
            raise UserError(
                f'The classes have no names, so there is none called "{each}": give labels, such '
                "as [0, 1, 2]."
            )
        else:
            raise unknown_name("class", each, class_names)
    return tuple(sorted(labels))


def of_classes(parts: dict[str, Part], classes: Sequence[int], source: str) -> dict[str, Part]:
    """Return the parts of a source with the images of `classes` alone.

    A part of which nothing would be left, other than the training part, is left out: the
    parts of some sources, such as Omniglot, have different classes.

    Args:
      parts: By name; `"train"` is among them.
      classes: The labels to keep.
      source: What to call the data in an error.

    Raises:
      UserError: If there are no labels, or no part has a class.
    """
    labels = {name: part.labels for name, part in parts.items() if part.labels is not None}
    if len(labels) < len(parts):
        raise UserError(f"{source} has no labels to choose classes by: leave classes out.")
    there = set().union(*(np.unique(each).tolist() for each in labels.values()))
    missing = [label for label in classes if label not in there]
    if missing:
        raise UserError(
            f"{source} has no images of class {missing[0]}: its classes are {_listed(there)}."
        )
    kept = {
        name: part.take(np.flatnonzero(np.isin(labels[name], classes)))
        for name, part in parts.items()
    }
    if not len(kept["train"].images):
        raise UserError(
            f"The training part of {source} has none of the classes {_listed(classes)}: name some "
            f"of {_listed(np.unique(labels['train']).tolist())}."
        )
    return {name: part for name, part in kept.items() if len(part.images)}


def _listed(labels: Iterable[int], most: int = 12) -> str:
    labels = sorted(labels)
    shown = ", ".join(str(label) for label in labels[:most])
    return shown if len(labels) <= most else f"{shown}, ... {labels[-1]}"
