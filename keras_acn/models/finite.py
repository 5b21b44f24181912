"""What notices in the compiled step that a training diverges, and the callback that stops it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_acn._base.checks import check_count
from keras_acn._base.errors import NotFinite
from keras_acn.distribute import exchange

# How many images a report names.
NAMED = 8
# In half precision gradients overflow now and then, and the optimizer halves its scale. Below
# this scale it is not the scale that makes them overflow.
LEAST_SCALE = 2.0**-14
# The networks that models have; `class_encoder` is a homoencoder's alone.
PARTS = ("encoder", "prior", "decoder", "class_encoder")
_REST = "other weights"
_TERMS = {"reconstruction_nats": "the reconstruction", "kl_nats": "the KL", "loss": "the loss"}


class FiniteWatch:
    """Keeps the first step whose costs or gradients were not finite, in a variable.

    The step itself looks and writes, so that nothing is sent to the host; `StopOnNonFinite`
    reads the variable now and then. The variable is no weight of the model, and is not saved.

    Args:
      costs: Names of the model's costs, in nats.
    """

    def __init__(self, costs: Sequence[str]):
        self.terms = (*costs, "loss")
        self.report: keras.Variable | None = None

    def __reduce__(self):
        return (FiniteWatch, (self.terms[:-1],))

    def reset(self) -> None:
        """Forget what was seen; make the variable where there is none."""
        size = 3 + len(self.terms) + len(PARTS) + 1 + NAMED
        if self.report is None:
            self.report = keras.Variable(
                np.zeros(size, np.int32), dtype="int32", trainable=False, name="first_not_finite"
            )
        self.report.assign(np.zeros(size, np.int32))

    def look(self, model: Any, costs: dict, loss: tf.Tensor, gradients: list, index: tf.Tensor):
        """Return whether training has diverged in this step or before, a bool scalar.

        Args:
          model: The model that is trained.
          costs: The costs of the batch, each `[B]`.
          loss: What is minimized, `[B]`.
          gradients: Those of the whole batch's loss, for the weights that are trained.
          index: int32 `[B]`, the images' rows.
        """
        columns = [costs[name] for name in self.terms[:-1]] + [loss]
        wrong = tf.stack([~tf.math.is_finite(each) for each in columns], axis=1)  # [B, T]
        index, wrong = exchange.gather(tf.cast(index, tf.int32), wrong)
        rows = tf.reduce_any(wrong, axis=1)  # [B]
        parts = self._parts_with_wrong_gradients(model, gradients)
        now = tf.reduce_any(rows) | tf.reduce_any(parts)
        # A gradient may be wrong where no cost is: then all images of the batch may be meant.
        meant = rows | ~tf.reduce_any(rows)
        count = tf.shape(rows)[0]
        order = tf.where(meant, count - tf.range(count), 0)
        places = count - tf.math.top_k(tf.pad(order, [[0, NAMED]]), NAMED)[0]
        named = tf.gather(tf.pad(index, [[0, 1]], constant_values=-1), places)
        flags = tf.concat([tf.reduce_any(wrong, axis=0), parts], axis=0)
        found = [1, model.random_step.value, tf.reduce_sum(tf.cast(meant, tf.int32))]
        new = tf.concat([tf.stack(found), tf.cast(flags, tf.int32), named], axis=0)
        report = exchange.here(self.report)
        old = tf.identity(report)
        report.assign(tf.where(now & (old[0] == 0), new, old))
        return now | (old[0] > 0)

    def _parts_with_wrong_gradients(self, model, gradients):
        owners = {}
        for name, part in model.parts().items():
            for weight in part.trainable_weights:
                owners.setdefault(id(weight), name)
        of_part: dict[str, list] = {name: [] for name in (*PARTS, _REST)}
        for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
            if gradient is not None:
                values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
                # Optimizers and clipping square it.
                finite = tf.reduce_all(tf.math.is_finite(tf.square(values)))
                of_part[owners.get(id(weight), _REST)].append(finite)
        wrong = [
            ~tf.reduce_all(tf.stack(each)) if each else tf.constant(False)
            for each in of_part.values()
        ]
        scale = getattr(model.optimizer, "dynamic_scale", None)
        if scale is None:
            return tf.stack(wrong)
        return tf.stack(wrong) & (tf.convert_to_tensor(scale) < LEAST_SCALE)

    def check(self) -> None:
        """Raise `NotFinite` if a step has been seen whose costs or gradients are not finite."""
        report = np.asarray(self.report) if self.report is not None else np.zeros(1, np.int32)
        if not report[0]:
            return
        flags = report[3:-NAMED]
        terms = [
            _TERMS.get(name, name) for name, flag in zip(self.terms, flags, strict=False) if flag
        ]
        parts = [
            name if name == _REST else name.replace("_", " ")
            for name, flag in zip((*PARTS, _REST), flags[len(self.terms) :], strict=True)
            if flag
        ]
        # The sum of the two is no news where one of them is told.
        terms = [term for term in terms if term != "the loss"] or terms
        # And gradients of a cost that is not finite never are.
        if parts and not terms:
            joined = " and ".join(parts)
            terms.append(f"the gradient of the {joined}")
        rows = sorted(int(row) for row in report[-NAMED:] if row >= 0)
        raise NotFinite(int(report[1]), terms, rows, int(report[2]))


def require_finite(model: Any) -> None:
    """Raise `NotFinite` if a weight of a model is no finite number in its own type."""
    for variable in getattr(model, "variables", ()):
        values = np.asarray(variable)
        if values.dtype.kind == "V":  # `bfloat16`, which is no float to NumPy
            values = values.astype(np.float32)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise NotFinite(None, [f"the weight {variable.path}"])


class StopOnNonFinite(keras.callbacks.Callback):
    """Stops a training whose costs or gradients are no finite numbers any more.

    `fit` of every model adds one by itself; give it your own to look more often. Each step looks
    at its own costs and gradients and makes no update from that on, and this callback asks for
    the outcome every so many steps and at the end of each epoch, so that no step waits for the
    host.

    Args:
      every: How many steps may pass before a divergence is noticed.

    Raises:
      NotFinite: A `UserError` with the step, what was not finite, and the images, out of `fit`.
        The trained weights are then those from before that step.

    Example:
      >>> import numpy as np
      >>> from keras_acn import VAE, UserError
      >>> from keras_acn.models import StopOnNonFinite
      >>> images = np.random.default_rng(0).random((20, 4, 4, 1), dtype=np.float32)
      >>> model = VAE((4, 4, 1), 2, encoder="mlp", decoder="mlp", beta=1e38)
      >>> model.compile("sgd")
      >>> try:
      ...     _ = model.fit(images, epochs=9, verbose=0, callbacks=[StopOnNonFinite(every=1)])
      ... except UserError as error:
      ...     print(type(error).__name__)
      NotFinite
    """

    # It may be called beside the training, so that a progress bar need not wait for each step.
    async_safe = True

    def __init__(self, every: int = 100):
        super().__init__()
        self.every = check_count(every, "every", 1)
        self._last = 0

    def on_train_begin(self, logs=None):
        self.model.finite_watch.reset()

    def on_epoch_begin(self, epoch, logs=None):
        self._last = 0

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 - self._last >= self.every:
            self._last = batch + 1
            self._check()

    def on_epoch_end(self, epoch, logs=None):
        self._check()

    def _check(self):
        try:
            self.model.finite_watch.check()
        except NotFinite:
            _drop_broken_codes(self.model)
            raise


def _drop_broken_codes(model: Any) -> None:
    """Put the zero code, which stands for no code at all, where a code is not finite."""
    store = model.code_store
    if store is not None and store.built:
        codes = np.array(store.codes)
        broken = ~np.isfinite(codes).all(axis=1)
        if broken.any():
            codes[broken] = 0.0
            store.codes.assign(codes)
