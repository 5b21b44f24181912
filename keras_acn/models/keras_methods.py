"""Keras's methods that a model of this family answers in its own way, or refuses in a sentence."""

from __future__ import annotations

import os
from typing import Any

import keras

from keras_acn._base.errors import UserError
from keras_acn.distribute.keras_trainer import KerasTrainer


class KerasMethods(KerasTrainer):
    """What Keras's users call on any model, besides `fit`, `evaluate` and `predict`.

    Keras would answer some of these with a traceback, and some with a wrong result.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        inputs = keras.tree.flatten((args, kwargs))
        if any(isinstance(each, keras.KerasTensor) for each in inputs):
            raise UserError(
                f"A {type(self).__name__} returns a distribution, which no Functional or "
                "Sequential model can hold: give its networks the input instead, such as "
                "mean, stddev = model.encoder.parameters(x)."
            )
        return super().__call__(*args, **kwargs)

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
        """
        name = os.fspath(filepath)
        if zipped is not False and not str(name).startswith("hf://"):
            require_keras_file(name)
        return super().save(filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: Keras quantizes layers with one tensor in and one out, and trains no more.

        Raises:
          UserError: Always; it names what there is instead.
        """
        raise UserError(
            f"A {type(self).__name__} cannot be quantized in place: "
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
