"""Associative Compression Networks, and their cousins, in Keras.

The names below are imported on first use, so that `import keras_acn` and
`keras-acn --help` do not wait for TensorFlow.
"""

import importlib
import sys

__version__ = "0.1.0"

_PUBLIC = {
    "ACN": "keras_acn.models",
    "VAE": "keras_acn.models",
    "VHE": "keras_acn.models",
    "Autoencoder": "keras_acn.models",
    "KNNCodebook": "keras_acn.codebook",
    "PseudoLabels": "keras_acn.codebook",
    "MLPEncoder": "keras_acn.encoders",
    "ConvEncoder": "keras_acn.encoders",
    "StandardNormal": "keras_acn.priors",
    "MixturePrior": "keras_acn.priors",
    "FittedNormal": "keras_acn.priors",
    "MLPDecoder": "keras_acn.decoders",
    "ConvDecoder": "keras_acn.decoders",
    "BernoulliMLP": "keras_acn.decoders",
    "BernoulliConv": "keras_acn.decoders",
    "GatedPixelCNN": "keras_acn.decoders",
    "load_data": "keras_acn.data",
    "load_model": "keras_acn.models",
    "load_pretrained": "keras_acn.models",
    "Snapshots": "keras_acn.experiment.snapshots",
    "compress": "keras_acn.codec",
    "decompress": "keras_acn.codec",
    "UserError": "keras_acn._base.errors",
}
_ROOMS = (
    "codebook",
    "codec",
    "data",
    "decoders",
    "encoders",
    "evaluation",
    "experiment",
    "models",
    "plots",
    "priors",
    "serving",
    "testing",
)
_NEED_KERAS = ("codebook", "decoders", "encoders", "models", "priors", "serving", "testing")
_RENAMED = {"load_data": "load"}

__all__ = [*_PUBLIC, *_ROOMS]


def _check_backend():
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ImportError(
            f"keras_acn runs on Keras's TensorFlow back end, but this one is "
            f'"{keras.backend.backend()}": set KERAS_BACKEND=tensorflow before importing keras.'
        )


def __getattr__(name):
    if name in _ROOMS:
        if name in _NEED_KERAS:
            _check_backend()
        return importlib.import_module(f"keras_acn.{name}")
    if name in _PUBLIC:
        if _PUBLIC[name].split(".")[1] in _NEED_KERAS:
            _check_backend()
        value = getattr(importlib.import_module(_PUBLIC[name]), _RENAMED.get(name, name))
        globals()[name] = value
        return value
    raise AttributeError(f'module "keras_acn" has no attribute "{name}"')


def __dir__():
    return sorted([*globals(), *__all__])


# `keras.saving.load_model` finds our classes only once they are imported. Where Keras is
# loaded already, as in `import keras, keras_acn`, the wait is over and they can be.
if getattr(sys.modules.get("keras"), "backend", None) is not None:
    if sys.modules["keras"].backend.backend() == "tensorflow":
        importlib.import_module("keras_acn.models")
