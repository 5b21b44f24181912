"""Encoders: x -> q(z|x), a diagonal Gaussian posterior."""

from keras_acn._base.registry import Registry
from keras_acn.encoders.conv import ConvEncoder as ConvEncoder
from keras_acn.encoders.mlp import MLPEncoder as MLPEncoder
from keras_acn.encoders.posterior import PosteriorEncoder as PosteriorEncoder

registry = Registry("encoder", [MLPEncoder, ConvEncoder], PosteriorEncoder)
