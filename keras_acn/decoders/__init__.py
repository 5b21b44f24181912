"""Decoders: z -> r(x|z), a distribution over images."""

import keras as _keras

from keras_acn._base.registry import Registry
from keras_acn.decoders.families import get_likelihood as get_likelihood
from keras_acn.decoders.feedforward import BernoulliConv as BernoulliConv
from keras_acn.decoders.feedforward import BernoulliMLP as BernoulliMLP
from keras_acn.decoders.feedforward import ConvDecoder as ConvDecoder
from keras_acn.decoders.feedforward import MLPDecoder as MLPDecoder
from keras_acn.decoders.pixelcnn import GatedPixelCNN as GatedPixelCNN

registry = Registry(
    "decoder",
    [MLPDecoder, ConvDecoder, BernoulliMLP, BernoulliConv, GatedPixelCNN],
    _keras.Model,
)
