"""Who else is in a datum's class, and a random few of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_acn._base import noise
from keras_acn.codebook.assign import uniform_rank


class ClassLists(NamedTuple):
    """The members of each of C classes of N data, as int32 arrays or tensors.

    Attributes:
      label: `[N]`, the class of each datum, numbered from 0.
      rank: `[N]`, its place in its class.
      order: `[N]`, the rows of all data, class by class.
      start: `[C]`, where each class begins in `order`.
      count: `[C]`, its size.
    """

    label: np.ndarray | tf.Tensor
    rank: np.ndarray | tf.Tensor
    order: np.ndarray | tf.Tensor
    start: np.ndarray | tf.Tensor
    count: np.ndarray | tf.Tensor  # type: ignore[assignment]  # hides that of tuples


class Members(NamedTuple):
    """The sets D drawn for a batch.

    Attributes:
      index: int32 `[B, S]`, rows.
      valid: bool `[B, S]`, which of them are in the set.
      class_size: int32 `[B]`, the size |X_x| of the datum's class.
    """

    index: tf.Tensor
    valid: tf.Tensor
    class_size: tf.Tensor


def class_lists(labels: np.ndarray, num_classes: int | None = None) -> ClassLists:
    """Return the `ClassLists` of labels.

    Args:
      labels: int `[N]`. Without `num_classes` any integers: classes are numbered in their
        order.
      num_classes: C, where the labels are 0 .. C - 1 and some may be missing.
    """
    labels = np.asarray(labels)
    if num_classes is None:
        values, labels = np.unique(labels, return_inverse=True)
        num_classes = len(values)
    order = np.argsort(labels, kind="stable")
    count = np.bincount(labels, minlength=num_classes)
    start = np.cumsum(count) - count
    rank = np.empty(len(labels), np.int64)
    rank[order] = np.arange(len(labels)) - start[labels[order]]
    return ClassLists(*(a.astype(np.int32) for a in (labels, rank, order, start, count)))


def draw_members(
    lists: ClassLists, index: tf.Tensor, seed: tf.Tensor, least: int, most: int
) -> Members:
    """Draw for each datum a random set D of others of its class, inside a graph.

    D is a uniform subset without repetition, by Floyd's algorithm (Bentley and Floyd 1987,
    "A sample of brilliance"), over the class without the datum itself. Where the class
    has fewer others than asked for, D is all of them; where it has none, D is the datum
    itself.

    Args:
      lists: `ClassLists`.
      index: int32 `[B]`, rows of the data.
      seed: int32 `[2]`, a stateless seed.
      least: How many members D has at least, 1 or more.
      most: How many at most; each datum's number is drawn uniformly from `least` to
        `most`.

    Returns:
      `Members` with S = `most`.
    """
    index = tf.cast(index, tf.int32)
    label = tf.gather(lists.label, index)  # [B]
    size = tf.gather(lists.count, label)
    start = tf.gather(lists.start, label)
    rank = tf.gather(lists.rank, index)
    uniform = noise.uniform([tf.shape(index)[0], most + 1], seed)
    others = size - 1
    wanted = least + uniform_rank(uniform[:, most], most - least + 1)
    drawn = tf.minimum(wanted, others)
    picks: list[tf.Tensor] = []
    for s in range(most):
        last = others - drawn + s
        pick = uniform_rank(uniform[:, s], last + 1)
        for earlier in picks[:s]:
            pick = tf.where(pick == earlier, -1, pick)
        picks.append(tf.where(pick < 0, last, pick))
    place = tf.stack(picks, axis=1)  # [B, S], places among the others
    place += tf.cast(place >= rank[:, None], tf.int32)
    slot = tf.range(most)[None]  # [1, S]
    alone = (others == 0)[:, None]
    valid = (slot < drawn[:, None]) | (alone & (slot == 0))
    place = tf.where(valid & ~alone, place, rank[:, None])
    return Members(tf.gather(lists.order, start[:, None] + place), valid, size)
