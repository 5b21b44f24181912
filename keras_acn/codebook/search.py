"""What every search strategy promises, and which ones there are."""

from keras_acn._registry import Registry


class NeighborSearch:
    """Finds the nearest codes of each query by Euclidean distance, inside the graph.

    A strategy of your own is a subclass, registered with
    `keras.saving.register_keras_serializable` so that it is saved with the model.

    Attributes:
      is_exact: Whether the result is always the true nearest neighbours.
    """

    is_exact = True

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

    def get_config(self):
        """Returns the options of the strategy."""
        return {}

    @classmethod
    def from_config(cls, config):
        """Returns the strategy with the options of `get_config`."""
        return cls(**config)


def get_search(identifier):
    """Returns the strategy for a name, a config or an instance.

    `"auto"` is the best strategy for the number of codes; so far exact search is the
    best at every size.

    Raises:
      UserError: If the name is unknown.
    """
    from keras_acn.codebook.exact import ExactSearch

    registry = Registry("search strategy", [ExactSearch], NeighborSearch)
    registry.by_name["auto"] = ExactSearch
    return registry.get(identifier, default="auto")
