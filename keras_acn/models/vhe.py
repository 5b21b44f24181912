"""The variational homoencoder."""

from __future__ import annotations

import collections
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_acn import codebook, encoders, priors
from keras_acn._base.batches import in_batches
from keras_acn._base.checks import check_count, check_flag, check_seed, check_seed_of_draw
from keras_acn._base.errors import UserError
from keras_acn.data.batches import as_batches
from keras_acn.distribute import exchange
from keras_acn.distribute.keras_trainer import Ratio
from keras_acn.models.base import POSTERIOR, as_noise, moments
from keras_acn.models.class_sets import (
    CLASS,
    BatchesWithSets,
    FollowClusters,
    TrainingSets,
    required_labels,
)
from keras_acn.models.memory import RemembersData

tfd = tfp.distributions

Latents = collections.namedtuple("Latents", ["class_posterior", "c", "posterior", "z"])
Latents.__doc__ = """q(c|D) and a sample [B, class_dim]; q(z|c,x) and a sample [B, latent_dim]."""

_CONV = {"name": "conv", "variance": "learned"}


@keras.saving.register_keras_serializable("keras_acn")
class VHE(RemembersData):
    """A variational homoencoder (Hewitt et al. 2018, arXiv 1807.08919).

    Two codes: c says what a datum x shares with its class, z what sets it apart. c is
    encoded from D, a few other members of the class, so that it can hold nothing of x
    alone; its cost is shared by the |X_x| members of the class. The loss, in nats per
    image, with c ~ q(c|D) and z ~ q(z|c,x), is

        E [-log r(x|c,z) + beta * (KL(q(z|c,x) || p(z|c)) + KL(q(c|D) || p(c)) / |X_x|)]

    with p(c) = N(0, I), and q(c|D) the Gaussian whose mean and logarithm of the standard
    deviation are the averages of those that the class encoder gives the members of D.
    Metrics: those of the family, and the two parts of `kl_nats`, `kl_z_nats` and
    `kl_c_nats` (already divided by |X_x|). In training also `gradient_share_z`,
    `gradient_share_c` and `gradient_ratio`, z over c: with g_z the mean over images of the
    Euclidean norm of the loss gradient at the sample z, and g_c likewise at c (through z
    too, which depends on it), `g_z / (g_z + g_c)` and so on.

    *Supervised*: classes are the labels, so `fit(x, y)`. *Unsupervised*
    (`supervised=False`, https://github.com/jalexvig/variational_homoencoders): classes are
    clusters of the codes (c, z) of all data, found again before each epoch; see
    `PseudoLabels`. Labels given are then only compared with.

    D is drawn anew each step, uniformly from the datum's class, the datum itself left
    out. Where the class has fewer others than `set_size`, D is all of them; a datum alone
    in its class has D = {x}. In evaluation D comes from the same class of the data being
    evaluated, by a draw that depends on the data alone, |X_x| is its size there, and an
    unsupervised model first puts each image into the cluster its codes are nearest to.

    The decoder reads c and z as one vector, c first, so any decoder of the package does.
    `codes` returns that vector, `decode` takes it; `encode` is q(z|c,x) alone.

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Dimension of z.
      encoder: q(z|c,x): name, config or instance. By default a `ConvEncoder` with a
        learned variance. Its `context_dim` is `class_dim`.
      prior: p(z|c): name, config or instance. By default one Gaussian from 512 ReLU units.
      decoder: r(x|c,z): name, config or instance; `ConvDecoder` by default, as of a `VAE`. Its
        `latent_dim` is `class_dim + latent_dim`.
      class_encoder: q(c|{x}): name, config or instance; as `encoder` by default.
      class_dim: Dimension of c; `latent_dim` by default.
      set_size: How many members D has: a number, or a pair (least, most), of which
        training draws one for each datum and evaluation takes the larger.
      supervised: Whether the classes are the labels.
      pseudo_labels: Config or instance of `PseudoLabels`, for the unsupervised model.
      beta: Weight of both KL terms: a number, or a Keras `LearningRateSchedule`.
      seed: Seed of all that is random in training and evaluation.
    """

    short_name = "vhe"
    default_encoder = _CONV
    default_class_encoder = _CONV
    default_prior = {
        "name": "mixture",
        "components": 1,
        "hidden": (512,),
        "activation": "relu",
        "skip_connections": False,
    }
    extra_costs = ("kl_z_nats", "kl_c_nats")
    needs_rows = True

    def __init__(
        self,
        image_shape,
        latent_dim=16,
        encoder=None,
        prior=None,
        decoder=None,
        class_encoder=None,
        class_dim=None,
        set_size=5,
        supervised=True,
        pseudo_labels=None,
        beta=1.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(
            image_shape,
            latent_dim,
            encoder,
            prior,
            decoder,
            beta,
            seed,
            class_dim=latent_dim if class_dim is None else class_dim,
            **kwargs,
        )
        sizes = self.part_sizes(self.image_shape, self.latent_dim, self.class_dim)
        self.class_encoder = self._part(encoders, class_encoder, "class_encoder", sizes)
        self._training_sets = None
        self.set_size = set_size
        self.least_members, self.most_members = _pair(set_size)
        self.supervised = check_flag(supervised, "supervised")
        self.pseudo_labels = None
        if not self.supervised:
            dims = {"class_dim": self.class_dim, "latent_dim": self.latent_dim, "seed": self.seed}
            self.pseudo_labels = codebook.pseudo_labels_registry.get(
                pseudo_labels, "PseudoLabels", **dims
            )
            for name in ("class_dim", "latent_dim"):
                if getattr(self.pseudo_labels, name) is None:
                    setattr(self.pseudo_labels, name, dims[name])
                if getattr(self.pseudo_labels, name) != dims[name]:
                    raise UserError(
                        f"The pseudo-labels have {name} {getattr(self.pseudo_labels, name)}, but "
                        f"the model {dims[name]}: give both the same."
                    )
            self.pseudo_labels.build_if_known()
        self._gradient_trackers = [
            Ratio(name=name) for name in ("gradient_share_z", "gradient_share_c", "gradient_ratio")
        ]

    @classmethod
    def part_sizes(cls, image_shape, latent_dim, class_dim=None):
        class_dim = latent_dim if class_dim is None else class_dim
        sizes = {"image_shape": image_shape, "latent_dim": latent_dim}
        prior = dict(sizes)
        if class_dim != latent_dim:
            prior["code_dim"] = class_dim
        return {
            "encoder": {**sizes, "context_dim": class_dim},
            "prior": prior,
            "decoder": {**sizes, "latent_dim": class_dim + latent_dim},
            "class_encoder": {**sizes, "latent_dim": class_dim},
        }

    @property
    def metrics(self):
        return [*self._trackers, *self._gradient_trackers]

    # -- the loss ----------------------------------------------------------------------

    def class_posterior(self, members, valid=None, training=False):
        """Return q(c|D): a `tfd.Distribution`, batch `[B]`, event `[class_dim]`.

        Args:
          members: float `[B, S, H, W, C]`, the images of each D.
          valid: bool `[B, S]`, which of them count; `None` for all.
          training: Whether this is a training step.
        """
        batch, size = tf.shape(members)[0], tf.shape(members)[1]
        flat = tf.reshape(members, [-1, *self.image_shape])
        mean, stddev = self.class_encoder.parameters(flat, training=training)
        if valid is None:
            valid = tf.ones([batch, size], tf.bool)
        share = tf.cast(valid, mean.dtype)
        share /= tf.reduce_sum(share, axis=1, keepdims=True)

        def average(x):
            x = tf.reshape(x, [batch, size, self.class_dim])
            return tf.reduce_sum(share[..., None] * x, axis=1)  # [B, class_dim]

        stddev = tf.exp(average(tf.math.log(stddev)))
        return tfd.Independent(tfd.Normal(average(mean), stddev), 1)

    def costs(self, batch, noise, training=False):
        return self._costs_and_latents(batch, noise, training)[0]

    def _costs_and_latents(self, batch, noise, training):
        noise, image = as_noise(noise), batch["image"]
        members, valid, class_size = self.draw_sets(batch, noise, training)
        q_c = self.class_posterior(members, valid, training=training)
        c = noise.stream(CLASS).sample(q_c)  # [B, class_dim]
        q_z = self.encoder(image, c, training=training)
        z = noise.stream(POSTERIOR).sample(q_z)  # [B, latent_dim]
        p_c = tfd.Independent(tfd.Normal(tf.zeros_like(c), tf.ones_like(c)), 1)
        # Parts compute in float64 where that is Keras's default.
        kl_c = tf.cast(priors.kl_nats(q_c, p_c), tf.float32) / tf.cast(class_size, tf.float32)
        kl_z = tf.cast(priors.kl_nats(q_z, self.prior(c, training=training), z), tf.float32)
        image_given = self.decoder(tf.concat([c, z], axis=1), training=training)
        costs = {
            "reconstruction_nats": -tf.cast(image_given.log_prob(image), tf.float32),
            "kl_nats": kl_z + kl_c,
            "kl_z_nats": kl_z,
            "kl_c_nats": kl_c,
        }
        return costs, Latents(q_c, c, q_z, z)

    def train_step(self, batch):
        noise = exchange.noise(tf.stack([self.seed, self.random_step.value]))
        with tf.GradientTape() as tape:
            costs, latents = self._costs_and_latents(batch, noise, training=True)
            weighted = self._weighted(costs)
            loss = self.optimizer.scale_loss(exchange.mean(weighted))
        sources = [latents.c, latents.z, *self.trainable_weights]
        at_c, at_z, *gradients = tape.gradient(loss, sources)
        self._apply(gradients, weighted, costs, batch)
        of_c, of_z = exchange.total(
            *(
                tf.reduce_sum(tf.norm(tf.cast(gradient, tf.float32), axis=1))
                for gradient in (at_c, at_z)
            )
        )
        parts = ((of_z, of_z + of_c), (of_c, of_z + of_c), (of_z, of_c))
        for tracker, (part, whole) in zip(self._gradient_trackers, parts, strict=True):
            tracker.update_state(part, whole)
        if self.pseudo_labels is not None:
            self.pseudo_labels.record(
                *exchange.gather(
                    tf.cast(batch["index"], tf.int32),
                    latents.class_posterior.mean(),
                    latents.posterior.mean(),
                )
            )
            self.pseudo_labels.record_gradients(of_c, of_z)
        logs = self._update(weighted, costs)
        return {**logs, **{each.name: each.result() for each in self._gradient_trackers}}

    # -- data to train on and to evaluate ------------------------------------------------

    def draw_sets(self, batch, noise, training):
        """Return the set D of each datum.

        Args:
          batch: As `fit` takes them; in evaluation it carries its sets already.
          noise: The step's noise.
          training: Whether this is a training step.

        Returns:
          `(members, valid, class_size)`: float32 `[B, S, H, W, C]`, bool `[B, S]`, int32 `[B]`.

        Raises:
          UserError: If there are no images to draw from.
        """
        if "members" in batch:
            return batch["members"], batch["valid"], batch["class_size"]
        if self._training_sets is None or not training:
            raise UserError("A VHE draws D from a data set: call fit or evaluate on one.")
        return self._training_sets.draw(batch["index"], as_noise(noise).whole(), self)

    def _needs_size(self):
        return self.pseudo_labels is not None and self.pseudo_labels.size is None

    def _begin_fit(self, batches):
        images = batches.collect()
        if self.pseudo_labels is not None:
            self.pseudo_labels.resize(len(images))
            self.pseudo_labels.set_true_labels(images.labels)
        if self._training_sets is None or self._training_sets.images is not images:
            self._training_sets = TrainingSets(images, self.supervised)
            # The compiled step holds the images it was traced with.
            self.train_function = None
        own = super()._begin_fit(batches)
        return own if self.pseudo_labels is None else [*own, self.pseudo_labels]

    def _begin_training_batch(self, index):
        if self._training_sets is None:
            raise UserError("A VHE draws D from a whole data set: call fit on it first.")
        size = len(self._training_sets.images)
        if len(index) and not 0 <= index.min() <= index.max() < size:
            raise UserError(f"The rows of the training data are 0 to {size - 1}.")

    def _evaluation_batches(self, x, y=None, batch_size=None, exclude_self=False, steps=None):
        batches = super()._evaluation_batches(x, y, batch_size, exclude_self, steps)
        if isinstance(batches, BatchesWithSets):
            return batches
        images = batches.collect()
        labels = np.zeros(len(images), np.int32)
        if self.supervised:
            labels = required_labels(images)
        return BatchesWithSets.of_model(self, batches, labels)

    def _before_evaluation(self, batches):
        if not self.supervised:
            batches.sets.assign(self.pseudo_labels.nearest(self.codes(batches.images)))

    def _callbacks_of_validation(self, batches):
        return [FollowClusters(self, batches)] if not self.supervised else []

    # -- what the model remembers --------------------------------------------------------

    def recode(self, images: Any, batch_size: int = 256) -> None:
        """Write the codes of all training data by the weights of now, and cluster them.

        In training a code is as old as its datum's last visit, and the clusters as the
        epoch. D is drawn from the clusters as they were. Nothing to do for a supervised
        model.

        Args:
          images: The training images, in the order of their index.
          batch_size: Images per step.

        Raises:
          UserError: If their number is not that of the pseudo-labels.
        """
        if self.pseudo_labels is None:
            return
        batches = as_batches(images, image_shape=self.image_shape, batch_size=batch_size)
        self.pseudo_labels.resize(batches.size())
        labels = self.pseudo_labels.labels.numpy()
        batches = BatchesWithSets.of_model(self, batches, labels)

        def codes(batch):
            c = self.class_posterior(batch["members"], batch["valid"]).mean()
            return tf.concat([c, self.encoder(batch["image"], c).mean()], axis=1)

        codes = self.graph("recode", codes)
        found = np.concatenate([codes(batch) for batch in batches.dataset])
        self.pseudo_labels.codes.assign(found)
        self.pseudo_labels.cluster()

    # -- images to codes and back ------------------------------------------------------

    def call(self, image, training=False):
        """Return r(x|c,z) at the means of q(c|{x}) and q(z|c,x)."""
        return self.decoder(self.codes_batch(image, training), training=training)

    def encode(self, images):
        """Return q(z|c,x), batch `[N]`, event `[latent_dim]`, at the mean c of q(c|{x})."""
        images = tf.convert_to_tensor(self._images(images))
        return self.encoder(images, self.class_posterior(images[:, None]).mean())

    def codes_batch(self, image, training=False):
        c = self.class_posterior(image[:, None], training=training).mean()
        return tf.concat([c, self.encoder(image, c, training=training).mean()], axis=1)

    def posterior_batch(self, image):
        """Return `mean`, `stddev` of q(z|c,x), and `code`, `code_stddev` of q(c|{x})."""
        q_c = self.class_posterior(image[:, None])
        q_z = self.encoder(image, q_c.mean())
        return {**moments(q_z), "code": q_c.mean(), "code_stddev": q_c.stddev()}

    def alone(self, image):
        """Return images as a batch for `costs`, each the only known member of its class."""
        rows = tf.shape(image)[0]
        return {
            **super().alone(image),
            "members": image[:, None],
            "valid": tf.ones([rows, 1], tf.bool),
            "class_size": tf.ones([rows], tf.int32),
        }

    def _contexts(self, n, seed):
        return tf.random.stateless_normal([n, self.class_dim], [seed, CLASS]).numpy()

    def sample_batch(self, context, noise, sample):
        z = self.latents_batch(context, noise)
        c = tf.cast(context, z.dtype)
        return self.decode_batch(tf.concat([c, z], axis=1), noise, sample)

    def daydream_batch(self, image, noise, sample=True):
        q_c = self.class_posterior(image[:, None])
        c = noise.stream(CLASS).sample(q_c) if sample else q_c.mean()
        z = self.latents_batch(c, noise) if sample else self.prior(c).mean()
        return self.decode_batch(tf.concat([c, z], axis=1), noise, sample or None)

    # -- a handful of images of a class it may never have seen -------------------------

    def encode_class(self, images):
        """Return q(c|D): a `tfd.Distribution`, batch `[]`, event `[class_dim]`.

        Args:
          images: The images of D, `[M, H, W, C]`, M at least 1.
        """
        return self.class_posterior(tf.convert_to_tensor(self._images(images))[None])[0]

    def generate_like(self, images, n=16, seed=0, sample=None, batch_size=256):
        """Return n new members of the class of a handful of images, `[n, H, W, C]`.

        For each, c ~ q(c|D), z ~ p(z|c), x ~ r(x|c,z).

        Args:
          images: The images of D, `[M, H, W, C]`, M at least 1.
          n: How many to draw.
          seed: Seed of the drawing.
          sample: As for `reconstruct`.
          batch_size: Images per step.
        """
        n, seed = check_count(n, "n", 1), check_seed_of_draw(seed)
        q_c = self.encode_class(images)
        c = q_c.sample(n, seed=tf.constant([seed, CLASS], tf.int32)).numpy()  # [n, class_dim]
        return self._sample_from(c, seed, sample, batch_size)

    def code_lengths_given(self, images, sets, samples=16, seed=0, batch_size=64):
        """Return -log p(x|D) of each image for each of several sets D, in nats.

        With c_s ~ q(c|D) and z_s ~ q(z|c_s,x), the estimate

            -log p(x|D) <= -log (1/S) sum_s r(x|c_s,z_s) p(z_s|c_s) / q(z_s|c_s,x)

        which holds in expectation, and is the tighter the larger S. All the sets share
        the noise of an image, so that their differences are less noisy than themselves.

        Args:
          images: N images.
          sets: Sequence of W sets, each `[M, H, W, C]`.
          samples: S.
          seed: Seed of the samples.
          batch_size: Images per step; the network sees W times as many.

        Returns:
          float64 `[N, W]`.
        """
        samples, seed = check_count(samples, "samples", 1), check_seed(seed)
        if not isinstance(sets, (list, tuple, np.ndarray)) or not len(sets):
            raise UserError("Code lengths need at least 1 set of images.")
        images = self._images(images)
        posteriors = [self.encode_class(each) for each in sets]
        mean = tf.stack([q.mean() for q in posteriors])  # [W, class_dim]
        stddev = tf.stack([q.stddev() for q in posteriors])
        weigh = self.graph("code_lengths", self._log_weight_batch)
        total = np.full([len(images), len(sets)], -np.inf)
        for draw in range(samples):
            key = int(np.random.SeedSequence([seed, draw]).generate_state(1)[0]) // 2
            log_weight = in_batches(
                lambda x, batch_key: weigh(x, mean, stddev, batch_key),
                images,
                size=batch_size,
                seed=key,
            )
            total = np.logaddexp(total, log_weight.astype(np.float64))
        return np.log(samples) - total

    def classify(self, images, examples, labels, samples=16, seed=0, batch_size=64):
        """Return the class whose examples make each image cheapest to code, `[N]`.

        Few-shot classification as in Hewitt et al. 2018 (arXiv 1807.08919): the class whose D has
        the smallest -log p(x|D), by `code_lengths_given`.

        Args:
          images: N images.
          examples: The images of all classes' sets, `[E, H, W, C]`.
          labels: The class of each example, `[E]`.
          samples, seed, batch_size: As for `code_lengths_given`.

        Returns:
          The labels that are chosen, of the dtype of `labels`.

        Raises:
          UserError: If examples and labels differ in number.
        """
        examples, labels = self._images(examples), np.asarray(labels)
        if labels.shape != (len(examples),) or labels.dtype.kind not in "iuUS":
            raise UserError(
                f"There are {len(examples)} examples and labels of shape {labels.shape} and "
                f"type {labels.dtype}: give one label an example, whole numbers or texts."
            )
        classes = np.unique(labels)
        sets = [examples[labels == each] for each in classes]
        nats = self.code_lengths_given(images, sets, samples, seed, batch_size)
        return classes[np.argmin(nats, axis=1)]

    def _log_weight_batch(self, images, mean, stddev, seed):
        """Return log of r p / q at one sample, `[B, W]`."""
        batch, ways = tf.shape(images)[0], tf.shape(mean)[0]

        def noise(stream, dim):
            key = tf.random.fold_in(seed, stream)
            return tf.cast(tf.random.stateless_normal([batch, 1, dim], key), mean.dtype)

        c = mean + stddev * noise(CLASS, self.class_dim)  # [B, W, class_dim]
        c = tf.reshape(c, [-1, self.class_dim])
        x = tf.repeat(images, ways, axis=0)  # [B * W, H, W, C]
        q_z = self.encoder(x, c)
        of_z = tf.repeat(noise(0, self.latent_dim)[:, 0], ways, axis=0)
        z = q_z.mean() + q_z.stddev() * of_z
        log_weight = self.decoder(tf.concat([c, z], axis=1)).log_prob(x)
        log_weight += tf.cast(self.prior(c).log_prob(z) - q_z.log_prob(z), log_weight.dtype)
        return tf.reshape(log_weight, [batch, ways])

    # -- configuration -----------------------------------------------------------------

    def get_config(self):
        pseudo_labels = self.pseudo_labels
        if pseudo_labels is not None:
            pseudo_labels = keras.saving.serialize_keras_object(pseudo_labels)
        return {
            **super().get_config(),
            "class_encoder": keras.saving.serialize_keras_object(self.class_encoder),
            "class_dim": self.class_dim,
            "set_size": self.set_size,
            "supervised": self.supervised,
            "pseudo_labels": pseudo_labels,
        }


def _pair(set_size):
    """Return `(least, most)` of the option `set_size`."""
    pair = tuple(set_size) if isinstance(set_size, (list, tuple)) else (set_size, set_size)
    if len(pair) != 2:
        raise UserError(f"set_size must be a number or a pair (least, most), not {set_size}.")
    least, most = (check_count(number, "set_size", 1) for number in pair)
    if least > most:
        raise UserError(f"set_size has the smaller number first, not {set_size}.")
    return least, most
