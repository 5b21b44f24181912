"""What the training movie shows, kept epoch by epoch: reconstructions and codes."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_acn._base.atomic import make_folder, replacing
from keras_acn._base.checks import check_count
from keras_acn._base.errors import NotFinite, UserError
from keras_acn._base.numpy_files import read_arrays

if TYPE_CHECKING:
    from keras_acn.data import ImageSet

SNAPSHOTS = "snapshots"
_ORIGINALS = "originals.npz"


class Snapshots(keras.callbacks.Callback):
    """A callback that keeps a snapshot of the model after every epoch.

    `keras_acn.plots.training_movie(snapshots.frames, snapshots.labels)` makes a movie of
    them. The first frame is the model before training.

    Args:
      images: What is encoded, [N, H, W, C]; the first `n` are reconstructed too.
      labels: Class of each image, [N], or `None`.
      n: Images to reconstruct.
      every: Epochs from one snapshot to the next.
      folder: Where to keep them, so that a training which goes on in another process adds to
        them; `None` keeps them in memory, those of the last `fit`.

    Attributes:
      frames: One dict for each snapshot, in order, with `epoch`, `originals` [n, H, W, C],
        `reconstructions` [n, H, W, C] and `codes` [N, d].
      labels: As given.

    Example:
      >>> import keras_acn
      >>> images = np.zeros((8, 4, 4, 1), "float32")
      >>> model = keras_acn.VAE((4, 4, 1), latent_dim=2)
      >>> model.compile("adam")
      >>> snapshots = keras_acn.Snapshots(images, n=2)
      >>> _ = model.fit(images, epochs=2, verbose=0, callbacks=[snapshots])
      >>> [(frame["epoch"], frame["codes"].shape) for frame in snapshots.frames]
      [(0, (8, 2)), (1, (8, 2)), (2, (8, 2))]
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray | None = None,
        n: int = 10,
        every: int = 1,
        folder: str | os.PathLike | None = None,
    ):
        super().__init__()
        images = np.asarray(images)
        if images.ndim != 4 or not len(images):
            raise UserError(
                f"Snapshots need images [N, H, W, C], at least one, not {list(images.shape)}."
            )
        if labels is not None and len(labels) != len(images):
            raise UserError(
                f"There are {len(labels)} labels for {len(images)} images: give one for each."
            )
        self.images = images
        self.labels = labels
        self.n = check_count(n, "n", 1)
        self.every = check_count(every, "every", 1)
        self.folder = folder if folder is None else pathlib.Path(folder)
        self._kept: dict[int, dict[str, Any]] = {}

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [self._kept[epoch] for epoch in sorted(self._kept)]

    def on_train_begin(self, logs=None):
        self._kept = {}
        if self.folder is not None:
            make_folder(self.folder)
            self._write(_ORIGINALS, originals=self.images[: self.n], labels=self._label_array())
            self._kept = {frame["epoch"]: frame for frame in _frames(self.folder)}
        if not self._kept:
            self._take(0)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            self._take(epoch + 1)

    def _take(self, epoch):
        rebuilt = self.model.reconstruct(self.images[: self.n])
        codes = self.model.codes(self.images)
        if not (np.isfinite(rebuilt).all() and np.isfinite(codes).all()):
            raise NotFinite(None, [f"what the model makes of images after epoch {epoch}"])
        self._kept[epoch] = {
            "epoch": epoch,
            "originals": self.images[: self.n],
            "reconstructions": rebuilt,
            "codes": codes,
        }
        if self.folder is not None:
            pixels = np.round(np.clip(rebuilt, 0, 1) * 255).astype(np.uint8)
            self._write(f"{epoch:06d}.npz", reconstructions=pixels, codes=codes)

    def _label_array(self):
        return np.zeros(0) if self.labels is None else np.asarray(self.labels)

    def _write(self, name, **arrays):
        with replacing(self.folder / name) as temporary:
            np.savez_compressed(temporary, **arrays)


def chosen_images(
    images: ImageSet, seed: int, most: int = 1000
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return `(pixels, classes)` of a random part of an image set, the same for a seed.

    Args:
      images: A `keras_acn.data.ImageSet`.
      seed: Seed of the choice.
      most: How many, if there are as many.
    """
    rows = np.random.default_rng(seed).permutation(len(images))[:most]
    classes = images.class_words()
    return images.unit_rows()[rows], None if classes is None else classes[rows]


def read_snapshots(
    folder: str | os.PathLike,
) -> tuple[list[dict[str, Any]], np.ndarray | None]:
    """Return `(frames, labels)` that a `Snapshots` callback kept in a folder.

    The reconstructions come back as uint8. Labels are `None` where there were none.

    Raises:
      UserError: If a file is damaged.
    """
    folder = pathlib.Path(folder)
    if not (folder / _ORIGINALS).exists():
        return [], None
    labels = _arrays(folder / _ORIGINALS, originals=4, labels=1)["labels"]
    return _frames(folder), labels if len(labels) else None


def _frames(folder: pathlib.Path) -> list[dict[str, Any]]:
    originals = _arrays(folder / _ORIGINALS, originals=4, labels=1)["originals"]
    frames: list[dict[str, Any]] = []
    for path in sorted(folder.glob("[0-9]*.npz")):
        if not path.stem.isdecimal():
            continue  # somebody's copy
        arrays = _arrays(path, reconstructions=4, codes=2)
        codes = frames[0]["codes"].shape if frames else arrays["codes"].shape
        if arrays["reconstructions"].shape != originals.shape or arrays["codes"].shape != codes:
            raise _damaged(path)
        frames.append({"epoch": int(path.stem), "originals": originals, **arrays})
    return frames


def _arrays(path: pathlib.Path, **axes: int) -> dict[str, np.ndarray]:
    """Return the arrays of a file, which must be these, with so many axes each."""
    try:
        arrays = read_arrays(path)
        if {name: array.ndim for name, array in arrays.items()} != axes:
            raise ValueError("They are no arrays of a snapshot.")
        for name, array in arrays.items():
            if name != "labels" and not (array.dtype.kind in "biuf" and np.isfinite(array).all()):
                raise ValueError("They are no numbers.")
        return arrays
    except UserError:
        raise
    except Exception as error:
        # Damaged archives raise errors of zipfile's, zlib's and NumPy's.
        raise _damaged(path) from error


def _damaged(path: pathlib.Path) -> UserError:
    return UserError(f"The snapshot {path} is damaged: delete it.")
