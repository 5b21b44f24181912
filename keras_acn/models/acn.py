"""The Associative Compression Network."""

import logging

import keras
import tensorflow as tf

from keras_acn import codebook as codebook_lib
from keras_acn._base.errors import UserError
from keras_acn.codebook.search import describe_choice
from keras_acn.models.base import LatentModel
from keras_acn.models.generation import batched

log = logging.getLogger(__name__)


@keras.saving.register_keras_serializable("keras_acn")
class ACN(LatentModel):
    """An Associative Compression Network (Graves et al. 2018, arXiv 1804.02476).

    A variational autoencoder whose prior for each datum is conditioned on the code of a
    similar one. The loss, in nats per image, is

        E over c^ ~ KNN(x) of KL(q(z|x) || p(z|c^))  -  E over z ~ q(z|x) of log r(x|z)

    with KNN(x) the K data whose codes are nearest to that of x, itself excluded. A step
    follows Algorithm 1: encode; write the codes into the codebook; find the K nearest
    neighbours; pick one uniformly; prior network; sample z; decode.

    Validation and test data search the codes of the training data and change nothing.

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      encoder: Name, config or instance. By default a `ConvEncoder` with unit variance.
      prior: Name, config or instance; `MixturePrior` by default.
      decoder: Name, config or instance; `BernoulliConv` by default.
      codebook: Config or instance; `KNNCodebook` by default.
      beta: Weight of the KL term: a number, or a Keras `LearningRateSchedule`.
      seed: Seed of all that is random in training and evaluation.
    """

    short_name = "acn"
    default_prior = "mixture"

    def __init__(
        self,
        image_shape,
        latent_dim=16,
        encoder=None,
        prior=None,
        decoder=None,
        codebook=None,
        beta=1.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(image_shape, latent_dim, encoder, prior, decoder, beta, seed, **kwargs)
        self.codebook = codebook_lib.registry.get(
            codebook, "KNNCodebook", latent_dim=self.latent_dim, seed=self.seed
        )
        if self.codebook.latent_dim is None:
            self.codebook.latent_dim = self.latent_dim
        if self.codebook.latent_dim != self.latent_dim:
            raise UserError(
                f"The codebook has latent_dim {self.codebook.latent_dim}, but the model "
                f"{self.latent_dim}: give both the same."
            )
        if self.codebook.size is not None and not self.codebook.built:
            self.codebook.build()

    def conditional_prior(self, code, index, seed, training):
        exclude = index if training or self._exclude_self else None
        neighbor = self.codebook(code, index=exclude, seed=seed, training=training)
        return self.prior(neighbor.code, training=training)

    def neighbors(self, images, k=None, batch_size=256):
        """Finds the training data whose codes are nearest to those of `images`.

        Args:
          images: N images.
          k: How many; the codebook's own k by default.
          batch_size: Images per step.

        Returns:
          `(distance, index)`, NumPy: Euclidean distances float32 `[N, k]` and rows of
          the training data int32 `[N, k]`, nearest first. A training image finds itself.

        Raises:
          UserError: If the model has not been trained.
        """
        self.codebook.require_codes()
        k = int(k or self.codebook.k)
        if k > self.codebook.size:
            raise UserError(f"The codebook holds {self.codebook.size} codes, so k={k} is too many.")
        search = self._compiled(("neighbors", k), lambda code: self.codebook.neighbors(code, k))
        return batched(search, self.codes(images, batch_size), batch_size)

    def recode(self, images, batch_size=256):
        """Writes the codes of all training data into the codebook, by the weights of now.

        In training a code is as old as its datum's last visit, and of the weights before
        any averaging. This makes the codebook the one that the model as it is would fill.

        Args:
          images: The training images, in the order of their index.
          batch_size: Images per step.

        Raises:
          UserError: If their number is not the codebook's size.
        """
        codes = self.codes(images, batch_size)
        self.codebook.resize(len(codes))
        self.codebook.codes.assign(codes)

    def settle(self, images):
        self.recode(images)

    def continue_pass(self):
        self.codebook.continue_pass()

    def _contexts(self, n, seed):
        self.codebook.require_codes()
        rows = tf.random.stateless_uniform(
            [n], [seed, 0], maxval=self.codebook.size, dtype=tf.int32
        )
        return self.codebook.gather(rows).numpy()

    def _needs_size(self):
        return self.codebook.size is None

    def _prepare_fit(self, size, callbacks):
        if size is not None:
            self.codebook.resize(size)
        if self.codebook.k >= self.codebook.size:
            raise UserError(
                f"A datum among {self.codebook.size} has fewer than k={self.codebook.k} "
                f"neighbours: give more data, or KNNCodebook(k=...) a smaller k."
            )
        callbacks = super()._prepare_fit(self.codebook.size, callbacks)
        strategy = self.codebook.search_strategy
        if self.jit_compile and not strategy.supports_xla:
            if not self._auto_jit:
                raise UserError(
                    f"XLA cannot compile a {type(strategy).__name__}: leave jit_compile=True out "
                    "of compile(), or choose another search for the codebook."
                )
            self.jit_compile = False
        if self.codebook.search == "auto":
            log.info(describe_choice(self.codebook.size, self.latent_dim))
        return callbacks

    def _own_callbacks(self):
        return [self.codebook]

    def get_config(self):
        return {
            **super().get_config(),
            "codebook": keras.saving.serialize_keras_object(self.codebook),
        }
