"""What a model is worth: code lengths in nats, likelihood, probes, the paper's tables.

Importing this room loads neither TensorFlow nor scikit-learn; calling it does.
"""

from keras_acn.evaluation.code_length import CodeLengths as CodeLengths
from keras_acn.evaluation.code_length import code_lengths as code_lengths
from keras_acn.evaluation.code_length import ordering_bound_nats as ordering_bound_nats
from keras_acn.evaluation.costs import Posteriors as Posteriors
from keras_acn.evaluation.costs import encode_images as encode_images
from keras_acn.evaluation.few_shot import FewShotResult as FewShotResult
from keras_acn.evaluation.few_shot import few_shot_accuracy as few_shot_accuracy
from keras_acn.evaluation.geometry import cluster_agreement as cluster_agreement
from keras_acn.evaluation.geometry import effective_rank as effective_rank
from keras_acn.evaluation.importance_bound import ImportanceBound as ImportanceBound
from keras_acn.evaluation.importance_bound import (
    importance_weighted_bound as importance_weighted_bound,
)
from keras_acn.evaluation.probe import active_dimensions as active_dimensions
from keras_acn.evaluation.probe import knn_accuracy as knn_accuracy
from keras_acn.evaluation.probe import linear_probe as linear_probe
from keras_acn.evaluation.probe import pca_probe as pca_probe
from keras_acn.evaluation.report import Report as Report
from keras_acn.evaluation.report import evaluate_model as evaluate_model
from keras_acn.evaluation.representation import compare_features as compare_features
from keras_acn.evaluation.representation import feature_quality as feature_quality
from keras_acn.evaluation.representation import few_label_accuracy as few_label_accuracy
from keras_acn.evaluation.representation import knn_accuracies as knn_accuracies
from keras_acn.evaluation.representation import whitened as whitened
from keras_acn.evaluation.unconditional import fit_gaussian_mixture as fit_gaussian_mixture
