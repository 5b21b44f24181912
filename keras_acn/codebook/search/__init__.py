"""How the nearest codes are found: a contract, three strategies, and which one to take."""

from __future__ import annotations

from keras_acn._base.registry import Registry
from keras_acn.codebook.search.base import Found as Found
from keras_acn.codebook.search.base import NeighborSearch as NeighborSearch
from keras_acn.codebook.search.exact import ExactSearch as ExactSearch
from keras_acn.codebook.search.faiss import FaissSearch as FaissSearch
from keras_acn.codebook.search.graph import GraphSearch as GraphSearch

# For a batch of 128 exact search took 45 + 1.75 d nanoseconds a code on two processor
# cores: 4.5 ms at 60,000 x 16, 9 ms at 60,000 x 64, 160 ms at 1,000,000 x 64. A step of a
# small fully connected network takes 6.5 ms there, one of a convolutional network more.
# Up to about 10 ms the search is no more than such a step, and exact costs nothing in
# quality; beyond, it grows with N while the network does not.
FIXED, LARGEST = 26, 6e6


def get_search(
    identifier: str | dict | NeighborSearch | None = "auto",
    *,
    size: int | None = None,
    dim: int | None = None,
) -> NeighborSearch:
    """Return the strategy for a name, a config or an instance.

    Args:
      identifier: `"exact"`, `"graph"`, `"faiss"`, a config or an instance, as a registry
        takes it; or `"auto"`, also `None`, for what `choose(size, dim)` names.
      size: Number of codes N, for `"auto"`; where it is not known, that is `"exact"`.
      dim: Dimension of a code, likewise.

    Raises:
      UserError: If the name or an option is unknown.
    """
    registry = Registry("search strategy", [ExactSearch, GraphSearch, FaissSearch], NeighborSearch)
    best = "exact" if size is None or dim is None else choose(size, dim)
    registry.by_name["auto"] = registry.find(best)
    return registry.get(identifier, default="auto")


def choose(size: int, dim: int) -> str:
    """Return the name of the strategy that `"auto"` stands for.

    It is `"exact"` while its step costs no more than that of a small network, and above
    that `"graph"`, whose steps cost the same at every size. `"faiss"` is used on request
    only.

    Args:
      size: Number of codes N.
      dim: Dimension d of a code.
    """
    return "exact" if int(size) * (int(dim) + FIXED) <= LARGEST else "graph"


def describe_choice(size: int, dim: int) -> str:
    """Return what `choose` names, and its reason, in one sentence for a log.

    Args:
      size: Number of codes N.
      dim: Dimension d of a code.
    """
    name = choose(size, dim)
    why = {
        "exact": "its step costs no more than that of a small network",
        "graph": "its step costs the same at every size, where that of exact search grows with it",
    }[name]
    return f'Search of {int(size):,} codes of dimension {int(dim)}: "{name}", since {why}.'
