"""Any Keras model as an encoder: what it returns is made a posterior."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow_probability as tfp
from keras import ops

from keras_acn._base.errors import UserError
from keras_acn._base.networks import first_answer, saved_network
from keras_acn._base.precision import widened
from keras_acn.encoders.base import PosteriorEncoder

tfd = tfp.distributions


@keras.saving.register_keras_serializable("keras_acn")
class NetworkEncoder(PosteriorEncoder):
    """x -> q(z|x) by a Keras model of your own; `encoder=network` of a model makes one.

    What the network returns decides what the posterior is:

    - a tensor `[B, d]`: its mean, with unit variance, as in Graves et al. 2018;
    - a pair of them: its mean and its standard deviation, which must be positive (end the
      network with `softplus`, or `exp` of a log-deviation);
    - a `tfd.Distribution` of batch `[B]` and event `[d]`: the posterior itself. Only a diagonal
      Gaussian, `tfd.Independent(tfd.Normal(...), 1)`, can be compressed with and served.

    Args:
      network: A `keras.Model` or layer that takes float `[B, H, W, C]` in [0, 1], and where there
        is a `context_dim` a list of that and float `[B, context_dim]`. One that is not built is.
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      context_dim: Dimension of the context c, 0 for none.

    Raises:
      UserError: If the network cannot take such images, or returns something else.

    Example:
      >>> network = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(4)])
      >>> q = NetworkEncoder(network, (8, 8, 1), latent_dim=4)(ops.zeros((3, 8, 8, 1)))
      >>> print(q.batch_shape, q.event_shape)
      (3,) (4,)
    """

    def __init__(
        self,
        network: Any,
        image_shape: tuple[int, int, int],
        latent_dim: int = 16,
        context_dim: int = 0,
        **kwargs,
    ):
        super().__init__(image_shape, latent_dim, "unit", context_dim, **kwargs)
        del self.mean_head  # the network has its own
        self.network = saved_network(network)
        found = first_answer(
            self.network,
            "encoder",
            self.image_shape,
            *([(self.context_dim,)] if self.context_dim else []),
        )
        size = (self.latent_dim,)
        if isinstance(found, tfd.Distribution):
            _check_size(tuple(found.event_shape), size, "a distribution over")
        else:
            for each in found if isinstance(found, (tuple, list)) else [found]:
                _check_size(tuple(each.shape[1:]), size, "a tensor of")
            if isinstance(found, (tuple, list)) and len(found) != 2:
                raise UserError(
                    f"The encoder's network returns {len(found)} tensors: let it return the mean, "
                    "or a pair of mean and standard deviation."
                )
            if isinstance(found, (tuple, list)):
                self.variance = "learned"
        self.built = True

    def _answer(self, image, context, training):
        image, context = self.checked(image, context)
        return self.network([image, context] if self.context_dim else image, training=training)

    def parameters(self, image, context=None, training=False):
        """Return `(mean, stddev)` of q(z|x), each float32 `[B, d]`: see `PosteriorEncoder`."""
        return _moments(self._answer(image, context, training))

    def call(self, image, context=None, training=False):
        """Return q(z|x): see `PosteriorEncoder.call`."""
        found = self._answer(image, context, training)
        if isinstance(found, tfd.Distribution):
            return found
        return tfd.Independent(tfd.Normal(*_moments(found)), reinterpreted_batch_ndims=1)

    def get_config(self):
        config = super().get_config()
        del config["variance"]
        return {**config, "network": keras.saving.serialize_keras_object(self.network)}


def _moments(found: Any) -> tuple[Any, Any]:
    if isinstance(found, tfd.Distribution):
        return widened(found.mean()), widened(found.stddev())
    if isinstance(found, (tuple, list)):
        return widened(found[0]), widened(found[1])
    return widened(found), ops.ones_like(widened(found))


def _check_size(found: tuple, size: tuple, what: str) -> None:
    if found != size:
        raise UserError(
            f"The encoder's network returns {what} {found} numbers an image, but the code has "
            f"{size[0]}: end it with Dense({size[0]}), or give the model another latent_dim."
        )
