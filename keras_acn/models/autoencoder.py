"""The deterministic autoencoder."""

import keras
import tensorflow as tf

from keras_acn.distribute import exchange
from keras_acn.models.base import LatentModel


@keras.saving.register_keras_serializable("keras_acn")
class Autoencoder(LatentModel):
    """A deterministic autoencoder: z is the code itself, and costs nothing.

    The loss is `-log r(x|z)` at `z = c(x)`, the encoder's mean, in nats per image; there is
    no noise and no KL, so `kl_nats` is 0 and `total_nats` the reconstruction alone. That
    is a training loss, not a code length: nothing says what it takes to send z.

    An autoencoder has no prior of its own. For `sample` and `daydream` it draws its
    latents from a Gaussian with the mean and the covariance of the codes seen in
    training, moving averages that are saved with the model (`FittedNormal`); before any
    training that is N(0, I).

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      encoder: Name, config or instance, with `variance="unit"`, as there is none to learn;
        a `ConvEncoder` by default.
      decoder: Name, config or instance; `ConvDecoder` by default, whose pixels are Bernoulli
        where images have one channel, and discretized logistic mixtures where they have more.
      beta: Weight of the KL term, which is zero: for sweeps over the whole family.
      seed: Seed of all that is random.
    """

    short_name = "autoencoder"
    default_encoder = {"name": "conv", "variance": "unit"}
    default_prior = "fitted_normal"
    is_deterministic = True

    def __init__(
        self,
        image_shape,
        latent_dim=16,
        encoder=None,
        decoder=None,
        beta=1.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(image_shape, latent_dim, encoder, None, decoder, beta, seed, **kwargs)

    @classmethod
    def part_sizes(cls, image_shape, latent_dim, class_dim=None):
        sizes = super().part_sizes(image_shape, latent_dim)
        # Weights of a variance would never be trained.
        return {**sizes, "encoder": {**sizes["encoder"], "variance": "unit"}}

    def nats(self, image, index, noise, training=False):
        """Return `(reconstruction_nats, zeros)` of each image, float32 `[B]`."""
        z = self.encoder(image, training=training).mean()  # [B, d]
        if training:
            self.prior.update(exchange.gather(z))
        reconstruction = -self.decoder(z, training=training).log_prob(image)
        return reconstruction, tf.zeros_like(reconstruction)

    def get_config(self):
        config = super().get_config()
        del config["prior"]
        return config
