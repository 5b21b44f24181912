"""What the models share: their parts, the loss in nats, Keras's steps, and what they are for."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_acn import decoders, encoders, priors
from keras_acn._base.batches import in_batches
from keras_acn._base.checks import (
    check_count,
    check_flag,
    check_image_shape,
    check_number,
    check_optional,
    check_seed,
    check_seed_of_draw,
    is_truth,
)
from keras_acn._base.errors import DataWarning, UserError, did_you_mean, short
from keras_acn._base.keras_names import check_optimizer
from keras_acn._base.lazy import late
from keras_acn._base.noise import Noise
from keras_acn._base.progress import Progress, takes_tell
from keras_acn.data.batches import (
    DEFAULT_BATCH_SIZE,
    Batches,
    as_batches,
    last_share,
)
from keras_acn.data.checks import is_black_and_white
from keras_acn.data.image_set import ImageSet
from keras_acn.decoders.families import Bernoulli
from keras_acn.distribute import exchange
from keras_acn.distribute.keras_trainer import Mean, is_validation_of_fit, show_booleans
from keras_acn.models.finite import PARTS, FiniteWatch, StopOnNonFinite
from keras_acn.models.keras_methods import KerasMethods

# Streams of the noise of one step.
POSTERIOR, NEIGHBOR, DECODER = range(3)
# Streams of the noise of what is sampled outside of training.
LATENT, IMAGE = range(2)

# Compiling takes some ten seconds: on fewer data a whole training is over by then.
JIT_FROM_SIZE = 20_000

# Of data without a known end, this many batches or epochs' worth of them are looked at to find
# how many data there are; what goes on after that is taken to have no end.
LEAST_COUNTED, EPOCHS_COUNTED = 1_000, 10


class LatentModel(KerasMethods):
    """Base of the models with a posterior q(z|x), a prior p(z|c) and a decoder r(x|z).

    The loss is, in nats, summed over pixels and latent dimensions and averaged over
    images,

        E over z ~ q of -log r(x|z)  +  beta * KL(q(z|x) || p(z|c))

    Metrics: `loss` as above; `reconstruction_nats` and `kl_nats`, its two terms without
    beta; `total_nats`, their sum, which is the negative ELBO; and `bits_per_dim`, the
    total in bits divided by the number of values in an image.

    A subclass with another loss overrides `nats`, or `costs` where it has further terms.
    All that is random in them comes from the `noise` they are given, so that the same code
    trains on one replica and on many, evaluates, and answers served requests:

        class Shifted(VAE):
            def nats(self, image, index, noise, training=False):
                reconstruction, kl = super().nats(image, index, noise, training)
                return reconstruction, kl + 1.0

    Images are taken as `[N, H, W, C]` or `[N, H, W]`, floats in [0, 1] or uint8.

    Args:
      image_shape: `(H, W, C)` of one image.
      latent_dim: Number of latent dimensions d.
      encoder: Name, config or instance; see `keras_acn.encoders`.
      prior: Name, config or instance; see `keras_acn.priors`.
      decoder: Name, config or instance; see `keras_acn.decoders`. One that names no likelihood
        has Bernoulli pixels where images have one channel, which must then be black or white for
        the loss to be a code length; and 8 bits a channel where they have several.
      beta: Weight of the KL term: a number, or a Keras `LearningRateSchedule` over the
        optimizer's steps for a warm-up.
      seed: Seed of all that is random: initial weights, training and evaluation.
      class_dim: Dimension of the class code, for models that have one.

    Attributes:
      codebook: The `KNNCodebook` of an `ACN`, `None` elsewhere.
      pseudo_labels: The `PseudoLabels` of an unsupervised `VHE`, `None` elsewhere.
      class_dim: Dimension of the class code of a `VHE`, `None` elsewhere.
      is_deterministic: Whether the posterior is a point, so that latents cost nothing.
    """

    default_encoder: Any = "conv"
    default_prior: Any = "normal"
    default_decoder: Any = "conv"
    # Names of the costs that a subclass has besides reconstruction and KL.
    extra_costs: tuple[str, ...] = ()

    class_encoder: Any = None
    code_store: Any = None
    codebook: Any = None
    pseudo_labels: Any = None
    class_dim: int | None = None
    is_deterministic = False
    # Whether training goes by the rows that the data have in a codebook or in class lists.
    needs_rows = False

    def __init__(
        self,
        image_shape,
        latent_dim=16,
        encoder=None,
        prior=None,
        decoder=None,
        beta=1.0,
        seed=0,
        *,
        class_dim=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape = check_image_shape(image_shape)
        self.latent_dim = check_count(latent_dim, "latent_dim", 1)
        if not isinstance(beta, keras.optimizers.schedules.LearningRateSchedule):
            beta = check_number(beta, "beta", "zero or more", lambda number: number >= 0)
        self.beta = beta
        self.seed = check_seed(seed)
        if class_dim is not None:
            self.class_dim = check_count(class_dim, "class_dim", 1)
        sizes = self.part_sizes(self.image_shape, self.latent_dim, self.class_dim)
        self.encoder = self._part(encoders, encoder, "encoder", sizes)
        self.prior = self._part(priors, prior, "prior", sizes)
        self.decoder = self._part(decoders, decoder, "decoder", sizes)
        if self.prior.needs_encoder:
            self.prior.attach(self.encoder)
        # The step of the random stream is a weight, so that a resumed run goes on with
        # the numbers an uninterrupted one would draw.
        self.random_step = self.add_weight(
            name="random_step", shape=(), initializer="zeros", dtype="int32", trainable=False
        )
        names = ("loss", "reconstruction_nats", "kl_nats", "total_nats", "bits_per_dim")
        self._trackers = [Mean(name=name) for name in (*names, *self.extra_costs)]
        self.finite_watch = FiniteWatch(["reconstruction_nats", "kl_nats", *self.extra_costs])
        self._auto_jit = False
        self._graphs = _Graphs()
        self.built = True

    @classmethod
    def part_sizes(
        cls, image_shape: tuple, latent_dim: int, class_dim: int | None = None
    ) -> dict[str, dict]:
        """Return the options that follow from the model's sizes, a dict for each part.

        Args:
          image_shape: `(H, W, C)`.
          latent_dim: Dimension of z.
          class_dim: Dimension of the class code, for models that have one.
        """
        sizes = {"image_shape": image_shape, "latent_dim": latent_dim}
        return {"encoder": sizes, "prior": sizes, "decoder": sizes}

    def parts(self) -> dict[str, Any]:
        """Return the model's networks by name: `encoder`, `prior`, `decoder`, ...

        A method, as Keras would save a property once more, under its own name.
        """
        return {name: getattr(self, name) for name in PARTS if getattr(self, name) is not None}

    def _part(self, room, identifier, name, sizes):
        """Return a part of the model, whose sizes must be the model's."""
        with initial_weights_from(self.seed, name):
            default = getattr(self, f"default_{name}")
            part = room.registry.get(identifier, default, **sizes[name])
        for key, expected in sizes[name].items():
            # A part that declares a size as None takes any.
            found = getattr(part, key, None)
            if found is not None and found != expected:
                raise UserError(
                    f"The {type(part).__name__} has {key} {found}, but the model needs "
                    f"{expected}: give both the same."
                )
        if part is not identifier:
            freeze_as_saved(part)
        return part

    @classmethod
    def for_data(cls, data: Any, *, minutes: float = 5.0, seed: int = 0) -> LatentModel:
        """Return a compiled model whose parts suit some data, and the time there is to train it.

        The likelihood follows from the images (black and white, or 8 bits), the size of the
        networks from how many there are, and whether the decoder is a PixelCNN from how long a
        step takes here, which is measured on a few of them. `model.choice` says in five lines
        what was chosen and why, and `model.choice.fit` for how long to train. The command
        `keras-acn train SOURCE` chooses likewise.

        Args:
          data: A `keras_acn.data.Data`, an `ImageSet`, `(images, labels)`, or images.
          minutes: The time for training.
          seed: Seed of all that is random.

        Raises:
          UserError: If there is no image, or the numbers are no pixels.

        Example:

            data = keras_acn.load_data("images:photos", resize=32, validation=0.1)
            model = keras_acn.ACN.for_data(data, minutes=5)
            print(model.choice)
            model.fit(data.train, validation_data=data.validation, **model.choice.fit)
        """
        return late("model_for_data")(cls, data, minutes=minutes, seed=seed)

    # -- the loss ----------------------------------------------------------------------

    def call(self, image, training=False):
        """Return r(x|c(x)): the images' distribution given the mean of the posterior."""
        return self.decoder(self.encoder(image, training=training).mean(), training=training)

    def conditional_prior(self, code: tf.Tensor, index: Any, noise: Noise, training: bool) -> Any:
        """Return the prior `p(z|c)` for each datum of a batch.

        Args:
          code: float32 `[B, d]`, the codes of the batch.
          index: int32 `[B]`, as for `nats`.
          noise: The noise of the choice of c.
          training: Whether this is a training step.
        """
        return self.prior(code, training=training)

    def latent_nats(self, q: Any, z: tf.Tensor, index: Any, noise: Noise, training: bool) -> Any:
        """Return what the latents of a batch cost, KL(q || p) or an estimate of it, `[B]`.

        Args:
          q: The posterior, batch `[B]`, event `[d]`.
          z: A sample of it, `[B, d]`.
          index: int32 `[B]`, as for `nats`.
          noise: The noise of the choice of the code that the prior is conditioned on.
          training: Whether this is a training step.
        """
        return priors.kl_nats(q, self.conditional_prior(q.mean(), index, noise, training), z)

    def nats(
        self, image: tf.Tensor, index: Any, noise: Any, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return `(reconstruction_nats, kl_nats)` of each image, float32 `[B]`.

        Args:
          image: float32 `[B, H, W, C]` in [0, 1].
          index: int32 `[B]`, the data's rows in the codebook, whose codes are not theirs to
            use; -1 for data that have none, `None` if none of them has.
          noise: A `Noise`, or an int32 `[2]` stateless seed of one.
          training: Whether this is a training step.
        """
        noise = as_noise(noise)
        q = self.encoder(image, training=training)
        z = noise.stream(POSTERIOR).sample(q)  # [B, d]
        kl = self.latent_nats(q, z, index, noise.stream(NEIGHBOR), training)
        reconstruction = -self.decoder(z, training=training).log_prob(image)
        return reconstruction, kl

    def costs(
        self, batch: dict[str, tf.Tensor], noise: Any, training: bool = False
    ) -> dict[str, tf.Tensor]:
        """Return what the images of a batch cost, a dict of float32 `[B]` in nats.

        `reconstruction_nats`, `kl_nats`, and the `extra_costs`, which are parts of these.

        Args:
          batch: As `fit` takes them. In evaluation `exclude`, int32 `[B]`, may be there:
            the rows whose codes are the images' own.
          noise: A `Noise`, or an int32 `[2]` stateless seed of one.
          training: Whether this is a training step.
        """
        index = batch["index"] if training else batch.get("exclude")
        nats = self.nats(batch["image"], index, as_noise(noise), training=training)
        # Parts compute in float64 where that is Keras's default.
        narrow = [tf.cast(each, tf.float32) for each in nats]
        return dict(zip(("reconstruction_nats", "kl_nats"), narrow, strict=True))

    def is_code_length(self, images: Any) -> bool:
        """Return whether the model's nats are what it takes to send such images.

        Otherwise they are a training loss, to be compared with nothing but the same loss: where
        an autoencoder's latents have no prior, where Bernoulli pixels are given grey values, and
        where the decoder's pixels are real numbers.

        Args:
          images: float `[N, H, W, C]` in [0, 1], or an `ImageSet`.
        """
        if self.is_deterministic:
            return False
        family = self.decoder.likelihood
        if not isinstance(family, Bernoulli):
            return family is None or family.is_discrete
        is_set = isinstance(images, ImageSet)
        return images.is_binary if is_set else is_black_and_white(np.asarray(images))

    def beta_at(self, step: Any) -> tf.Tensor:
        """Return the weight of the KL term at an optimizer step."""
        if callable(self.beta):
            return tf.cast(self.beta(step), tf.float32)
        return tf.constant(self.beta, tf.float32)

    def evaluation_seed(self, index: tf.Tensor) -> tf.Tensor:
        """Return the stateless seed of a batch in evaluation, whose rows are `index` `[B]`.

        The noise depends on the data alone, so that a figure can be had again.
        """
        return tf.stack([self.seed ^ 0x7E57, exchange.first_index(index)])

    # -- Keras's steps -----------------------------------------------------------------

    @property
    def metrics(self):
        return self._trackers

    def compile(self, optimizer="adam", jit_compile="auto", **kwargs):
        """Configure training; the loss and the metrics are the model's own.

        Args:
          optimizer: A Keras optimizer or its name, with clipping, schedules, weight
            averaging and so on as in Keras.
          jit_compile: Whether XLA compiles the training step; `"auto"` does where that pays:
            from 20,000 data on, save for autoregressive decoders, whose convolutions it
            slows down.
          **kwargs: `run_eagerly`, `steps_per_execution`, `auto_scale_loss`.

        Raises:
          UserError: If a loss or metrics are given, or no such optimizer is there.
        """
        for name in ("run_eagerly", "auto_scale_loss"):
            if kwargs.get(name) is not None:
                kwargs[name] = check_flag(kwargs[name], name)
        for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            given = kwargs.pop(name, None)
            if given is not None and not (isinstance(given, (list, tuple, dict)) and not given):
                raise UserError(
                    f"{type(self).__name__} brings its own loss and metrics, in nats: leave "
                    f'"{name}" out of compile().'
                )
        if not (jit_compile is None or is_truth(jit_compile) or str(jit_compile) == "auto"):
            # In Keras the second argument is the loss.
            raise UserError(
                f"{type(self).__name__} brings its own loss and metrics, in nats: leave "
                f'{jit_compile!r} out of compile(); jit_compile is True, False or "auto".'
            )
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        if "steps_per_execution" in kwargs:
            steps = kwargs["steps_per_execution"]
            kwargs["steps_per_execution"] = check_count(steps, "steps_per_execution", least=1)
        check_optimizer(optimizer)
        # Whether compiling pays depends on the data, which fit sees first.
        self._auto_jit = jit_compile == "auto" and not kwargs.get("run_eagerly")
        jit_compile = False if jit_compile == "auto" else jit_compile
        self._graphs.by_key.pop("train_on_batch", None)
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        self._trained_when_compiled = self._trained_now()
        with self.variables_scope():
            self.finite_watch.reset()

    def get_compile_config(self):
        config = super().get_compile_config()
        if config is not None and self._auto_jit:
            config["jit_compile"] = "auto"
        return config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    def train_step(self, batch):
        noise = exchange.noise(tf.stack([self.seed, self.random_step.value]))
        with tf.GradientTape() as tape:
            costs = self.costs(batch, noise, training=True)
            weighted = self._weighted(costs)  # [B]
            loss = self.optimizer.scale_loss(exchange.mean(weighted))
        self._apply(tape.gradient(loss, self.trainable_weights), weighted, costs, batch)
        return self._update(weighted, costs)

    def test_step(self, batch):
        costs = self.costs(batch, exchange.noise(self.evaluation_seed(batch["index"])))
        return self._update(self._weighted(costs), costs)

    def predict_step(self, batch):
        image = batch["image"] if isinstance(batch, dict) else batch
        return self.reconstruct_batch(image, Noise([self.seed, DECODER]))

    def _apply(self, gradients, weighted, costs, batch):
        """Make an optimizer step with the gradients of this replica's share of the loss.

        Where costs or gradients are not finite, and ever after, nothing is updated.
        """
        gradients = exchange.summed(gradients) if self.trainable_weights else []
        diverged = self.finite_watch.look(self, costs, weighted, gradients, batch["index"])
        if self.trainable_weights:
            if self.num_replicas > 1:
                # Replicas meet in the optimizer, which they cannot in a branch.
                gradients = [
                    None if each is None else tf.where(diverged, tf.zeros_like(each), each)
                    for each in map(_dense, gradients)
                ]
                self._optimize(gradients)
            else:
                tf.cond(diverged, lambda: 0, lambda: self._optimize(gradients))
        self.random_step.assign_add(1)

    def _optimize(self, gradients):
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return 0

    def _weighted(self, costs):
        beta = self.beta_at(self.optimizer.iterations)
        return costs["reconstruction_nats"] + beta * costs["kl_nats"]

    def _update(self, loss, costs):
        total = costs["reconstruction_nats"] + costs["kl_nats"]
        bits = total / (math.log(2.0) * math.prod(self.image_shape))
        values = {**costs, "loss": loss, "total_nats": total, "bits_per_dim": bits}
        means = exchange.whole_means([values[tracker.name] for tracker in self._trackers])
        for tracker, (value, rows) in zip(self._trackers, means, strict=True):
            tracker.update_state(value, sample_weight=rows)
        return {tracker.name: tracker.result() for tracker in self._trackers}

    # -- fit, evaluate, predict --------------------------------------------------------

    def fit(
        self,
        x,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_batch_size=None,
        validation_steps=None,
        **kwargs,
    ):
        """Train the model, as `keras.Model.fit` does.

        Args:
          x: Images, `[N, H, W, C]` or `[N, H, W]`, floats in [0, 1] or uint8; or a
            `keras_acn.data.ImageSet`; or a `tf.data.Dataset` of batches
            `{"image", "index"[, "label"]}`, or `keras_acn.data.Batches`; or what yields such
            batches in Python, as a generator or a `keras.utils.PyDataset`. Arrays get their
            index by themselves, and only an `ACN` and a `VHE` need it of a dataset.
          y: Labels `[N]`. Only a supervised `VHE` trains on them.
          batch_size: Images per step, 32 by default; with arrays only.
          epochs: Number of the last epoch.
          verbose: As in Keras.
          callbacks: As in Keras. The codebook of an ACN is added by itself.
          validation_split: Share of the images, at their end, held out for validation.
          validation_data: Images, `(images, labels)`, or a dataset of batches, as for `x`; no
            index is needed.
          shuffle: Whether arrays are visited in a new order each epoch.
          initial_epoch: Epoch to begin at, 0 for the first.
          steps_per_epoch: As in Keras; needed for datasets without an end.
          validation_batch_size: `batch_size` by default.
          validation_steps: As in Keras.
          **kwargs: Further arguments of `keras.Model.fit`.

        Returns:
          A Keras `History`.

        Raises:
          UserError: If the data cannot be used; the sentence names the fix.
        """
        self._require_compiled("fit")
        self._require_same_weights("fit")
        self._refuse_weights("fit", kwargs)
        epochs = check_count(epochs, "epochs")
        initial_epoch = check_count(initial_epoch, "initial_epoch")
        steps_per_epoch = check_optional(steps_per_epoch, "steps_per_epoch")
        validation_steps = check_optional(validation_steps, "validation_steps")
        often = kwargs.get("validation_freq", 1)
        if not isinstance(often, (list, tuple, range, set)):
            kwargs["validation_freq"] = check_count(often, "validation_freq", 1)
        if validation_split is not None and validation_split != 0:
            if validation_data is not None:
                raise UserError("Give validation_split or validation_data, not both.")
            x, validation_data = last_share(x, y, validation_split, self.image_shape)
            y = None
        batches = as_batches(
            x,
            y,
            image_shape=self.image_shape,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=self.seed,
            start_epoch=initial_epoch,
            epochs=max(1, epochs - initial_epoch),
            training=True,
            rows_needed=self.needs_rows,
        )
        if steps_per_epoch is not None and not isinstance(x, Batches):
            # Who names the steps of an epoch may have data without an end.
            batches.at_most = max(LEAST_COUNTED, EPOCHS_COUNTED * steps_per_epoch)
        if steps_per_epoch is None and batches.images is not None and not isinstance(x, Batches):
            steps_per_epoch = batches.images.steps_per_epoch(batch_size or DEFAULT_BATCH_SIZE)
        self._tell_of_grey_values(batches)
        with self.variables_scope():
            own = self._begin_fit(batches)
        if batches.has_no_end and steps_per_epoch is None:
            raise UserError("The dataset has no end: give fit() steps_per_epoch.")
        if validation_data is not None:
            found = self._evaluation_batches(
                validation_data,
                batch_size=batch_size if validation_batch_size is None else validation_batch_size,
                steps=validation_steps,
            )
            if found.has_no_end and validation_steps is None:
                raise UserError("The validation data have no end: give fit() validation_steps.")
            own += self._callbacks_of_validation(found)
            validation_data, validation_steps = self.distributed(
                found.dataset, "test_step", validation_steps
            )
        x, steps_per_epoch = self.distributed(batches.dataset, "train_step", steps_per_epoch)
        with batches.telling():
            return super().fit(
                x,
                epochs=epochs,
                verbose=verbose,
                callbacks=_joined(own, callbacks),
                validation_data=validation_data,
                validation_steps=validation_steps,
                initial_epoch=initial_epoch,
                steps_per_epoch=steps_per_epoch,
                # The dataset has its order already.
                shuffle=False,
                **kwargs,
            )

    def evaluate(self, x, y=None, batch_size=None, exclude_self=False, **kwargs):
        """Return the metrics on a data set, as `keras.Model.evaluate` does.

        The same data, model and batch size give the same figures, bit for bit.

        Args:
          x: As for `fit`.
          y: Labels. Only a supervised `VHE` goes by them.
          batch_size: Images per step, 32 by default.
          exclude_self: For data that the codebook of an `ACN` was filled from: each datum's
            own code must be left out, as it would be its nearest neighbour, and the KL a
            leak. `True` if the index of `x` is the row in the codebook, as for all of the
            training images in their order; or int `[N]`, the row of each image, -1 for none.
          **kwargs: Further arguments of `keras.Model.evaluate`, such as `return_dict`.

        Raises:
          UserError: If the data cannot be used, or their rows are not those of the codebook.
        """
        self._require_compiled("evaluate")
        self._refuse_weights("evaluate", kwargs)
        if not is_validation_of_fit(kwargs):
            steps = check_optional(kwargs.get("steps"), "steps")
            batches = self._evaluation_batches(x, y, batch_size, exclude_self, steps=steps)
            if batches.has_no_end and steps is None:
                raise UserError("The dataset has no end: give evaluate() steps.")
            self._before_evaluation(batches)
            x = batches.dataset
        x, kwargs["steps"] = self.distributed(x, "test_step", kwargs.get("steps"))
        return super().evaluate(x, **kwargs)

    @takes_tell
    def image_nats(
        self,
        x: Any,
        y: Any = None,
        *,
        samples: int = 1,
        batch_size: int = 128,
        exclude_self: Any = False,
        progress: Progress | None = None,
    ) -> dict[str, np.ndarray]:
        """Return what each image costs, a dict of float64 `[N]` in nats.

        The names are those of the metrics: `reconstruction_nats`, `kl_nats` and, for a
        `VHE`, the two parts of the latter. The same call gives the same figures.

        Args:
          x: As for `evaluate`.
          y: Labels, likewise.
          samples: Samples of the latents to average over.
          batch_size: Images at a time.
          exclude_self: As for `evaluate`.
          progress: Called with the passes over a batch that are done, and their number.

        Raises:
          UserError: As for `evaluate`.
        """
        samples = check_count(samples, "samples", 1)
        batches = self._evaluation_batches(x, y, batch_size, exclude_self)
        self._before_evaluation(batches)
        costs = self.graph("costs", self.costs)
        pieces, done = [], 0
        total = batches.count() * samples
        for batch in batches.dataset:
            seed = self.evaluation_seed(batch["index"])
            drawn = []
            for draw in range(samples):
                drawn.append(costs(batch, tf.random.fold_in(seed, draw) if draw else seed))
                done += 1
                if progress is not None:
                    progress(done, total)
            pieces.append(
                {
                    k: np.mean([np.asarray(d[k], np.float64) for d in drawn], axis=0)
                    for k in drawn[0]
                }
            )
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    def predict(self, x, batch_size=None, **kwargs):
        """Return the reconstructions `[N, H, W, C]` of images or of a dataset."""
        steps = check_optional(kwargs.get("steps"), "steps")
        batches = self._as_batches(x, batch_size=batch_size, steps=steps)
        if batches.has_no_end and steps is None:
            raise UserError("The dataset has no end: give predict() steps.")
        return super().predict(batches.dataset, **kwargs)

    def _as_batches(self, x, y=None, batch_size=None, steps=None):
        """Return data that are not trained on as `Batches`, of which no rows matter."""
        return as_batches(
            x,
            y,
            image_shape=self.image_shape,
            batch_size=batch_size,
            rows_needed=False,
            steps=steps,
        )

    @staticmethod
    def _refuse_weights(what, options):
        """Raise a `UserError` if data are to be weighted."""
        for name in ("class_weight", "sample_weight"):
            if options.pop(name, None) is not None:
                raise UserError(f"A code length has no {name}: leave it out of {what}().")

    def _require_compiled(self, what):
        if not self.compiled:
            raise UserError(f'Compile the model before {what}: model.compile(optimizer="adam").')

    def _trained_now(self):
        """Return what tells the weights that are trained: their places among all weights."""
        return tuple(
            bool(weight.trainable) for part in self.parts().values() for weight in part.weights
        )

    def _require_same_weights(self, what):
        """Raise a `UserError` if other weights are to be trained than `compile` was told."""
        if self._trained_now() != self._trained_when_compiled:
            raise UserError(
                f"Layers were frozen or thawed since compile(), which {what} would not notice: "
                "call compile() again after setting trainable."
            )
        if not self.trainable_weights:
            warnings.warn(f"All weights are frozen: {what} trains none.", stacklevel=3)

    def _tell_of_grey_values(self, batches):
        """Warn where Bernoulli pixels are trained on images that are not black and white."""
        images = batches.images
        family = self.decoder.likelihood
        if images is None or not isinstance(family, Bernoulli) or images.is_binary:
            return
        warnings.warn(
            "The images are not black and white, and the decoder's pixels are Bernoulli, so that "
            "the nats are a training loss and no code length: binarize the images, or give the "
            'decoder the likelihood "discretized_logistic_mixture" for their 8 bits.',
            DataWarning,
            stacklevel=3,
        )

    def _needs_size(self):
        """Whether training needs the number of data."""
        return False

    def _begin_fit(self, batches):
        """Make the model ready to train on `Batches`; return its own callbacks.

        A model with a codebook or pseudo-labels gives these their size here.
        """
        if self._auto_jit:
            known = batches.images is not None or self._needs_size()
            large = known and batches.size() >= JIT_FROM_SIZE and self.num_replicas == 1
            self.jit_compile = large and not self.decoder.is_autoregressive
        return []

    def _callbacks_of_validation(self, batches):
        """Return callbacks that make validation on `Batches` follow the training."""
        return []

    def _evaluation_batches(self, x, y=None, batch_size=None, exclude_self=False, steps=None):
        """Return data as the `Batches` that `test_step` takes, of which `steps` are looked at."""
        batches = self._as_batches(x, y, batch_size, steps)
        if steps is not None and batches.images is None:
            # Where more is collected or counted, there may be no end.
            batches = dataclasses.replace(batches, dataset=batches.dataset.take(steps))
        return batches

    def _before_evaluation(self, batches):
        """Bring what an evaluation on `Batches` goes by up to the present weights."""

    # -- what a trained model does with images -----------------------------------------

    def encode(self, images: Any) -> Any:
        """Return q(z|x): a `tfd.Distribution`, batch `[N]`, event `[latent_dim]`."""
        return self.encoder(tf.convert_to_tensor(self._images(images)))

    def decode(self, z: Any) -> Any:
        """Return r(x|z): a `tfd.Distribution`, batch `[N]`, event `[H, W, C]`.

        Args:
          z: float `[N, latent_dim]`; of a `VHE`, its z and c beside each other.

        Raises:
          UserError: If these are no such numbers.
        """
        try:
            z = tf.convert_to_tensor(z, tf.float32)
        except (TypeError, ValueError):
            raise UserError("Latents must be a float array [N, latent_dim].") from None
        width = self.decoder.latent_dim
        if z.shape.rank != 2 or z.shape[1] not in (None, width):
            raise UserError(f"Latents must be a float array [N, {width}], not of shape {z.shape}.")
        return self.decoder(z)

    def codes(self, images: Any, batch_size: int = 256) -> np.ndarray:
        """Return the codes c(x), the posterior means, as float32 `[N, latent_dim]`."""
        encode = self.graph("codes", self.codes_batch)
        codes = in_batches(encode, self._image_rows(images), size=batch_size)
        return np.asarray(codes, np.float32)

    def reconstruct(
        self, images: Any, sample: bool | None = None, seed: int = 0, batch_size: int = 256
    ) -> np.ndarray:
        """Return images decoded from the codes of `images`, float32 `[N, H, W, C]`.

        Args:
          images: The images.
          sample: Whether an image is drawn from r(x|z) or its mean taken. `None` takes
            the mean where the decoder has one, and draws where it has not, as an
            autoregressive one.
          seed: Seed of the drawing.
          batch_size: Images per step.
        """
        seed, sample = check_seed_of_draw(seed), _check_sample(sample)
        reconstruct = self.graph(
            ("reconstruct", sample),
            lambda x, key: self.reconstruct_batch(x, Noise(key), sample),
        )
        return in_batches(reconstruct, self._image_rows(images), size=batch_size, seed=seed)

    def daydream(
        self, images: Any, steps: int = 30, sample: bool = True, seed: int = 0
    ) -> np.ndarray:
        """Follow associations: encode, prior, decode, and again from the new image.

        Encode an image and take its code c, draw z from p(z|c), decode z and draw an
        image, encode that, and so on: section 3 of Graves et al. 2018.

        Args:
          images: The images to begin from, B of them.
          steps: Number of steps.
          sample: Whether latents and images are drawn, as in the paper; otherwise the
            prior's mean is decoded and the mean image encoded, as in the blog post.
            Decoders without a mean always draw.
          seed: Seed of the drawing.

        Returns:
          float32 `[steps + 1, B, H, W, C]`; the first are the images themselves.
        """
        steps = check_count(steps, "The number of daydream steps")
        seed, sample = check_seed_of_draw(seed), check_flag(sample, "sample")
        images = self._images(images)
        step = self.graph(
            ("daydream", sample), lambda x, key: self.daydream_batch(x, Noise(key), sample)
        )
        frames = [images]
        for i in range(steps):
            frames.append(step(frames[-1], tf.constant([seed, i], tf.int32)).numpy())
        return np.stack(frames)

    def sample(
        self, n: int, seed: int = 0, sample: bool | None = None, batch_size: int = 256
    ) -> np.ndarray:
        """Return n images drawn from the model, float32 `[n, H, W, C]`.

        Args:
          n: How many.
          seed: Seed of the drawing.
          sample: As for `reconstruct`.
          batch_size: Images per step.
        """
        n, seed = check_count(n, "n", 1), check_seed_of_draw(seed)
        return self._sample_from(self._contexts(n, seed), seed, sample, batch_size)

    def _sample_from(self, contexts, seed, sample, batch_size):
        """Return an image for each of the codes `[n, d]` that its prior is conditioned on."""
        sample = _check_sample(sample)
        draw = self.graph(
            ("sample", sample),
            lambda context, key: self.sample_batch(context, Noise(key), sample),
        )
        return in_batches(draw, contexts, size=batch_size, seed=seed)

    def _contexts(self, n, seed):
        """Return the codes `[n, d]` that the priors of n samples are conditioned on."""
        return np.zeros([n, self.latent_dim], np.float32)

    def _images(self, images):
        """Return whatever images or batches of them as float32 `[N, H, W, C]`, in their order."""
        return np.asarray(self._as_batches(images).all_images(), np.float32)

    def _image_rows(self, images):
        """Return the same, float32 rows that need not all be there at once."""
        return self._as_batches(images).image_rows()

    # -- the same in the graph, on one batch; served models answer by these ------------

    def codes_batch(self, image: tf.Tensor) -> tf.Tensor:
        """Return the codes of a batch, `[B, d]`."""
        return self.encoder(image).mean()

    def posterior_batch(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return what the encoder says of each image: `mean` and `stddev`, each `[B, d]`."""
        q = self.encoder(image)
        return {"mean": q.mean()} if self.is_deterministic else moments(q)

    def alone(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return images as a batch for `costs`, where nothing but the images is known."""
        return {"image": image, "index": tf.zeros([tf.shape(image)[0]], tf.int32)}

    def latents_batch(self, code: tf.Tensor, noise: Noise) -> tf.Tensor:
        """Return a latent from p(z|c) for each code, `[B, d]`."""
        return noise.stream(LATENT).sample(self.prior(code))

    def sample_batch(self, context: tf.Tensor, noise: Noise, sample: bool | None) -> tf.Tensor:
        """Return an image for each code that its prior is conditioned on, `[B, H, W, C]`."""
        return self.decode_batch(self.latents_batch(context, noise), noise, sample)

    def decode_batch(
        self, z: tf.Tensor, noise: Noise | None = None, sample: bool | None = None
    ) -> tf.Tensor:
        """Return an image for each latent, `[B, H, W, C]`: drawn, or the mean.

        Args:
          z: float `[B, d]`.
          noise: The noise of drawing; `None` where the mean is taken.
          sample: As for `reconstruct`.
        """
        image = self.decoder(z)
        if sample or self.decoder.is_autoregressive:
            if noise is None:
                raise UserError("An image cannot be drawn without noise: give some.")
            return noise.stream(IMAGE).sample(image)
        return image.mean()

    def reconstruct_batch(
        self, image: tf.Tensor, noise: Noise | None = None, sample: bool | None = None
    ) -> tf.Tensor:
        """Return images decoded from the codes of a batch, as `reconstruct` does."""
        return self.decode_batch(self.codes_batch(image), noise, sample)

    def daydream_batch(self, image: tf.Tensor, noise: Noise, sample: bool = True) -> tf.Tensor:
        """Return the images that one step of `daydream` makes of a batch."""
        p = self.prior(self.encoder(image).mean())
        z = noise.stream(LATENT).sample(p) if sample else p.mean()
        return self.decode_batch(z, noise, sample or None)

    def graph(self, key: Any, function: Callable) -> Callable:
        """Return `function` as a TensorFlow graph, the same one each time for a key."""
        if key not in self._graphs.by_key:
            self._graphs.by_key[key] = tf.function(function, reduce_retracing=True, autograph=False)
        return self._graphs.by_key[key]

    # -- what a model remembers of its training data -----------------------------------

    def settle(self, images: Any) -> None:
        """Bring what the model remembers of its training data up to its weights of now.

        In training a code is as old as its datum's last visit, and the statistics of codes with a
        `code_stddev` are averages over the weights of many steps. Called at the end of a run;
        a model that remembers neither does nothing.

        Args:
          images: The training images, in the order of their index.
        """
        norm = getattr(self.encoder, "code_norm", None)
        if norm is not None and norm.trainable and not self.encoder.context_dim:
            self.encoder.restandardize(np.asarray(self.codes(images)))

    def continue_pass(self) -> None:
        """Make the next epoch go on with the present pass, as a resumed run must."""

    # -- export and configuration ------------------------------------------------------

    def export(
        self,
        folder,
        version=None,
        quantize=None,
        codebook=True,
        name=None,
        config=None,
        metrics=None,
        examples=None,
        **unknown,
    ):
        """Write a SavedModel that TensorFlow Serving loads, at `folder/VERSION/`.

        Keras's own `export` would trace `call`, which here returns a distribution and no
        tensor. This one writes a signature for everything that the model can do.

        Args:
          folder: The folder that the server is pointed at; made where it is missing.
          version: A number, by default the next free one.
          quantize: `"float16"` stores kernels and codes in half precision.
          codebook: Whether the codebook comes along. Without it the export is smaller, and
            has neither `neighbors` nor `nats`.
          name: The model's name for the server, the folder's by default.
          config: The `keras_acn.experiment.Config` of the training: it says what is done
            to PNG and JPEG files.
          metrics: The model's figures, as in a run's `metrics.json`, for the model card.
          examples: Images for the warm-up requests.

        Returns:
          A `keras_acn.serving.Export`: the path, the version, the signatures, the sizes.

        Raises:
          UserError: If an option is unknown or does not fit, the version exists already,
            or the model has not been trained.
        """
        known = {
            "version": version,
            "quantize": quantize,
            "codebook": codebook,
            "name": name,
            "config": config,
            "metrics": metrics,
            "examples": examples,
        }
        # Keras's own options, as far as they ask for what is done anyway.
        unknown.pop("verbose", None)
        if unknown.get("format") in (None, "tf_saved_model"):
            unknown.pop("format", None)
        for key in unknown:
            raise UserError(
                f'export() of a {type(self).__name__} has no option "{key}": known are '
                f"{', '.join(known)}.{did_you_mean(key, known)}"
            )
        return late("export_model")(self, folder, **known)

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
        model = cls(**config)
        freeze_as_saved(model)
        return model


def freeze_as_saved(layer: keras.layers.Layer) -> None:
    """Freeze all layers of a frozen one, as setting `trainable` does.

    A layer that is made from its config is told that it is frozen before it has any layers of
    its own, and these would train, unseen.
    """
    if not layer.trainable:
        # TensorFlow leaves out an assignment that changes nothing.
        layer.trainable = True
        layer.trainable = False


def _check_sample(sample):
    return None if sample is None else check_flag(sample, "sample")


def _dense(gradient):
    return tf.convert_to_tensor(gradient) if gradient is not None else None


def _joined(own, callbacks):
    """Return the model's own callbacks and those given to `fit`, each once.

    A `StopOnNonFinite` comes before all that write files.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    watching, rest = [], list(own)
    for each in keras.tree.flatten(callbacks) if callbacks else []:
        if not isinstance(each, keras.callbacks.Callback):
            raise UserError(
                "callbacks must be a list of Keras callbacks, of which "
                f"{short(each, to_text=repr)} is none."
            )
        if isinstance(each, keras.callbacks.TensorBoard):
            show_booleans(each)
        if isinstance(each, StopOnNonFinite):
            watching.append(each)
        elif not any(each is one for one in own):
            rest.append(each)
    return [*(watching or [StopOnNonFinite()]), *rest]


class _Graphs:
    """Holds compiled functions out of Keras's sight, and out of copies and pickles."""

    def __init__(self):
        self.by_key = {}

    def __reduce__(self):
        return (_Graphs, ())


@contextlib.contextmanager
def initial_weights_from(seed: int, name: str):
    """A context in which Keras's layers draw their initial weights from a model's seed.

    Args:
      seed: The model's seed.
      name: Name of the part that is built, so that no two parts start alike.
    """
    # Keras takes the seed of each initializer that has none from Python's generator.
    before = random.getstate()
    random.seed(seed * 2**32 + zlib.crc32(name.encode()))
    try:
        yield
    finally:
        random.setstate(before)


def as_noise(noise: Any) -> Any:
    """Return a `Noise` or `None` as it is, and a seed as the noise of the rows of this step."""
    return noise if noise is None or isinstance(noise, Noise) else exchange.noise(noise)


def moments(q: Any) -> dict[str, tf.Tensor]:
    """Return `mean` and `stddev` of a posterior."""
    return {"mean": q.mean(), "stddev": q.stddev()}
