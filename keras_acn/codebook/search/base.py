"""What every search strategy promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from keras_acn._base.errors import UserError

if TYPE_CHECKING:
    from keras_acn.codebook.codebook import KNNCodebook


class Found(NamedTuple):
    """What a strategy found for the data of a training step.

    Attributes:
      distance: float32 `[B, k]`, nearest first, infinity where there are fewer.
      index: int32 `[B, k]`, their rows, -1 where there are fewer.
      complete: bool `[B]`, whether a list holds every row that its datum may return.
      note: A tensor `[B, ...]` that `remember` is given, of the data of all replicas;
        `None` for none.
    """

    distance: tf.Tensor
    index: tf.Tensor
    complete: tf.Tensor
    note: tf.Tensor | None


class NeighborSearch:
    """Find the nearest codes of each query by Euclidean distance, inside the graph.

    To write a strategy, derive from this class and register yours with
    `keras.saving.register_keras_serializable`, so that it is saved with the model. One
    without a state needs `__call__` alone. One with a state adds its weights in `build`
    and follows the training: in each step the codebook first writes the codes of the
    batch and then calls `arrive`, `follow` and `remember`.

    A code or a query with a value that is NaN or infinite, or a distance that overflows
    float32, counts as infinitely far: it is never found, and finds nothing.

    Attributes:
      is_exact: Whether the neighbours found in training are always the true nearest.
      supports_xla: Whether XLA can compile the search.

    Example:
      >>> class OneMatrix(NeighborSearch):
      ...     def __call__(self, codes, query, k, exclude=None, used=None):
      ...         distance = tf.norm(query[:, None] - codes, axis=-1)  # [B, N]
      ...         ruled_out = ~tf.math.is_finite(distance)
      ...         if exclude is not None:
      ...             ruled_out |= tf.range(codes.shape[0]) == exclude[:, None]
      ...         if used is not None:
      ...             ruled_out |= used
      ...         nearness, index = tf.math.top_k(tf.where(ruled_out, -float("inf"), -distance), k)
      ...         return -nearness, tf.where(tf.math.is_finite(nearness), index, -1)
      >>> codes = tf.constant([[0.0], [1.0], [5.0]])
      >>> OneMatrix()(codes, codes, 1, exclude=tf.range(3))[1].numpy().tolist()
      [[1], [0], [1]]
    """

    is_exact = True
    supports_xla = True

    def __call__(
        self,
        codes: tf.Tensor,
        query: tf.Tensor,
        k: int,
        exclude: tf.Tensor | None = None,
        used: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Search the codes.

        Args:
          codes: float32 `[N, d]`, N known statically.
          query: float32 `[B, d]`.
          k: How many neighbours to return. May exceed N.
          exclude: int32 `[B]`, a row that query b may not return (its own), or -1 for
            none. `None` excludes nothing.
          used: bool `[N]`, rows that no query may return. `None` rules out nothing.

        Returns:
          `(distance, index)`: float32 and int32 `[B, k]`, nearest first. Where fewer
          than k rows are allowed the rest is filled with distance infinity, index -1.
          The order among equal distances is deterministic, and otherwise free.
        """
        raise NotImplementedError

    def in_graph(self) -> NeighborSearch:
        """Return a strategy that stays in the graph, as an exported model must.

        This is the strategy itself. One that leaves the graph for the host, as by
        `tf.numpy_function`, returns another here, such as `ExactSearch()`.

        Raises:
          UserError: If XLA cannot compile the strategy and it does not say here what
            stays in the graph.
        """
        if not self.supports_xla:
            raise UserError(
                f"{type(self).__name__} does not say how it is exported: give it a method "
                "in_graph() that returns a strategy which stays in the graph, such as "
                "ExactSearch(), or itself if it does."
            )
        return self

    # -- following the training --------------------------------------------------------

    def build(self, codebook: KNNCodebook) -> None:
        """Add the strategy's weights to a codebook that has its size.

        Args:
          codebook: The layer; its `add_state` makes them.
        """

    def arrive(self, index: tf.Tensor) -> None:
        """Take note that the codes in the rows `index`, int32 `[B]`, are new."""

    def follow(
        self,
        codes: tf.Variable,
        query: tf.Tensor,
        index: tf.Tensor,
        k: int,
        least: int,
        used: tf.Variable | None,
        seed: tf.Tensor,
    ) -> Found:
        """Search for data whose new codes have just been written.

        Args:
          codes: float32 `[N, d]`.
          query: float32 `[B, d]`, the codes of this replica's data.
          index: int32 `[B]`, their rows, which they may not return.
          k: Length of the lists.
          least: How many rows a list must hold that is not complete, at most k.
          used: bool `[N]`, rows that may not be returned, or `None`.
          seed: int32 `[2]`, a stateless seed.
        """
        used = None if used is None else tf.identity(used)
        distance, rows = self(tf.identity(codes), query, k, index, used)
        return Found(distance, rows, tf.reduce_any(rows < 0, axis=1), None)

    def remember(self, index: tf.Tensor, note: tf.Tensor, seed: tf.Tensor) -> None:
        """Keep what `follow` noted.

        Args:
          index: int32 `[B]`, the rows of the data of all replicas.
          note: `[B, ...]`, their notes.
          seed: int32 `[2]`, a stateless seed.
        """

    def on_epoch_begin(self, codes: tf.Variable, epoch: int) -> None:
        """Make ready for an epoch, outside the graph.

        Args:
          codes: float32 `[N, d]`.
          epoch: Number of the epoch, from 0.
        """

    def on_train_end(self) -> None:
        """Let go of what only training needs."""

    # -- configuration -----------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Return the options of the strategy."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> NeighborSearch:
        """Return the strategy with the options of `get_config`."""
        return cls(**config)
