"""What figures are drawn from: a run's or a model's images, codes and dreams, each made once."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_acn import data as data_lib
from keras_acn._base import lazy
from keras_acn._base.checks import check_seed
from keras_acn._base.errors import UserError
from keras_acn.data.image_set import UnitRows
from keras_acn.experiment.folder import Run, open_run

if TYPE_CHECKING:
    from keras_acn.models import LatentModel

    # A run, what `open_run` takes, or a model.
    Source = Run | str | os.PathLike | LatentModel
else:
    Source = Any

snapshots = lazy.module("keras_acn.experiment.snapshots")

COUNT = 10
STEPS = 20
DREAMS = 4


class Subject:
    """A run or a model, and what several of its figures share.

    Args:
      of: The run, what `open_run` takes, or a model.
      data: The images; see `keras_acn.figures.draw`.
      split: Which part of the data the images are of; test where there is one.
      seed: Seed of the choice of images and of all that is sampled.
      dims: The two latents to traverse, `None` for the two that vary most.
    """

    def __init__(
        self,
        of: Source,
        *,
        data: Any = None,
        split: str | None = None,
        seed: int = 0,
        dims: tuple[int, int] | None = None,
    ):
        if isinstance(of, (str, os.PathLike)):
            of = open_run(of)
        self.run = of if isinstance(of, Run) else None
        self._model: Any = None if isinstance(of, Run) else of
        self._data = data
        self.split = split
        self.seed = check_seed(seed)
        self.dims = dims

    @property
    def name(self) -> str:
        """What an error calls it."""
        return "The model" if self.run is None else str(self.run.path)

    def titled(self, what: str) -> str:
        """Return a figure's title: what it shows, after the name of the run where there is one."""
        return what if self.run is None else f"{self.run.path.name}: {what}"

    @property
    def model(self) -> LatentModel:
        """The model."""
        return self._model if self.run is None else self.run.model

    @functools.cached_property
    def history(self) -> Mapping[str, Sequence[float]]:
        """The history's columns, blanks as NaN; empty where there is none."""
        if self.run is not None:
            return columns(self.run.history)
        # Keras keeps that of the last `fit` on the model.
        fitted = getattr(self.model, "history", None)
        return {} if fitted is None else fitted.history

    @property
    def epochs(self) -> int:
        """The number of rows of the history."""
        return max(map(len, self.history.values()), default=0)

    @functools.cached_property
    def _sets(self) -> tuple[data_lib.ImageSet, data_lib.ImageSet]:
        """The images that the figures are of, and those the model was trained on, if known."""
        data = self._data
        if data is None:
            if self.run is None:
                raise UserError("A model's figures are of images: give data=images.")
            data = self.run.data
        if isinstance(data, data_lib.Data):
            return choose_split(data, self.split)[1], data.train
        if not isinstance(data, data_lib.ImageSet):
            data = data_lib.from_arrays(*(data if isinstance(data, tuple) else (data, None)))
        return data, data if self.run is None else self.run.data.train

    @functools.cached_property
    def images(self) -> tuple[np.ndarray, np.ndarray | None]:
        """`(pixels, labels)` of the images."""
        return self._sets[0].arrays()

    @property
    def classes(self) -> np.ndarray | None:
        """The class of each image, by its name where it has one."""
        return self._sets[0].class_words()

    def class_words(self, labels: np.ndarray) -> list[str]:
        """What labels are called: by their names where they have names."""
        return [str(word) for word in np.asarray(self._sets[0].class_words(labels))]

    @property
    def training_images(self) -> UnitRows:
        """The pixels of the training images, or of those given for a model, by rows."""
        return self._sets[1].unit_rows()

    @property
    def order(self) -> np.ndarray:
        """The rows of the images in a random order."""
        return np.random.default_rng(self.seed).permutation(len(self.images[0]))

    @functools.cached_property
    def chosen(self) -> np.ndarray:
        """A few of the images."""
        return self.images[0][np.sort(self.order[:COUNT])]

    @property
    def chosen_classes(self) -> np.ndarray | None:
        """The class of each of them, by its name where it has one."""
        classes = self.classes
        return None if classes is None else classes[np.sort(self.order[:COUNT])]

    @property
    def training_classes(self) -> np.ndarray | None:
        """The class of each training image, likewise."""
        return self._sets[1].class_words()

    @functools.cached_property
    def codes(self) -> np.ndarray:
        """The codes of all images, [N, d]."""
        return self.model.codes(self.images[0])

    @functools.cached_property
    def dreams(self) -> np.ndarray:
        """Frames of daydreams from a few of the images."""
        return self.model.daydream(self.chosen[:DREAMS], steps=STEPS, seed=self.seed)

    @property
    def frames(self) -> tuple[list[dict[str, Any]], np.ndarray | None]:
        """`(frames, labels)` of the training's movie that a run has kept."""
        if self.run is None:
            return [], None
        return snapshots.read_snapshots(self.run.folder / snapshots.SNAPSHOTS)

    @property
    def draws_only(self) -> bool:
        """Whether the decoder has no mean image, so that one is drawn from it."""
        return self.model.decoder.is_autoregressive

    def decode(self, z: Any) -> np.ndarray:
        """Return an image for each code, [B, H, W, C]: the mean where there is one."""
        image = self.model.decode(z)
        if self.draws_only:
            return image.sample(seed=np.array([self.seed, 3], np.int32)).numpy()
        return image.mean().numpy()


def columns(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Return the rows of a history as columns, blanks as NaN; empty where there are none."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name, np.nan) for row in rows] for name in names}


def choose_split(data: data_lib.Data, name: str | None) -> tuple[str, data_lib.ImageSet]:
    """Return `(name, ImageSet)`: the split asked for, or the one furthest from training.

    Raises:
      UserError: If the data have no such split.
    """
    splits = {each: getattr(data, each) for each in ("test", "validation", "train")}
    there = [each for each, images in splits.items() if images is not None]
    if name is not None and name not in there:
        raise UserError(f"{data.name} has no {name} split: there is {', '.join(there)}.")
    name = name or there[0]
    return name, splits[name]
