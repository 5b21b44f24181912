"""Some of a data set's classes, the others left out."""

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.data.checks import check_count


def check_classes(classes):
    """Returns labels as a sorted tuple of ints; `None` for `None`.

    Args:
      classes: A label, or several of them.

    Raises:
      UserError: If they are not whole numbers from 0, or none at all.
    """
    if classes is None:
        return None
    if isinstance(classes, str) or np.ndim(classes) > 1:
        raise UserError(f"classes must be the labels to keep, such as [0, 1, 2], not {classes!r}.")
    kept = {check_count(label, "Each of the classes") for label in np.atleast_1d(classes).tolist()}
    if not kept:
        raise UserError("classes is empty: name at least one label, or leave it out.")
    return tuple(sorted(kept))


def of_classes(parts, classes, source):
    """Returns the `Parts` of `source` with the images of `classes` alone.

    A part of which nothing would be left, other than the training part, is left out: the
    parts of some sources, such as Omniglot, have different classes.

    Raises:
      UserError: If there are no labels, or no part has a class.
    """
    names = [name for name in ("train", "validation", "test") if getattr(parts, name) is not None]
    if any(getattr(parts, name).labels is None for name in names):
        raise UserError(f"{source} has no labels to choose classes by: leave classes out.")
    there = set().union(*(np.unique(getattr(parts, name).labels).tolist() for name in names))
    missing = [label for label in classes if label not in there]
    if missing:
        raise UserError(
            f"{source} has no images of class {missing[0]}: its classes are {_listed(there)}."
        )
    kept = {}
    for name in names:
        part = getattr(parts, name)
        kept[name] = part.take(np.flatnonzero(np.isin(part.labels, classes)))
    if not len(kept["train"].images):
        raise UserError(
            f"The training part of {source} has none of the classes {_listed(classes)}: name some "
            f"of {_listed(np.unique(parts.train.labels).tolist())}."
        )
    kept = {name: part if len(part.images) else None for name, part in kept.items()}
    return parts._replace(**kept)


def _listed(labels, most=12):
    labels = sorted(labels)
    shown = ", ".join(str(label) for label in labels[:most])
    return shown if len(labels) <= most else f"{shown}, ... {labels[-1]}"
