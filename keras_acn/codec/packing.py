"""Images to a file that needs nothing else: a model is trained on them, and goes with them."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import pathlib
import time
from typing import Any

import keras
import numpy as np

from keras_acn._base.checks import check_flag, check_number
from keras_acn._base.errors import UserError
from keras_acn._base.progress import Progress
from keras_acn._base.reading import require_memory
from keras_acn._base.shell import expanded
from keras_acn.codec.api import Compressed, compress
from keras_acn.codec.embedded import WEIGHT_BITS
from keras_acn.codec.inputs import Treated
from keras_acn.codec.recipe import pack_model
from keras_acn.codec.rivals import Rival, rivals, table
from keras_acn.codec.values import PixelValues
from keras_acn.data.readers.base import ArraySource, Source
from keras_acn.models import VAE, LatentModel, PiecewiseLinear
from keras_acn.models.sizes import count_weights, decoder_of, encoder_of, largest, pays

BATCH = 64
LEARNING_RATE, WARMUP = 3e-3, 0.02
# Steps over which the weight of the KL rises, so that the latents come to be used.
KL_STEPS, KL_FROM = 1000, 0.1
# What they take tells whether an autoregressive decoder pays.
FIRST_STEPS = 12
# A weight for so many values: what it costs is to come back. A value of 8 bits tells more.
VALUES_PER_WEIGHT = {2: 150, 256: 40}
# Images on which the bits of a weight are chosen.
SAMPLE = 1024


class PackedImages(Compressed):
    """An `.acn` file that `pack` made: as `Compressed`, and what else there is to tell.

    Attributes:
      model: The model as it was chosen, in words.
      steps: Training steps.
      weight_bits: Bits of a weight in the file.
      rivals: What general-purpose compressors make of the images, the smallest first.

    Example:
      See `pack`.
    """

    model: str
    steps: int
    weight_bits: int
    rivals: list[Rival]

    def to_text(self) -> str:
        """Return what there is to tell, in lines."""
        chosen = f"model    {self.model}; {self.steps:,} steps, {self.weight_bits} bits a weight"
        against = table(self.rivals, self.report.file_bytes)
        return f"{chosen}\n{self.report.to_text()}\n\n{against}"

    def to_dict(self) -> dict[str, Any]:
        """Return what there is to tell, as JSON can write it."""
        return {
            **self.report.to_dict(),
            "model": self.model,
            "steps": self.steps,
            "weight_bits": self.weight_bits,
            "rivals": [dataclasses.asdict(rival) for rival in self.rivals],
        }


def pack(
    images: np.ndarray | Source,
    file: str | os.PathLike | None = None,
    *,
    minutes: float = 5.0,
    mode: str = "set",
    keep_order: bool = False,
    binarize: str = "none",
    threshold: float = 0.5,
    seed: int = 0,
    crop: int | tuple[int, int] | None = None,
    resize: int | tuple[int, int] | None = None,
    grey: bool = False,
    limit: int | None = None,
    progress: Progress | None = None,
) -> PackedImages:
    """Train a small model on images, and write both into one file, which needs nothing else.

    The model's size follows from how much there is to compress, its output family from the
    images: black and white, or 8 bits. Its decoder is a PixelCNN that goes by blocks of pixels
    where its first steps show that the time is enough for it, and a feed-forward one otherwise.
    How many bits a weight gets is what makes the file smallest. The file is always decoded and
    compared before it appears.

    Args:
      images: `[N, H, W]` or `[N, H, W, C]`, or a source of them, from `open_input`.
      file: Path to write to; by default the bytes are returned.
      minutes: Time for training. Compiling comes before it, coding and comparing after it.
      mode: `"set"` or `"stream"`, see `compress`.
      keep_order: In the mode `"set"`, whether the order is stored too.
      binarize: See `compress`.
      threshold: See `compress`.
      seed: Of the initial weights and the order of training, and of `binarize="static"`.
      crop: See `compress`.
      resize: See `compress`.
      grey: See `compress`.
      limit: See `compress`.
      progress: Called with what is done, and how much there is to do.

    Returns:
      The bytes with their `report` and the `rivals`; without the bytes where there is a `file`.

    Raises:
      UserError: If there is nothing to compress, or an option is not as described.

    Example:
      >>> data = pack(images, "images.acn", minutes=5)  # doctest: +SKIP
      >>> print(data.to_text())  # doctest: +SKIP
      >>> keras_acn.decompress("images.acn")  # doctest: +SKIP
    """
    minutes = check_number(
        minutes, "minutes", "the time for training, more than 0", lambda number: 0 < number < 1e5
    )
    if mode not in ("set", "stream"):
        raise UserError(f'pack() takes the mode "set" or "stream", not {mode!r}.')
    if check_flag(keep_order, "keep_order") and mode == "stream":
        raise UserError('The mode "stream" keeps the order anyway: leave keep_order out.')
    if file is not None:
        # Said before the training, not after it.
        folder = pathlib.Path(expanded(file)).absolute().parent
        if os.path.isdir(expanded(file)):
            raise UserError(f"{file} is a folder: give the path of a file to write.")
        if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
            raise UserError(
                f"{file} cannot be written, as there is no folder {folder} to write to: choose "
                "another place."
            )
    source = images if isinstance(images, Source) else ArraySource(np.asarray(images))
    source = Treated(source, binarize, threshold, seed, crop, resize, grey, limit)
    levels, array = read_levels(source)
    if not len(array):
        raise UserError("There are no images to pack: give some.")
    stages = _Share(progress, len(array))
    model, steps = train(array, levels, 60 * minutes, seed, stages.training)
    bits = choose_bits(model, array, levels)
    data = compress(
        source,
        model,
        file,
        mode=mode,
        keep_order=keep_order,
        embed_model=True,
        weight_bits=bits,
        verify=True,
        progress=stages.coding,
    )
    packed = PackedImages(data)
    packed.report, packed.file = data.report, data.file
    packed.model, packed.steps, packed.weight_bits = described(model), steps, bits
    packed.rivals = rivals(array, levels, ordered=keep_order or mode == "stream")
    return packed


def read_levels(source: Source) -> tuple[int, np.ndarray]:
    """Return `(levels, images)`: 2 where all pixels are black or white, else 256; and uint8.

    Raises:
      UserError: If the numbers are no pixels.
    """
    require_memory(math.prod(source.shape), f"The images of {source.name}")
    for levels in (2, 256):
        values = PixelValues.of(source.scan(), source.dtype, levels, source.scale)
        try:
            blocks = [values.to_levels(block) for block in source.scan()]
        except UserError:
            if levels == 256:
                raise
            continue
        shape = source.shape if len(source.shape) == 4 else (*source.shape, 1)
        empty = np.zeros((0, *shape[1:]), np.uint8)
        return levels, np.concatenate([empty, *(each.reshape(-1, *shape[1:]) for each in blocks)])
    raise AssertionError("one of them returns or raises")


def train(
    images: np.ndarray, levels: int, seconds: float, seed: int, progress: Progress | None = None
) -> tuple[LatentModel, int]:
    """Return a model trained on images, and the steps that it had.

    Args:
      images: Levels, uint8 `[N, H, W, C]`.
      levels: 2 or 256.
      seconds: Time for it.
      seed: Of the weights and the order.
      progress: Called with the thousandths of the time that are over, and 1000.
    """
    wanted = images.size / VALUES_PER_WEIGHT[levels]
    pixels = images * np.uint8(255 // (levels - 1))
    for autoregressive in (True, False):
        make = functools.partial(
            _model, images.shape[1:], levels, autoregressive=autoregressive, seed=seed
        )
        _, model = largest(make, wanted)
        rate = keras.optimizers.Adam(LEARNING_RATE, clipnorm=5.0)
        model.compile(rate, jit_compile=False)
        clock = _Clock(seconds, progress, FIRST_STEPS if autoregressive else None)
        model.fit(
            pixels,
            batch_size=min(BATCH, len(images)),
            epochs=10**6,
            verbose=0,
            callbacks=[clock],
        )
        if not clock.too_slow:
            break
        seconds = max(1.0, clock.left())
    return model, clock.steps


def choose_bits(model: LatentModel, images: np.ndarray, levels: int) -> int:
    """Return the bits of a weight that make model and images shortest together.

    What the images cost is measured on a sample of them, with the weights rounded; the model
    keeps its weights.

    Args:
      model: A trained model.
      images: Levels, uint8 `[N, H, W, C]`.
      levels: 2 or 256.
    """
    rows = np.random.default_rng(0).permutation(len(images))[:SAMPLE]
    sample = images[rows] * np.uint8(255 // (levels - 1))
    parts = model.parts().values()
    before = [part.get_weights() for part in parts]
    lengths = {}
    try:
        for bits in WEIGHT_BITS:
            packed, rounded = pack_model(model, codes=False, bits=bits)
            for part, other in zip(parts, rounded.parts().values(), strict=True):
                part.set_weights(other.get_weights())
            nats = model.evaluate(sample, batch_size=128, verbose=0, return_dict=True)
            images_bytes = len(images) * nats["total_nats"] / (8 * math.log(2))
            lengths[bits] = len(packed.to_bytes()) + images_bytes
            for part, weights in zip(parts, before, strict=True):
                part.set_weights(weights)
    finally:
        for part, weights in zip(parts, before, strict=True):
            part.set_weights(weights)
    finite = {bits: length for bits, length in lengths.items() if math.isfinite(length)}
    if not finite:
        raise UserError("The model's training came to no numbers: give other images or a seed.")
    return min(finite, key=lambda bits: finite[bits])


def described(model: LatentModel) -> str:
    """Return a model in a few words."""
    decoder = type(model.decoder).__name__
    if model.decoder.is_autoregressive:
        side = model.decoder.block
        decoder += f" by blocks of {side} x {side}" if side > 1 else " by single pixels"
    return f"{type(model).__name__} with a {decoder}, {count_weights(model):,} weights"


def _model(shape, levels, size, *, autoregressive, seed):
    return VAE(
        tuple(int(side) for side in shape),
        size.latent_dim,
        encoder={**encoder_of(size), "variance": "learned"},
        decoder=decoder_of(size, shape, levels, autoregressive=autoregressive),
        beta=PiecewiseLinear([0, KL_STEPS], [KL_FROM, 1.0]),
        seed=seed,
    )


class _Clock(keras.callbacks.Callback):
    """End a training when its time is over, and lower the learning rate towards then."""

    def __init__(self, seconds, progress, first_steps):
        super().__init__()
        self.steps, self.too_slow = 0, False
        self._seconds, self._progress, self._first_steps = seconds, progress, first_steps
        self._began = time.monotonic()

    def left(self):
        """Return the seconds that are left."""
        return self._began + self._seconds - time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == 1:
            # The first one compiles: that takes as long whatever the time is.
            self._began = time.monotonic()
        if self.steps == self._first_steps:
            each = (self._seconds - self.left()) / (self.steps - 1)
            self.too_slow = not pays(self._seconds, each)
        left = self.left()
        share = min(1.0, max(0.0, 1 - left / self._seconds))
        rate = min(1.0, max(share, 0.01) / WARMUP) * 0.5 * (1 + math.cos(math.pi * share))
        self.model.optimizer.learning_rate.assign(LEARNING_RATE * rate)
        if self._progress is not None:
            self._progress(round(1000 * share), 1000)
        if left <= 0 or self.too_slow:
            # What is too slow by its first steps leaves the rest of the time to the other.
            self.model.stop_training = True


class _Share:
    """The progress of training, and of coding the images after it, as one."""

    def __init__(self, progress, count):
        self._progress, self._count = progress, max(1, count)

    def training(self, done, total):
        self._tell(done / total / 2)

    def coding(self, done, total):
        self._tell(0.5 + done / max(1, total) / 2)

    def _tell(self, share):
        if self._progress is not None:
            self._progress(round(1000 * share), 1000)
