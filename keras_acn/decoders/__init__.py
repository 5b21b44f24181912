"""Decoders: z -> r(x|z), a distribution over images."""

import keras as _keras

from keras_acn._base.registry import Registry
from keras_acn.decoders.base import Decoder as Decoder
from keras_acn.decoders.bernoulli import BernoulliConv as BernoulliConv
from keras_acn.decoders.bernoulli import BernoulliMLP as BernoulliMLP
from keras_acn.decoders.families import get_likelihood as get_likelihood
from keras_acn.decoders.feedforward import ConvDecoder as ConvDecoder
from keras_acn.decoders.feedforward import FeedForwardDecoder as FeedForwardDecoder
from keras_acn.decoders.feedforward import MLPDecoder as MLPDecoder
from keras_acn.decoders.network import NetworkDecoder as NetworkDecoder
from keras_acn.decoders.network import adopted as _adopted
from keras_acn.decoders.pixelcnn import GatedPixelCNN as GatedPixelCNN

# Once they were classes of their own, so files say these names too.
_BERNOULLI = {"BernoulliMLP": MLPDecoder, "BernoulliConv": ConvDecoder}
for _name, _cls in (("BernoulliMLP", BernoulliMLP), ("BernoulliConv", BernoulliConv)):
    _keras.saving.get_custom_objects()[f"keras_acn>{_name}"] = _cls

registry = Registry(
    "decoder",
    [MLPDecoder, ConvDecoder, GatedPixelCNN],
    Decoder,
    aliases={name: (cls, {"likelihood": "bernoulli"}) for name, cls in _BERNOULLI.items()},
    adopt=_adopted,
)
