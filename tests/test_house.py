"""The rules of the house that a machine can read."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "keras_acn"
FLOORS = [
    {"_base"},
    {"distribute"},
    {"codebook", "encoders", "priors", "decoders", "data"},
    {"models"},
    {"experiment", "evaluation", "plots", "serving", "codec", "sklearn"},
    {"figures"},
    {"html_report"},
    {"cli", "testing"},
]
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    """The room of a file; `testing` and `sklearn` are rooms of one file."""
    parts = path.relative_to(PACKAGE).parts
    room = parts[0].removesuffix(".py")
    return None if room in ("__init__", "__main__") else room


def rooms_imported(path):
    """The rooms that a file imports from, as `keras_acn.ROOM...` or `from keras_acn import`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            parts = node.module.split(".")
            if parts[0] == "keras_acn":
                yield from [parts[1]] if len(parts) > 1 else [a.name for a in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] == "keras_acn" and len(parts) > 1:
                    yield parts[1]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    room = room_of(path)
    if room is None:
        return
    for other in rooms_imported(path):
        if other in FLOOR and other != room:
            assert FLOOR[other] < FLOOR[room], f"{room} imports {other}, which is not below it"


def test_every_room_is_on_a_floor():
    rooms = {room_of(path) for path in FILES} - {None}
    assert rooms <= set(FLOOR)


def test_importing_the_package_is_light():
    program = "import sys, keras_acn; print(sorted({m.split('.')[0] for m in sys.modules}))"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout
    for heavy in ("tensorflow", "keras'", "numpy", "sklearn", "pandas"):
        assert heavy not in out


def test_every_public_name_exists():
    import keras_acn

    for name in keras_acn.__all__:
        assert getattr(keras_acn, name) is not None
    with pytest.raises(AttributeError, match='no attribute "nothing"'):
        keras_acn.nothing  # noqa: B018


def test_what_threads_run_changes_no_filters_of_warnings():
    """`catch_warnings` is the process's: of two threads in it, the later one to leave puts back
    what the first one set."""
    for path in FILES:
        if path.relative_to(PACKAGE).parts[0] in ("data", "codec", "_base", "codebook"):
            assert "catch_warnings" not in re.sub(r"`.*?`", "", path.read_text()), path


def test_public_classes_and_functions_are_documented():
    undocumented = []
    for path in FILES:
        tree = ast.parse(path.read_text())
        if not ast.get_docstring(tree):
            undocumented.append(str(path))
        for node in tree.body:
            is_public = isinstance(node, (ast.ClassDef, ast.FunctionDef))
            if is_public and not node.name.startswith("_") and not ast.get_docstring(node):
                undocumented.append(f"{path}:{node.name}")
    assert not undocumented


def test_no_file_is_over_10_megabytes():
    out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    for name in filter(None, out.stdout.split("\0")):
        path = ROOT / name
        assert not path.is_file() or path.stat().st_size < 10_000_000, name
