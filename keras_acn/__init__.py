"""Associative Compression Networks, and their cousins, in Keras.

The names below are imported on first use, so that `import keras_acn` and
`keras-acn --help` do not wait for TensorFlow.
"""

import sys as _sys

from keras_acn._base import lazy as _lazy
from keras_acn._base.quiet import quieten_tensorflow as _quieten_tensorflow

__version__ = "0.1.0"

_quieten_tensorflow()

_PUBLIC = {
    # The models.
    "ACN": "keras_acn.models:ACN",
    "VAE": "keras_acn.models:VAE",
    "VHE": "keras_acn.models:VHE",
    "Autoencoder": "keras_acn.models:Autoencoder",
    "load_model": "keras_acn.models:load_model",
    "load_pretrained": "keras_acn.models:load_pretrained",
    # Their parts.
    "KNNCodebook": "keras_acn.codebook:KNNCodebook",
    "PseudoLabels": "keras_acn.codebook:PseudoLabels",
    "MLPEncoder": "keras_acn.encoders:MLPEncoder",
    "ConvEncoder": "keras_acn.encoders:ConvEncoder",
    "StandardNormal": "keras_acn.priors:StandardNormal",
    "MixturePrior": "keras_acn.priors:MixturePrior",
    "FittedNormal": "keras_acn.priors:FittedNormal",
    "LearnedMixture": "keras_acn.priors:LearnedMixture",
    "VampPrior": "keras_acn.priors:VampPrior",
    "MLPDecoder": "keras_acn.decoders:MLPDecoder",
    "ConvDecoder": "keras_acn.decoders:ConvDecoder",
    "BernoulliMLP": "keras_acn.decoders:BernoulliMLP",
    "BernoulliConv": "keras_acn.decoders:BernoulliConv",
    "GatedPixelCNN": "keras_acn.decoders:GatedPixelCNN",
    # What is done with them.
    "load_data": "keras_acn.data:load",
    "memory_limit": "keras_acn._base.reading:memory_limit",
    "compress": "keras_acn.codec:compress",
    "decompress": "keras_acn.codec:decompress",
    "compress_folder": "keras_acn.codec:compress_folder",
    "decompress_folder": "keras_acn.codec:decompress_folder",
    "Snapshots": "keras_acn.experiment:Snapshots",
    "StopOnNonFinite": "keras_acn.models:StopOnNonFinite",
    "UserError": "keras_acn._base.errors:UserError",
    # The rooms.
    "codebook": "keras_acn.codebook",
    "codec": "keras_acn.codec",
    "data": "keras_acn.data",
    "decoders": "keras_acn.decoders",
    "encoders": "keras_acn.encoders",
    "evaluation": "keras_acn.evaluation",
    "experiment": "keras_acn.experiment",
    "figures": "keras_acn.figures",
    "models": "keras_acn.models",
    "plots": "keras_acn.plots",
    "priors": "keras_acn.priors",
    "serving": "keras_acn.serving",
    "sklearn": "keras_acn.sklearn",
    "testing": "keras_acn.testing",
}
_NEED_KERAS = (
    "codebook",
    "decoders",
    "encoders",
    "models",
    "priors",
    "serving",
    "sklearn",
    "testing",
)


def _before(where):
    if where.partition(":")[0].split(".")[1] in _NEED_KERAS:
        _lazy.check_backend()


__getattr__, __dir__, __all__ = _lazy.names(__name__, _PUBLIC, _before)

# `keras.saving.load_model` finds our classes only once they are imported. Where Keras is
# loaded already, as in `import keras, keras_acn`, the wait is over and they can be.
if getattr(_sys.modules.get("keras"), "backend", None) is not None:
    if _sys.modules["keras"].backend.backend() == "tensorflow":
        _lazy.load("keras_acn.models")
