"""The precision that layers are built in, and that of the parameters of distributions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
from keras import ops


def wide_dtype(dtype) -> str:
    """Return `"float64"` for that type, and `"float32"` for any other."""
    return "float64" if keras.backend.standardize_dtype(dtype) == "float64" else "float32"


def widened(x):
    """Return the tensor `x` in float32, or as it is where it is float64.

    A mean or a logit rounded to half precision costs likelihood, so parts emit their
    parameters in float32 under any dtype policy but one: in a float64 copy of a part, which
    the codec makes to be rid of rounding errors, they stay as exact as they are.
    """
    return ops.cast(x, wide_dtype(x.dtype))


@contextlib.contextmanager
def built_in(policy: str) -> Iterator[None]:
    """A context in which layers that say nothing of precision are built in this one.

    Keras keeps its dtype policy by thread. Its `floatx`, which is one for the process, stays as
    it is.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
