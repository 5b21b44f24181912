"""The replicas of a step: each has rows of the batch, and some things need all rows.

Under a `tf.distribute` strategy with R replicas the B rows of a batch are cut into R equal
parts, in their order. Where B leaves the last parts short, they are filled up with copies of
the last row, which count for nothing: so every replica has rows, always as many.

`part_of_batch` says for the time of a step which part is this replica's. Outside of it, and
with one replica, every function here returns what it was given.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_acn._base.errors import UserError
from keras_acn._base.noise import Noise, diagonal_normal

# Key of a batch's int32 [2]: how many rows the whole batch has, and the index of its first.
WHOLE = "whole_batch"

# Replicas of one process take turns in threads of their own.
_here = threading.local()


class Part:
    """This replica's part of a batch.

    Attributes:
      rows: int32 scalar, B, the rows of the whole batch.
      first_index: int32 scalar, the index of the whole batch's first row.
      size: Rows of a part, an int where it is known.
      positions: int32 `[size]`, the places of this replica's rows in the whole batch; copies
        that fill up have places from B on.
      context: The `tf.distribute.ReplicaContext`.
    """

    def __init__(self, whole, index, context):
        self.rows, self.first_index = whole[0], whole[1]
        self.size = index.shape[0] or tf.shape(index)[0]
        self.positions = context.replica_id_in_sync_group * self.size + tf.range(self.size)
        self.context = context


def _part():
    return getattr(_here, "part", None)


@contextlib.contextmanager
def part_of_batch(batch):
    """A context for one step on a batch; yields the batch without the entry `WHOLE`.

    Args:
      batch: A dict of tensors `[size, ...]`, with `WHOLE` where there are several replicas.
    """
    if WHOLE not in batch:
        yield batch
        return
    batch = dict(batch)
    whole = batch.pop(WHOLE)
    _here.part = Part(whole, batch["index"], tf.distribute.get_replica_context())
    try:
        yield batch
    finally:
        _here.part = None


def rows_of_batch(local):
    """Return B, the rows of the whole batch that `local` `[size, ...]` is this part of."""
    part = _part()
    return tf.shape(local)[0] if part is None else part.rows


def first_index(index):
    """Return the index of the whole batch's first row, from this part's `index` `[size]`."""
    part = _part()
    return tf.cast(index[0], tf.int32) if part is None else part.first_index


def counts():
    """Return which of this replica's rows count, 1 or 0, float32 `[size]`; `None` for all."""
    part = _part()
    return None if part is None else tf.cast(part.positions < part.rows, tf.float32)


def gather(*tensors):
    """Return tensors of the whole batch, `[B, ...]`, of all replicas' rows `[size, ...]`.

    The same on every replica. One exchange for all tensors. No gradient flows through.

    Args:
      *tensors: float32, int32 or bool `[size, ...]`, all but the first dimension known.

    Returns:
      A tuple of tensors; for a single one the tensor itself.
    """
    part = _part()
    if part is not None:
        packed = [_as_columns(tensor, part.size) for tensor in tensors]
        everyone = part.context.all_gather(tf.concat(packed, axis=1), axis=0)[: part.rows]
        pieces = tf.split(everyone, [each.shape[1] for each in packed], axis=1)
        tensors = tuple(
            _from_columns(piece, tensor, part.rows)
            for piece, tensor in zip(pieces, tensors, strict=True)
        )
    return tensors[0] if len(tensors) == 1 else tensors


def _as_columns(tensor, size):
    """Return the bits of `[size, ...]` as int32 `[size, columns]`."""
    tensor = tf.stop_gradient(tensor)
    if tensor.dtype == tf.bool:
        tensor = tf.cast(tensor, tf.int32)
    elif tensor.dtype != tf.int32:
        tensor = tf.bitcast(tensor, tf.int32)
    return tf.reshape(tensor, [size, tensor.shape[1:].num_elements()])


def _from_columns(columns, like, rows):
    columns = tf.reshape(columns, [rows, *like.shape[1:]])
    if like.dtype == tf.bool:
        return tf.cast(columns, tf.bool)
    return columns if like.dtype == tf.int32 else tf.bitcast(columns, like.dtype)


def own(tensor):
    """Return this replica's rows `[size, ...]` of a tensor of the whole batch `[B, ...]`."""
    part = _part()
    if part is None:
        return tensor
    return tf.gather(tensor, tf.minimum(part.positions, part.rows - 1))


def total(*tensors):
    """Return a tuple of tensors, each summed over the replicas, in one exchange."""
    part = _part()
    if part is None:
        return tensors
    return tuple(part.context.all_reduce(tf.distribute.ReduceOp.SUM, list(tensors)))


def anywhere(condition):
    """Return whether a bool scalar is true on any replica."""
    return condition if _part() is None else total(tf.cast(condition, tf.int32))[0] > 0


def here(variable):
    """Return this replica's copy of a Keras variable, a plain `tf.Variable`.

    What a variable under a strategy is missing, such as `scatter_nd_update`, its copies have;
    they stay alike where all replicas do the same to them.
    """
    value = variable.value
    if not isinstance(value, tf.distribute.DistributedValues):
        return value
    copies = value.distribute_strategy.experimental_local_results(value)
    context = tf.distribute.get_replica_context()
    if context is None or len(copies) == 1:
        return copies[0]
    return copies[int(tf.get_static_value(context.replica_id_in_sync_group)) % len(copies)]


def mean(values: tf.Tensor) -> tf.Tensor:
    """Return the mean over the batch of `values` `[B]`; of a part, its share of the mean.

    The shares of all replicas add up to the mean over the rows of the whole batch.
    """
    counted = counts()
    if counted is None:
        return tf.reduce_mean(values)
    rows = tf.cast(rows_of_batch(values), values.dtype)
    return tf.reduce_sum(values * tf.cast(counted, values.dtype)) / rows


def whole_means(values: list[tf.Tensor]) -> list[tuple[tf.Tensor, tf.Tensor | None]]:
    """Return what a metric of each of `values` `[B]` is given: values and their weight.

    Args:
      values: A list of float `[B]`.

    Returns:
      `(values, None)` for each; of a part of a batch the mean over the rows of the whole
      batch, and how many these are.
    """
    if counts() is None:
        return [(each, None) for each in values]
    rows = tf.cast(rows_of_batch(values[0]), tf.float32)
    (means,) = total(tf.stack([mean(each) for each in values]))
    return [(each, rows) for each in tf.unstack(means)]


def summed(gradients: Sequence[Any]) -> list[Any]:
    """Return the gradients of the whole batch's loss, given those of this part's share.

    Args:
      gradients: Tensors, or `None` where the loss does not depend on a weight.
    """
    whole = iter(total(*(each for each in gradients if each is not None)))
    return [None if each is None else next(whole) for each in gradients]


class ReplicaNoise(Noise):
    """The noise of a replica's rows: what they would get if one device had the whole batch."""

    def whole(self) -> Noise:
        return Noise(self.seed)

    def uniform(self, like: tf.Tensor, shape: Sequence[int] = ()) -> tf.Tensor:
        return own(super().uniform(like, shape))

    def normal(self, like: tf.Tensor, shape: Sequence[int] = ()) -> tf.Tensor:
        return own(super().normal(like, shape))

    def sample(self, distribution: Any) -> tf.Tensor:
        if diagonal_normal(distribution) is None:
            raise UserError(
                f"Replicas draw the noise of each row by its place in the batch, which they can "
                f"of a tfd.Independent(tfd.Normal) and not of a {type(distribution).__name__}: "
                "give the encoder such a posterior, or train without a strategy."
            )
        return super().sample(distribution)

    def _rows(self, like: tf.Tensor) -> tf.Tensor:
        return rows_of_batch(like)


def noise(seed: Any) -> Noise:
    """Return the noise of this step's rows, for an int32 `[2]` seed: a replica's, or all."""
    return Noise(seed) if _part() is None else ReplicaNoise(seed)
