"""The codebook: codes of the whole data set, searched inside the graph."""

from keras_acn._base.registry import Registry
from keras_acn.codebook.classes import ClassLists as ClassLists
from keras_acn.codebook.classes import Members as Members
from keras_acn.codebook.classes import class_lists as class_lists
from keras_acn.codebook.classes import draw_members as draw_members
from keras_acn.codebook.codebook import KNNCodebook as KNNCodebook
from keras_acn.codebook.codebook import Neighbor as Neighbor
from keras_acn.codebook.pseudo_labels import PseudoLabels as PseudoLabels
from keras_acn.codebook.search import ExactSearch as ExactSearch
from keras_acn.codebook.search import FaissSearch as FaissSearch
from keras_acn.codebook.search import GraphSearch as GraphSearch
from keras_acn.codebook.search import NeighborSearch as NeighborSearch
from keras_acn.codebook.search import get_search as get_search
from keras_acn.codebook.store import CodeStore as CodeStore
from keras_acn.codebook.tour import greedy_tour as greedy_tour
from keras_acn.codebook.tour import tour_predecessors as tour_predecessors

registry = Registry("codebook", [KNNCodebook], KNNCodebook)
pseudo_labels_registry = Registry("pseudo-labels", [PseudoLabels], PseudoLabels)
