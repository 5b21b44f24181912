"""What a run's figures are drawn from: its images, codes and dreams, each made once."""

import functools

import numpy as np

from keras_acn._base.errors import UserError

COUNT = 10
STEPS = 20
DREAMS = 4


class Subject:
    """A run, and what several of its figures share.

    Args:
      run: The `Run`.
      split: Which part of the data the images are of; test where there is one.
      seed: Seed of the choice of images and of all that is sampled.
      dims: The two latents to traverse, `None` for the two that vary most.
    """

    def __init__(self, run, split=None, seed=0, dims=None):
        self.run = run
        self.split = split
        self.seed = seed
        self.dims = dims

    @property
    def model(self):
        return self.run.model

    @functools.cached_property
    def history(self):
        """The history's columns, blanks as NaN; empty where there is none."""
        return columns(self.run)

    @functools.cached_property
    def images(self):
        """`(pixels, labels)` of the split."""
        return choose_split(self.run.data, self.split)[1].arrays()

    @functools.cached_property
    def chosen(self):
        """A few of the images."""
        pixels = self.images[0]
        rows = np.sort(np.random.default_rng(self.seed).permutation(len(pixels))[:COUNT])
        return pixels[rows]

    @functools.cached_property
    def codes(self):
        """The codes of all images, [N, d]."""
        return self.model.codes(self.images[0])

    @functools.cached_property
    def dreams(self):
        """Frames of daydreams from a few of the images."""
        return self.model.daydream(self.chosen[:DREAMS], steps=STEPS, seed=self.seed)

    @property
    def draws_only(self):
        """Whether the decoder has no mean image, so that one is drawn from it."""
        return getattr(self.model.decoder, "is_autoregressive", False)

    def decode(self, z):
        """Returns an image for each code, [B, H, W, C]: the mean where there is one."""
        image = self.model.decode(z)
        if self.draws_only:
            return image.sample(seed=np.array([self.seed, 3], np.int32)).numpy()
        return image.mean().numpy()


def columns(run):
    """Returns a run's history as columns, blanks as NaN; empty where there is none."""
    history = run.history
    names = dict.fromkeys(name for row in history for name in row)
    return {name: [row.get(name, np.nan) for row in history] for name in names}


def choose_split(data, name):
    """Returns `(name, ImageSet)`: the split asked for, or the one furthest from training.

    Raises:
      UserError: If the data have no such split.
    """
    splits = {each: getattr(data, each) for each in ("test", "validation", "train")}
    there = [each for each, images in splits.items() if images is not None]
    if name is not None and name not in there:
        raise UserError(f"{data.name} has no {name} split: there is {', '.join(there)}.")
    name = name or there[0]
    return name, splits[name]
