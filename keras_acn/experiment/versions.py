"""Which versions made a run."""

import importlib.metadata
import platform

from keras_acn import __version__

_PACKAGES = ("tensorflow", "keras", "tensorflow-probability", "numpy")


def versions():
    """Returns the versions of Python, keras-acn and what it computes with, by name."""
    found = {"python": platform.python_version(), "keras_acn": __version__}
    for package in _PACKAGES:
        try:
            found[package.replace("-", "_")] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
