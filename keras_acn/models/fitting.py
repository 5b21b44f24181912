"""`fit`, `evaluate` and `predict`: as Keras has them, on arrays, image sets and batches."""

import keras
import numpy as np
import tensorflow as tf

from keras_acn import data as data_lib
from keras_acn._base.errors import UserError

# As in Keras.
DEFAULT_BATCH_SIZE = 32

# Compiling takes some ten seconds: on fewer data a whole training is over by then.
JIT_FROM_SIZE = 20_000


class Fitting:
    """The methods that give data to a model: plain arrays get their index here."""

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
          y: Labels `[N]`. Only a supervised `VHE` trains on them.
          batch_size: Images per step, 32 by default; with arrays only.
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
                raise UserError(f"A code length has no {name}: leave it out of fit().")
        if validation_split:
            if validation_data is not None:
                raise UserError("Give validation_split or validation_data, not both.")
            x, y, validation_data = _split(x, y, validation_split)
        if isinstance(x, tf.data.Dataset):
            self._check_dataset(x)
            size = _dataset_size(x, self._needs_size())
            with self._variables_scope():
                self._keep_training_data(x)
        else:
            images = self._image_set(x, y)
            size = len(images)
            with self._variables_scope():
                self._keep_training_data(images)
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
            validation_data, kwargs["validation_steps"] = self._distributed(
                validation_data, "test_step", kwargs.get("validation_steps")
            )
        with self._variables_scope():
            callbacks = self._prepare_fit(size, callbacks)
        x, steps_per_epoch = self._distributed(x, "train_step", steps_per_epoch)
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
          y: Labels. Only a supervised `VHE` goes by them.
          batch_size: Images per step, 32 by default.
          exclude_self: Whether the data are those the codebook was filled from, in the
            same order. Each datum's own code is then excluded, as it must be: it would
            be its nearest neighbour, and the KL a leak.
          **kwargs: Further arguments of `keras.Model.evaluate`, such as `return_dict`.
        """
        self._require_compiled("evaluate")
        if not isinstance(x, tf.distribute.DistributedDataset):
            x = self._evaluation_dataset(x if y is None else (x, y), batch_size)
        self._before_evaluation(getattr(x, "whole", x))
        x, kwargs["steps"] = self._distributed(x, "test_step", kwargs.get("steps"))
        if exclude_self != self._exclude_self:
            self._exclude_self = exclude_self
            self.test_function = None
        try:
            return super().evaluate(x, **kwargs)
        finally:
            if self._exclude_self:
                self._exclude_self = False
                self.test_function = None

    def image_nats(self, x, y=None, samples=1, batch_size=128, tell=None):
        """Returns what each image costs, a dict of float64 `[N]` in nats.

        The names are those of the metrics: `reconstruction_nats`, `kl_nats` and, for a
        `VHE`, the two parts of the latter. The same call gives the same figures.

        Args:
          x: As for `evaluate`.
          y: Labels, likewise.
          samples: Samples of the latents to average over.
          batch_size: Images at a time.
          tell: Optional callable `tell(done, total)`.
        """
        batches = self._evaluation_dataset(x if y is None else (x, y), batch_size)
        self._before_evaluation(batches)
        costs = self._compiled("costs", self.costs)
        pieces, done = [], 0
        total = int(batches.cardinality()) * samples
        for batch in batches:
            seed = self.evaluation_seed(batch["index"])
            drawn = []
            for draw in range(samples):
                drawn.append(costs(batch, tf.random.fold_in(seed, draw) if draw else seed))
                done += 1
                if tell is not None:
                    tell(done, total)
            pieces.append(
                {
                    k: np.mean([np.asarray(d[k], np.float64) for d in drawn], axis=0)
                    for k in drawn[0]
                }
            )
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    def predict(self, x, batch_size=None, **kwargs):
        """Returns the reconstructions `[N, H, W, C]` of images or of a dataset."""
        return super().predict(self._batches(x, batch_size), **kwargs)

    def _require_compiled(self, what):
        if not self.compiled:
            raise UserError(f'Compile the model before {what}: model.compile(optimizer="adam").')

    def _needs_size(self):
        """Whether training needs the number of data."""
        return False

    def _prepare_fit(self, size, callbacks):
        """Readies the model for `size` data; returns the callbacks to train with."""
        if self._auto_jit:
            large = size is not None and size >= JIT_FROM_SIZE and self.num_replicas == 1
            self.jit_compile = large and not getattr(self.decoder, "is_autoregressive", False)
        own = self._own_callbacks()
        if not own:
            return callbacks
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = callbacks.callbacks
        elif isinstance(callbacks, keras.callbacks.Callback):
            callbacks = [callbacks]
        return own + [each for each in callbacks or [] if not any(each is o for o in own)]

    def _own_callbacks(self):
        """Returns the model's parts that are callbacks of its own training."""
        return []

    def _keep_training_data(self, data):
        """Keeps hold of the `ImageSet` or dataset trained on, if a step looks things up in it."""

    def _check_dataset(self, dataset):
        data_lib.check_batch_spec(dataset.element_spec, self.image_shape)
        # The first batch tells of values that no later one would be free of, such as 0..255.
        for batch in dataset.take(1):
            data_lib.check_images(batch["image"].numpy(), "The dataset's images")

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
        """Returns `x` as a dataset of batches that `test_step` takes."""
        return self._batches(x, batch_size)

    def _before_evaluation(self, dataset):
        """Readies what evaluation on a dataset of `_evaluation_dataset` goes by."""

    def _batches(self, x, batch_size=None):
        if isinstance(x, tf.data.Dataset):
            self._check_dataset(x)
            return x
        x, y = x if isinstance(x, tuple) and len(x) == 2 else (x, None)
        return self._image_set(x, y).dataset(batch_size or DEFAULT_BATCH_SIZE)


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
