"""The variational homoencoder."""

import collections

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_acn import codebook, encoders, priors
from keras_acn._base.errors import UserError
from keras_acn.distribute import exchange, keras_trainer
from keras_acn.models.base import POSTERIOR, LatentModel
from keras_acn.models.class_sets import CLASS, ClassSets
from keras_acn.models.few_shot import FewShot
from keras_acn.models.metrics import Ratio

tfd = tfp.distributions

Latents = collections.namedtuple("Latents", ["class_posterior", "c", "posterior", "z"])
Latents.__doc__ = """q(c|D) and a sample [B, class_dim]; q(z|c,x) and a sample [B, latent_dim]."""

_CONV = {"name": "conv", "variance": "learned"}


@keras.saving.register_keras_serializable("keras_acn")
class VHE(ClassSets, FewShot, LatentModel):
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
      decoder: r(x|c,z): name, config or instance; `BernoulliConv` by default. Its
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
        self.class_dim = int(latent_dim if class_dim is None else class_dim)
        if self.class_dim < 1:
            raise UserError(f"class_dim must be at least 1, not {class_dim}.")
        super().__init__(image_shape, latent_dim, encoder, prior, decoder, beta, seed, **kwargs)
        sizes = self.part_sizes(self.image_shape, self.latent_dim, self.class_dim)
        self.class_encoder = self._part(
            encoders, class_encoder, self.default_class_encoder, sizes["class_encoder"]
        )
        self.set_size = set_size
        self.least_members, self.most_members = _pair(set_size)
        self.supervised = bool(supervised)
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
        """Returns q(c|D): a `tfd.Distribution`, batch `[B]`, event `[class_dim]`.

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
        share = tf.cast(valid, tf.float32)
        share /= tf.reduce_sum(share, axis=1, keepdims=True)

        def average(x):
            x = tf.reshape(x, [batch, size, self.class_dim])
            return tf.reduce_sum(share[..., None] * x, axis=1)  # [B, class_dim]

        stddev = tf.exp(average(tf.math.log(stddev)))
        return tfd.Independent(tfd.Normal(average(mean), stddev), 1)

    def costs(self, batch, seed, training=False):
        return self._costs_and_latents(batch, seed, training)[0]

    def _costs_and_latents(self, batch, seed, training):
        image = batch["image"]
        members, valid, class_size = self.draw_sets(batch, seed, training)
        q_c = self.class_posterior(members, valid, training=training)
        c = keras_trainer.sample(q_c, tf.random.fold_in(seed, CLASS))  # [B, class_dim]
        q_z = self.encoder(image, c, training=training)
        z = keras_trainer.sample(q_z, tf.random.fold_in(seed, POSTERIOR))  # [B, latent_dim]
        p_c = tfd.Independent(tfd.Normal(tf.zeros_like(c), tf.ones_like(c)), 1)
        kl_c = priors.kl_nats(q_c, p_c) / tf.cast(class_size, tf.float32)
        kl_z = priors.kl_nats(q_z, self.prior(c, training=training), z)
        image_given = self.decoder(tf.concat([c, z], axis=1), training=training)
        costs = {
            "reconstruction_nats": -image_given.log_prob(image),
            "kl_nats": kl_z + kl_c,
            "kl_z_nats": kl_z,
            "kl_c_nats": kl_c,
        }
        return costs, Latents(q_c, c, q_z, z)

    def train_step(self, batch):
        seed = tf.stack([self.seed, self.random_step.value])
        with tf.GradientTape() as tape:
            costs, latents = self._costs_and_latents(batch, seed, training=True)
            weighted = self._weighted(costs)
            loss = self.optimizer.scale_loss(keras_trainer.mean(weighted))
        weights = self.trainable_weights
        at_c, at_z, *gradients = tape.gradient(loss, [latents.c, latents.z, *weights])
        gradients = self._summed(gradients)
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        self.random_step.assign_add(1)
        of_c, of_z = exchange.total(
            *(tf.reduce_sum(tf.norm(gradient, axis=1)) for gradient in (at_c, at_z))
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

    # -- images to codes and back ------------------------------------------------------

    def call(self, image, training=False):
        """Returns r(x|c,z) at the means of q(c|{x}) and q(z|c,x)."""
        return self.decoder(self._codes_batch(image, training), training=training)

    def encode(self, images):
        """Returns q(z|c,x), batch `[N]`, event `[latent_dim]`, at the mean c of q(c|{x})."""
        images = tf.convert_to_tensor(self._images(images))
        return self.encoder(images, self.class_posterior(images[:, None]).mean())

    def _codes_batch(self, images, training=False):
        c = self.class_posterior(images[:, None], training=training).mean()
        return tf.concat([c, self.encoder(images, c, training=training).mean()], axis=1)

    def _contexts(self, n, seed):
        return tf.random.stateless_normal([n, self.class_dim], [seed, CLASS]).numpy()

    def _sample_batch(self, context, seed, sample):
        z = self.prior(context).sample(seed=tf.random.fold_in(seed, 0))
        return self._decode_batch(tf.concat([context, z], axis=1), seed, sample)

    def _daydream_batch(self, images, seed, sample):
        q_c = self.class_posterior(images[:, None])
        c = q_c.sample(seed=tf.random.fold_in(seed, CLASS)) if sample else q_c.mean()
        p_z = self.prior(c)
        z = p_z.sample(seed=tf.random.fold_in(seed, 0)) if sample else p_z.mean()
        return self._decode_batch(tf.concat([c, z], axis=1), seed, sample or None)

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
    """Returns `(least, most)` of the option `set_size`."""
    pair = tuple(set_size) if isinstance(set_size, (list, tuple)) else (set_size, set_size)
    if len(pair) != 2 or any(isinstance(n, bool) or int(n) != n for n in pair):
        raise UserError(f"set_size must be a number or a pair (least, most), not {set_size}.")
    if not 1 <= pair[0] <= pair[1]:
        raise UserError(f"set_size must be at least 1, the smaller number first, not {set_size}.")
    return int(pair[0]), int(pair[1])
