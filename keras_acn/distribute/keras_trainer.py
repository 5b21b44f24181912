"""Training under `tf.distribute`: what Keras needs changed, and what makes N workers one.

A model made inside `strategy.scope()` trains by plain `fit` on every replica of a
`MirroredStrategy` or a `MultiWorkerMirroredStrategy`, and follows the curve that one replica
follows at the same batch size and seed, up to the rounding of sums: the batch size is that of
all replicas together, each draws the noise of its own rows, and the loss is the mean over the
rows of all. See `keras_acn.distribute.exchange`.

Four things in Keras 3.15 stand in the way, and are overridden here for several replicas:

- `fit` first builds the model on symbols, for which it takes a batch of each replica's and
  reduces them to their mean; that is no batch, and fails with several workers
  (https://github.com/keras-team/keras/issues/20585). The models here are built when they are
  made, so it is left out.
- With several workers it reduces each of a step's logs over its first axis, which a scalar has
  not. The metrics are the same on all replicas, so they are read where the step has run, which
  also spares two exchanges a log and step.
- Its loop for `steps_per_execution` passes batches through `tf.cond`, which fails in TensorFlow
  with several devices; and it runs over the end of an epoch that it does not divide, so that
  epochs and passes over the data drift apart. Here it is a plain loop that counts, with one
  replica too.
- Its optimizers clip a replica's gradients before they add up those of all replicas. Clipping,
  and the check for infinities of half precision, belong after: the step adds them up itself,
  and the optimizer's own sum is left out.

`tests/distribute/test_workers.py` runs Keras as it is, to tell when these are mended.
"""

import contextlib
import math

import tensorflow as tf
import tensorflow_probability as tfp

from keras_acn._base import noise
from keras_acn._base.errors import UserError
from keras_acn.distribute import exchange
from keras_acn.distribute.batches import StepCounter, distribute


class Workers:
    """The methods of a model that make it train on several replicas."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._step_counters = {"train_step": StepCounter(), "test_step": StepCounter()}

    @property
    def num_replicas(self):
        """How many replicas train the model, those of all workers together."""
        return self.distribute_strategy.num_replicas_in_sync

    def _variables_scope(self):
        """A context in which variables are made for the replicas that train the model."""
        strategy = self._distribute_strategy
        return contextlib.nullcontext() if strategy is None else strategy.scope()

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

    def _prepare_for_replicas(self):
        """Makes a model that was just compiled ready for several replicas."""
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

    def _summed(self, gradients):
        """Returns the gradients of the whole batch's loss, given those of this part's."""
        given = [gradient for gradient in gradients if gradient is not None]
        summed = iter(exchange.total(*given))
        return [None if gradient is None else next(summed) for gradient in gradients]

    def _distributed(self, dataset, step, steps=None):
        """Returns `(dataset, steps)` to give to Keras for a dataset of whole batches.

        Args:
          dataset: Batches as `fit` takes them, the same ones on every worker.
          step: `"train_step"` or `"test_step"`, what is done with them.
          steps: Steps of an epoch, `None` for all batches.

        Raises:
          UserError: If nobody knows how many steps an epoch has.
        """
        whole = getattr(dataset, "whole", dataset)
        counter = self._step_counters[step]
        if self.num_replicas == 1:
            known = int(whole.cardinality()) if steps is None else steps
            before = counter.steps
            counter.restart(known if known > 0 else None)
            if self.steps_per_execution > 1 and (before is None) != (counter.steps is None):
                # That step's function alone: an evaluation may stand in the middle of a fit.
                setattr(self, step.replace("step", "function"), None)
            if steps is not None and self.steps_per_execution > 1:
                # Keras counts whole executions, and would see the end of the data too soon.
                dataset = dataset.repeat()
            return dataset, steps
        if steps is None:
            steps = int(whole.cardinality())
            if steps < 0:
                raise UserError(
                    "The dataset does not say how many batches it has, and workers must agree on "
                    "it: give steps_per_epoch and validation_steps to fit, steps to evaluate."
                )
        counter.restart(steps)
        if whole is dataset:
            dataset = distribute(dataset, self.distribute_strategy)
        return dataset, steps


def mean(values):
    """Returns the mean over the batch of `values` `[B]`; of a part, its share of the mean.

    The shares of all replicas add up to the mean over the rows of the whole batch.
    """
    counts = exchange.counts()
    if counts is None:
        return tf.reduce_mean(values)
    rows = tf.cast(exchange.rows_of_batch(values), values.dtype)
    return tf.reduce_sum(values * tf.cast(counts, values.dtype)) / rows


def whole_means(values):
    """Returns what a metric of each of `values` `[B]` is given: values and their weight.

    Args:
      values: A list of float `[B]`.

    Returns:
      `(values, None)` for each; of a part of a batch the mean over the rows of the whole
      batch, and how many these are.
    """
    if exchange.counts() is None:
        return [(each, None) for each in values]
    rows = tf.cast(exchange.rows_of_batch(values[0]), tf.float32)
    (means,) = exchange.total(tf.stack([mean(each) for each in values]))
    return [(each, rows) for each in tf.unstack(means)]


def sample(q, seed):
    """Returns a sample of q(z|x), `[B, d]`, each row's noise that of its place in the batch.

    Args:
      q: A posterior, batch `[B]`, event `[d]`.
      seed: int32 `[2]`, a stateless seed.

    Raises:
      UserError: If there are several replicas, and q is no diagonal Gaussian.
    """
    normal = getattr(q, "distribution", None)
    if (
        not isinstance(q, tfp.distributions.Independent)
        or type(normal) is not tfp.distributions.Normal
    ):
        if exchange.counts() is None:
            return q.sample(seed=seed)
        raise UserError(
            f"Replicas draw the noise of each row by its place in the batch, which they can of a "
            f"tfd.Independent(tfd.Normal) and not of a {type(q).__name__}: give the encoder such a "
            "posterior, or train without a strategy."
        )
    # What q.sample draws, to the bit, without the slow code that XLA makes of that.
    shape = [exchange.rows_of_batch(normal.loc), math.prod(q.event_shape)]
    return exchange.own(noise.normal(shape, seed)) * normal.scale + normal.loc
