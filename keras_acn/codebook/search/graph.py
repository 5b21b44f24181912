"""Approximate neighbours from lists that every visit refines, at a cost free of N."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from keras_acn._base.checks import check_count
from keras_acn._base.errors import UserError
from keras_acn._base.noise import integers
from keras_acn.codebook.search.base import Found, NeighborSearch
from keras_acn.codebook.search.exact import ExactSearch
from keras_acn.distribute.exchange import anywhere, here, own, rows_of_batch

# The latest visits are searched by the maxima of groups of this many.
GROUP = 16
INFINITY = float("inf")
# Places in a table of hashes, for each key.
TABLE = 8


@keras.saving.register_keras_serializable("keras_acn")
class GraphSearch(NeighborSearch):
    """Find neighbours on a graph of the codes, which follows them as they drift.

    The graph keeps with each code the rows of its `length` nearest codes, and those of
    the `visitors` that last found it among their own nearest. A visit, the search for one
    datum in a training step, starts from the datum's own list, from the nearest of the
    `recent` data visited last, and from a few random rows. It then goes `rounds` times to
    the best rows it has not been at, and looks at what is kept with them. All distances
    are those of the codes as they are now. The best rows become the datum's list, and the
    datum becomes a visitor of the nearest of them.

    While a network trains, a datum comes back to a codebook that has moved: its old list
    alone finds few of its neighbours of now. The data visited last have fresh codes and
    fresh lists, which is why the search begins at them.

    A visit computes some hundreds of distances whatever N is, where exact search computes
    N; lists and visitors take `4 (length + visitors)` bytes a code. The method refines
    lists of neighbours by the neighbours of neighbours (Dong, Moses and Li 2011,
    "Efficient k-nearest neighbor graph construction for generic similarity measures"),
    one step of it a visit.

    Exact search is used instead where there are fewer than `exact_below` codes; for data
    without a row of their own, such as those of a validation; and for a batch in which a
    datum finds too few codes that are free, as happens at the end of a pass with
    `unique`.

    Args:
      length: Nearest rows kept with each code.
      visitors: Latest visitors kept with each code.
      pool: Best rows that a visit keeps while it searches, at least `length`, `reverse`
        and `expand`.
      expand: Rows whose lists are looked at in one round.
      rounds: Number of rounds.
      recent: How many of the latest visits are searched for a start.
      probes: How many of them the search starts from.
      random: Random rows that the search starts from.
      reverse: Nearest rows that a datum becomes a visitor of.
      exact_below: Number of codes below which the search is exact, and keeps no lists.

    Raises:
      UserError: If an option is out of range.

    Example:
      >>> from keras_acn import KNNCodebook
      >>> codebook = KNNCodebook(size=10_000, latent_dim=2, search=GraphSearch(rounds=4))
      >>> tuple(codebook.search_strategy.lists.shape)
      (10000, 22)
    """

    short_name = "graph"
    is_exact = False
    length: int
    pool: int
    expand: int
    reverse: int

    def __init__(
        self,
        *,
        length: int = 10,
        visitors: int = 12,
        pool: int = 10,
        expand: int = 4,
        rounds: int = 3,
        recent: int = 2048,
        probes: int = 12,
        random: int = 2,
        reverse: int = 10,
        exact_below: int = 4096,
    ):
        given = {
            "length": length,
            "visitors": visitors,
            "pool": pool,
            "expand": expand,
            "rounds": rounds,
            "recent": recent,
            "probes": probes,
            "random": random,
            "reverse": reverse,
            "exact_below": exact_below,
        }
        for name, value in given.items():
            least = 0 if name in ("random", "exact_below") else 1
            setattr(self, name, check_count(value, f"The graph search's {name}", least))
        if self.pool < max(self.length, self.reverse, self.expand):
            raise UserError(
                f"The graph search needs a pool of at least length, reverse and expand, "
                f"{max(self.length, self.reverse, self.expand)}, not {self.pool}."
            )
        self._options = tuple(given)
        self._exact = ExactSearch()
        self.lists = None

    def get_config(self):
        return {name: getattr(self, name) for name in self._options}

    def __call__(self, codes, query, k, exclude=None, used=None):
        return self._exact(codes, query, k, exclude, used)

    # -- following the training --------------------------------------------------------

    def build(self, codebook):
        if self.lists is not None:
            raise UserError("A graph search belongs to one codebook: give each its own.")
        size = codebook.size
        if size < self.exact_below:
            return
        rng = np.random.default_rng([codebook.seed, 0x67726166])
        width = self.length + self.visitors

        def random_lists(shape, dtype=None):
            return rng.integers(0, size, shape, dtype=np.int32)

        def random_recent(shape, dtype=None):
            return rng.choice(size, shape, replace=shape[0] > size).astype(np.int32)

        self.size = size
        self.lists = codebook.add_state("lists", (size, width), random_lists, "int32")
        recent = max(GROUP, min(self.recent, size) // GROUP * GROUP)
        self.latest = codebook.add_state("latest", (recent,), random_recent, "int32")

    def arrive(self, index):
        if self.lists is None:
            return
        latest = tf.concat([tf.identity(here(self.latest)), index], axis=0)
        here(self.latest).assign(latest[-self.latest.shape[0] :])

    def follow(self, codes, query, index, k, least, used, seed):
        if self.lists is None:
            return super().follow(codes, query, index, k, least, used, seed)
        pool, (rows, squared) = self._visit(codes, query, index, k, used, seed)
        rows, squared = tf.transpose(rows), tf.transpose(squared)  # [B, k]
        # What this batch keeps in its lists: the nearest rows, used or not.
        note = tf.transpose(pool)
        # A datum whose code is no number has no neighbour, and its empty list is complete.
        lost = ~tf.reduce_all(tf.math.is_finite(query), axis=1)  # [B]
        if used is None and self.size > self.pool * GROUP:
            # No list falls short where each visit looks at far more rows than it keeps.
            return Found(tf.sqrt(squared), rows, lost, note)
        # On all replicas alike, as one replica would do.
        short = anywhere(tf.reduce_any((rows[:, least - 1] < 0) & ~lost))

        def exact():
            ruled_out = None if used is None else tf.identity(used)
            distance, all_rows = self._exact(tf.identity(codes), query, k, index, ruled_out)
            return distance, all_rows, tf.reduce_any(all_rows < 0, axis=1)

        def approximate():
            return tf.sqrt(squared), rows, lost

        return Found(*tf.cond(short, exact, approximate), note)

    def remember(self, index, note, seed):
        if self.lists is None:
            return
        lists = here(self.lists)
        nearest_rows = tf.where(note >= 0, note, index[:, None])  # [B, P]
        kept = tf.concat(
            [nearest_rows[:, : self.length], tf.gather(lists, index)[:, self.length :]], axis=1
        )
        lists.scatter_nd_update(index[:, None], kept)

        target = nearest_rows[:, : self.reverse]  # [B, r]
        slot = integers(tf.shape(target), seed, self.visitors)
        source = tf.broadcast_to(index[:, None], tf.shape(target))
        # A scatter with repeated places would leave open which of their values stays.
        goes = one_of_each(target * self.visitors + slot) & (target != source)
        # One that doesn't go writes again what its own list begins with.
        row, slot = tf.where(goes, target, source), tf.where(goes, self.length + slot, 0)
        value = tf.where(goes, source, nearest_rows[:, :1])
        lists.scatter_nd_update(tf.stack([row, slot], axis=-1), value)

    def _visit(self, codes, query, index, k, used, seed):
        """Search the graph.

        Candidate rows are laid out `[C, B]`, candidates first, so that minima over
        candidates run over whole rows of memory. A pool is `(rows, squared)`, int32 rows
        and their float32 squared distances, nearest first.

        Returns:
          The rows of the pool, int32 `[pool, B]`, nearest first; and `(rows, squared)`,
          int32 and float32 `[k, B]`, the k nearest of those that are not used.
        """

        def squared_distance(rows):
            near = tf.gather(codes, tf.maximum(rows, 0))  # [C, B, d]
            squared = tf.reduce_sum(tf.square(query - near), axis=-1)
            # A minimum with one distance that is no number would be none itself.
            allowed = (rows != index) & (rows >= 0) & tf.math.is_finite(squared)
            return tf.where(allowed, squared, INFINITY)

        def if_free(rows, squared):
            return tf.where(tf.gather(used, tf.maximum(rows, 0)), INFINITY, squared)

        def looked_at(goal):
            """Return what is kept with the rows `goal` `[E, B]`, and the distances."""
            kept = tf.gather(here(self.lists), tf.maximum(goal, 0))  # [E, B, W]
            kept = tf.where((goal >= 0)[:, :, None], kept, -1)
            kept = tf.transpose(kept, [0, 2, 1])
            kept = tf.reshape(kept, [goal.shape[0] * kept.shape[1], tf.shape(index)[0]])
            return kept, squared_distance(kept)

        rand = integers([rows_of_batch(index), self.random], seed, self.size)
        seen = tf.concat(
            [
                tf.transpose(tf.gather(here(self.lists), index)),
                self._probes(codes, query),
                tf.transpose(own(rand)),
            ],
            axis=0,
        )
        squared = squared_distance(seen)
        size = self.pool if used is not None else max(self.pool, k)
        pool, free = nearest(seen, squared, size), None
        if used is not None:
            free = nearest(seen, if_free(seen, squared), k)
        been = tf.fill([1, tf.shape(index)[0]], -1)
        for _ in range(self.rounds):
            goal = _not_been_at(pool, been, self.expand)
            been = tf.concat([been, goal], axis=0)
            if used is not None:
                # Late in a pass nearly all that is near is used: go on where it is not.
                further = _not_been_at(free, been, self.expand)
                been = tf.concat([been, further], axis=0)
                goal = tf.concat([goal, further], axis=0)
            seen, squared = looked_at(goal)
            if used is not None:
                free = _merged(free, (seen, if_free(seen, squared)))
            pool = _merged(pool, (seen, squared))
        if used is None:
            free = pool[0][:k], pool[1][:k]
        return pool[0][: self.pool], free

    def _probes(self, codes, query):
        """Return the rows `[probes, B]` of the latest visits that are nearest, about."""
        latest = tf.identity(here(self.latest))
        groups = latest.shape[0] // GROUP
        near = tf.gather(codes, latest)  # [n, d]
        # The distance's terms that differ between codes, as one product.
        half_norm = 0.5 * tf.reduce_sum(tf.square(near), axis=1, keepdims=True)
        near = tf.concat([-near, half_norm], axis=1)
        probe = tf.concat([query, tf.ones_like(query[:, :1])], axis=1)
        score = tf.matmul(near, probe, transpose_b=True)  # [n, B]
        score = tf.where(tf.math.is_finite(score), score, INFINITY)
        score = tf.reshape(score, [GROUP, groups, -1])
        best = tf.reduce_min(score, axis=0)  # [n / 16, B]
        rows = tf.reshape(latest, [GROUP, groups, 1])
        rows = tf.reduce_max(tf.where(score == best, rows, -1), axis=0)
        return nearest(rows, best, self.probes)[0]


def _not_been_at(pool, been, k):
    """Return the k nearest rows `[k, B]` of a pool that are not among `been`."""
    rows, squared = pool
    again = tf.reduce_any(rows[:, None] == been, axis=1)
    return nearest(rows, tf.where(again, INFINITY, squared), k)[0]


def _merged(pool, others):
    """Return a pool with the nearest of its own rows and of `others`."""
    rows, squared = (tf.concat(pair, axis=0) for pair in zip(pool, others, strict=True))
    return nearest(rows, squared, pool[0].shape[0])


def nearest(rows: tf.Tensor, squared: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the k nearest distinct rows, and their squared distances.

    Each of k passes takes the least distance of a column and strikes out the row it
    belongs to, wherever it stands: duplicates vanish without sorting.

    Args:
      rows: int32 `[C, B]`; a row may stand in a column many times.
      squared: float32 `[C, B]`, the same for the same row, infinity for what is ruled
        out; never NaN.
      k: How many, a Python int.

    Returns:
      int32 and float32 `[k, B]`, nearest first, the higher row first among equals; -1 and
      infinity where there are fewer.
    """

    def take(i, left, found, distances):
        least = tf.reduce_min(left, axis=0)  # [B]
        row = tf.reduce_max(tf.where(left == least, rows, -1), axis=0)
        row = tf.where(tf.math.is_inf(least), -1, row)
        left = tf.where(rows == row, INFINITY, left)
        return i + 1, left, found.write(i, row), distances.write(i, least)

    # A loop, not k copies of its body, which XLA would compile for seconds.
    found, distances = (
        tf.TensorArray(dtype, k, element_shape=rows.shape[1:]) for dtype in (tf.int32, tf.float32)
    )
    _, _, found, distances = tf.while_loop(
        lambda i, *_: i < k, take, (0, squared, found, distances), maximum_iterations=k
    )
    return found.stack(), distances.stack()


def one_of_each(keys: tf.Tensor) -> tf.Tensor:
    """Choose one of those keys that are equal, the same one on every replica and device.

    They are told apart by a small table of hashes, where a few keys that differ share a
    place too: one of these is chosen, and the others are left out.

    Args:
      keys: int32 `[...]`.

    Returns:
      bool `[...]`: true for no two that are equal.
    """
    flat = tf.reshape(keys, [-1])
    number = tf.range(tf.size(flat))
    table = TABLE * tf.size(flat)
    place = tf.math.floormod(flat, tf.maximum(table, 1))
    last = tf.math.unsorted_segment_max(number, place, table)
    return tf.reshape(tf.gather(last, place) == number, tf.shape(keys))
