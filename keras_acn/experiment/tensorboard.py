"""What TensorBoard shows: scalars and images of each epoch, and the codes at the end."""

from __future__ import annotations

import importlib.util
import math
import pathlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from keras_acn._base.atomic import check_folder, make_folder, replacing, write_text, writing

if TYPE_CHECKING:
    from keras_acn.data import ImageSet
    from keras_acn.models import LatentModel

# The run that the images and the projector's files are in, under a run folder's tensorboard/.
IMAGES = "images"
# A sprite may have 8,192 pixels a side; more codes than these make the projector slow.
MOST_CODES, SPRITE = 5000, 8192
_KEPT = "What TensorBoard had so far is kept."
_CONFIG = """embeddings {{
  tensor_name: "codes"
  tensor_path: "codes.tsv"
  metadata_path: "labels.tsv"
  sprite {{
    image_path: "sprite.png"
    single_image_dim: {width}
    single_image_dim: {height}
  }}
}}
"""


def installed() -> bool:
    """Return whether TensorBoard is there to be written for."""
    return importlib.util.find_spec("tensorboard") is not None


class Scalars(keras.callbacks.TensorBoard):
    """Keras's own callback; costs of the test split, where they are measured, are a run `test`.

    They lie over those of `train` in the same charts, as those of `validation` do.

    Args:
      folder: A run folder's `tensorboard/`.
    """

    def __init__(self, folder: pathlib.Path):
        super().__init__(folder, write_graph=False)
        self._test = None

    def on_train_begin(self, logs=None):
        # TensorFlow does not say which file is in the way.
        check_folder(self.log_dir, "move it away")
        with writing(self.log_dir, _KEPT):
            super().on_train_begin(logs)

    def on_train_batch_end(self, batch, logs=None):
        # Keras asks for a summary of each cost after each batch, though nothing is written before
        # an epoch ends.
        pass

    def on_epoch_end(self, epoch, logs=None):
        with writing(self.log_dir, _KEPT):
            self._write(epoch, logs)

    def _write(self, epoch, logs):
        # TensorFlow keeps 0.6 kB of each number of Python's that it has seen, and none of NumPy's.
        logs = {key: np.asarray(value, np.float32) for key, value in (logs or {}).items()}
        test = {k.removeprefix("test_"): v for k, v in logs.items() if k.startswith("test_")}
        super().on_epoch_end(epoch, {k: v for k, v in logs.items() if not k.startswith("test_")})
        if not test:
            return
        if self._test is None:
            self._test = tf.summary.create_file_writer(str(pathlib.Path(self.log_dir) / "test"))
        with self._test.as_default(step=epoch):
            for name, value in test.items():
                tf.summary.scalar(f"epoch_{name}", value)
        self._test.flush()

    def on_train_end(self, logs=None):
        with writing(self.log_dir, _KEPT):
            super().on_train_end(logs)
            if self._test is not None:
                self._test.close()
                self._test = None


class TensorBoardImages(keras.callbacks.Callback):
    """Write originals over reconstructions, and samples, as image summaries each epoch.

    Args:
      folder: A run folder's `tensorboard/`, a `pathlib.Path`.
      images: The images to reconstruct, [N, H, W, C] with float values in [0, 1].
      seed: Seed of all that is sampled.
    """

    def __init__(self, folder: pathlib.Path, images: np.ndarray, seed: int = 0):
        super().__init__()
        self.folder = folder
        self.images = images
        self.seed = seed
        self._writer = None

    def on_epoch_end(self, epoch, logs=None):
        with writing(self.folder, _KEPT):
            self._write(epoch)

    def _write(self, epoch):
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self.folder / IMAGES))
        model, count = self.model, len(self.images)
        rows = {
            "reconstructions": [self.images, model.reconstruct(self.images, seed=self.seed)],
            "samples": [model.sample(count, seed=self.seed)],
        }
        with self._writer.as_default(step=epoch):
            for name, images in rows.items():
                tf.summary.image(name, tiled(images)[None])
        self._writer.flush()

    def on_train_end(self, logs=None):
        with writing(self.folder, _KEPT):
            if self._writer is not None:
                self._writer.close()
                self._writer = None


def tiled(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Return rows of images [N, H, W, C] as one image, the pixels of small ones repeated."""
    image = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    times = max(1, round(56 / rows[0].shape[1]))
    return np.clip(image, 0, 1).repeat(times, axis=0).repeat(times, axis=1)


def write_projector(
    folder: pathlib.Path,
    codes: np.ndarray,
    images: np.ndarray,
    labels: np.ndarray | None = None,
) -> None:
    """Write codes, labels and a sprite where `tensorboard --logdir RUN` finds them.

    Args:
      folder: A run folder's `tensorboard/`, a `pathlib.Path`.
      codes: float [N, d].
      images: float [N, H, W, C] in [0, 1], the image of each code.
      labels: Class of each, [N], numbers or names, or `None`.
    """
    where = folder / IMAGES
    make_folder(where)
    write_text(where / "codes.tsv", _lines("\t".join(f"{v:.6g}" for v in row) for row in codes))
    # Of one column the projector wants no header; the index tells points apart.
    names = range(len(codes)) if labels is None else labels
    # A tab or a line's end in a name would begin another cell.
    write_text(where / "labels.tsv", _lines(" ".join(str(name).split()) for name in names))
    height, width = images.shape[1:3]
    side = math.ceil(math.sqrt(len(images)))
    blank = np.zeros((side * side - len(images), *images.shape[1:]), images.dtype)
    cells = np.concatenate([images, blank]).reshape(side, side, *images.shape[1:])
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in cells])
    pixels = np.round(np.clip(sheet, 0, 1) * 255).astype(np.uint8)
    with replacing(where / "sprite.png") as temporary:
        temporary.write_bytes(tf.io.encode_png(pixels).numpy())
    write_text(where / "projector_config.pbtxt", _CONFIG.format(width=width, height=height))


def write_codes(
    folder: pathlib.Path, model: LatentModel, images: ImageSet, *, seed: int = 0
) -> None:
    """Write the projector's files for the codes of (a random part of) an image set.

    Args:
      folder: A run folder's `tensorboard/`, a `pathlib.Path`.
      model: The model.
      images: A `keras_acn.data.ImageSet`, such as the training images, whose codes are the
        codebook.
      seed: Seed of the choice, where there are more than 5,000.
    """
    most = min(MOST_CODES, (SPRITE // max(images.image_shape[:2])) ** 2)
    rows = np.arange(len(images))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(len(rows), most, replace=False))
    classes = None if images.labels is None else images.class_words(images.labels[rows])
    pixels = images.unit_rows()[rows]
    write_projector(folder, model.codes(pixels), pixels, classes)


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
