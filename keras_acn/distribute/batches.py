"""The same batches for all workers, of which each replica gets its part."""

import functools

import tensorflow as tf

from keras_acn._base.errors import UserError
from keras_acn.distribute import exchange


def distribute(dataset, strategy):
    """Return a dataset of whole batches as one that gives each replica its part of them.

    It has no end: the workers would else ask each other before each step whether all of
    them have a batch.

    Args:
      dataset: Batches as `fit` takes them, the same ones on every worker.
      strategy: The `tf.distribute` strategy.

    Returns:
      A `tf.distribute.DistributedDataset`.

    Raises:
      UserError: If the workers' datasets begin with different batches.
    """
    first = next((batch["index"] for batch in dataset.take(1)), tf.zeros([0], tf.int32))
    _check_alike(first, strategy)
    count = strategy.num_replicas_in_sync
    return strategy.distribute_datasets_from_function(
        functools.partial(parts, dataset.repeat(), max(1, len(first)), count)
    )


def _check_alike(index, strategy):
    """Raise `UserError` if not all workers have the rows `index` `[B]` in their first batch."""
    if len(strategy.extended.worker_devices) == strategy.num_replicas_in_sync:
        return
    mine = tf.concat(
        [
            [len(index)],
            tf.strings.to_hash_bucket_fast(
                [tf.io.serialize_tensor(tf.cast(index, tf.int32))], 2**31 - 1
            ),
        ],
        axis=0,
    )  # [2]
    mine = tf.cast(mine, tf.int32)[None]

    def of_one():
        return tf.distribute.get_replica_context().all_gather(mine, axis=0)

    gathered = tf.function(lambda: strategy.run(of_one), autograph=False)()
    everyone = strategy.experimental_local_results(gathered)[0]
    if tf.reduce_any(everyone != mine):
        raise UserError(
            "The workers' datasets begin with different batches, and each worker must be given "
            "all rows of the same ones: give shuffle() a seed, and do not shard the dataset."
        )


def parts(dataset, largest, count, context):
    """Return the parts of `count` replicas that this worker's have, one after another.

    All parts have the rows of a part of the first batch, as exchanges in a loop need: what a
    smaller last batch leaves free is filled up.
    """
    here = count // context.num_input_pipelines
    first = here * context.input_pipeline_id

    def cut(batch):
        rows = tf.shape(batch["index"])[0]
        size = tf.maximum(-(-rows // count), -(-largest // count))
        places = (first + tf.range(here)[:, None]) * size + tf.range(size)  # [here, size]
        places = tf.minimum(places, rows - 1)
        parts = {name: tf.gather(values, places) for name, values in batch.items()}
        whole = tf.stack([rows, tf.cast(batch["index"][0], tf.int32)])
        parts[exchange.WHOLE] = tf.broadcast_to(whole, [here, 2])
        return parts

    return dataset.map(cut, num_parallel_calls=tf.data.AUTOTUNE).unbatch().prefetch(2 * here)


class StepCounter:
    """Counts steps, so that several at a time do not run over the end of an epoch."""

    def __init__(self):
        self.restart(None)

    def restart(self, steps):
        """Begin an epoch of `steps` steps; `None` for one without an end."""
        self.steps, self.done = steps, 0

    def next(self, most):
        """Return how many steps come next, `most` or what is left of the epoch."""
        if self.steps is None:
            return most
        number = min(most, self.steps - self.done)
        self.done = (self.done + number) % self.steps
        return number
