"""Who else is in a datum's class, and a random few of them."""

import collections

import numpy as np
import tensorflow as tf

from keras_acn._base import noise

ClassLists = collections.namedtuple("ClassLists", ["label", "rank", "order", "start", "count"])
ClassLists.__doc__ = """The members of each class, as int32 arrays or tensors.

label: [N], the class of each datum, numbered from 0. rank: [N], its place in its class.
order: [N], the rows of all data, class by class. start: [C], where each class begins in
order. count: [C], its size.
"""

Members = collections.namedtuple("Members", ["index", "valid", "class_size"])
Members.__doc__ = """The sets D drawn for a batch.

index: int32 [B, S], rows. valid: bool [B, S], which of them are in the set. class_size:
int32 [B], the size |X_x| of the datum's class.
"""


def class_lists(labels, num_classes=None):
    """Returns the `ClassLists` of labels.

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


def draw_members(lists, index, seed, least, most):
    """Draws for each datum a random set D of others of its class, inside a graph.

    A uniform subset without repetition, by Floyd's algorithm (Bentley and Floyd 1987,
    "A sample of brilliance"), over the class without the datum itself. Where the class
    has fewer others than asked for, D is all of them; where it has none, D is the datum
    itself.

    Args:
      lists: `ClassLists`.
      index: int32 `[B]`, rows of the data.
      seed: int32 `[2]`, a stateless seed.
      least, most: How many members D has, Python ints, 1 <= least <= most: for each datum
        a uniform draw between the two.

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
    wanted = least + _below(uniform[:, most], tf.fill(tf.shape(index), most - least + 1))
    drawn = tf.minimum(wanted, others)
    picks = []
    for s in range(most):
        last = others - drawn + s
        pick = _below(uniform[:, s], last + 1)
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


def _below(uniform, bound):
    """Returns floor(uniform * bound), at least 0 and below `bound` whatever the rounding."""
    number = tf.cast(uniform * tf.cast(bound, tf.float32), tf.int32)
    return tf.maximum(tf.minimum(number, bound - 1), 0)
