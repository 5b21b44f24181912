"""What every test and every example of a docstring starts from.

Three sets. `pytest` alone runs the fast one. `pytest -m slow`: `@pytest.mark.slow`, and of a grid
with `@pytest.mark.fast(ID, ..., every=N)` whatever is neither named nor the first, the N + 1st and
so on. `pytest -m full`, for a release: `@pytest.mark.full`, and of a grid's cases that are not
fast, with `@pytest.mark.slow_sample(ID, ..., every=N)`, those that it leaves out of the slow set.
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
        if item.get_closest_marker("fast") or item.get_closest_marker("slow_sample"):
            grids.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for name, grid in grids.items():
        fast = _named(name, grid, "fast")
        rest = [item for item in grid if item.callspec.id not in fast]
        slow = _named(name, rest, "slow_sample", whole=grid)
        for item in rest:
            is_slow = slow is None or item.callspec.id in slow
            item.add_marker(pytest.mark.slow if is_slow else pytest.mark.full)


def _named(name, items, marker, whole=None):
    """Return the ids of the cases that a marker names; of one that is absent, none or `None`."""
    whole = whole or items
    found = whole[0].get_closest_marker(marker)
    if found is None:
        return set() if marker == "fast" else None
    ids = [item.callspec.id for item in items]
    named = set(found.args)
    if len(whole) > 1 and not named.issubset(item.callspec.id for item in whole):
        raise pytest.UsageError(f"{name}: mark.{marker} names a case that does not exist")
    if "every" in found.kwargs:
        named.update(ids[:: found.kwargs["every"]])
    if not named:
        raise pytest.UsageError(f"{name}: mark.{marker} names no case")
    return named


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
