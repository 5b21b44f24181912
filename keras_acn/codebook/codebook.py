"""The codebook: the codes of the whole data set, and which neighbour a datum gets."""

import collections

import keras
import tensorflow as tf

from keras_acn._errors import UserError
from keras_acn.codebook.assign import pick_uniform, pick_unique
from keras_acn.codebook.code_store import CodeStore
from keras_acn.codebook.search import get_search

Neighbor = collections.namedtuple("Neighbor", ["code", "index", "distance"])
Neighbor.__doc__ = """The neighbour of each datum of a batch.

code: float32 [B, d], zeros where there is none. index: int32 [B], its row, -1 for none.
distance: float32 [B], the Euclidean distance to the code picked, 0 where there is none.
"""


@keras.saving.register_keras_serializable("keras_acn")
class KNNCodebook(CodeStore):
    """The codes c(x) of every datum, a nearest-neighbour search over them, and a pick.

    A Keras layer and a Keras callback in one (see `CodeStore`). As a layer it holds the
    codes, and which of them were used in this pass over the data, as non-trainable
    weights. Called inside `train_step` it does what
    Algorithm 1 of Graves et al. 2018 (arXiv 1804.02476) does: write the codes of the
    batch, find the K nearest codes of each datum, pick one uniformly. As a callback it
    sizes itself when training begins, clears what is used when an epoch begins, and
    adds its health to the logs when one ends. `ACN.fit` attaches it by itself.

    A datum is never its own neighbour: its row is excluded by its index.

    With `unique=True` each code is a neighbour at most once per pass, also among the
    members of one batch, who choose one after another. Where fewer than k codes are
    still free, a datum picks among those; where none is, it has no neighbour, and the
    code returned is zero, the mean of the N(0, 1) that codes are initialised from.
    That is the case of the last datum of a pass if only its own code is left.

    Logged at the end of each epoch: `codebook_distance`, the mean Euclidean distance
    to the neighbour picked; `codebook_drift`, the mean distance between a datum's new
    code and its old one; `codebook_used`, the share of codes that were a neighbour in
    this pass.

    Args:
      size: Number of data N. `None`: found when training begins.
      k: Number of nearest neighbours to pick from.
      unique: Whether a code may be a neighbour only once per pass.
      search: Name, config or instance of the search strategy.
      latent_dim: Dimension d of a code; `ACN` fills it in.
      seed: Seed of the initial codes, drawn from N(0, 1).
    """

    def __init__(
        self, size=None, k=5, unique=False, search="auto", latent_dim=None, seed=0, **kwargs
    ):
        super().__init__(size, latent_dim, seed, **kwargs)
        if int(k) < 1:
            raise UserError(f"The codebook needs k of at least 1, not {k}.")
        self.k = int(k)
        self.unique = bool(unique)
        self.search = search
        self.search_strategy = get_search(search)
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
        self.built = True

    def neighbors(self, query, k=None, exclude=None):
        """Finds the nearest codes; changes nothing.

        Args:
          query: float `[B, d]`.
          k: How many; the codebook's own k by default.
          exclude: int32 `[B]`, a row that each query may not return, -1 for none.

        Returns:
          `(distance, index)`: Euclidean distances float32 `[B, k]` and rows int32
          `[B, k]`, nearest first; infinity and -1 where there are fewer than k.

        Raises:
          UserError: If the codebook has no codes yet.
        """
        self.require_codes()
        query = tf.cast(tf.convert_to_tensor(query), tf.float32)
        return self.search_strategy(self.codes.value, query, int(k or self.k), exclude)

    def call(self, code, index=None, seed=None, training=False):
        """Returns the `Neighbor` of each datum that its prior is conditioned on.

        In training the codes are first written to their rows, the datum's own row is
        excluded, and with `unique` the rows picked are used up. Otherwise the codebook
        is searched as it is, nothing is excluded unless `index` is given, and nothing
        changes.

        Args:
          code: float `[B, d]`, the codes of the batch. No gradient flows through.
          index: int32 `[B]`, the row of each datum; required in training.
          seed: int32 `[2]`, the stateless seed of the pick.
          training: Whether the codebook follows the training.
        """
        self.require_codes()
        code = tf.stop_gradient(tf.cast(code, tf.float32))
        seed = tf.constant([self.seed, 1]) if seed is None else seed
        if not training:
            _, rows = self.neighbors(code, exclude=index)
            return self._neighbor(code, pick_uniform(rows, seed))

        given = tf.cast(index, tf.int32)
        # Compiled code would drop or clamp a wrong row without a word, so it is counted
        # here, and told at the end of the epoch.
        index = tf.clip_by_value(given, 0, self.size - 1)
        drift = tf.norm(code - tf.gather(self.codes.value, index), axis=1)  # [B]
        self.write(index, code)
        if self.unique:
            picked = self._pick_unique(code, index, seed)
        else:
            _, rows = self.neighbors(code, exclude=index)
            picked = pick_uniform(rows, seed)
        # A scatter needs a row for every datum. One without a neighbour marks a row that
        # another one marks as well or, where nobody has one, leaves its own as it is.
        some = tf.reduce_max(picked)
        where = tf.where(picked >= 0, picked, tf.where(some >= 0, some, index))
        mark = (some >= 0) | tf.gather(self.used.value, where)
        self.used.value.scatter_nd_update(where[:, None], mark)

        neighbor = self._neighbor(code, picked)
        found = tf.cast(picked >= 0, tf.float32)
        self.health.assign_add(
            tf.stack(
                [
                    tf.reduce_sum(neighbor.distance),
                    tf.reduce_sum(found),
                    tf.reduce_sum(drift),
                    tf.cast(tf.size(drift), tf.float32),
                    tf.reduce_sum(tf.cast(index != given, tf.float32)),
                ]
            )
        )
        return neighbor

    def _pick_unique(self, code, index, seed):
        codes, used = self.codes.value, tf.identity(self.used.value)
        # Longer lists than k, since the others of the batch take from them too.
        length = max(4 * self.k, self.k + 16)

        def search_rest(b, picks):
            times = tf.scatter_nd((picks + 1)[:, None], tf.ones_like(picks), [self.size + 1])
            taken = used | (times[1:] > 0)
            one = tf.gather(code, [b])
            return self.search_strategy(codes, one, length, tf.gather(index, [b]), taken)[1][0]

        _, rows = self.search_strategy(codes, code, length, index, used)
        return pick_unique(rows, self.k, seed, search_rest)

    def _neighbor(self, code, picked):
        picked_code = self.gather(picked)
        distance = tf.where(picked >= 0, tf.norm(code - picked_code, axis=1), 0.0)
        return Neighbor(picked_code, picked, distance)

    def begin_pass(self):
        """Starts a new pass over the data: every code may be a neighbour again."""
        self.used.assign(tf.zeros([self.size], tf.bool))
        self.health.assign(tf.zeros([5]))

    def get_health(self):
        """Returns the health of this pass so far, as a dict of floats."""
        distance, found, drift, written, _ = (float(v) for v in self.health.numpy())
        return {
            "codebook_distance": distance / max(found, 1.0),
            "codebook_drift": drift / max(written, 1.0),
            "codebook_used": float(self.used.numpy().mean()),
        }

    # -- the callback ------------------------------------------------------------------

    def on_epoch_end(self, epoch, logs=None):
        outside = int(self.health.numpy()[4])
        if outside:
            raise UserError(
                f"{outside} data of this epoch have an index outside 0..{self.size - 1}, the rows "
                "of the codebook: build a new model for a data set of another size."
            )
        if logs is not None:
            logs.update(self.get_health())

    # -- configuration -----------------------------------------------------------------

    def get_config(self):
        search = self.search
        if not isinstance(search, (str, dict)):
            search = keras.saving.serialize_keras_object(search)
        return {
            **super().get_config(),
            "k": self.k,
            "unique": self.unique,
            "search": search,
        }
