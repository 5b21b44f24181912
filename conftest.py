"""What every test and every example of a docstring starts from.

The slow set: `@pytest.mark.slow`, and of a grid with `@pytest.mark.fast(ID, ..., every=N)`
whatever is neither named nor the first, the N + 1st and so on. Everything else is the fast set,
which `pytest` alone runs.
"""

import os
import signal
import threading

# As the command sets it: what C++ logs depends on the processor, and some tests read stderr.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
if "PYTEST_XDIST_WORKER" in os.environ:
    # A worker a core: more threads would wait for each other.
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")

# What a shell starts in the background ignores Ctrl-C, which some tests press.
if (
    threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test cuts the power, and where gigabytes are written, waiting for the disk takes minutes.
os.fsync = lambda descriptor: None

import pytest  # noqa: E402


def pytest_ignore_collect(collection_path, config):
    """Keeps `--doctest-modules` from importing the programs and helpers beside the tests."""
    tests = config.rootpath / "tests"
    if collection_path.suffix == ".py" and tests in collection_path.parents:
        return None if collection_path.name.startswith("test_") else True
    return None


def pytest_collection_modifyitems(items):
    grids = {}
    for item in items:
        marker = item.get_closest_marker("fast")
        if marker:
            grids.setdefault(item.nodeid.partition("[")[0], []).append((item, marker))
    for name, grid in grids.items():
        ids = [item.callspec.id for item, _ in grid]
        marker = grid[0][1]
        fast = set(marker.args)
        if "every" in marker.kwargs:
            fast.update(ids[:: marker.kwargs["every"]])
        if not fast:
            raise pytest.UsageError(f"{name}: mark.fast names no case")
        if len(grid) > 1 and not fast.issubset(ids):
            raise pytest.UsageError(f"{name}: mark.fast names a case that does not exist")
        for item, _ in grid:
            if item.callspec.id not in fast:
                item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _example(request):
    """An example of a docstring has the usual names, a seed, and a folder to write in."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    import keras
    import numpy as np
    import tensorflow as tf

    import keras_acn

    keras.utils.set_random_seed(0)
    request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))
    names = {"np": np, "tf": tf, "keras": keras, "keras_acn": keras_acn}
    request.getfixturevalue("doctest_namespace").update(names)
