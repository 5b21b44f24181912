"""How much of the truth an approximate search finds, measured while it trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from keras_acn.codebook.search.exact import ExactSearch
from keras_acn.distribute.exchange import here

if TYPE_CHECKING:
    from keras_acn.codebook.codebook import KNNCodebook

# How many steps of a pass are checked, and how many data of each.
CHECKS = 16
DATA = 32


class RecallCheck:
    """Search exactly too, for some data of some steps, and count what was found.

    The recall is that of the search in the step itself: for a new code, among the codes
    as they are at that moment, with what is used up left out.

    Args:
      codebook: The `KNNCodebook`, with its size known.
    """

    def __init__(self, codebook: KNNCodebook):
        self.codebook = codebook
        self._exact = ExactSearch()
        # Over this pass: true neighbours found, true neighbours, steps.
        self.counts = codebook.add_state("recall", (3,), "zeros", "float32")

    def check(self, index: tf.Tensor, code: tf.Tensor, rows: tf.Tensor) -> None:
        """Check what a step found, if it is a step to check.

        Args:
          index: int32 `[B]`, the rows of the data.
          code: float32 `[B, d]`, their codes.
          rows: int32 `[B, C]`, what was found for them, C at least k.
        """
        codebook, counts = self.codebook, here(self.counts)
        k = codebook.k
        steps = tf.cast(tf.identity(counts)[2], tf.int32)
        every = tf.maximum(1, codebook.size // (CHECKS * tf.maximum(1, tf.size(index))))

        def compare():
            used = tf.identity(here(codebook.used)) if codebook.unique else None
            codes = tf.identity(here(codebook.codes))
            _, true = self._exact(codes, code[:DATA], k, index[:DATA], used)  # [S, k]
            exists = true >= 0
            same = tf.reduce_any(true[:, :, None] == rows[:DATA, None, :k], axis=2) & exists
            sums = [tf.reduce_sum(tf.cast(each, tf.float32)) for each in (same, exists)]
            return tf.stack([*sums, 1.0])

        due = tf.math.floormod(steps, every) == every - 1
        counts.assign_add(tf.cond(due, compare, lambda: tf.constant([0.0, 0.0, 1.0])))

    def result(self) -> dict[str, float]:
        """Return `{"codebook_recall": ...}`; nothing where nothing was there to find."""
        found, true, _ = (float(value) for value in self.counts.numpy())
        return {"codebook_recall": found / true} if true else {}

    def reset(self) -> None:
        """Start a new pass."""
        self.counts.assign(tf.zeros([3]))
