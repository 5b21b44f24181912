"""A linear-Gaussian model, whose every cost is known in closed form."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from keras_acn.decoders.families import Bernoulli

tfd = tfp.distributions

SHAPE = (2, 3, 1)
DIM = 2
NOISE = 0.5


class LinearGaussian:
    """z ~ N(0, I), x ~ N(W z + b, NOISE^2 I), and a deliberately imperfect q(z|x).

    Args:
      associative: Whether the prior is that of an ACN, conditioned on a code.
      components: Components of that prior: one Gaussian or a mixture of two.
      stddev_scale: The posterior's standard deviation over the true one's.
    """

    image_shape = SHAPE
    latent_dim = DIM
    class_dim = None
    is_deterministic = False

    def is_code_length(self, images):
        return not isinstance(self.decoder.likelihood, Bernoulli)

    def __init__(self, associative=True, components=1, stddev_scale=1.2):
        rng = np.random.default_rng(0)
        self.weight = rng.normal(size=(DIM, 6)).astype(np.float32)
        self.bias = rng.normal(size=6).astype(np.float32)
        precision = np.eye(DIM) + self.weight @ self.weight.T / NOISE**2
        self.gain = (np.linalg.inv(precision) @ self.weight / NOISE**2).astype(np.float32)
        self.stddev = (stddev_scale / np.sqrt(np.diag(precision))).astype(np.float32)
        self.components = components
        self.codebook = object() if associative else None
        self.decoder = self.Decoder(self.weight, self.bias)

    def encoder(self, x):
        flat = tf.reshape(x, (-1, 6)) - self.bias
        mean = tf.matmul(flat, self.gain, transpose_b=True)
        return tfd.Independent(tfd.Normal(mean, self.stddev + tf.zeros_like(mean)), 1)

    class Decoder:
        """r(x|z)."""

        likelihood = None

        def __init__(self, weight, bias):
            self.weight, self.bias = weight, bias

        def __call__(self, z):
            mean = tf.reshape(tf.matmul(z, self.weight) + self.bias, (-1, *SHAPE))
            return tfd.Independent(tfd.Normal(mean, NOISE), 3)

    def prior(self, code):
        code = tf.convert_to_tensor(code, tf.float32)
        if self.codebook is None:
            return tfd.Independent(tfd.Normal(tf.zeros_like(code), 1.0), 1)
        if self.components == 1:
            return tfd.Independent(tfd.Normal(0.9 * code, 0.5), 1)
        parts = tfd.Normal(tf.stack([0.9 * code, 0.5 * code], -1), tf.constant([0.4, 1.0]))
        weights = tfd.Categorical(probs=tf.constant([0.7, 0.3]))
        return tfd.Independent(tfd.MixtureSameFamily(weights, parts), 1)

    def data(self, count, seed=0):
        """Returns images drawn from the model, float32 `[count, 2, 3, 1]`."""
        rng = np.random.default_rng(seed)
        z = rng.normal(size=(count, DIM))
        x = z @ self.weight + self.bias + NOISE * rng.normal(size=(count, 6))
        return x.reshape(-1, *SHAPE).astype(np.float32)

    def log_likelihood(self, x):
        """Returns the exact log p(x) in nats, float64 `[N]`."""
        covariance = self.weight.T @ self.weight + NOISE**2 * np.eye(6)
        return np.atleast_1d(
            stats.multivariate_normal(self.bias, covariance).logpdf(x.reshape(len(x), 6))
        )


@pytest.fixture(scope="session")
def linear_gaussian():
    return LinearGaussian
