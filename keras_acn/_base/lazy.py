"""Imports that wait for first use: the one mechanism of the package for them.

TensorFlow takes seconds to import, which nobody should wait for who asks `keras-acn --help`
or reads a configuration. So a package says where its public names are (`names`), a module
stands for a heavy one until that is used (`module`), and a model finds what a floor above it
does for it (`late`). All three end in `load`.
"""

from __future__ import annotations

import importlib
import sys
import types

# As `typing.TYPE_CHECKING`, without the time that importing typing takes.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

# The one way up. `model.export(DIR)` and `ACN.for_data(data)` belong on a model, as Keras has the
# former there, but what they do are rooms of their own above the models. Every exception to the
# direction of the imports stands here, and is imported only when it is called.
UPWARD = {
    "export_model": "keras_acn.serving:export_model",
    "model_for_data": "keras_acn.experiment.auto:model_for_data",
}


def load(where: str) -> Any:
    """Return the module `"package.module"`, or the name in it that follows a colon."""
    module_name, _, name = where.partition(":")
    found = importlib.import_module(module_name)
    return getattr(found, name) if name else found


def late(name: str) -> Any:
    """Return the function called `name` in `UPWARD`, importing its room now."""
    return load(UPWARD[name])


def names(
    package: str,
    public: Mapping[str, str],
    before: Callable[[str], None] | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return the `__getattr__`, `__dir__` and `__all__` of a package whose names come late.

    Args:
      package: The package's `__name__`.
      public: Where each public name is, as for `load`.
      before: Called with that place before it is imported.

    Example:
      >>> get, _, public = names("keras_acn", {"UserError": "keras_acn._base.errors:UserError"})
      >>> public, get("UserError").__name__
      (['UserError'], 'UserError')
    """

    def get(name: str) -> Any:
        if name not in public:
            raise AttributeError(f'module "{package}" has no attribute "{name}"')
        if before is not None:
            before(public[name])
        value = load(public[name])
        # From now on Python finds it without asking here.
        setattr(sys.modules[package], name, value)
        return value

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *public})

    return get, listed, list(public)


class _Module(types.ModuleType):
    """Stands for a module, which is imported as soon as something in it is asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(load(self.__name__), name)

    def __dir__(self) -> list[str]:
        return dir(load(self.__name__))


def module(name: str) -> Any:
    """Return what stands for the module `name` until something in it is used.

    Example:
      >>> tf = module("tensorflow")
    """
    return _Module(name)


def check_backend() -> None:
    """Raise `ImportError` if Keras runs on another back end than TensorFlow."""
    backend = load("keras").backend.backend()
    if backend != "tensorflow":
        raise ImportError(
            f'keras_acn runs on Keras\'s TensorFlow back end, but this one is "{backend}": set '
            "KERAS_BACKEND=tensorflow before importing keras."
        )
