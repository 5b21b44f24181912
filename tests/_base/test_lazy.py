"""Imports on first use: what waits, what it waits for, and that they point down too."""

import ast
import pathlib
import sys

import pytest

import keras_acn
from keras_acn._base import lazy

PACKAGE = pathlib.Path(keras_acn.__file__).parent


def calls_of_module():
    """`(file, name)` of every `lazy.module("name")` in the package."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy.module":
                yield path, ast.literal_eval(node.args[0])


def test_a_module_waits_until_something_in_it_is_used(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    colorsys = lazy.module("colorsys")
    assert "colorsys" not in sys.modules
    assert colorsys.rgb_to_hsv(1, 1, 1) == (0, 0, 1)
    assert "colorsys" in sys.modules and "rgb_to_hsv" in dir(colorsys)


def test_the_names_of_a_package_are_listed_and_found(monkeypatch):
    asked = []
    places = {"Fraction": "fractions:Fraction", "fractions": "fractions"}
    get, listed, public = lazy.names("keras_acn", places, asked.append)
    monkeypatch.delattr(keras_acn, "Fraction", raising=False)
    monkeypatch.delattr(keras_acn, "fractions", raising=False)
    assert public == ["Fraction", "fractions"] and set(public) < set(listed())
    assert get("Fraction")(2, 4).denominator == 2
    # Python finds it by itself from then on.
    assert keras_acn.Fraction is get("fractions").Fraction
    assert asked == ["fractions:Fraction", "fractions"]
    with pytest.raises(AttributeError, match='"keras_acn" has no attribute "Fractions"'):
        get("Fractions")
    del keras_acn.Fraction, keras_acn.fractions


def test_what_is_named_upward_is_there():
    for name in lazy.UPWARD:
        assert lazy.late(name).__name__ == name


def test_what_waits_is_in_the_same_room_or_below_it():
    from test_house import FLOOR, room_of

    for path, name in calls_of_module():
        parts = name.split(".")
        if parts[0] != "keras_acn" or len(parts) == 1:
            continue
        assert lazy.load(name), path
        assert parts[1] == room_of(path) or FLOOR[parts[1]] < FLOOR[room_of(path)], path


def test_functions_import_only_what_they_alone_need():
    """A module that several functions use, or that costs nothing, is named at the top."""
    wrong = []
    for room in ("_base", "data", "evaluation", "figures", "plots"):
        for path in (PACKAGE / room).rglob("*.py"):
            found = []
            for function in ast.walk(ast.parse(path.read_text())):
                if isinstance(function, ast.FunctionDef):
                    nodes = [n for n in ast.walk(function) if isinstance(n, ast.Import)]
                    found += [alias.name for node in nodes for alias in node.names]
                    nodes = [n for n in ast.walk(function) if isinstance(n, ast.ImportFrom)]
                    found += [node.module for node in nodes]
            wrong += [
                f"{path}: {name}"
                for name in set(found)
                if name.split(".")[0]
                in {"keras_acn", "numpy", "tensorflow", *sys.stdlib_module_names}
                or name in ("pandas", "plotnine")
            ]
    assert not wrong


def test_no_package_has_a_mechanism_of_its_own():
    own = [
        str(path)
        for path in PACKAGE.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == "__getattr__"
    ]
    assert not own
