"""The Associative Compression Network."""

from __future__ import annotations

import dataclasses
import logging
import math
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_acn import codebook as codebook_lib
from keras_acn._base.batches import in_batches
from keras_acn._base.checks import check_count, check_seed
from keras_acn._base.errors import UserError, unknown_name
from keras_acn.codebook.search import describe_choice
from keras_acn.models.memory import RemembersData

log = logging.getLogger(__name__)

OBJECTIVES = ("pick", "mixture")
# Images looked at to tell whether data are those of the codebook's rows.
ROWS_CHECKED = 256


@keras.saving.register_keras_serializable("keras_acn")
class ACN(RemembersData):
    """An Associative Compression Network (Graves et al. 2018, arXiv 1804.02476).

    A variational autoencoder whose prior for each datum is conditioned on the code of a
    similar one. The loss, in nats per image, is

        E over c^ ~ KNN(x) of KL(q(z|x) || p(z|c^))  -  E over z ~ q(z|x) of log r(x|z)

    with KNN(x) the K data whose codes are nearest to that of x, itself excluded. A step
    follows Algorithm 1: encode; write the codes into the codebook; find the K nearest
    neighbours; pick one uniformly; prior network; sample z; decode.

    Validation and test data search the codes of the training data and change nothing.
    `sample(n)` draws from the mixture of all codes, p(z) = (1/N) sum over c of p(z|c), as a set's
    next member would be drawn; `sample_like(images, n)` from the neighbourhood of each image.

    `objective="mixture"` is another bound on what the latents cost. Instead of the mean cost
    over the K neighbours it takes what their mixture costs, as the training of the Exemplar VAE
    does (Norouzi, Fleet and Norouzi 2020, arXiv 2004.04795):

        E over z ~ q(z|x) of log q(z|x) - log (1/N) sum over c_k in KNN(x) of p(z|c_k)

    with N the codes in the codebook. That is the cost of a latent under the mixture of all N
    codes, save for the terms that are left out, its own code's among them in training; so it is
    never too low. There is nothing to pick, so no code is used up.

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      encoder: Name, config or instance. By default a `ConvEncoder` with unit variance.
      prior: Name, config or instance; `MixturePrior` by default.
      decoder: Name, config or instance; `ConvDecoder` by default, whose pixels are Bernoulli
        where images have one channel, and discretized logistic mixtures where they have more.
      codebook: Config or instance; `KNNCodebook` by default.
      beta: Weight of the KL term: a number, or a Keras `LearningRateSchedule`.
      seed: Seed of all that is random in training and evaluation.
      objective: `"pick"`, the cost given one of the K nearest codes, as in the paper; or
        `"mixture"`, the cost under the mixture of them.
    """

    short_name = "acn"
    default_prior = "mixture"
    needs_rows = True

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
        *,
        objective="pick",
        **kwargs,
    ):
        super().__init__(image_shape, latent_dim, encoder, prior, decoder, beta, seed, **kwargs)
        if self.prior.is_joint:
            raise UserError(
                f"A {type(self.prior).__name__} reads no code, so that an ACN would have nothing "
                'to associate: choose a VAE, or prior="mixture".'
            )
        if objective not in OBJECTIVES:
            raise unknown_name("objective", objective, OBJECTIVES)
        self.objective = objective
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

        if self.objective == "mixture":
            self._check_mixture()

    def _check_mixture(self):
        if self.codebook.unique:
            raise UserError(
                'With objective="mixture" no code is used up: leave unique=True out of '
                "the codebook."
            )
        if not self.prior.is_conditional:
            raise UserError(
                f'objective="mixture" is over priors given a code, and a '
                f'{type(self.prior).__name__} reads none: choose prior="mixture", or a VAE.'
            )

    def conditional_prior(self, code, index, noise, training):
        neighbor = self.codebook(code, index=index, seed=noise, training=training)
        return self.prior(neighbor.code, training=training)

    def latent_nats(self, q, z, index, noise, training):
        if self.objective == "pick":
            return super().latent_nats(q, z, index, noise, training)
        near = self.codebook(q.mean(), index=index, seed=noise, training=training, every=True)
        k, d = near.code.shape[1:]
        p = self.prior(tf.reshape(near.code, [-1, d]), training=training)
        z = tf.cast(tf.repeat(z, k, axis=0), p.dtype)
        each = tf.reshape(p.log_prob(z), [-1, k])
        # A datum without any neighbour has the zero code, as it has where one is picked.
        is_there = (near.index >= 0) | ((tf.range(k) == 0) & (near.index[:, :1] < 0))
        # Not minus infinity, which TensorFlow's check of numerics would stop at.
        each = tf.where(is_there, each, tf.constant(-1e30, each.dtype))
        log_p = tf.reduce_logsumexp(each, axis=1) - math.log(self.codebook.size)
        return tf.cast(-q.entropy(), log_p.dtype) - log_p

    def neighbors(
        self, images: Any, k: int | None = None, batch_size: int = 256
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the training data whose codes are nearest to those of `images`.

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
        k = self._neighbor_count(k)
        width = self._search_width(k)
        search = self.graph(("neighbors", width), lambda code: self.codebook.neighbors(code, width))
        distance, index = in_batches(search, self.codes(images, batch_size), size=batch_size)
        return distance[:, :k], index[:, :k]

    def _neighbor_count(self, k):
        self.codebook.require_codes()
        k = self.codebook.k if k is None else check_count(k, "k", 1)
        if k > self.codebook.size:
            raise UserError(f"The codebook holds {self.codebook.size} codes, so k={k} is too many.")
        return k

    def _search_width(self, k):
        """Return how many codes to search for where k are wanted: a power of two, or all.

        Each number has a graph of its own, which takes time to trace, and memory as long as the
        model lives.
        """
        return min(1 << (k - 1).bit_length(), self.codebook.size)

    def sample_like(
        self,
        images: Any,
        n: int = 1,
        *,
        k: int | None = None,
        rows: Any = None,
        seed: int = 0,
        sample: bool | None = None,
        batch_size: int = 256,
    ) -> np.ndarray:
        """Return new images from the neighbourhood of each of `images`.

        For each new image one of the K training codes nearest to the image's code is picked
        uniformly, a latent drawn from the prior given that code, and an image from the decoder:
        what the model takes an image like this one to be, before it has seen it.

        Args:
          images: N images.
          n: New images for each.
          k: Codes to pick from; the codebook's own k by default. Those of a training image have
            its own among them, unless `rows` says which it is.
          rows: int `[N]`, the row of each image in the codebook, whose code is not picked; -1 for
            an image that has none. For all training images in their order, `np.arange(N)`.
          seed: Seed of the choices and of the drawing.
          sample: As for `reconstruct`.
          batch_size: Images per step.

        Returns:
          float32 `[N, n, H, W, C]`.

        Raises:
          UserError: If the model has not been trained, or a number is out of range.

        Example, with a trained `model`: ten more images for each of a few with labels.

            more = model.sample_like(images, 10)
            x = np.concatenate([images, more.reshape(-1, *images.shape[1:])])
            y = np.concatenate([labels, np.repeat(labels, 10)])
        """
        n, k, seed = check_count(n, "n", 1), self._neighbor_count(k), check_seed(seed)
        images = self._images(images)
        rows = np.full(len(images), -1) if rows is None else np.asarray(rows)
        self._check_rows(rows, len(images), "rows")
        width = self._search_width(k)
        search = self.graph(
            ("neighbors of others", width),
            lambda code, own: self.codebook.neighbors(code, width, exclude=own)[1],
        )
        own = rows.astype(np.int32)
        near = in_batches(search, self.codes(images, batch_size), own, size=batch_size)
        near = near[:, :k]  # [N, k]
        there = np.sum(near >= 0, axis=1, keepdims=True)
        rank = np.random.default_rng([seed, 1]).random((len(images), n)) * there
        picked = np.take_along_axis(near, rank.astype(int), axis=1)  # -1 where there is none
        contexts = self.codebook.gather(tf.constant(picked.reshape(-1))).numpy()
        drawn = self._sample_from(contexts, seed, sample, batch_size)
        return drawn.reshape(len(images), n, *self.image_shape)

    def _check_rows(self, rows, size, name, otherwise=""):
        """Raise a `UserError` unless `rows` are int `[size]`, rows of the codebook or -1."""
        if rows.shape != (size,) or rows.dtype.kind not in "iu":
            raise UserError(
                f"{name} takes {otherwise}the row of each of the {size} images in the "
                f"codebook, integers [{size}], not {rows.dtype} {list(rows.shape)}."
            )
        if len(rows) and not -1 <= rows.min() <= rows.max() < self.codebook.size:
            raise UserError(
                f"{name} names rows from {rows.min()} to {rows.max()}, and the codebook "
                f"has the rows 0 to {self.codebook.size - 1}."
            )

    def recode(self, images: Any, batch_size: int = 256) -> None:
        """Write the codes of all training data into the codebook, by the weights of now.

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

    def _contexts(self, n, seed):
        # Codes at random, so that samples come from the mixture of all codes' priors.
        self.codebook.require_codes()
        rows = tf.random.stateless_uniform(
            [n], [seed, 0], maxval=self.codebook.size, dtype=tf.int32
        )
        return self.codebook.gather(rows).numpy()

    def _needs_size(self):
        return self.codebook.size is None

    def _begin_fit(self, batches):
        if self._needs_size() or batches.images is not None:
            self.codebook.resize(batches.size())
        if self.codebook.k >= self.codebook.size:
            raise UserError(
                f"A datum among {self.codebook.size} has fewer than k={self.codebook.k} "
                f"neighbours: give more data, or KNNCodebook(k=...) a smaller k."
            )
        own = super()._begin_fit(batches)
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
        return [*own, self.codebook]

    def _begin_training_batch(self, index):
        self.codebook.require_rows(index)

    def _evaluation_batches(self, x, y=None, batch_size=None, exclude_self=False, steps=None):
        batches = super()._evaluation_batches(x, y, batch_size, steps=steps)
        if exclude_self is False:
            self._warn_of_a_leak(batches)
            return batches
        rows = None
        if exclude_self is not True:
            rows = np.asarray(exclude_self)
            self._check_rows(rows, batches.size(), "exclude_self", "True or ")
            rows = tf.constant(rows, tf.int32)

        def exclude(batch):
            own = batch["index"] if rows is None else tf.gather(rows, batch["index"])
            return {**batch, "exclude": tf.cast(own, tf.int32)}

        dataset = batches.dataset.map(exclude)
        rank = self._rank_of_own_code(dataset)
        if rank is not None and rank > 0.25:
            raise UserError(
                "These images are not those of the codebook's rows that exclude_self names: give "
                "the row of each image, such as exclude_self=np.arange(30, 60) for the training "
                "images 30 to 59, or leave exclude_self out for images not trained on."
            )
        return dataclasses.replace(batches, dataset=dataset)

    def _rank_of_own_code(self, dataset):
        """Return how near images are to their rows' codes: 0 nearest, 0.5 as any other row.

        Of the first images, the mean share of other rows whose codes are nearer to an image's
        code; `None` where there are too few to tell.
        """
        self.codebook.require_codes()
        for batch in dataset.take(1):
            rows = batch["exclude"].numpy()
            if np.any(rows >= self.codebook.size):
                return 1.0
            known = np.flatnonzero(rows >= 0)[:ROWS_CHECKED]
            if len(known) < 4:
                return None
            codes = self.codebook.codes.numpy()
            code = self.graph("codes", self.codes_batch)(batch["image"]).numpy()[known]
            others = codes[np.random.default_rng(0).integers(0, len(codes), 64)]
            own = np.linalg.norm(code - codes[rows[known]], axis=1)
            other = np.linalg.norm(code[:, None] - others, axis=2)
            return float(np.mean(other < own[:, None]))
        return None

    def _warn_of_a_leak(self, batches):
        """Warn if data to be evaluated look like the training data, row by row."""
        images = batches.images
        if images is None or not self.codebook.built or len(images) != self.codebook.size:
            return
        for batch in batches.dataset.take(1):
            code = self.graph("codes", self.codes_batch)(batch["image"]).numpy()
            own = self.codebook.gather(tf.cast(batch["index"], tf.int32)).numpy()
            scale = self.codebook.codes.numpy().std() + 1e-12
            if np.mean(np.abs(code - own).max(axis=1) < 1e-3 * scale) > 0.5:
                warnings.warn(
                    "These look like the images that the codebook was filled from: each finds its "
                    "own code, so that the KL is a leak. Give exclude_self=True.",
                    stacklevel=4,
                )

    def get_config(self):
        return {
            **super().get_config(),
            "codebook": keras.saving.serialize_keras_object(self.codebook),
            "objective": self.objective,
        }
