"""A Gaussian that follows the codes of the training data: what an autoencoder samples from."""

from __future__ import annotations

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_acn._base.checks import check_number
from keras_acn._base.precision import wide_dtype
from keras_acn.priors.base import Prior

tfd = tfp.distributions

# Keeps the Cholesky factor finite where codes do not fill their dimensions: added to every
# variance, times the mean variance where that is above one.
RIDGE = 1e-4


@keras.saving.register_keras_serializable("keras_acn")
class FittedNormal(Prior):
    """c -> N(m, S), with the mean and the covariance of the codes seen in training.

    Moving averages over the batches, started from N(0, I). With the mean m_b and the
    covariance S_b of a batch, and a the share that a step keeps,

        S <- a S + (1 - a) S_b + a (1 - a) (m_b - m)(m_b - m)',    m <- a m + (1 - a) m_b

    which is the covariance that follows from moving averages of z and of zz', but as a sum
    of terms that are never negative: no rounding makes it so, however far codes are from
    zero. Both are weights, and saved with the model.

    Args:
      latent_dim: Number of latent dimensions d.
      momentum: The share a that a step keeps of the averages.

    Raises:
      UserError: If `latent_dim` is no positive whole number, or `momentum` not in [0, 1).

    Example:
      >>> prior = FittedNormal(latent_dim=2, momentum=0)
      >>> prior.update(tf.constant([[1.0, 0.0], [3.0, 0.0]]))
      >>> print(prior(tf.zeros([1, 2])).mean().numpy())
      [[2. 0.]]
    """

    short_name = "fitted_normal"
    is_conditional = False

    def __init__(self, latent_dim: int = 16, momentum: float = 0.99, **kwargs):
        super().__init__(latent_dim, **kwargs)
        self.momentum = check_number(
            momentum, "momentum", "at least 0 and less than 1", lambda share: 0 <= share < 1
        )
        # Not cut to the layer's precision in `call`: there is no Cholesky factor in bfloat16.
        wide = {"dtype": wide_dtype(self.compute_dtype), "autocast": False}
        self.mean = self.add_weight(
            name="mean",
            shape=(self.latent_dim,),
            initializer="zeros",
            trainable=False,
            **wide,
        )
        self.covariance = self.add_weight(
            name="covariance",
            shape=(self.latent_dim, self.latent_dim),
            initializer=keras.initializers.Identity(),
            trainable=False,
            **wide,
        )
        self.built = True

    def update(self, code) -> None:
        """Move the averages towards the mean and the covariance of `code`, float `[B, d]`."""
        code = tf.stop_gradient(tf.cast(code, self.mean.dtype))
        keep, mean = self.momentum, self.mean.value
        batch_mean = tf.reduce_mean(code, axis=0)
        centred = code - batch_mean  # [B, d]
        covariance = tf.matmul(centred, centred, transpose_a=True)
        covariance /= tf.cast(tf.shape(code)[0], code.dtype)
        step = (batch_mean - mean)[:, None]  # [d, 1]
        covariance += keep * tf.matmul(step, step, transpose_b=True)
        new_mean = keep * mean + (1 - keep) * batch_mean
        new_covariance = keep * self.covariance.value + (1 - keep) * covariance
        # Of a step in which a training diverges nothing is remembered.
        finite = tf.reduce_all(tf.math.is_finite(new_covariance))
        finite &= tf.reduce_all(tf.math.is_finite(new_mean))
        self.covariance.assign(tf.where(finite, new_covariance, self.covariance.value))
        self.mean.assign(tf.where(finite, new_mean, mean))

    def call(self, code, training=False):
        """Return N(m, S) with batch `[B]` and event `[d]`; of `code` only B is used.

        Args:
          code: `[B, ...]`.
          training: Unused.
        """
        mean, covariance = self.mean.value, self.covariance.value
        variance = tf.linalg.trace(covariance) / self.latent_dim
        ridge = RIDGE * tf.maximum(variance, 1.0)
        cholesky = tf.linalg.cholesky(
            covariance + ridge * tf.eye(self.latent_dim, dtype=mean.dtype)
        )
        batch = tf.zeros([tf.shape(code)[0], 1], mean.dtype)
        return tfd.MultivariateNormalTriL(batch + mean, scale_tril=cholesky)

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}
