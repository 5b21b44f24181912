"""A Gaussian that follows the codes of the training data: what an autoencoder samples from."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_acn._errors import UserError

tfd = tfp.distributions

# Keeps the Cholesky factor finite where codes do not fill their dimensions.
RIDGE = 1e-4


@keras.saving.register_keras_serializable("keras_acn")
class FittedNormal(keras.Model):
    """c -> N(m, S), with the mean and the covariance of the codes seen in training.

    Moving averages of the first two moments over the batches, started from N(0, I):
    `m <- a m + (1 - a) mean(z)` and `E[zz'] <- a E[zz'] + (1 - a) mean(zz')`, so that
    `S = E[zz'] - mm'` is never negative. They are weights, and saved with the model.

    Args:
      latent_dim: Number of latent dimensions d.
      momentum: The share a that a step keeps of the averages.
    """

    short_name = "fitted_normal"
    is_conditional = False

    def __init__(self, latent_dim=16, momentum=0.99, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= float(momentum) < 1:
            raise UserError(f"momentum must be at least 0 and less than 1, not {momentum}.")
        self.latent_dim = int(latent_dim)
        self.momentum = float(momentum)
        self.first_moment = self.add_weight(
            name="first_moment",
            shape=(self.latent_dim,),
            initializer="zeros",
            dtype="float32",
            trainable=False,
        )
        self.second_moment = self.add_weight(
            name="second_moment",
            shape=(self.latent_dim, self.latent_dim),
            initializer=keras.initializers.Identity(),
            dtype="float32",
            trainable=False,
        )
        self.built = True

    def update(self, code):
        """Moves the averages towards the moments of `code` `[B, d]`."""
        code = tf.stop_gradient(tf.cast(code, tf.float32))
        second = tf.matmul(code, code, transpose_a=True) / tf.cast(tf.shape(code)[0], tf.float32)
        keep = self.momentum
        first = self.first_moment.value
        self.first_moment.assign(keep * first + (1 - keep) * tf.reduce_mean(code, axis=0))
        self.second_moment.assign(keep * self.second_moment.value + (1 - keep) * second)

    def call(self, code, training=False):
        """Returns N(m, S) with batch `[B]` and event `[d]`; of `code` only B is used.

        Args:
          code: `[B, ...]`.
          training: Unused.
        """
        mean = self.first_moment.value
        covariance = self.second_moment.value - mean[:, None] * mean[None, :]
        cholesky = tf.linalg.cholesky(covariance + RIDGE * tf.eye(self.latent_dim))
        batch = tf.zeros([tf.shape(code)[0], 1])
        return tfd.MultivariateNormalTriL(batch + mean, scale_tril=cholesky)

    def get_config(self):
        return {
            **super().get_config(),
            "latent_dim": self.latent_dim,
            "momentum": self.momentum,
        }
