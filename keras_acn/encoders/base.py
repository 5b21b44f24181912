"""What every encoder shares: features in, a diagonal Gaussian posterior out."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow_probability as tfp
from keras import ops

from keras_acn._base.checks import check_count, check_image_shape, check_number
from keras_acn._base.errors import UserError, unknown_name
from keras_acn._base.precision import wide_dtype, widened

tfd = tfp.distributions

VARIANCES = ("unit", "learned", "sigmoid")

# A float32 exp() stays finite and a density stays representable inside these bounds;
# trained posteriors on images sit around -4..0.
MIN_LOG_STDDEV, MAX_LOG_STDDEV = -8.0, 4.0

# Added to a variance that codes are divided by, as Keras does.
CODE_EPSILON = 1e-5


class PosteriorEncoder(keras.Model):
    """Base of the encoders: x -> q(z|x), a diagonal Gaussian over the latents.

    A subclass gives `features(x, training)`, a `[B, F]` tensor; this class turns it into
    the posterior's mean and, where the variance is learned, its standard deviation.
    Everything up to those two tensors is plain Keras; `call` wraps them as a
    distribution.

    With a `context_dim` the posterior is q(z|c,x), of an image and a context c such as
    the code of its class, and `features(x, c, training)` takes both.

    With `variance="unit"` the code c(x) of a datum, the mean of q(z|x), describes its
    posterior entirely, as in Graves et al. 2018 (arXiv 1804.02476), section 3.

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      variance: `"unit"` (standard deviation one), `"learned"` (its logarithm is an
        output of the network) or `"sigmoid"` (it is a sigmoid of an output, so at most
        one).
      context_dim: Dimension of the context c, 0 for none.
      code_stddev: The standard deviation that each dimension of the mean has over the data, to
        which a batch normalisation without weights brings it (as in Zhu et al. 2020, arXiv
        2004.12585, "A Batch Normalized Inference Network Keeps the KL Vanishing Away"), or `None`
        to leave it to the network. With unit variance it fixes how far codes lie apart in
        units of the noise: no dimension is given up, and none outweighs the others in a distance.
        Batches of a few dozen images or more are needed, over which it is taken in training,
        each replica over its own share. Outside training it is a running average, which
        `LatentModel.settle`, called at the end of a run, makes exact.

    Raises:
      UserError: If a size or the variance is none of these, or `code_stddev` is not above zero.

    Example: an encoder of one's own. Make layers with `dtype=self.dtype_policy`, so that
    they compute in the encoder's precision, and build them in the initialiser.

      >>> @keras.saving.register_keras_serializable("mine")
      ... class LinearEncoder(PosteriorEncoder):
      ...     def __init__(self, image_shape, latent_dim=16, variance="unit", **kwargs):
      ...         super().__init__(image_shape, latent_dim, variance, **kwargs)
      ...         self.flatten = keras.layers.Flatten("channels_last", dtype=self.dtype_policy)
      ...         height, width, channels = self.image_shape
      ...         self.build_heads(height * width * channels)
      ...
      ...     def features(self, image, context=None, training=False):
      ...         return self.flatten(image)
      >>> q = LinearEncoder((8, 8, 1), latent_dim=4)(ops.zeros((3, 8, 8, 1)))
      >>> print(q.batch_shape, q.event_shape)
      (3,) (4,)
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int = 16,
        variance: str = "unit",
        context_dim: int = 0,
        code_stddev: float | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if variance not in VARIANCES:
            raise unknown_name("posterior variance", variance, VARIANCES)
        self.image_shape = check_image_shape(image_shape)
        self.latent_dim = check_count(latent_dim, "latent_dim", 1)
        self.variance = variance
        self.context_dim = check_count(context_dim, "context_dim")
        policy = {"dtype": self.dtype_policy}
        self.mean_head = keras.layers.Dense(self.latent_dim, name="mean", **policy)
        self.scale_head = None
        if variance != "unit":
            self.scale_head = keras.layers.Dense(self.latent_dim, name="scale", **policy)
        self.code_stddev, self.code_norm = None, None
        if code_stddev is not None:
            wanted = "a number above zero"
            self.code_stddev = check_number(code_stddev, "code_stddev", wanted, lambda n: n > 0)
            self.code_norm = keras.layers.BatchNormalization(
                center=False,
                scale=False,
                epsilon=CODE_EPSILON,
                dtype=wide_dtype(self.compute_dtype),
                name="code_norm",
            )

    def build_heads(self, num_features: int) -> None:
        """Build the layers that read the `[B, num_features]` features."""
        self.mean_head.build((None, num_features))
        if self.scale_head is not None:
            self.scale_head.build((None, num_features))
        if self.code_norm is not None:
            self.code_norm.build((None, self.latent_dim))
        self.built = True

    def features(self, image, context=None, training=False):
        """Return the features that the mean and the standard deviation are read from.

        Args:
          image: float `[B, H, W, C]` in [0, 1].
          context: float `[B, context_dim]`; only given where there is a `context_dim`.
          training: Whether layers such as dropout behave as in training.

        Returns:
          float `[B, F]`.
        """
        raise NotImplementedError

    def parameters(self, image, context=None, training=False):
        """Return `(mean, stddev)` of q(z|x), each float32 `[B, d]` (float64 under that policy).

        Takes the arguments of `call`, and raises what it raises.
        """
        image, context = self.checked(image, context)
        if self.context_dim:
            hidden = self.features(image, context, training=training)
        else:
            hidden = self.features(image, training=training)
        mean = widened(self.mean_head(hidden))
        if self.code_norm is not None:
            mean = self.code_stddev * self.code_norm(mean, training=training)
        if self.variance == "unit":
            return mean, ops.ones_like(mean)
        raw = widened(self.scale_head(hidden))
        if self.variance == "sigmoid":
            return mean, ops.maximum(ops.sigmoid(raw), 1e-4)
        return mean, ops.exp(ops.clip(raw, MIN_LOG_STDDEV, MAX_LOG_STDDEV))

    def restandardize(self, codes: np.ndarray) -> None:
        """Let the codes of the data have `code_stddev` exactly, by the weights of now.

        What training leaves are running averages, over weights that have changed since.

        Args:
          codes: float `[N, d]`, the means that the encoder gives the data now.
        """
        norm: Any = self.code_norm
        mean, variance = (np.asarray(each, np.float64) for each in norm.get_weights())
        unit = np.sqrt(variance + CODE_EPSILON) / self.code_stddev
        codes = np.asarray(codes, np.float64)
        norm.moving_mean.assign(mean + codes.mean(0) * unit)
        norm.moving_variance.assign(codes.var(0) * unit**2)

    def checked(self, image, context):
        """Return the image as a tensor, and the context, if both are of the encoder's sizes."""
        image = ops.convert_to_tensor(image)
        if tuple(image.shape[1:]) != self.image_shape:
            raise UserError(
                f"The encoder takes images of shape {self.image_shape}, not "
                f"{tuple(image.shape[1:])}: give it [batch, height, width, channels]."
            )
        if self.context_dim and (context is None or context.shape[-1] != self.context_dim):
            found = "none" if context is None else f"{context.shape[-1]} numbers"
            raise UserError(
                f"The encoder takes a context of {self.context_dim} numbers an image, not "
                f"{found}: give it [batch, {self.context_dim}]."
            )
        return image, context

    def __call__(self, *args, **kwargs):
        if any(isinstance(each, keras.KerasTensor) for each in keras.tree.flatten((args, kwargs))):
            raise UserError(
                "An encoder returns a distribution, which no Functional or Sequential model can "
                "hold: take its parameters, mean, stddev = encoder.parameters(x)."
            )
        return super().__call__(*args, **kwargs)

    def call(self, image, context=None, training=False):
        """Return q(z|x): a `tfd.Distribution` with batch `[B]` and event `[d]`.

        Args:
          image: float `[B, H, W, C]` in [0, 1].
          context: float `[B, context_dim]`, where there is a `context_dim`.
          training: Whether layers such as dropout behave as in training.

        Raises:
          UserError: If the images have another shape than `image_shape`, or the context
            is missing or of another size.
        """
        mean, stddev = self.parameters(image, context, training=training)
        return tfd.Independent(tfd.Normal(mean, stddev), reinterpreted_batch_ndims=1)

    def get_config(self):
        config = {
            **super().get_config(),
            "image_shape": self.image_shape,
            "latent_dim": self.latent_dim,
            "variance": self.variance,
            "context_dim": self.context_dim,
        }
        # Encoders of users, whose initialisers may not know it, go without.
        return config if self.code_stddev is None else {**config, "code_stddev": self.code_stddev}
