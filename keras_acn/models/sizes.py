"""How large the networks of a model are to be: the sizes there are, and which one pays.

`keras_acn.codec.pack`, `keras_acn.experiment.auto` and `LatentModel.for_data` choose among them: by
how many pixels there are to learn from, and by how long a training step takes here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_acn.data.batches import Batches
from keras_acn.data.image_set import ImageSet

# Under an autoregressive decoder fewer steps than these don't pay: a feed-forward one is taken.
LEAST_STEPS = 800
# Steps that a measurement takes, after the first, which compiles.
MEASURED_STEPS = 8


@dataclasses.dataclass(frozen=True)
class Size:
    """How large the networks are: features, layers, filters of the encoder, latent dimensions."""

    filters: int
    layers: int
    encoder: tuple[int, ...]
    latent_dim: int


SIZES = (
    Size(8, 2, (4, 8), 2),
    Size(12, 3, (8, 16), 4),
    Size(16, 4, (8, 16), 4),
    Size(24, 4, (8, 16, 32), 8),
    Size(32, 5, (16, 32, 32), 8),
    Size(48, 6, (16, 32, 64), 12),
    Size(64, 6, (32, 64, 64), 16),
)


def encoder_of(size: Size, *, dense: int = 0) -> dict[str, Any]:
    """Return the options of the encoder of a size.

    Args:
      size: One of `SIZES`.
      dense: Units of a layer before the latents, 0 for none.
    """
    return {"name": "conv", "filters": list(size.encoder), "convolutions": 1, "dense": dense}


def decoder_of(
    size: Size, image_shape: tuple[int, ...], levels: int, *, autoregressive: bool
) -> dict[str, Any]:
    """Return the options of the decoder of a size.

    Args:
      size: One of `SIZES`.
      image_shape: `(H, W, C)`.
      levels: How many values a pixel can take: 2 for Bernoulli pixels, else 8 bits.
      autoregressive: Whether it is a PixelCNN, by blocks of 2 x 2 where the sides are even.

    Example:
      >>> decoder_of(SIZES[0], (8, 8, 1), 2, autoregressive=False)
      {'name': 'conv', 'filters': [16, 8], 'likelihood': 'bernoulli'}
    """
    likelihood: Any = "bernoulli"
    if levels > 2:
        likelihood = {"name": "discretized_logistic_mixture", "components": 5}
    decoder: dict[str, Any] = {"name": "conv", "filters": [2 * n for n in reversed(size.encoder)]}
    if autoregressive:
        decoder = {
            "name": "pixelcnn",
            "filters": size.filters,
            "layers": size.layers,
            "kernel_size": 3,
            "first_kernel_size": 5,
            "conditioning": "spatial",
            "map_filters": max(4, size.filters // 4),
            "block": 1 if image_shape[0] % 2 or image_shape[1] % 2 else 2,
        }
    return {**decoder, "likelihood": likelihood}


def largest(make: Callable[[Size], Any], weights: float) -> tuple[Size, Any]:
    """Return the largest size whose model has no more weights than wanted, and that model.

    Args:
      make: Returns the untrained model of a size.
      weights: So many at most; the smallest size is returned whatever it has.
    """
    for size in reversed(SIZES):
        model = make(size)
        if count_weights(model) <= weights:
            break
    return size, model


def count_weights(model: Any) -> int:
    """Return the weights of encoder, prior and decoder."""
    return sum(math.prod(w.shape) for part in model.parts().values() for w in part.weights)


def roughly(size: Size, image_shape: tuple[int, ...], *, autoregressive: bool, dense: int) -> int:
    """Return about how many weights encoder and decoder of a size have, without making them.

    Args:
      size: One of `SIZES`.
      image_shape: `(H, W, C)`.
      autoregressive: As for `decoder_of`.
      dense: As for `encoder_of`.
    """
    height, width, channels = image_shape
    widths = [channels, *size.encoder]
    kernels = sum(a * b for a, b in zip(widths[:-1], widths[1:], strict=True))
    small = -(-height // 2 ** len(size.encoder)) * -(-width // 2 ** len(size.encoder))
    encoder = 9 * kernels + small * size.encoder[-1] * dense
    if autoregressive:
        return encoder + 8 * size.layers * size.filters**2 + 8000 * channels
    # Twice the filters the other way round, 4 x 4 kernels, and one doubling less.
    return encoder + 64 * kernels + 8 * small * size.encoder[-1] * 16


def pays(seconds: float, seconds_per_step: float, least: int | None = None) -> bool:
    """Return whether an autoregressive decoder learns enough in so many seconds.

    Args:
      seconds: The time for training.
      seconds_per_step: What a step takes.
      least: Steps that it needs, by default `LEAST_STEPS`.
    """
    return seconds >= seconds_per_step * (LEAST_STEPS if least is None else least)


def seconds_per_step(model: Any, images: ImageSet, batch_size: int) -> float:
    """Return what a training step of a compiled model takes: the median of a few.

    The model is trained a little by it.

    Args:
      model: A compiled model.
      images: The training images.
      batch_size: Images of a step.
    """
    clock = _Steps()
    steps = 2 + MEASURED_STEPS
    passes = -(-steps // images.steps_per_epoch(batch_size))
    batches = Batches.of(images, batch_size, shuffle=True, epochs=passes, training=True)
    with contextlib.ExitStack() as quiet:
        # What is to be said of the data is said by the training itself.
        quiet.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        model.fit(batches, epochs=1, steps_per_epoch=steps, verbose=0, callbacks=[clock])
    return float(np.median(np.diff(clock.ends)[1:]))


class _Steps(keras.callbacks.Callback):
    """Notes when each step ends."""

    def __init__(self):
        super().__init__()
        self.ends: list[float] = []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(time.perf_counter())
