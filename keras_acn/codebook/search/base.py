"""What every search strategy promises."""

import collections

Found = collections.namedtuple("Found", ["distance", "index", "complete", "note"])
Found.__doc__ = """What a strategy found for the data of a training step.

distance, index: float32 and int32 [B, k], nearest first; infinity and -1 for none.
complete: bool [B], whether the list holds every row that is allowed.
note: A tensor [B, ...] that `remember` gets, of the data of all replicas; `None` for none.
"""


class NeighborSearch:
    """Finds the nearest codes of each query by Euclidean distance, inside the graph.

    A strategy of your own is a subclass, registered with
    `keras.saving.register_keras_serializable` so that it is saved with the model. One
    without a state gives `__call__` alone. One with a state adds its weights in `build`
    and follows the training: in each step the codebook, which has just written the
    batch's codes, calls `arrive`, `follow` and `remember`.

    Attributes:
      is_exact: Whether the neighbours found in training are always the true nearest.
      supports_xla: Whether XLA can compile it.
    """

    is_exact = True
    supports_xla = True

    def __call__(self, codes, query, k, exclude=None, used=None):
        """Searches the codes.

        Args:
          codes: float32 `[N, d]`, N known statically.
          query: float32 `[B, d]`.
          k: How many neighbours to return, a Python int. May exceed N.
          exclude: int32 `[B]`, a row that query b may not return (its own), or -1 for
            none. `None` excludes nothing.
          used: bool `[N]`, rows that no query may return. `None` rules out nothing.

        Returns:
          `(distance, index)`: float32 and int32 `[B, k]`, nearest first. Where fewer
          than k rows are allowed the rest is filled with distance infinity, index -1.
          The order among equal distances is deterministic, and otherwise free.
        """
        raise NotImplementedError

    # -- following the training --------------------------------------------------------

    def build(self, codebook):
        """Adds the strategy's weights to a `KNNCodebook` that has its size.

        Args:
          codebook: The layer; its `add_weight` makes them.
        """

    def arrive(self, index):
        """Takes note that the codes in the rows `index`, int32 `[B]`, are new."""

    def follow(self, codes, query, index, k, least, used, seed):
        """Searches for data whose new codes have just been written.

        Args:
          codes: float32 `[N, d]`, a `tf.Variable`.
          query: float32 `[B, d]`, the codes of this replica's data.
          index: int32 `[B]`, their rows, which they may not return.
          k: Length of the lists.
          least: How many rows a list must hold that is not complete, at most k.
          used: bool `[N]`, a `tf.Variable`, or `None`.
          seed: int32 `[2]`, a stateless seed.

        Returns:
          A `Found`.
        """
        import tensorflow as tf

        used = None if used is None else tf.identity(used)
        distance, rows = self(tf.identity(codes), query, k, index, used)
        return Found(distance, rows, tf.reduce_any(rows < 0, axis=1), None)

    def remember(self, index, note, seed):
        """Keeps what `follow` noted.

        Args:
          index: int32 `[B]`, the rows of the data of all replicas.
          note: `[B, ...]`, their notes.
          seed: int32 `[2]`, a stateless seed.
        """

    def on_epoch_begin(self, codes, epoch):
        """Readies the strategy for an epoch, outside the graph.

        Args:
          codes: The `tf.Variable` of the codes.
          epoch: Number of the epoch, from 0.
        """

    def on_train_end(self):
        """Lets go of what only training needs."""

    # -- configuration -----------------------------------------------------------------

    def get_config(self):
        """Returns the options of the strategy."""
        return {}

    @classmethod
    def from_config(cls, config):
        """Returns the strategy with the options of `get_config`."""
        return cls(**config)
