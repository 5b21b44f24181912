"""What the models share: the training and test step, in nats, and batches with an index."""

import math

import keras
import numpy as np
import tensorflow as tf

from keras_acn import data as data_lib
from keras_acn import decoders, encoders, priors
from keras_acn._errors import UserError
from keras_acn.models.generation import Generation

DEFAULT_BATCH_SIZE = 128

# Compiling takes some ten seconds: on fewer data a whole training is over by then.
JIT_FROM_SIZE = 20_000

# Streams of stateless random numbers within one step.
POSTERIOR, NEIGHBOR, DECODER = range(3)


class LatentModel(Generation, keras.Model):
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

    default_encoder = "conv"
    default_prior = "normal"
    default_decoder = "bernoulli_conv"

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
        self.image_shape = tuple(int(n) for n in image_shape)
        if len(self.image_shape) != 3 or min(self.image_shape) < 1:
            raise UserError(f"image_shape must be (height, width, channels), not {image_shape}.")
        self.latent_dim = int(latent_dim)
        if not isinstance(beta, keras.optimizers.schedules.LearningRateSchedule):
            beta = float(beta)
            if not beta >= 0:
                raise UserError(f"beta must be zero or more, not {beta}.")
        self.beta = beta
        self.seed = int(seed)
        sizes = {"image_shape": self.image_shape, "latent_dim": self.latent_dim}
        self.encoder = encoders.registry.get(encoder, self.default_encoder, **sizes)
        self.prior = priors.registry.get(prior, self.default_prior, **sizes)
        self.decoder = decoders.registry.get(decoder, self.default_decoder, **sizes)
        for part in (self.encoder, self.prior, self.decoder):
            for key, expected in sizes.items():
                found = getattr(part, key, expected)
                if found != expected:
                    raise UserError(
                        f"The {type(part).__name__} has {key} {found}, but the model {expected}: "
                        "give both the same."
                    )
        # The step of the random stream is a weight, so that a resumed run goes on with
        # the numbers an uninterrupted one would draw.
        self.random_step = self.add_weight(
            name="random_step", shape=(), initializer="zeros", dtype="int32", trainable=False
        )
        self._trackers = [
            keras.metrics.Mean(name=name)
            for name in ("loss", "reconstruction_nats", "kl_nats", "total_nats", "bits_per_dim")
        ]
        self._exclude_self = False
        self._auto_jit = False
        self.built = True

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

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

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
        z = q.sample(seed=tf.random.fold_in(seed, POSTERIOR))  # [B, d]
        p = self.conditional_prior(
            q.mean(), index, tf.random.fold_in(seed, NEIGHBOR), training=training
        )
        kl = priors.kl_nats(q, p, z)
        reconstruction = -self.decoder(z, training=training).log_prob(image)
        return reconstruction, kl

    def beta_at(self, step):
        """Returns the weight of the KL term at an optimizer step."""
        if callable(self.beta):
            return tf.cast(self.beta(step), tf.float32)
        return tf.constant(self.beta, tf.float32)

    def train_step(self, batch):
        seed = tf.stack([self.seed, self.random_step.value])
        with tf.GradientTape() as tape:
            reconstruction, kl = self.nats(batch["image"], batch["index"], seed, training=True)
            weighted = reconstruction + self.beta_at(self.optimizer.iterations) * kl  # [B]
            loss = self.optimizer.scale_loss(tf.reduce_mean(weighted))
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self.random_step.assign_add(1)
        return self._update(weighted, reconstruction, kl)

    def test_step(self, batch):
        # The noise depends on the data alone, so that a figure can be had again.
        seed = tf.stack([self.seed ^ 0x7E57, tf.cast(batch["index"][0], tf.int32)])
        reconstruction, kl = self.nats(batch["image"], batch["index"], seed, training=False)
        weighted = reconstruction + self.beta_at(self.optimizer.iterations) * kl
        return self._update(weighted, reconstruction, kl)

    def predict_step(self, batch):
        image = batch["image"] if isinstance(batch, dict) else batch
        return self._reconstruct_batch(image, tf.constant([self.seed, DECODER]), sample=None)

    def _update(self, loss, reconstruction, kl):
        total = reconstruction + kl
        bits = total / (math.log(2.0) * math.prod(self.image_shape))
        for tracker, value in zip(
            self._trackers, (loss, reconstruction, kl, total, bits), strict=True
        ):
            tracker.update_state(value)
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
        **kwargs,
    ):
        """Trains the model, as `keras.Model.fit` does.

        Args:
          x: Images, `[N, H, W, C]` or `[N, H, W]`, floats in [0, 1] or uint8; or a
            `keras_acn.data.ImageSet`; or a `tf.data.Dataset` of batches
            `{"image", "index"[, "label"]}`. Arrays get their index by themselves.
          y: Labels `[N]`, carried along; the training does not see them.
          batch_size: Images per step, 128 by default; with arrays only.
          epochs: Number of the last epoch.
          verbose: As in Keras.
          callbacks: As in Keras. The codebook of an ACN is added by itself.
          validation_split: Share of the arrays, at their end, held out for validation.
          validation_data: Images, `(images, labels)`, or a dataset of batches.
          shuffle: Whether arrays are visited in a new order each epoch.
          initial_epoch: Epoch to begin at, 0 for the first.
          steps_per_epoch: As in Keras; needed for datasets without an end.
          validation_batch_size: `batch_size` by default.
          **kwargs: Further arguments of `keras.Model.fit`.

        Returns:
          A Keras `History`.

        Raises:
          UserError: If the data cannot be used; the sentence names the fix.
        """
        self._require_compiled("fit")
        for name in ("class_weight", "sample_weight"):
            if kwargs.pop(name, None) is not None:
                raise UserError(f"A code length is not weighted by data: leave {name} out of fit().")
        if validation_split:
            if validation_data is not None:
                raise UserError("Give validation_split or validation_data, not both.")
            x, y, validation_data = _split(x, y, validation_split)
        if isinstance(x, tf.data.Dataset):
            self._check_dataset(x)
            size = _dataset_size(x, self._needs_size())
        else:
            images = self._image_set(x, y)
            size = len(images)
            batch_size = batch_size or DEFAULT_BATCH_SIZE
            if steps_per_epoch is None:
                steps_per_epoch = images.steps_per_epoch(batch_size)
            x = images.dataset(
                batch_size,
                shuffle=shuffle,
                seed=self.seed,
                start_epoch=initial_epoch,
                epochs=max(1, epochs - initial_epoch),
                training=True,
            )
        if validation_data is not None:
            validation_data = self._evaluation_dataset(
                validation_data, batch_size=validation_batch_size or batch_size
            )
        callbacks = self._prepare_fit(size, callbacks)
        return super().fit(
            x,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_data=validation_data,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            # The dataset has its order already.
            shuffle=False,
            **kwargs,
        )

    def evaluate(self, x, y=None, batch_size=None, exclude_self=False, **kwargs):
        """Returns the metrics on a data set, as `keras.Model.evaluate` does.

        The same data, model and batch size give the same figures, bit for bit.

        Args:
          x: As for `fit`.
          y: Labels, not used.
          batch_size: Images per step, 128 by default.
          exclude_self: Whether the data are those the codebook was filled from, in the
            same order. Each datum's own code is then excluded, as it must be: it would
            be its nearest neighbour, and the KL a leak.
          **kwargs: Further arguments of `keras.Model.evaluate`, such as `return_dict`.
        """
        self._require_compiled("evaluate")
        x = self._evaluation_dataset(x if y is None else (x, y), batch_size)
        if exclude_self != self._exclude_self:
            self._exclude_self = exclude_self
            self.test_function = None
        try:
            return super().evaluate(x, **kwargs)
        finally:
            if self._exclude_self:
                self._exclude_self = False
                self.test_function = None

    def predict(self, x, batch_size=None, **kwargs):
        """Returns the reconstructions `[N, H, W, C]` of images or of a dataset."""
        return super().predict(self._evaluation_dataset(x, batch_size), **kwargs)

    def _require_compiled(self, what):
        if not self.compiled:
            raise UserError(f'Compile the model before {what}: model.compile(optimizer="adam").')

    def _needs_size(self):
        """Whether training needs the number of data."""
        return False

    def _prepare_fit(self, size, callbacks):
        """Readies the model for `size` data; returns the callbacks to train with."""
        if self._auto_jit:
            large = size is not None and size >= JIT_FROM_SIZE
            self.jit_compile = large and not getattr(self.decoder, "is_autoregressive", False)
        return callbacks

    def _check_dataset(self, dataset):
        data_lib.check_batch_spec(dataset.element_spec)
        shape = dataset.element_spec["image"].shape[1:]
        if not shape.is_compatible_with(self.image_shape):
            raise UserError(
                f"The dataset's images have shape {tuple(shape)}, but the model was built for "
                f"{self.image_shape}: build it with image_shape={tuple(shape)}."
            )

    def _image_set(self, x, y=None):
        """Returns an `ImageSet` of arrays, checked against the model's image shape."""
        images = x if isinstance(x, data_lib.ImageSet) else data_lib.from_arrays(x, y)
        if images.image_shape != self.image_shape:
            raise UserError(
                f"The images have shape {images.image_shape}, but the model was built for "
                f"{self.image_shape}: build it with image_shape={images.image_shape}."
            )
        return images

    def _evaluation_dataset(self, x, batch_size=None):
        if isinstance(x, tf.data.Dataset):
            self._check_dataset(x)
            return x
        x, y = x if isinstance(x, (tuple, list)) and len(x) == 2 else (x, None)
        return self._image_set(x, y).dataset(batch_size or DEFAULT_BATCH_SIZE)

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


def _split(x, y, share):
    if isinstance(x, tf.data.Dataset) or not 0 < share < 1:
        raise UserError("validation_split takes arrays and a share between 0 and 1.")
    x = np.asarray(x)
    first = len(x) - int(round(len(x) * share))
    if not 0 < first < len(x):
        raise UserError(
            f"validation_split={share} of {len(x)} images leaves one part empty: choose another."
        )
    held_out = x[first:] if y is None else (x[first:], np.asarray(y)[first:])
    return x[:first], None if y is None else np.asarray(y)[:first], held_out


def _dataset_size(dataset, needed):
    """Returns the largest index of a dataset plus one; `None` where it is not needed."""
    if not needed:
        return None
    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise UserError(
            "The dataset has no end, so the number of data is unknown: give the model a "
            "codebook=KNNCodebook(size=...)."
        )
    largest = dataset.map(lambda batch: tf.reduce_max(batch["index"])).reduce(
        tf.constant(-1), lambda a, b: tf.maximum(a, tf.cast(b, tf.int32))
    )
    if int(largest) < 0:
        raise UserError("The dataset is empty: there is nothing to train on.")
    return int(largest) + 1
