"""Any Keras model as a prior: what it returns is made a distribution over latents."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow_probability as tfp
from keras import ops

from keras_acn._base.errors import UserError
from keras_acn._base.networks import first_answer, returning, saved_network
from keras_acn._base.precision import widened
from keras_acn.priors.base import Prior

tfd = tfp.distributions


@keras.saving.register_keras_serializable("keras_acn")
class NetworkPrior(Prior):
    """c -> p(z|c) by a Keras model of your own; `prior=network` of a model makes one.

    The network returns a tensor `[B, d]`, the mean of a Gaussian of unit variance, or a pair of
    mean and standard deviation, which must be positive.

    Args:
      network: A `keras.Model` or layer that takes float `[B, code_dim]`. One that is not built is.
      latent_dim: Number of latent dimensions d.
      code_dim: Dimension of the code, `None` for that of z.

    Raises:
      UserError: If the network cannot take such codes, or returns something else.

    Example:
      >>> p = NetworkPrior(keras.layers.Dense(4), latent_dim=4)(ops.zeros((3, 4)))
      >>> print(p.batch_shape, p.event_shape)
      (3,) (4,)
    """

    def __init__(self, network: Any, latent_dim: int = 16, code_dim: int | None = None, **kwargs):
        super().__init__(latent_dim, **kwargs)
        self.code_dim = code_dim
        self.network = saved_network(network)
        found = first_answer(self.network, "prior", (code_dim or self.latent_dim,))
        pair = found if isinstance(found, (tuple, list)) else (found, found)
        sizes = [tuple(each.shape[1:]) for each in pair if hasattr(each, "shape")]
        if sizes != [(self.latent_dim,)] * 2:
            raise UserError(
                f"The prior's network returns {sizes or type(found).__name__} for a code: let it "
                f"return a mean of {self.latent_dim} numbers, a pair of mean and standard "
                "deviation, or a tfd.Distribution."
            )
        self.built = True

    def call(self, code, training=False):
        """Return p(z|code): see `Prior.call`."""
        found = self.network(code, training=training)
        if isinstance(found, (tuple, list)):
            mean, stddev = widened(found[0]), widened(found[1])
        else:
            mean = widened(found)
            stddev = ops.ones_like(mean)
        return tfd.Independent(tfd.Normal(mean, stddev), reinterpreted_batch_ndims=1)

    def get_config(self):
        return {
            **super().get_config(),
            "code_dim": self.code_dim,
            "network": keras.saving.serialize_keras_object(self.network),
        }


def adopted(network: Any, latent_dim: int, code_dim: int | None = None) -> Any:
    """Return a Keras model as a prior: itself, if it returns distributions over latents.

    Args:
      network: A Keras model or layer.
      latent_dim: Number of latent dimensions d.
      code_dim: Dimension of the code, `None` for that of z.

    Raises:
      UserError: If it cannot take a code, or returns what is no distribution over such latents.
    """
    found = first_answer(network, "prior", (code_dim or latent_dim,))
    if not isinstance(found, tfd.Distribution):
        return NetworkPrior(network, latent_dim, code_dim)
    words = {"kind": "prior", "events": "latents", "mend": "give the model another latent_dim"}
    return returning(network, found, Prior, (latent_dim,), **words)
