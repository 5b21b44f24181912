"""The distribution over images that an autoregressive decoder returns."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from keras_acn.decoders.families.base import OverImages, stateless_seed


class AutoregressiveImage(OverImages):
    """r(x|z) of an autoregressive decoder: it carries z and the network.

    `log_prob(x)` runs the network once on all pixels in parallel and returns nats, [...].
    `sample(seed=...)` goes pixel by pixel with cached features. There is no `mean`. Batches
    can be sliced: `r[0]` is the distribution of the first image.

    Args:
      decoder: The `GatedPixelCNN`.
      z: float [..., d].
      training: Whether `log_prob` runs with dropout.

    Example:
      >>> from keras_acn.decoders import GatedPixelCNN
      >>> r = GatedPixelCNN((8, 8, 1), latent_dim=4, layers=2, filters=8)(tf.zeros([5, 4]))
      >>> print(r.batch_shape, r[1:3].batch_shape, r[0].sample(seed=1).shape)
      (5,) (2,) (8, 8, 1)
      >>> print(r.log_prob(tf.ones([5, 8, 8, 1])).shape)
      (5,)
    """

    def __init__(self, decoder, z, training=False, name="AutoregressiveImage"):
        parameters = dict(locals())
        self._decoder = decoder
        self._z = tf.convert_to_tensor(z)
        self._training = training
        super().__init__(decoder.likelihood, decoder.image_shape, parameters=parameters, name=name)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {"z": tfp.util.ParameterProperties(event_ndims=1)}

    @property
    def z(self):
        """The latents, [..., d]."""
        return self._z

    def _batch_shape(self):
        return self._z.shape[:-1]

    def _batch_shape_tensor(self, **kwargs):
        return tf.shape(self._z)[:-1]

    def conditional(self, image):
        """Return the distribution of each pixel given z and the earlier pixels of `image`.

        Args:
          image: float [..., H, W, C] in [0, 1]; its batch broadcasts with z's.

        Returns:
          The output family's `ImageDistribution`. Its `log_prob(image)` is this
          distribution's; its `params` are the teacher-forced parameters [..., H, W, P].
        """
        image_shape = self._decoder.image_shape
        z, image = self._z, tf.cast(image, tf.float32)
        batch = None
        if z.shape.rank != 2 or image.shape.rank != 4 or z.shape[0] != image.shape[0]:
            batch = tf.broadcast_dynamic_shape(tf.shape(image)[:-3], tf.shape(z)[:-1])
            z = tf.broadcast_to(z, tf.concat([batch, [z.shape[-1]]], 0))
            z = tf.reshape(z, [-1, z.shape[-1]])
            image = tf.broadcast_to(image, tf.concat([batch, image_shape], 0))
            image = tf.reshape(image, [-1, *image_shape])
        params = self._decoder.parameters(image, z, training=self._training)
        if batch is not None:
            params = tf.reshape(params, tf.concat([batch, params.shape[-3:]], 0))
        return self.likelihood.distribution(params, image_shape)

    def sample_from(self, noise):
        """Return one image for each z, of a batch `[B]`, from uniform numbers [B, H, W, n]."""
        return self._decoder.steps.images(self._z, tf.transpose(noise, [1, 2, 0, 3]))

    def _log_prob(self, image):
        return self.conditional(image).log_prob(image)

    def _sample_n(self, n, seed=None):
        z = self._z
        batch = tf.shape(z)[:-1]
        z = tf.broadcast_to(z, tf.concat([[n], tf.shape(z)], 0))
        z = tf.reshape(z, [-1, z.shape[-1]])
        images = self._decoder.steps.sample(z, stateless_seed(seed))
        return tf.reshape(images, tf.concat([[n], batch, self._decoder.image_shape], 0))
