"""What every decoder declares: latents in, a distribution over images out."""

from __future__ import annotations

from typing import Any

import keras

from keras_acn._base.checks import check_count, check_image_shape


class Decoder(keras.Model):
    """Base of the decoders: z -> r(x|z), a distribution over images.

    A subclass gives `call(z, training=False)`, which takes float `[B, d]` and returns a
    `tfd.Distribution` with batch `[B]` and event `[H, W, C]`, whose `log_prob` is in nats.

    Attributes:
      is_autoregressive: Whether the distribution goes pixel by pixel: then it has no `mean`,
        sampling is slow, and XLA does not pay.
      likelihood: The output family of a pixel, see `keras_acn.decoders.get_likelihood`, or
        `None` where the distribution is of another kind. Compressing needs one.

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.

    Raises:
      UserError: If a size is no positive whole number.

    Example: a decoder of one's own. Make layers with `dtype=self.dtype_policy`, so that
    they compute in the decoder's precision, and build them in the initialiser.

      >>> from tensorflow_probability import distributions as tfd
      >>> @keras.saving.register_keras_serializable("mine")
      ... class GaussianDecoder(Decoder):
      ...     def __init__(self, image_shape, latent_dim=16, **kwargs):
      ...         super().__init__(image_shape, latent_dim, **kwargs)
      ...         height, width, channels = self.image_shape
      ...         policy = {"dtype": self.dtype_policy}
      ...         self.dense = keras.layers.Dense(height * width * channels, **policy)
      ...         self.dense.build((None, self.latent_dim))
      ...         self.built = True
      ...
      ...     def call(self, z, training=False):
      ...         mean = keras.ops.reshape(self.dense(z), (-1, *self.image_shape))
      ...         mean = keras.ops.cast(mean, "float32")
      ...         return tfd.Independent(tfd.Normal(mean, 0.1), 3)
      >>> r = GaussianDecoder((8, 8, 1), latent_dim=4)(keras.ops.zeros((3, 4)))
      >>> print(r.batch_shape, r.event_shape)
      (3,) (8, 8, 1)
    """

    declared = ("is_autoregressive", "likelihood")
    is_autoregressive = False
    likelihood: Any = None

    def __init__(self, image_shape: tuple[int, int, int], latent_dim: int = 16, **kwargs):
        super().__init__(**kwargs)
        self.image_shape = check_image_shape(image_shape)
        self.latent_dim = check_count(latent_dim, "latent_dim", 1)

    def call(self, z, training=False):
        """Return r(x|z): a `tfd.Distribution` with batch `[B]` and event `[H, W, C]`.

        Args:
          z: float `[B, d]`.
          training: Whether layers such as dropout behave as in training.
        """
        raise NotImplementedError

    def get_config(self):
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "latent_dim": self.latent_dim,
        }
