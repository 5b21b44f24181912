"""The variational autoencoder, and the beta-VAE."""

import keras

from keras_acn.models.base import LatentModel
from keras_acn.priors import VampPrior


@keras.saving.register_keras_serializable("keras_acn")
class VAE(LatentModel):
    """A variational autoencoder (Kingma and Welling 2014, arXiv 1312.6114).

    The loss is `E over z ~ q(z|x) of -log r(x|z) + beta * KL(q(z|x) || p(z))` in nats
    per image. `beta` other than one makes it a beta-VAE; zero leaves an autoencoder
    with a noisy code.

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      encoder: Name, config or instance. By default a `ConvEncoder` with a learned
        variance.
      prior: Name, config or instance; `StandardNormal` by default. `"learned_mixture"` is a
        mixture of Gaussians learned with the rest, `"vamp"` the mixture of the posteriors of
        learned images.
      decoder: Name, config or instance; `ConvDecoder` by default, whose pixels are Bernoulli
        where images have one channel, and discretized logistic mixtures where they have more.
      beta: Weight of the KL term: a number, or a Keras `LearningRateSchedule`.
      seed: Seed of all that is random in training and evaluation.
    """

    short_name = "vae"
    default_encoder = {"name": "conv", "variance": "learned"}

    def _begin_fit(self, batches):
        own = super()._begin_fit(batches)
        # Where the pseudo-inputs begin; a training that goes on has some of its own.
        if isinstance(self.prior, VampPrior) and not self.prior.begun.numpy():
            if batches.images is not None:
                self.prior.start_from(batches.images.arrays()[0], seed=self.seed)
            self.prior.begun.assign(1.0)
        return own
