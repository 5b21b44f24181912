"""Approximate neighbours from a faiss index, for very many codes on one host."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from keras_acn._base.checks import check_count, check_seed
from keras_acn._base.errors import unknown_name
from keras_acn.codebook.search.base import Found, NeighborSearch
from keras_acn.codebook.search.exact import ExactSearch, rank
from keras_acn.codebook.search.faiss_index import (
    STORAGES,
    CellIndex,
    IndexSnapshots,
    require_faiss,
    sample_rows,
)


@keras.saving.register_keras_serializable("keras_acn")
class FaissSearch(NeighborSearch):
    """Find neighbours with an inverted-file index over a snapshot of the codes.

    Needs `pip install "keras-acn[faiss]"`. The index (IVF; Johnson, Douze and Jegou 2017,
    arXiv 1702.08734) sorts a snapshot of the codes into `nlist` cells, and a query looks
    into the `nprobe` nearest. What it finds, `candidates` rows, is ranked by the distances
    of the codes as they are now. In training a datum asks twice, with its new code and
    with the one that the snapshot has of it: where codes drift together, those that were
    its neighbours still are.

    Epoch e trains on an index of the codes as of the beginning of epoch e - 1, while a
    thread makes the next one; they change over as an epoch begins, always at the same
    point of the training. Where the codes have moved so far that the snapshot tells
    little, as in the first epoch, training waits for an index of the codes as they are.
    Rows that are used up are left out by the index itself. A batch in which a datum finds
    too few rows is searched exactly.

    A batch leaves the graph for the host: XLA cannot compile that, and an exported model
    searches exactly instead. The same codes, options and machine give the same
    neighbours. The index is not saved with a model: a loaded one makes it anew from its
    codes.

    Args:
      nlist: Number of cells; by default 2 sqrt(N), with 39 codes in each or more.
      nprobe: Cells a query looks into; by default 1 in 128, but at least 16.
      candidates: Rows that are ranked; by default 128, or 4 k if that is more.
      storage: `"flat"` keeps 4 d bytes a code, `"sq8"` d bytes (8 bits a number), `"pq"`
        d / 2 bytes (product quantization). Row numbers take 16 bytes a code more.
      seed: Seed of the k-means that makes the cells.

    Raises:
      UserError: If an option is out of range. Without faiss, when it is first needed.

    Example:
      >>> from keras_acn import KNNCodebook
      >>> codebook = KNNCodebook(size=100, latent_dim=2, search=FaissSearch(nprobe=32))
      >>> codebook.search_strategy.supports_xla
      False
    """

    short_name = "faiss"
    is_exact = False
    supports_xla = False

    def __init__(
        self,
        *,
        nlist: int | None = None,
        nprobe: int | None = None,
        candidates: int | None = None,
        storage: str = "flat",
        seed: int = 0,
    ):
        for name, value in (("nlist", nlist), ("nprobe", nprobe), ("candidates", candidates)):
            if value is not None:
                value = check_count(value, f"The faiss search's {name}", 1)
            setattr(self, name, value)
        if storage not in STORAGES:
            raise unknown_name("storage of a faiss index", storage, STORAGES)
        self.storage = storage
        self.seed = check_seed(seed, "The faiss search's seed")
        self._snapshots = IndexSnapshots(self._build_index)
        self._exact = ExactSearch()

    def get_config(self):
        names = ("nlist", "nprobe", "candidates", "storage", "seed")
        return {name: getattr(self, name) for name in names}

    def in_graph(self):
        return self._exact

    # -- the search --------------------------------------------------------------------

    def __call__(self, codes, query, k, exclude=None, used=None):
        return self._search(codes, query, k, k, exclude, used, following=False)[:2]

    def follow(self, codes, query, index, k, least, used, seed):
        # The variable itself: to read it whole is to copy it once rows of it were written.
        used = None if used is None else tf.identity(used)
        found = self._search(codes, query, k, min(least, k), index, used, following=True)
        return Found(*found, None)

    def _search(self, codes, query, k, least, exclude, used, following):
        """Return distances and rows `[B, k]`, and whether a list is complete `[B]`."""
        require_faiss()
        size = codes.shape[0]
        free = tf.fill([tf.shape(query)[0]], size)  # [B], rows that each may return
        if exclude is not None:
            exclude = tf.cast(exclude, tf.int32)
            own = exclude >= 0
            if used is not None:
                own &= ~tf.gather(used, tf.maximum(exclude, 0))
            free -= tf.cast(own, tf.int32)
        if used is not None:
            free -= tf.reduce_sum(tf.cast(used, tf.int32))
        # What is no number finds nothing, however long it is searched for.
        free = tf.where(tf.reduce_all(tf.math.is_finite(query), axis=1), free, 0)

        candidate = self._candidates(codes, query, k, exclude, used, following)
        found = rank(codes, query, candidate, k, exclude=exclude, used=used)
        enough = tf.reduce_sum(tf.cast(found[1] >= 0, tf.int32), axis=1) >= tf.minimum(free, least)
        distance, index = tf.cond(
            tf.reduce_all(enough),
            lambda: found,
            lambda: self._exact(tf.identity(codes), query, k, exclude, used),
        )
        return distance, index, tf.reduce_sum(tf.cast(index >= 0, tf.int32), axis=1) >= free

    def _candidates(self, codes, query, k, exclude, used, following):
        """Return rows `[B, C]` from the index, each once, -1 for none."""
        size = codes.shape[0]
        count = min(size, self.candidates or max(128, 4 * k))

        def is_ready(sample):
            return np.bool_(self._snapshots.is_of(sample, strict=not following))

        def make(codes):
            self._snapshots.make(codes)
            return np.bool_(True)

        ready = tf.ensure_shape(
            tf.numpy_function(is_ready, [tf.gather(codes, sample_rows(size))], tf.bool), []
        )
        # The codes go to the host only where an index must be made of them.
        ready = tf.cond(
            ready,
            lambda: ready,
            lambda: tf.ensure_shape(tf.numpy_function(make, [tf.identity(codes)], tf.bool), []),
        )

        def look_up(_, query, own, used):
            return self._snapshots.index.search(query, count, own, used)

        none = tf.zeros([0], tf.int32)
        rows = tf.numpy_function(
            look_up,
            [
                ready,
                query,
                none if exclude is None else exclude,
                tf.zeros([0], tf.bool) if used is None else used,
            ],
            tf.int32,
        )
        return tf.ensure_shape(rows, [query.shape[0], count * (1 if exclude is None else 2)])

    def _build_index(self, codes, background):
        return CellIndex(
            codes,
            nlist=self.nlist,
            nprobe=self.nprobe,
            storage=self.storage,
            seed=self.seed,
            background=background,
        )

    # -- the training ------------------------------------------------------------------

    def on_epoch_begin(self, codes, epoch):
        require_faiss()
        self._snapshots.begin_epoch(codes.numpy())

    def on_train_end(self):
        self._snapshots.end_training()
