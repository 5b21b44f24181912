"""What docs/architecture.md says of the code exists."""

import importlib
import pathlib
import re

import pytest

import keras_acn

DOCUMENT = (pathlib.Path(__file__).parents[1] / "docs" / "architecture.md").read_text()
WALKS = DOCUMENT.split("## Three walks")[1].split("\n## ")[0]
NAMES = sorted(set(re.findall(r"`([a-z_]+(?:\.\w+){2,})`", WALKS)))
PATHS = sorted(set(re.findall(r"`([a-z_]+/[a-z_/]+\.py)`", DOCUMENT)))


def found(name):
    """The object of a dotted name below `keras_acn`."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            here = importlib.import_module(".".join(["keras_acn", *parts[:count]]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            here = getattr(here, part)
        return here
    raise AssertionError(f"no module of {name}")


@pytest.mark.parametrize("name", NAMES)
def test_every_function_of_the_walks_exists(name):
    assert callable(found(name))


@pytest.mark.parametrize("path", PATHS)
def test_every_file_that_is_named_exists(path):
    root = pathlib.Path(keras_acn.__file__).parents[1]
    assert (root / path).exists() or (root / "keras_acn" / path).exists()


def test_the_walks_are_short():
    walks = [
        re.findall(r"^\d+\. ", part, re.M) for part in re.split(r"^\*\*One", WALKS, flags=re.M)[1:]
    ]
    assert [len(walk) <= most for walk, most in zip(walks, (12, 10, 6), strict=True)] == [True] * 3
    assert len(NAMES) >= 25


def test_every_test_that_the_keras_habits_name_exists():
    tests = pathlib.Path(__file__).parent
    habits = (tests.parent / "docs" / "keras.md").read_text()
    named = re.findall(r"`((?:tests/\w+/)?test_\w+\.py)`", habits)
    assert len(named) > 25
    for each in named:
        assert (tests.parent / each if "/" in each else tests / "models" / each).exists(), each
