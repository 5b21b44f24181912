"""What a run was trained on, noted in its folder: other data under the same name are noticed.

And what its weights were trained for before it began, which nothing else would know later.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keras_acn._base.atomic import write_text
from keras_acn._base.reading import read_text

if TYPE_CHECKING:
    from keras_acn.data import Data

TRAINED_ON = "data.json"
_PARTS = ("train", "validation", "test")


def write(
    folder: pathlib.Path, data: Data, source: str, legs_before: Sequence[int | None] = ()
) -> None:
    """Note the data of a run: source, sizes, a fingerprint of each part, classes, notices.

    Args:
      folder: The run folder.
      data: The data that were read.
      source: Where from, with an absolute path.
      legs_before: The epochs of the trainings that made the weights it begins with, in their
        order; `None` for one of which nobody knows.
    """
    parts = {
        name: {"images": len(part), "fingerprint": part.fingerprint()}
        for name in _PARTS
        if (part := getattr(data, name)) is not None
    }
    noted: dict[str, Any] = {"source": source, "image_shape": list(data.image_shape)}
    noted |= {"parts": parts, "class_names": data.class_names and list(data.class_names)}
    noted |= {"notices": list(data.notices)}
    noted |= {"legs_before": list(legs_before)} if legs_before else {}
    write_text(folder / TRAINED_ON, json.dumps(noted, indent=2, ensure_ascii=False) + "\n")


def legs_before(folder: pathlib.Path) -> list[int | None]:
    """Return what `write` noted of the trainings before a run; none where nothing is noted."""
    try:
        noted = json.loads(read_text(folder / TRAINED_ON))["legs_before"]
        return [None if epochs is None else int(epochs) for epochs in noted]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []


def difference(folder: pathlib.Path, data: Data) -> str | None:
    """Return in what way data are not those that a run was trained on, in words.

    Args:
      folder: The run folder. Those of earlier versions hold no note, and nothing differs.
      data: The data as they were read now.
    """
    try:
        noted = json.loads(read_text(folder / TRAINED_ON))["parts"]
        then = {name: (noted[name]["images"], noted[name]["fingerprint"]) for name in noted}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    for name in _PARTS:
        part = getattr(data, name)
        if (part is None) != (name not in then):
            return f"there is {'no' if part is None else 'a'} {name} part now"
        if part is None:
            continue
        count, fingerprint = then[name]
        if len(part) != count:
            return f"the {name} part has {len(part):,} images, and had {count:,}"
        if part.fingerprint() != fingerprint:
            return f"the {name} part has other images or labels than it had"
    return None
