"""What every encoder shares: features in, a diagonal Gaussian posterior q(z|x) out."""

import keras
import tensorflow_probability as tfp
from keras import ops

from keras_acn._errors import UserError, unknown_name
from keras_acn._shapes import check_image_shape

tfd = tfp.distributions

VARIANCES = ("unit", "learned", "sigmoid")

# A float32 exp() stays finite and a density stays representable inside these bounds;
# trained posteriors on images sit around -4..0.
MIN_LOG_STDDEV, MAX_LOG_STDDEV = -8.0, 4.0


class PosteriorEncoder(keras.Model):
    """Base of the encoders: x -> q(z|x), a diagonal Gaussian over the latents.

    A subclass gives `features(x, training)`, a `[B, F]` tensor; this class turns it into
    the posterior's mean and, where the variance is learned, its standard deviation.
    Everything up to those two tensors is plain Keras; `call` wraps them as a
    distribution.

    With `variance="unit"` the code c(x) of a datum, the mean of q(z|x), describes its
    posterior entirely, as in Graves et al. 2018 (arXiv 1804.02476), section 3.

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      variance: `"unit"` (standard deviation one), `"learned"` (its logarithm is an
        output of the network) or `"sigmoid"` (it is a sigmoid of an output, so at most
        one).
    """

    def __init__(self, image_shape, latent_dim=16, variance="unit", **kwargs):
        super().__init__(**kwargs)
        if variance not in VARIANCES:
            raise unknown_name("posterior variance", variance, VARIANCES)
        if int(latent_dim) < 1:
            raise UserError(f"latent_dim must be at least 1, not {latent_dim}.")
        self.image_shape = check_image_shape(image_shape)
        self.latent_dim = int(latent_dim)
        self.variance = variance
        self.mean_head = keras.layers.Dense(self.latent_dim, name="mean")
        self.scale_head = None
        if variance != "unit":
            self.scale_head = keras.layers.Dense(self.latent_dim, name="scale")

    def build_heads(self, num_features):
        """Builds the layers that read the `[B, num_features]` features."""
        self.mean_head.build((None, num_features))
        if self.scale_head is not None:
            self.scale_head.build((None, num_features))
        self.built = True

    def features(self, image, training=False):
        """Returns the `[B, F]` features of `image` `[B, H, W, C]`."""
        raise NotImplementedError

    def parameters(self, image, training=False):
        """Returns `(mean, stddev)` of q(z|x), each float32 `[B, d]`."""
        image = ops.convert_to_tensor(image)
        if tuple(image.shape[1:]) != self.image_shape:
            raise UserError(
                f"The encoder takes images of shape {self.image_shape}, not "
                f"{tuple(image.shape[1:])}: give it [batch, height, width, channels]."
            )
        hidden = self.features(image, training=training)
        mean = ops.cast(self.mean_head(hidden), "float32")
        if self.variance == "unit":
            return mean, ops.ones_like(mean)
        raw = ops.cast(self.scale_head(hidden), "float32")
        if self.variance == "sigmoid":
            return mean, ops.maximum(ops.sigmoid(raw), 1e-4)
        return mean, ops.exp(ops.clip(raw, MIN_LOG_STDDEV, MAX_LOG_STDDEV))

    def call(self, image, training=False):
        """Returns q(z|x): a `tfd.Distribution` with batch `[B]` and event `[d]`.

        Args:
          image: float `[B, H, W, C]` in [0, 1].
          training: Whether layers such as dropout behave as in training.

        Raises:
          UserError: If the images have another shape than `image_shape`.
        """
        mean, stddev = self.parameters(image, training=training)
        return tfd.Independent(tfd.Normal(mean, stddev), reinterpreted_batch_ndims=1)

    def get_config(self):
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "latent_dim": self.latent_dim,
            "variance": self.variance,
        }
