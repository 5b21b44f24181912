"""Export for TensorFlow Serving: a model as a graph that needs no Python of ours."""

from keras_acn.serving.export import Export as Export
from keras_acn.serving.export import export_model as export_model
