"""The unconditional prior of a plain VAE."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


@keras.saving.register_keras_serializable("keras_acn")
class StandardNormal(keras.Model):
    """c -> N(0, I): the prior of a VAE, which ignores the code it is given.

    Args:
      latent_dim: Number of latent dimensions d.
    """

    short_name = "normal"
    is_conditional = False

    def __init__(self, latent_dim=16, **kwargs):
        super().__init__(**kwargs)
        self.latent_dim = int(latent_dim)
        self.built = True

    def call(self, code, training=False):
        """Returns N(0, I) with batch `[B]` and event `[d]`; of `code` only B is used.

        Args:
          code: `[B, ...]`.
          training: Unused.
        """
        zeros = tf.zeros([tf.shape(code)[0], self.latent_dim])
        return tfd.Independent(tfd.Normal(zeros, tf.ones_like(zeros)), 1)

    def get_config(self):
        return {**super().get_config(), "latent_dim": self.latent_dim}
