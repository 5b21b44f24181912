"""Which search strategies there are."""

from keras_acn._base.registry import Registry
from keras_acn.codebook.search.base import Found as Found
from keras_acn.codebook.search.base import NeighborSearch as NeighborSearch


def get_search(identifier, size=None, dim=None):
    """Returns the strategy for a name, a config or an instance.

    Args:
      identifier: As a registry takes it. `"auto"`, or `None`, is the best strategy for
        the number of codes and their dimension (`keras_acn.codebook.search.auto`).
      size: Number of codes N, for `"auto"`; where it isn't known, that is `"exact"`.
      dim: Dimension of a code, likewise.

    Raises:
      UserError: If the name is unknown.
    """
    from keras_acn.codebook.search.auto import choose
    from keras_acn.codebook.search.exact import ExactSearch
    from keras_acn.codebook.search.faiss import FaissSearch
    from keras_acn.codebook.search.graph import GraphSearch

    strategies = [ExactSearch, GraphSearch, FaissSearch]
    registry = Registry("search strategy", strategies, NeighborSearch)
    known = size is not None and dim is not None
    registry.by_name["auto"] = registry.find(choose(size, dim) if known else "exact")
    return registry.get(identifier, default="auto")
