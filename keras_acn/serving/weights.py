"""A model's weights as a SavedModel stores them: its own copies, possibly in half precision."""

import keras
import numpy as np
import tensorflow as tf

from keras_acn._base.errors import UserError, unknown_name

QUANTIZATIONS = ("float16",)


class StoredWeights:
    """TensorFlow variables beside a model's weights, of which signatures use a part.

    Only what a signature reads is written to disk: optimizers, metrics and the marks of
    training stay behind. With `quantize="float16"` kernels and codes are stored in half
    precision and cast back when they are read; all computing stays in the model's own
    precision.

    Args:
      model: The model.
      quantize: `None` or `"float16"`.

    Raises:
      UserError: If `quantize` is unknown, or a weight is too large for it.
    """

    def __init__(self, model, quantize=None):
        if quantize is not None and quantize not in QUANTIZATIONS:
            raise unknown_name("quantization", quantize, QUANTIZATIONS)
        self._weights = {id(weight): weight for weight in model.weights}
        self._stored = {}
        has_codes = model.codebook is not None and model.codebook.built
        codes = model.codebook.codes if has_codes else None
        for key, weight in self._weights.items():
            value = weight.numpy()
            # Vectors weigh next to nothing, and moments must not lose digits to rounding.
            is_heavy = value.ndim >= 2 and (weight.trainable or weight is codes)
            if quantize and value.dtype == np.float32 and is_heavy:
                with np.errstate(over="ignore"):
                    half = value.astype(quantize)
                if not np.array_equal(np.isfinite(half), np.isfinite(value)):
                    raise UserError(
                        f"{weight.path} holds values up to {np.abs(value).max():g}, too large for "
                        f"{quantize}: export without quantize."
                    )
                value = half
            self._stored[key] = tf.Variable(value, trainable=False, name=weight.path)

    def scope(self):
        """Return a context, opened in a graph, in which the model reads the stored weights."""
        return _ReadStored(self._stored)

    def used_by(self, functions):
        """Return the variables that the concrete functions read, in the model's order."""
        used = {variable.ref() for function in functions for variable in function.variables}
        return [each for each in self._stored.values() if each.ref() in used]

    def full_bytes(self, variables):
        """Return what the weights behind stored `variables` take in the model itself."""
        refs = {variable.ref() for variable in variables}
        return sum(
            self._weights[key].numpy().nbytes
            for key, stored in self._stored.items()
            if stored.ref() in refs
        )


class _ReadStored(keras.StatelessScope):
    """Keras's scope for other values of weights, here read when they are first asked for.

    Reads go into the graph in which the scope was opened, not into the body of a loop, where
    they would be repeated each time round.
    """

    def __init__(self, stored):
        super().__init__()
        self._stored = stored
        self._graph = tf.compat.v1.get_default_graph()
        self._values = {}

    def get_current_value(self, variable):
        key = id(variable)
        if key not in self._stored:
            return None
        if key not in self._values:
            with self._graph.as_default():
                value = tf.convert_to_tensor(self._stored[key])
                self._values[key] = tf.cast(value, variable.dtype)
        return self._values[key]
