"""The codebook: the codes of the whole data set, and which neighbour a datum gets."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_acn._base.checks import check_count, check_flag
from keras_acn._base.errors import UserError
from keras_acn._base.noise import Noise
from keras_acn.codebook.assign import pick_uniform, pick_unique
from keras_acn.codebook.recall import RecallCheck
from keras_acn.codebook.search import NeighborSearch, get_search
from keras_acn.codebook.store import CodeStore
from keras_acn.distribute.exchange import gather, here, own
from keras_acn.distribute.keras_trainer import infinities_allowed


class Neighbor(NamedTuple):
    """The neighbour of each datum of a batch.

    Attributes:
      code: float32 `[B, d]`, zeros where there is none.
      index: int32 `[B]`, its row, -1 where there is none.
      distance: float32 `[B]`, the Euclidean distance to the code picked, 0 where there is
        none.

    Where all k nearest are asked for, each has one more dimension, `[B, k, ...]`.
    """

    code: tf.Tensor
    index: tf.Tensor
    distance: tf.Tensor


@keras.saving.register_keras_serializable("keras_acn")
class KNNCodebook(CodeStore):
    """The codes c(x) of every datum, a nearest-neighbour search over them, and a pick.

    A Keras layer and a Keras callback in one (see `CodeStore`). As a layer it holds the
    codes, and which of them were used in this pass over the data, as non-trainable
    weights. Called inside `train_step` it does what Algorithm 1 of Graves et al. 2018
    (arXiv 1804.02476) does: write the codes of the batch, find the K nearest codes of
    each datum, pick one uniformly. As a callback it sizes itself when training begins,
    clears what is used when an epoch begins, and adds its health to the logs when one
    ends. `ACN.fit` attaches it by itself.

    A datum is never its own neighbour: its row is excluded by its index. A code with a
    value that is NaN or infinite is nobody's neighbour and its datum has none; the epoch
    then ends with a `UserError` that tells how many there are.

    With `unique=True` each code is a neighbour at most once per pass, also among the
    members of one batch, who choose one after another. Where fewer than k codes are
    still free, a datum picks among those; where none is, it has no neighbour, and the
    code returned is zero, the mean of the N(0, 1) that codes are initialised from.
    That is the case of the last datum of a pass if only its own code is left.

    Logged at the end of each epoch: `codebook_distance`, the mean Euclidean distance
    to the neighbour picked; `codebook_drift`, the mean distance between a datum's new
    code and its old one; `codebook_used`, the share of codes that were a neighbour in
    this pass; and, of an approximate search, `codebook_recall`, the share of the true k
    nearest codes that it found, on a sample of the steps.

    Args:
      size: Number of data N. `None`: found when training begins, or weights are loaded.
      k: Number of nearest neighbours to pick from.
      unique: Whether a code may be a neighbour only once per pass.
      search: Name, config or instance of the search strategy: `"exact"`, `"graph"`,
        `"faiss"`, or `"auto"`, which chooses by the number of codes and their dimension.
      latent_dim: Dimension d of a code; `ACN` fills it in.
      seed: Seed of the initial codes, drawn from N(0, 1).

    Raises:
      UserError: If an option is out of range, or the search strategy unknown.

    Example:
      >>> codebook = KNNCodebook(size=4, k=2, latent_dim=1)
      >>> codebook.write(tf.range(4), tf.constant([[0.0], [1.0], [5.0], [6.0]]))
      >>> distance, index = codebook.neighbors(tf.constant([[4.0]]))
      >>> index.numpy().tolist(), distance.numpy().tolist()
      ([[2, 3]], [[1.0, 2.0]])
      >>> neighbor = codebook(tf.constant([[4.0]]), index=tf.constant([0]), training=True)
      >>> neighbor.index.shape, neighbor.code.shape  # one of the two, at random
      (TensorShape([1]), TensorShape([1, 1]))
      >>> float(codebook.codes[0, 0])  # the code of row 0 has been written
      4.0
    """

    def __init__(
        self,
        size: int | None = None,
        k: int = 5,
        *,
        unique: bool = False,
        search: str | dict | NeighborSearch = "auto",
        latent_dim: int | None = None,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(size, latent_dim=latent_dim, seed=seed, **kwargs)
        self.k = check_count(k, "The codebook's k", 1)
        self.unique = check_flag(unique, "unique")
        self.search = search
        # A wrong name is said at once; what "auto" means is known with the size.
        self.search_strategy = get_search(search, size=self.size, dim=self.latent_dim)
        self.build_if_known()

    # -- the layer ---------------------------------------------------------------------

    def build(self, input_shape=None):
        if self.latent_dim is None:
            self.latent_dim = int(input_shape[-1])
        self.add_codes()
        self.used = self.add_weight(
            name="used", shape=(self.size,), initializer="zeros", dtype="bool", trainable=False
        )
        # Sums over this pass: distance, drift, the numbers of data they are over, and data
        # whose index is no row.
        self.health = self.add_weight(
            name="health", shape=(5,), initializer="zeros", trainable=False
        )
        self.search_strategy = get_search(self.search, size=self.size, dim=self.latent_dim)
        self.search_strategy.build(self)
        self.recall = None if self.search_strategy.is_exact else RecallCheck(self)
        self.built = True

    def remake(self, codes):
        if not isinstance(self.search, (str, dict)):
            # A strategy may belong to the rows it was built for.
            self.search = type(self.search).from_config(self.search.get_config())
        super().remake(codes)

    def add_state(self, name: str, shape: tuple, initializer: Any, dtype: str) -> keras.Variable:
        """Add a weight of the search strategy, saved and restored with the codes."""
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, dtype=dtype, trainable=False
        )

    def neighbors(
        self,
        query: tf.Tensor,
        k: int | None = None,
        *,
        exclude: tf.Tensor | None = None,
        in_graph: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Find the nearest codes; change nothing.

        Args:
          query: float `[B, d]`.
          k: How many; the codebook's own k by default.
          exclude: int32 `[B]`, a row that each query may not return, -1 for none.
          in_graph: Whether the search has to stay in the graph, as an exported model must
            (see `NeighborSearch.in_graph`).

        Returns:
          `(distance, index)`: Euclidean distances float32 `[B, k]` and rows int32
          `[B, k]`, nearest first; infinity and -1 where there are fewer than k.

        Raises:
          UserError: If the codebook has no codes yet.
        """
        self.require_codes()
        query = tf.cast(tf.convert_to_tensor(query), tf.float32)
        search = self.search_strategy.in_graph() if in_graph else self.search_strategy
        with infinities_allowed():
            return search(self.codes.value, query, int(k or self.k), exclude)

    def call(
        self,
        code: tf.Tensor,
        index: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        training: bool = False,
        every: bool = False,
    ) -> Neighbor:
        """Return the `Neighbor` of each datum that its prior is conditioned on.

        In training the codes are first written to their rows, the datum's own row is
        excluded, and with `unique` the rows picked are used up. Otherwise the codebook
        is searched as it is, nothing is excluded unless `index` is given, and nothing
        changes.

        Args:
          code: float `[B, d]`, the codes of the batch. No gradient flows through.
          index: int32 `[B]`, the row of each datum; required in training.
          seed: The `Noise` of the pick, or an int32 `[2]` stateless seed of one.
          training: Whether the codebook follows the training.
          every: Whether all k nearest codes are returned, and not one of them: `code`
            `[B, k, d]`, `index` and `distance` `[B, k]`. What is told of the health of the
            codebook is still of one of them, picked uniformly.
        """
        self.require_codes()
        code = tf.stop_gradient(tf.cast(code, tf.float32))
        noise = Noise.of([self.seed, 1] if seed is None else seed)
        with infinities_allowed():
            return self._choose(code, index, noise, training, every)

    def _choose(self, code, index, noise, training, every):
        if not training:
            # Evaluation is exact where a search leaves the graph, and so is what is exported.
            _, rows = self.neighbors(code, exclude=index, in_graph=True)
            return self._neighbor(code, rows if every else pick_uniform(rows, noise))
        # All replicas make the same choice.
        noise = noise.whole()

        # From here on the rows are those of all replicas, save where they are a replica's
        # own: each does the search of its own, and all make the same choice and updates.
        given, code = gather(tf.cast(index, tf.int32), code)
        # Compiled code would drop or clamp a wrong row without a word, so it is counted
        # here, and told at the end of the epoch.
        index = tf.clip_by_value(given, 0, self.codes.shape[0] - 1)
        drift = tf.norm(code - tf.gather(here(self.codes), index), axis=1)  # [B]
        moved = tf.math.is_finite(drift)  # from one number to another
        # The rows depend on the drift, which is never negative, so that the old codes are
        # read before they are overwritten: else XLA copies the whole codebook.
        self.write(index + tf.cast(tf.reduce_any(drift < 0), tf.int32), code)
        rows, complete = self._follow(index, code, noise)
        if self.recall is not None:
            self.recall.check(index, code, rows)
        if self.unique:
            picked = pick_unique(rows, complete, self.k, noise, self._search_rest(index, code))
        else:
            picked = pick_uniform(rows, noise)
        # A scatter needs a row for every datum. One without a neighbour marks a row that
        # another one marks as well or, where nobody has one, leaves its own as it is.
        some = tf.reduce_max(picked)
        where = tf.where(picked >= 0, picked, tf.where(some >= 0, some, index))
        mark = (some >= 0) | tf.gather(here(self.used), where)
        here(self.used).scatter_nd_update(where[:, None], mark)

        neighbor = self._neighbor(code, picked)
        found = tf.cast(picked >= 0, tf.float32)
        here(self.health).assign_add(
            tf.stack(
                [
                    tf.reduce_sum(neighbor.distance),
                    tf.reduce_sum(found),
                    tf.reduce_sum(tf.where(moved, drift, 0.0)),
                    tf.reduce_sum(tf.cast(moved, tf.float32)),
                    tf.reduce_sum(tf.cast(index != given, tf.float32)),
                ]
            )
        )
        if every:
            return self._neighbor(own(code), own(rows)[:, : self.k])
        return Neighbor(*(own(each) for each in neighbor))

    @property
    def list_length(self) -> int:
        """How many nearest codes a step finds for each datum."""
        # Longer lists than k, since the others of the batch take from them too.
        return max(4 * self.k, self.k + 16) if self.unique else self.k

    def _follow(self, index, code, noise):
        """Search for the data of all replicas: `(rows [B, length], complete [B])`."""
        noise, strategy = Noise.of(noise), self.search_strategy
        strategy.arrive(index)
        found = strategy.follow(
            here(self.codes),
            own(code),
            own(index),
            self.list_length,
            self.k,
            here(self.used) if self.unique else None,
            noise.stream(1).seed,
        )
        if found.note is not None:
            strategy.remember(index, gather(found.note), noise.stream(2).seed)
        return gather(found.index, found.complete)

    def _search_rest(self, index, code):
        """Return the exact search for one datum, without what the others have picked."""
        codes, used = here(self.codes), here(self.used)

        def search_rest(b, picks):
            times = tf.scatter_nd((picks + 1)[:, None], tf.ones_like(picks), [self.size + 1])
            taken = tf.identity(used) | (times[1:] > 0)
            one, row = tf.gather(code, [b]), tf.gather(index, [b])
            return self.search_strategy(tf.identity(codes), one, self.list_length, row, taken)[1][0]

        return search_rest

    def _neighbor(self, code, picked):
        """Return the `Neighbor` of rows `[B]`, or of several each, `[B, k]`."""
        picked_code = self.gather(picked)
        code = code if picked.shape.rank == 1 else code[:, None, :]
        distance = tf.where(picked >= 0, tf.norm(code - picked_code, axis=-1), 0.0)
        return Neighbor(picked_code, picked, distance)

    def begin_pass(self) -> None:
        """Start a new pass over the data: every code may be a neighbour again."""
        self.used.assign(tf.zeros([self.size], tf.bool))
        self.health.assign(tf.zeros([5]))
        if self.recall is not None:
            self.recall.reset()

    def get_health(self) -> dict[str, float]:
        """Return the health of this pass so far, as a dict of floats."""
        distance, found, drift, written, _ = (float(v) for v in self.health.numpy())
        health = {
            "codebook_distance": distance / max(found, 1.0),
            "codebook_drift": drift / max(written, 1.0),
            "codebook_used": float(self.used.numpy().mean()),
        }
        if self.recall is not None:
            health |= self.recall.result()
        return health

    # -- the callback ------------------------------------------------------------------

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self.search_strategy.on_epoch_begin(self.codes.value, epoch)

    def on_train_end(self, logs=None):
        self.search_strategy.on_train_end()

    def on_epoch_end(self, epoch, logs=None):
        outside = int(self.health.numpy()[4])
        if outside:
            raise UserError(
                f"{outside} data of this epoch have an index outside 0..{self.size - 1}, the rows "
                "of the codebook: if the data have grown, first call model.memorize(images) with "
                "the new ones; begin anew on other data by model.forget()."
            )
        super().on_epoch_end(epoch, logs)
        if logs is not None:
            logs.update(self.get_health())

    # -- configuration -----------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        search = self.search
        if search == "auto" and self.built:
            # A saved model keeps the weights of the strategy that was chosen.
            search = self.search_strategy
        if not isinstance(search, (str, dict)):
            search = keras.saving.serialize_keras_object(search)
        return {
            **super().get_config(),
            "k": self.k,
            "unique": self.unique,
            "search": search,
        }
