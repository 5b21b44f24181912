"""The precision that the parameters of distributions come out in."""

import keras
from keras import ops


def widened(x):
    """Returns `x` in float32, or as it is where it is float64.

    A mean or a logit rounded to half precision costs likelihood, so parts emit their
    parameters in float32 under any policy but one: in a float64 copy of a part, which the
    codec makes to be rid of rounding errors, they stay as exact as they are.
    """
    if keras.backend.standardize_dtype(x.dtype) == "float64":
        return x
    return ops.cast(x, "float32")
