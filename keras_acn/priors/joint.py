"""Mixtures over the whole latent, the same for every image: the learned priors of a VAE."""

from __future__ import annotations

import math

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_acn._base.checks import check_count, check_image_shape
from keras_acn._base.errors import UserError
from keras_acn._base.precision import wide_dtype
from keras_acn.priors.base import Prior
from keras_acn.priors.mixture import MAX_LOG_STDDEV, MIN_LOG_STDDEV

tfd = tfp.distributions

# Pseudo-inputs begin this far from black and white: beyond, a sigmoid hardly passes a gradient.
MARGIN = 0.02


class JointMixture(Prior):
    """Base of the priors p(z) = sum_k w_k N(z | mean_k, stddev_k^2), K diagonal Gaussians.

    A component is of all latent dimensions together, unlike those of `MixturePrior`, which has
    a mixture for each dimension. A subclass gives `mixture()`.

    Args:
      latent_dim: Number of latent dimensions d.
      components: Number K of components.
    """

    is_conditional = False
    is_joint = True

    def __init__(self, latent_dim: int = 16, components: int = 100, **kwargs):
        super().__init__(latent_dim, **kwargs)
        self.components = check_count(components, "components", 1)

    @property
    def _wide(self):
        # Not cut to the layer's precision in `call`: these are parameters of a distribution.
        return {"dtype": wide_dtype(self.compute_dtype), "autocast": False}

    def mixture(self, training: bool = False) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return `(log_weight [K], mean [K, d], stddev [K, d])`, the weights normalised."""
        raise NotImplementedError

    def call(self, code, training=False):
        """Return p(z) with batch `[B]` and event `[d]`; of `code` only B is used.

        Args:
          code: `[B, ...]`.
          training: Whether layers such as dropout behave as in training.
        """
        log_weight, mean, stddev = self.mixture(training=training)
        log_weight = tf.zeros([tf.shape(code)[0], 1], log_weight.dtype) + log_weight  # [B, K]
        return tfd.MixtureSameFamily(
            tfd.Categorical(logits=log_weight), tfd.Independent(tfd.Normal(mean, stddev), 1)
        )

    def get_config(self):
        return {**super().get_config(), "components": self.components}


@keras.saving.register_keras_serializable("keras_acn")
class LearnedMixture(JointMixture):
    """c -> sum_k w_k N(m_k, diag(s_k^2)), with learned weights, means and standard deviations.

    The "MoG" prior that Tomczak and Welling compare with (2018, arXiv 1705.07120, section 3).
    Its 2 K d + K parameters are weights, learned with the rest of the model: logits of the
    weights, means, and logarithms of the standard deviations, which stay within -6 and 6. They
    begin as K Gaussians of equal weight and standard deviation one, with means drawn from N(0, 1).

    Args:
      latent_dim: Number of latent dimensions d.
      components: Number K of components.

    Raises:
      UserError: If a size is no positive whole number.

    Example:
      >>> prior = LearnedMixture(latent_dim=2, components=3)
      >>> p = prior(tf.zeros([5, 2]))
      >>> print(p.batch_shape, p.event_shape, [weight.name for weight in prior.weights])
      (5,) (2,) ['logits', 'mean', 'log_stddev']
    """

    short_name = "learned_mixture"

    def __init__(self, latent_dim: int = 16, components: int = 100, **kwargs):
        super().__init__(latent_dim, components, **kwargs)
        shape = (self.components, self.latent_dim)
        self.logits = self.add_weight(
            name="logits", shape=shape[:1], initializer="zeros", **self._wide
        )
        self.mean = self.add_weight(
            name="mean",
            shape=shape,
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            **self._wide,
        )
        self.log_stddev = self.add_weight(
            name="log_stddev", shape=shape, initializer="zeros", **self._wide
        )
        self.built = True

    def mixture(self, training=False):
        log_weight = tf.nn.log_softmax(self.logits.value)
        log_stddev = tf.clip_by_value(self.log_stddev.value, MIN_LOG_STDDEV, MAX_LOG_STDDEV)
        return log_weight, tf.convert_to_tensor(self.mean.value), tf.exp(log_stddev)


class _Reference:
    """Holds the model's encoder out of Keras's sight, as the weights there are not the prior's."""

    def __init__(self, encoder):
        self.encoder = encoder


@keras.saving.register_keras_serializable("keras_acn")
class VampPrior(JointMixture):
    """c -> (1/K) sum_k q(z|u_k), the posteriors of K learned pseudo-inputs u_k.

    The variational mixture of posteriors of Tomczak and Welling (2018, arXiv 1705.07120). The
    pseudo-inputs are images that are learned with the rest of the model and go through the
    model's own encoder, which the model attaches. They are sigmoids of the weights, so that they
    stay within 0 and 1 (the paper cuts them there). `VAE.fit` lets them begin as training images
    where it has these at hand, and as grey noise otherwise.

    Each step encodes the K pseudo-inputs besides the batch. The paper has 500 on MNIST.

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      components: Number K of pseudo-inputs.

    Raises:
      UserError: If a size is no positive whole number; when it is attached, if the encoder needs
        more than images; when it is called, if it has none.

    Example:
      >>> from keras_acn.encoders import MLPEncoder
      >>> encoder = MLPEncoder((4, 4, 1), latent_dim=2, hidden=[8])
      >>> prior = VampPrior((4, 4, 1), latent_dim=2, components=3)
      >>> prior.attach(encoder)  # a model does this by itself
      >>> p = prior(tf.zeros([5, 2]))
      >>> print(p.batch_shape, p.event_shape)
      (5,) (2,)
    """

    short_name = "vamp"
    needs_encoder = True

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int = 16,
        components: int = 100,
        **kwargs,
    ):
        super().__init__(latent_dim, components, **kwargs)
        self.image_shape = check_image_shape(image_shape)
        self.pseudo_logits = self.add_weight(
            name="pseudo_inputs",
            shape=(self.components, *self.image_shape),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            **self._wide,
        )
        # Whether a training has begun, or the pseudo-inputs were given: a weight, so that it
        # goes wherever the pseudo-inputs go, and no later `fit` replaces them.
        self.begun = self.add_weight(
            name="begun", shape=(), initializer="zeros", trainable=False, **self._wide
        )
        self._attached = _Reference(None)
        self.built = True

    @property
    def encoder(self) -> keras.Model | None:
        """The encoder that the pseudo-inputs go through, `None` before one is attached."""
        return self._attached.encoder

    def attach(self, encoder: keras.Model) -> None:
        """Let the pseudo-inputs go through an encoder, that of the model with this prior.

        Args:
          encoder: The model's encoder, of images alone.

        Raises:
          UserError: If it needs a class code besides, or the prior has another one already.
        """
        if getattr(encoder, "context_dim", 0):
            raise UserError(
                "A VampPrior takes an encoder of images alone, and that of a VHE reads a class "
                "code too: choose another prior, such as MixturePrior."
            )
        if self.encoder is not None and self.encoder is not encoder:
            raise UserError(
                "This VampPrior belongs to another model, whose encoder it goes through: give each "
                "model a VampPrior of its own."
            )
        self._attached.encoder = encoder

    def start_from(self, images: np.ndarray, seed: int = 0) -> None:
        """Let the pseudo-inputs begin as some of the given images.

        Args:
          images: float `[N, H, W, C]` in [0, 1]; if N is less than K, some are taken again,
            with a little noise that tells them apart.
          seed: Seed of the choice.

        Raises:
          UserError: If they are of another shape.
        """
        images = np.asarray(images, np.float64)
        if images.shape[1:] != self.image_shape or not len(images):
            raise UserError(
                f"Pseudo-inputs are images of shape {self.image_shape}, not {images.shape[1:]}: "
                "give at least one, [N, height, width, channels]."
            )
        rng = np.random.default_rng(seed)
        rows = np.resize(rng.permutation(len(images)), self.components)
        unit = MARGIN + (1 - 2 * MARGIN) * np.clip(images[rows], 0.0, 1.0)
        noise = 0.01 * rng.standard_normal(unit.shape)
        self.pseudo_logits.assign(np.log(unit) - np.log1p(-unit) + noise)
        self.begun.assign(1.0)

    @property
    def pseudo_inputs(self) -> tf.Tensor:
        """The pseudo-inputs u_k, `[K, H, W, C]` in [0, 1]."""
        return tf.sigmoid(self.pseudo_logits.value)

    def mixture(self, training=False):
        if self.encoder is None:
            raise UserError(
                "This VampPrior has no encoder to send its pseudo-inputs through: give it to a "
                "model, as VAE(prior=...), or call attach(encoder)."
            )
        # Codes with a given deviation have it over the data, which pseudo-inputs are no sample of.
        of_data = getattr(self.encoder, "code_stddev", None) is not None
        q = self.encoder(self.pseudo_inputs, training=training and not of_data)
        mean, stddev = (tf.cast(each, self._wide["dtype"]) for each in (q.mean(), q.stddev()))
        log_weight = tf.fill([self.components], tf.cast(-math.log(self.components), mean.dtype))
        return log_weight, mean, stddev

    def get_config(self):
        return {**super().get_config(), "image_shape": self.image_shape}
