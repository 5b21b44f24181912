"""What the models share: their parts, the loss in nats, and the steps of Keras."""

import contextlib
import math

import keras
import tensorflow as tf

from keras_acn import decoders, encoders, priors
from keras_acn._base.errors import UserError
from keras_acn._base.shapes import check_image_shape
from keras_acn.distribute import exchange, keras_trainer
from keras_acn.models import metrics
from keras_acn.models.exporting import Exporting
from keras_acn.models.fitting import Fitting
from keras_acn.models.generation import Generation

# Streams of stateless random numbers within one step.
POSTERIOR, NEIGHBOR, DECODER = range(3)


class LatentModel(Fitting, keras_trainer.Workers, Generation, Exporting, keras.Model):
    """Base of the models with a posterior q(z|x), a prior p(z|c) and a decoder r(x|z).

    The loss is, in nats, summed over pixels and latent dimensions and averaged over
    images,

        E over z ~ q of -log r(x|z)  +  beta * KL(q(z|x) || p(z|c))

    Metrics: `loss` as above; `reconstruction_nats` and `kl_nats`, its two terms without
    beta; `total_nats`, their sum, which is the negative ELBO; and `bits_per_dim`, the
    total in bits divided by the number of values in an image.

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      encoder: Name, config or instance; see `keras_acn.encoders`.
      prior: Name, config or instance; see `keras_acn.priors`.
      decoder: Name, config or instance; see `keras_acn.decoders`.
      beta: Weight of the KL term: a number, or a Keras `LearningRateSchedule` over the
        optimizer's steps for a warm-up.
      seed: Seed of all that is random in training and evaluation.
    """

    default_encoder: str | dict = "conv"
    default_prior: str | dict = "normal"
    default_decoder: str | dict = "bernoulli_conv"
    # Names of the costs that a subclass has besides reconstruction and KL.
    extra_costs: tuple[str, ...] = ()

    def __init__(
        self,
        image_shape,
        latent_dim=16,
        encoder=None,
        prior=None,
        decoder=None,
        beta=1.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape = check_image_shape(image_shape)
        self.latent_dim = int(latent_dim)
        if not isinstance(beta, keras.optimizers.schedules.LearningRateSchedule):
            beta = float(beta)
            if not beta >= 0:
                raise UserError(f"beta must be zero or more, not {beta}.")
        self.beta = beta
        self.seed = int(seed)
        sizes = self.part_sizes(self.image_shape, self.latent_dim, getattr(self, "class_dim", None))
        self.encoder = self._part(encoders, encoder, self.default_encoder, sizes["encoder"])
        self.prior = self._part(priors, prior, self.default_prior, sizes["prior"])
        self.decoder = self._part(decoders, decoder, self.default_decoder, sizes["decoder"])
        # The step of the random stream is a weight, so that a resumed run goes on with
        # the numbers an uninterrupted one would draw.
        self.random_step = self.add_weight(
            name="random_step", shape=(), initializer="zeros", dtype="int32", trainable=False
        )
        names = ("loss", "reconstruction_nats", "kl_nats", "total_nats", "bits_per_dim")
        self._trackers = [metrics.Mean(name=name) for name in (*names, *self.extra_costs)]
        self._exclude_self = False
        self._auto_jit = False
        self.built = True

    @classmethod
    def part_sizes(cls, image_shape, latent_dim, class_dim=None):
        """Returns the options that follow from the model's sizes, a dict for each part.

        Args:
          image_shape: `(H, W, C)`.
          latent_dim: Dimension of z.
          class_dim: Dimension of the class code, for models that have one.
        """
        sizes = {"image_shape": image_shape, "latent_dim": latent_dim}
        return {"encoder": sizes, "prior": sizes, "decoder": sizes}

    @staticmethod
    def _part(room, identifier, default, sizes):
        """Returns a part of the model, whose sizes must be the model's."""
        part = room.registry.get(identifier, default, **sizes)
        for key, expected in sizes.items():
            found = getattr(part, key, expected)
            if found != expected:
                raise UserError(
                    f"The {type(part).__name__} has {key} {found}, but the model needs "
                    f"{expected}: give both the same."
                )
        return part

    # -- Keras's steps -----------------------------------------------------------------

    @property
    def metrics(self):
        return self._trackers

    def compile(self, optimizer="adam", jit_compile="auto", **kwargs):
        """Configures training; the loss and the metrics are the model's own.

        Args:
          optimizer: A Keras optimizer or its name, with clipping, schedules, weight
            averaging and so on as in Keras.
          jit_compile: Whether XLA compiles the step; `"auto"` does where that pays: from
            20,000 data on, save for autoregressive decoders, whose convolutions it
            slows down.
          **kwargs: `run_eagerly`, `steps_per_execution`, `auto_scale_loss`.

        Raises:
          UserError: If a loss or metrics are given.
        """
        for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            if kwargs.pop(name, None) is not None:
                raise UserError(
                    f"{type(self).__name__} brings its own loss and metrics, in nats: leave "
                    f'"{name}" out of compile().'
                )
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        # Whether compiling pays depends on the data, which fit sees first.
        self._auto_jit = jit_compile == "auto" and not kwargs.get("run_eagerly")
        jit_compile = False if jit_compile == "auto" else jit_compile
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        self._prepare_for_replicas()

    def get_compile_config(self):
        config = super().get_compile_config()
        if config is not None and self._auto_jit:
            config["jit_compile"] = "auto"
        return config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    def make_test_function(self, force=False):
        with self._without_xla():
            return super().make_test_function(force)

    def make_predict_function(self, force=False):
        with self._without_xla():
            return super().make_predict_function(force)

    @contextlib.contextmanager
    def _without_xla(self):
        # XLA draws other numbers from the same stateless seed, so an evaluation that is
        # compiled in one process and not in another would give other figures.
        jit_compile, self.jit_compile = self.jit_compile, False
        try:
            yield
        finally:
            self.jit_compile = jit_compile

    def call(self, image, training=False):
        """Returns r(x|c(x)): the images' distribution given the mean of the posterior."""
        return self.decoder(self.encoder(image, training=training).mean(), training=training)

    def conditional_prior(self, code, index, seed, training):
        """Returns the prior `p(z|c)` for each datum of a batch.

        Args:
          code: float32 `[B, d]`, the codes of the batch.
          index: int32 `[B]`, the data's rows.
          seed: int32 `[2]`, a stateless seed.
          training: Whether this is a training step.
        """
        return self.prior(code, training=training)

    def nats(self, image, index, seed, training=False):
        """Returns `(reconstruction_nats, kl_nats)` of each image, float32 `[B]`.

        Args:
          image: float32 `[B, H, W, C]` in [0, 1].
          index: int32 `[B]`, the data's rows.
          seed: int32 `[2]`, a stateless seed.
          training: Whether this is a training step.
        """
        q = self.encoder(image, training=training)
        z = keras_trainer.sample(q, tf.random.fold_in(seed, POSTERIOR))  # [B, d]
        p = self.conditional_prior(
            q.mean(), index, tf.random.fold_in(seed, NEIGHBOR), training=training
        )
        kl = priors.kl_nats(q, p, z)
        reconstruction = -self.decoder(z, training=training).log_prob(image)
        return reconstruction, kl

    def costs(self, batch, seed, training=False):
        """Returns what the images of a batch cost, a dict of float32 `[B]` in nats.

        `reconstruction_nats`, `kl_nats`, and the `extra_costs`, which are parts of these.

        Args:
          batch: As `fit` takes them.
          seed: int32 `[2]`, a stateless seed.
          training: Whether this is a training step.
        """
        nats = self.nats(batch["image"], batch["index"], seed, training=training)
        return dict(zip(("reconstruction_nats", "kl_nats"), nats, strict=True))

    def beta_at(self, step):
        """Returns the weight of the KL term at an optimizer step."""
        if callable(self.beta):
            return tf.cast(self.beta(step), tf.float32)
        return tf.constant(self.beta, tf.float32)

    def train_step(self, batch):
        seed = tf.stack([self.seed, self.random_step.value])
        with tf.GradientTape() as tape:
            costs = self.costs(batch, seed, training=True)
            weighted = self._weighted(costs)  # [B]
            loss = self.optimizer.scale_loss(keras_trainer.mean(weighted))
        gradients = self._summed(tape.gradient(loss, self.trainable_weights))
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self.random_step.assign_add(1)
        return self._update(weighted, costs)

    def test_step(self, batch):
        costs = self.costs(batch, self.evaluation_seed(batch["index"]))
        return self._update(self._weighted(costs), costs)

    def evaluation_seed(self, index):
        """Returns the stateless seed of a batch in evaluation, whose rows are `index` `[B]`.

        The noise depends on the data alone, so that a figure can be had again.
        """
        return tf.stack([self.seed ^ 0x7E57, exchange.first_index(index)])

    def predict_step(self, batch):
        image = batch["image"] if isinstance(batch, dict) else batch
        return self._reconstruct_batch(image, tf.constant([self.seed, DECODER]), sample=None)

    def _weighted(self, costs):
        beta = self.beta_at(self.optimizer.iterations)
        return costs["reconstruction_nats"] + beta * costs["kl_nats"]

    def _update(self, loss, costs):
        total = costs["reconstruction_nats"] + costs["kl_nats"]
        bits = total / (math.log(2.0) * math.prod(self.image_shape))
        values = {**costs, "loss": loss, "total_nats": total, "bits_per_dim": bits}
        for tracker, (value, rows) in zip(
            self._trackers,
            keras_trainer.whole_means([values[tracker.name] for tracker in self._trackers]),
            strict=True,
        ):
            tracker.update_state(value, sample_weight=rows)
        return {tracker.name: tracker.result() for tracker in self._trackers}

    # -- what a model remembers of its training data -----------------------------------

    def settle(self, images):
        """Brings what the model remembers of its training data up to its weights of now.

        In training a code is as old as its datum's last visit. Called at the end of a run;
        a model that remembers nothing does nothing.

        Args:
          images: The training images, in the order of their index.
        """

    def continue_pass(self):
        """Makes the next epoch go on with the present pass, as a resumed run must."""

    # -- configuration -----------------------------------------------------------------

    def get_config(self):
        beta = self.beta
        if callable(beta):
            beta = keras.saving.serialize_keras_object(beta)
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "latent_dim": self.latent_dim,
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "prior": keras.saving.serialize_keras_object(self.prior),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "beta": beta,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if isinstance(config.get("beta"), dict):
            config["beta"] = keras.saving.deserialize_keras_object(config["beta"])
        return cls(**config)
