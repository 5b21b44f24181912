"""The codes of a whole data set as weights: what every codebook is built on."""

from __future__ import annotations

import weakref
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_acn._base.checks import check_count, check_seed
from keras_acn._base.errors import UserError
from keras_acn.distribute.exchange import here
from keras_acn.distribute.keras_trainer import drop_weights


def require_finite(codes: np.ndarray | tf.Tensor) -> None:
    """Raise `UserError` if some of the codes `[N, d]` have a value that is NaN or infinite."""
    codes = tf.convert_to_tensor(codes)
    broken = ~tf.reduce_all(tf.math.is_finite(codes), axis=1)
    count = int(tf.reduce_sum(tf.cast(broken, tf.int32)))
    if count:
        raise UserError(
            f"{count} of the {len(codes)} codes are not finite numbers, as of a training that "
            "diverges: give the optimizer a smaller learning rate, or clipnorm=1.0."
        )


class CodeStore(keras.layers.Layer, keras.callbacks.Callback):
    """Base of what remembers a code for every datum.

    A Keras layer and a Keras callback in one. As a layer it holds the codes as a
    non-trainable weight: they are saved, restored and exported with the model. As a
    callback it builds itself when training begins, starts a pass over the data when an
    epoch begins, and raises `UserError` when one ends with codes that are no numbers;
    the models' `fit` attaches it by itself. A subclass adds its own weights in `build`,
    after `add_codes()`, and gives `begin_pass()`.

    Args:
      size: Number of data N. `None`: found when training begins, or weights are loaded.
      latent_dim: Number of latent dimensions; the model fills it in.
      seed: Seed of the initial codes, drawn from N(0, 1).
    """

    built: bool

    def __init__(
        self, size: int | None = None, *, latent_dim: int | None = None, seed: int = 0, **kwargs
    ):
        # Distances in half precision would reorder codes, so they stay float32 under
        # every policy.
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.size = None if size is None else check_count(size, "The codebook's size", 1)
        self.latent_dim = None if latent_dim is None else check_count(latent_dim, "latent_dim", 1)
        self.seed = check_seed(seed, "The codebook's seed")
        self._continue_pass = False
        self._model_ref: weakref.ref | None = None
        self.params: tuple[tuple[str, Any], ...] | None = None

    @property
    def code_dim(self) -> int | None:
        """Dimension of a code, `None` where it is not known yet."""
        return self.latent_dim

    # -- the layer ---------------------------------------------------------------------

    def resize(self, size: int) -> None:
        """Give a codebook without a size its size, and draw its codes.

        Args:
          size: Number of data N.

        Raises:
          UserError: If it already has another size.
        """
        if self.size is not None and self.size != size:
            change = (
                f"memorize the {size - self.size} new images first, by model.memorize(images)"
                if size > self.size
                else "name the rows that are gone, by model.forget(rows)"
            )
            raise UserError(
                f"The codebook holds {self.size} codes but this data set has {size} images: if "
                f"it is the same one, {change}; begin anew on other data by model.forget()."
            )
        self.size = int(size)
        if not self.built:
            self.build()

    def remake(self, codes: np.ndarray | None) -> None:
        """Give the codebook other rows than it has; what it knows of a pass is forgotten.

        A model must afterwards drop what it has compiled; `model.memorize` and `model.forget` do.

        Args:
          codes: float32 `[N, code_dim]`, the codes of the new rows; `None` for a codebook
            without a size, as before any training.
        """
        if self.built:
            drop_weights(self)
            self.built = False
        self.size = None if codes is None else len(codes)
        if codes is not None:
            self.build()
            self.codes.assign(codes)

    def build_if_known(self) -> None:
        """Build the weights if the size and the dimension of the codes are known."""
        if not self.built and self.size is not None and self.code_dim is not None:
            self.build()

    def add_codes(self) -> None:
        """Add the weight `codes`, float32 `[N, code_dim]`."""
        if self.size is None:
            raise UserError(
                f"The codebook has no size yet: call fit first, or give "
                f"{type(self).__name__}(size=...)."
            )

        def initial_codes(shape, dtype=None):
            # Algorithm 1 of the ACN paper: "c(x) ~ N(0, 1)".
            return tf.random.stateless_normal(shape, [self.seed, 0x636F6465], dtype=dtype)

        self.codes = self.add_weight(
            name="codes",
            shape=(self.size, self.code_dim),
            initializer=initial_codes,
            trainable=False,
        )

    def require_codes(self) -> None:
        """Raise `UserError` if the codebook has no codes yet."""
        if not self.built:
            raise UserError("The codebook is empty: call fit first, or load a trained model.")

    def require_rows(self, index: np.ndarray) -> None:
        """Raise `UserError` unless the codebook has all of the rows `index` `[B]`."""
        if self.size is None:
            raise UserError(
                f"The codebook has no size yet: call fit first, or give "
                f"{type(self).__name__}(size=...)."
            )
        if len(index) and not 0 <= index.min() <= index.max() < self.size:
            raise UserError(
                f"The rows run from {index.min()} to {index.max()}, and the codebook has the rows "
                f"0 to {self.size - 1}."
            )

    def write(self, index: tf.Tensor, code: tf.Tensor) -> None:
        """Write codes into the codebook.

        Args:
          index: int32 `[B]`, rows.
          code: float32 `[B, d]`.
        """
        self.require_codes()
        index = tf.cast(index, tf.int32)
        here(self.codes).scatter_nd_update(index[:, None], tf.cast(code, tf.float32))

    def gather(self, index: tf.Tensor) -> tf.Tensor:
        """Return the codes `[..., d]` in the rows `index` `[...]`, zeros for row -1."""
        code = tf.gather(self.codes.value, tf.maximum(index, 0))
        return tf.where((index >= 0)[..., None], code, 0.0)

    def load_own_variables(self, store: Any) -> None:
        """Load the weights, as Keras does; a codebook without a size takes the file's."""
        # The codes are the first weight; a file from before a training has none.
        size = store["0"].shape[0] if "0" in store.keys() else None
        if self.size is None and self.code_dim is not None and size is not None:
            self.resize(size)
        elif self.built and self.size != size:
            raise UserError(
                f"The codebook holds the codes of {self.size} data, which the file does not "
                "have: load the weights of a training on these data, or first call "
                "model.forget(), after which the codebook takes the size of the file."
            )
        super().load_own_variables(store)

    def __dir__(self) -> list[str]:
        # Keras saves and loads what it finds by dir(layer). The model, which a callback has
        # as an attribute, holds this layer itself, so that Keras would go round in circles.
        return [name for name in super().__dir__() if name != "model"]

    # -- the callback ------------------------------------------------------------------

    @property
    def model(self) -> keras.Model | None:
        """The model that is being trained, as every Keras callback has it."""
        return None if self._model_ref is None else self._model_ref()

    def set_model(self, model: keras.Model) -> None:
        # A weak reference: Keras would track a model assigned to a layer as a sub-layer,
        # and the model already holds this one.
        self._model_ref = weakref.ref(model)

    def set_params(self, params: dict | None) -> None:
        self.params = None if params is None else tuple(params.items())

    def on_train_begin(self, logs=None):
        self.build_if_known()
        self.require_codes()

    def on_epoch_begin(self, epoch, logs=None):
        if self._continue_pass:
            self._continue_pass = False
        else:
            self.begin_pass()

    def on_epoch_end(self, epoch, logs=None):
        require_finite(self.codes.value)

    def begin_pass(self) -> None:
        """Start a new pass over the data."""

    def continue_pass(self) -> None:
        """Make the next epoch go on with the present pass, as a resumed run must."""
        self._continue_pass = True

    # -- configuration -----------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "size": self.size,
            "latent_dim": self.latent_dim,
            "seed": self.seed,
        }
