"""Keras's methods that a model of this family answers in its own way, or refuses in a sentence."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_acn._base.errors import UserError
from keras_acn._base.shell import expanded
from keras_acn.data.arguments import as_image_set
from keras_acn.distribute.keras_trainer import KerasTrainer
from keras_acn.models.finite import require_finite


class KerasMethods(KerasTrainer):
    """What Keras's users call on any model, besides `fit`, `evaluate` and `predict`.

    Keras would answer some of these with a traceback, and some with a wrong result.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        inputs = keras.tree.flatten((args, kwargs))
        if any(isinstance(each, keras.KerasTensor) for each in inputs):
            raise UserError(
                f"{type(self).__name__} returns a distribution, which no Functional or "
                "Sequential model can hold: give its networks the input instead, such as "
                "mean, stddev = model.encoder.parameters(x)."
            )
        return super().__call__(*args, **kwargs)

    # -- one batch ---------------------------------------------------------------------

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """Make one training step, as `keras.Model.train_on_batch` does.

        Args:
          x: Images, or a batch `{"image", "index"[, "label"]}`. An `ACN` and a `VHE` need the
            latter: it says which rows of the codebook the images have.
          y: Labels.
          sample_weight, class_weight: `None`; a code length has none.
          return_dict: Whether the metrics come as a dict.

        Returns:
          The metrics of this batch.

        Raises:
          UserError: If the batch cannot be used, or the model does not know yet how many data
            there are.
        """
        self._begin_batch("train_on_batch", sample_weight, class_weight)
        self._require_same_weights("train_on_batch")
        batch = self._training_batch(x, y)
        self.reset_metrics()
        step = self.train_step
        if not self.run_eagerly:
            # It belongs to what compile() was told; so it is forgotten by the next one.
            key = "train_on_batch"
            if key not in self._graphs.by_key:
                self._graphs.by_key[key] = tf.function(
                    self.train_step, reduce_retracing=True, jit_compile=self.jit_compile
                )
            step = self._graphs.by_key[key]
        self.finite_watch.reset()
        logs = step(batch)
        self.finite_watch.check()
        return self._metrics_of(logs, return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Return the metrics of one batch, as `evaluate` of it alone does.

        Args:
          x: Images, or a batch as for `train_on_batch`.
          y: Labels. Only a supervised `VHE` goes by them.
          sample_weight: `None`; a code length has none.
          return_dict: Whether the metrics come as a dict.

        Raises:
          UserError: If the batch cannot be used.
        """
        self._begin_batch("test_on_batch", sample_weight)
        images = self._batch_of(x, y)
        batches = self._evaluation_batches(images, batch_size=len(images))
        self._before_evaluation(batches)
        self.reset_metrics()
        (batch,) = batches.dataset
        step = self.test_step if self.run_eagerly else self.graph("test_on_batch", self.test_step)
        return self._metrics_of(step(batch), return_dict)

    def predict_on_batch(self, x):
        """Return the reconstructions of one batch of images, as `predict` of it alone does."""
        images = self._batch_of(x)
        return self.predict(images, batch_size=len(images), verbose=0)

    def _begin_batch(self, what, sample_weight, class_weight=None):
        self._require_compiled(what)
        self._refuse_weights(what, {"sample_weight": sample_weight, "class_weight": class_weight})
        if self.num_replicas > 1:
            raise UserError(f"Replicas share the batches of a data set: use fit, not {what}().")

    def _batch_of(self, x, y=None):
        """Return one batch as an `ImageSet`."""
        if isinstance(x, dict):
            x, y = x.get("image"), x.get("label") if y is None else y
        return as_image_set(x, y, self.image_shape)

    def _training_batch(self, x, y):
        """Return one batch as `train_step` takes it, its rows checked."""
        images = self._batch_of(x, y)
        index = x.get("index") if isinstance(x, dict) else None
        if index is None and self.needs_rows:
            raise UserError(
                "train_on_batch must know which rows of the training data the images are: give "
                '{"image": x, "index": rows}.'
            )
        index = np.arange(len(images)) if index is None else np.asarray(index)
        if index.shape != (len(images),) or index.dtype.kind not in "iu":
            raise UserError(
                f'The "index" is {index.dtype} {list(index.shape)}: give one integer an image, '
                f"[{len(images)}]."
            )
        self._begin_training_batch(index)
        image, label = images.arrays()
        batch = {"image": tf.constant(image), "index": tf.constant(index, tf.int32)}
        return batch if label is None else {**batch, "label": tf.constant(label)}

    def _begin_training_batch(self, index):
        """Make the model ready for a step on the rows `index` `[B]`."""

    def _metrics_of(self, logs, return_dict):
        logs = {name: float(value) for name, value in logs.items()}
        return logs if return_dict else self._flatten_metrics_in_order(logs)

    # -- saving ------------------------------------------------------------------------

    def save(self, filepath, overwrite=True, zipped=None, **kwargs):
        """Save the model as one `.keras` file, as `keras.Model.save` does.

        Args:
          filepath: The path, which ends in `.keras`; any name with `zipped=False`.
          overwrite: Whether a file that is there is replaced without a question.
          zipped: `False` writes a folder instead of a file.
          **kwargs: Further arguments of `keras.Model.save`.

        Raises:
          UserError: If the path names another format, such as Keras's old HDF5.
          NotFinite: If a weight is no finite number, as no such file could be opened again.
        """
        name = expanded(filepath)
        if not name.startswith("hf://"):
            if zipped is not False:
                require_keras_file(name)
            folder = os.path.dirname(os.path.abspath(name))
            if not os.path.isdir(folder):
                raise UserError(f"There is no folder {folder} to save a model in: make it first.")
            if zipped is not False and os.path.isdir(name):
                raise UserError(f"{name} is a folder: give the path of a file to write.")
        require_finite(self)
        return super().save(name, overwrite=overwrite, zipped=zipped, **kwargs)

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: Keras quantizes layers with one tensor in and one out, and trains no more.

        Raises:
          UserError: Always; it names what there is instead.
        """
        raise UserError(
            f"{type(self).__name__} cannot be quantized in place: "
            'model.export(folder, quantize="float16") writes a smaller copy to serve.'
        )


def require_keras_file(name: str) -> None:
    """Raise a `UserError` unless a model saved under this name can be opened again."""
    if name.endswith(".keras"):
        return
    stem, ending = os.path.splitext(name)
    if name.endswith(".weights.h5"):
        raise UserError(f"save() writes whole models: for weights alone, save_weights({name!r}).")
    if ending in (".h5", ".hdf5"):
        raise UserError(
            f"{name} would be Keras's old HDF5 format, which cannot hold this model: save it as "
            f"{stem + '.keras'!r}, or its weights alone by save_weights({stem + '.weights.h5'!r})."
        )
    raise UserError(
        f"A model is saved as a .keras file: give {name + '.keras'!r}; for TensorFlow Serving use "
        "export(folder)."
    )
