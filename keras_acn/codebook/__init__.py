"""The codebook: codes of the whole data set, searched inside the graph."""

from keras_acn._registry import Registry
from keras_acn.codebook.codebook import KNNCodebook as KNNCodebook
from keras_acn.codebook.codebook import Neighbor as Neighbor
from keras_acn.codebook.exact import ExactSearch as ExactSearch
from keras_acn.codebook.search import NeighborSearch as NeighborSearch
from keras_acn.codebook.search import get_search as get_search

registry = Registry("codebook", [KNNCodebook], KNNCodebook)
