"""What Keras needs changed so that our models train on one replica and on many.

A model made inside `strategy.scope()` trains by plain `fit` on every replica of a
`MirroredStrategy` or a `MultiWorkerMirroredStrategy`, and follows the curve that one replica
follows at the same batch size and seed, up to the rounding of sums: the batch size is that of
all replicas together, each draws the noise of its own rows, and the loss is the mean over the
rows of all. See `keras_acn.distribute.exchange`.

This is the only file that touches what is private in Keras or TensorFlow. In Keras 3.15:

- `_maybe_symbolic_build`: `fit` first builds the model on symbolic inputs. It makes these of the
  mean of all replicas' batches, which is no batch of images, and which fails with several workers
  (https://github.com/keras-team/keras/issues/20585). The models here are built when they are
  made, so this is left out.
- `_make_function`: with several workers Keras reduces each of a step's logs over its first
  axis, which a scalar has not. The metrics are the same on all replicas, so they are read where
  the step has run, which also spares two exchanges a log and step. And its loop for
  `steps_per_execution` passes batches through `tf.cond`, which fails in TensorFlow with several
  devices; and it runs over the end of an epoch that it does not divide, so that epochs and
  passes over the data drift apart. Here it is a plain loop that counts, with one replica too.
- `_all_reduce_sum_gradients` of the optimizers: they clip a replica's gradients before they add
  up those of all replicas. Clipping, and the check for infinities of half precision, belong
  after: the step adds them up itself, and the optimizer's own sum is left out.
- `add_variable` of the metrics: their variables hold a part of the sum on each replica, and to
  read one takes all workers, so that the chief alone could not write a checkpoint.
- `_untrack_variable` of the layers: a built layer gives up no weight, and a codebook that grows
  has new ones in the places of the old (`drop_weights`).
- `_log_weight_as_image` of `TensorBoard`: it makes no image of a weight of booleans.
- `invoking_op_callbacks` of TensorFlow's context: `tf.debugging.enable_check_numerics()` stops at
  each infinity, and to a search that is the distance of what must not be found.
- XLA draws other numbers from the same stateless seed, so an evaluation that is compiled in one
  process and not in another would give other figures: only the training step is compiled.

`tests/distribute/test_workers.py` runs Keras as it is, to tell when these are mended.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_acn._base.errors import UserError
from keras_acn.distribute import exchange
from keras_acn.distribute.batches import StepCounter, distribute


class KerasTrainer(keras.Model):
    """Base of the models: a `keras.Model` whose steps run on the replicas of a strategy."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._step_counters = {"train_step": StepCounter(), "test_step": StepCounter()}

    @property
    def num_replicas(self) -> int:
        """How many replicas train the model, those of all workers together."""
        return self.distribute_strategy.num_replicas_in_sync

    def variables_scope(self) -> Any:
        """Return a context in which variables are made for the replicas that train."""
        strategy = self._distribute_strategy
        return contextlib.nullcontext() if strategy is None else strategy.scope()

    def compile(self, *args: Any, **kwargs: Any) -> None:
        super().compile(*args, **kwargs)
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        if self.num_replicas == 1:
            return
        if self.run_eagerly:
            raise UserError(
                "Replicas exchange codes and gradients in a graph: leave run_eagerly out of "
                "compile(), or train without a strategy."
            )
        # XLA has no exchange between the workers' CPUs, nor between a worker's devices.
        self.jit_compile = False
        # The sum over replicas is the step's.
        optimizer = self.optimizer
        for each in (optimizer, getattr(optimizer, "inner_optimizer", None)):
            if each is not None:
                each._all_reduce_sum_gradients = list

    def make_test_function(self, force: bool = False) -> None:
        with self._without_xla():
            return super().make_test_function(force)

    def make_predict_function(self, force: bool = False) -> None:
        with self._without_xla():
            return super().make_predict_function(force)

    @contextlib.contextmanager
    def _without_xla(self):
        jit_compile, self.jit_compile = self.jit_compile, False
        try:
            yield
        finally:
            self.jit_compile = jit_compile

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        if not self.built:
            super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)

    def _make_function(self, step_function):
        counter = self._step_counters[step_function.__name__]
        several_steps = self.steps_per_execution > 1 and counter.steps is not None
        if self.run_eagerly or (self.num_replicas == 1 and not several_steps):
            return super()._make_function(step_function)
        strategy = self.distribute_strategy

        def on_replica(batch):
            with exchange.part_of_batch(batch) as part:
                return step_function(part)

        @tf.function(reduce_retracing=True, jit_compile=self.jit_compile)
        def one_step(batch):
            names = list(strategy.run(on_replica, args=(batch,)))
            return {each.name: each.result() for each in self.metrics if each.name in names}

        @tf.function(reduce_retracing=True)
        def steps(iterator, number):
            # The first one tells what a step returns.
            logs = one_step(iterator.get_next())
            if self.steps_per_execution == 1:
                return logs
            return tf.while_loop(
                lambda step, logs: step < number,
                lambda step, logs: (step + 1, one_step(iterator.get_next())),
                (1, logs),
            )[1]

        def function(iterator):
            return steps(iterator, tf.constant(counter.next(self.steps_per_execution)))

        return function

    def distributed(
        self, dataset: Any, step: str, steps: int | None = None
    ) -> tuple[Any, int | None]:
        """Return `(dataset, steps)` to give to Keras for a dataset of whole batches.

        Args:
          dataset: Batches as `fit` takes them, the same ones on every worker; or what this
            method returned before, with its steps.
          step: `"train_step"` or `"test_step"`, what is done with them.
          steps: Steps of an epoch, `None` for all batches.

        Raises:
          UserError: If nobody knows how many steps an epoch has.
        """
        counter = self._step_counters[step]
        is_cut = isinstance(dataset, tf.distribute.DistributedDataset)
        known = int(dataset.cardinality()) if steps is None and not is_cut else steps
        if self.num_replicas == 1:
            before = counter.steps
            counter.restart(known if known is not None and known > 0 else None)
            if self.steps_per_execution > 1 and (before is None) != (counter.steps is None):
                # That step's function alone: an evaluation may stand in the middle of a fit.
                setattr(self, step.replace("step", "function"), None)
            if steps is not None and self.steps_per_execution > 1:
                # Keras counts whole executions, and would see the end of the data too soon.
                dataset = dataset.repeat()
            return dataset, steps
        if known is None or known < 0:
            raise UserError(
                "The dataset does not say how many batches it has, and workers must agree on "
                "it: give steps_per_epoch and validation_steps to fit, steps to evaluate."
            )
        counter.restart(known)
        return (dataset if is_cut else distribute(dataset, self.distribute_strategy)), known


def drop_weights(layer: keras.layers.Layer) -> None:
    """Make a built layer one without weights, so that `build` can make others."""
    weights = [*layer._trainable_variables, *layer._non_trainable_variables]
    for name, value in list(vars(layer).items()):
        if any(value is weight for weight in weights):
            delattr(layer, name)  # which makes Keras forget it
            weights = [weight for weight in weights if weight is not value]
    for weight in weights:
        layer._untrack_variable(weight)
    # A built layer takes no new weights.
    layer._tracker.unlock()


def is_validation_of_fit(options: dict[str, Any]) -> bool:
    """Return whether `evaluate` is called by `fit`, on the dataset that `fit` was given.

    Args:
      options: The keyword arguments that `evaluate` was called with.
    """
    return bool(options.get("_use_cached_eval_dataset"))


def show_booleans(callback: keras.callbacks.TensorBoard) -> None:
    """Let a `TensorBoard` write weights of booleans as images, as it does all others."""
    write = getattr(callback, "_log_weight_as_image", None)
    if write is None or getattr(callback, "_shows_booleans", False):
        return

    def shown(weight, *args, **kwargs):
        if weight.dtype == "bool":
            weight = keras.ops.cast(weight, "float32")
        return write(weight, *args, **kwargs)

    callback._log_weight_as_image, callback._shows_booleans = shown, True


@contextlib.contextmanager
def infinities_allowed() -> Iterator[None]:
    """A context in which infinity is a number like any other to `enable_check_numerics()`.

    For operations of which no gradient is taken, and whose inputs were checked where they came
    from.
    """
    from tensorflow.python.eager import context

    here = context.context()
    before = getattr(here, "invoking_op_callbacks", None)
    if before is None:
        yield
        return
    here.invoking_op_callbacks = True
    try:
        yield
    finally:
        here.invoking_op_callbacks = before


class OnEveryReplica:
    """A metric whose state is the same on every replica, as each is given the values of all."""

    def add_variable(self, shape, initializer, dtype=None, aggregation=None, name=None):
        variable = keras.Variable(
            initializer=keras.initializers.get(initializer),
            shape=shape,
            dtype=dtype,
            trainable=False,
            name=name,
        )
        # As Keras does, so that it is not tracked twice.
        self._tracker.add_to_store("variables", variable)
        return variable


class Mean(OnEveryReplica, keras.metrics.Mean):
    """Keras's weighted mean."""


class Ratio(OnEveryReplica, keras.metrics.Metric):
    """The sum of one quantity over the sum of another, 0 where the latter is 0.

    Sums that are not finite are left out: one infinite gradient, which the optimizer skips in
    half precision, must not make the figure of a whole epoch NaN.
    """

    def __init__(self, name="ratio", dtype="float32"):
        super().__init__(name=name, dtype=dtype)
        self.part = self.add_variable(shape=(), initializer="zeros", name="part")
        self.whole = self.add_variable(shape=(), initializer="zeros", name="whole")

    def update_state(self, part, whole):
        """Add the scalars `part` and `whole` to the two sums, where both are finite."""
        finite = keras.ops.isfinite(part) & keras.ops.isfinite(whole)
        self.part.assign_add(keras.ops.where(finite, part, 0.0))
        self.whole.assign_add(keras.ops.where(finite, whole, 0.0))

    def result(self):
        """Return the sum of the parts over that of the wholes."""
        return keras.ops.divide_no_nan(self.part, self.whole)
