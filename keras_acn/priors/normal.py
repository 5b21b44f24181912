"""The unconditional prior of a plain VAE."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_acn._base.precision import wide_dtype
from keras_acn.priors.base import Prior

tfd = tfp.distributions


@keras.saving.register_keras_serializable("keras_acn")
class StandardNormal(Prior):
    """c -> N(0, I): the prior of a VAE, which ignores the code it is given.

    Args:
      latent_dim: Number of latent dimensions d.

    Example:
      >>> p = StandardNormal(latent_dim=4)(tf.zeros([3, 4]))
      >>> print(p.batch_shape, p.event_shape)
      (3,) (4,)
    """

    short_name = "normal"
    is_conditional = False

    def __init__(self, latent_dim: int = 16, **kwargs):
        super().__init__(latent_dim, **kwargs)
        self.built = True

    def call(self, code, training=False):
        """Return N(0, I) with batch `[B]` and event `[d]`; of `code` only B is used.

        Args:
          code: `[B, ...]`.
          training: Unused.
        """
        zeros = tf.zeros([tf.shape(code)[0], self.latent_dim], wide_dtype(self.compute_dtype))
        return tfd.Independent(tfd.Normal(zeros, tf.ones_like(zeros)), 1)
