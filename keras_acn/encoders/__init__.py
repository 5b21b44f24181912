"""Encoders: x -> q(z|x), a diagonal Gaussian posterior."""

from keras_acn._base.registry import Registry
from keras_acn.encoders.base import PosteriorEncoder as PosteriorEncoder
from keras_acn.encoders.conv import ConvEncoder as ConvEncoder
from keras_acn.encoders.mlp import MLPEncoder as MLPEncoder
from keras_acn.encoders.network import NetworkEncoder as NetworkEncoder

# Whether the variance is learned belongs to a model more than to one kind of network.
registry = Registry(
    "encoder",
    [MLPEncoder, ConvEncoder],
    PosteriorEncoder,
    carried=("variance",),
    adopt=NetworkEncoder,
)
