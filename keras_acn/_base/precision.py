"""The precision that the parameters of distributions come out in."""

from __future__ import annotations

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
