"""Runs: a validated configuration, training that can be resumed, and the run folder."""

import importlib

from keras_acn.experiment.config import Config as Config
from keras_acn.experiment.config import load_config as load_config
from keras_acn.experiment.folder import Run as Run
from keras_acn.experiment.folder import open_run as open_run


def __getattr__(name):
    # Training loads TensorFlow; reading a config must not.
    if name == "train":
        return importlib.import_module("keras_acn.experiment.run").train
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
