"""What the training benchmarks share: models of the blog's sizes, and times taken in turn."""

import time

import numpy as np

from keras_acn import data as data_lib
from keras_acn.experiment import build
from keras_acn.experiment.config import load_config

MODELS = {
    "vae": ("blog-vae", {}),
    "exact": ("blog-acn", {"codebook.search": "exact"}),
    "graph": ("blog-acn", {"codebook.search": "graph"}),
    "exact unique": ("blog-acn", {"codebook.search": "exact", "codebook.unique": "true"}),
    "graph unique": ("blog-acn", {"codebook.search": "graph", "codebook.unique": "true"}),
}


def training_images(source, count=None, seed=0):
    """Returns an `ImageSet` of a data set's training images; noise where there is none.

    Args:
      source: As `--data` takes it, or `None` for noise of MNIST's size.
      count: How many images of noise, 60,000 by default.
      seed: Seed of the noise.
    """
    if source is None:
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (count or 60_000, 28, 28), np.uint8)
        return data_lib.from_arrays(images)
    return data_lib.load(source, limit=count, seed=seed).train


def model(name, images, batch_size, seed=0, **settings):
    """Returns one of `MODELS`, compiled for `images` as `keras-acn train` does."""
    preset, given = MODELS[name]
    given = {**given, **settings, "training.batch_size": batch_size, "seed": seed}
    config = load_config(preset, overrides=list(given.items()))
    return build.build_model(config, images.image_shape, len(images))


def in_turn(functions, turns):
    """Calls functions one after another, `turns` times over; returns their seconds.

    Args:
      functions: A dict of functions without arguments. One that returns seconds has timed
        itself.
      turns: How many times each is called.

    Returns:
      A dict of lists.
    """
    seconds = {name: [] for name in functions}
    for _ in range(turns):
        for name, function in functions.items():
            start = time.perf_counter()
            told = function()
            taken = time.perf_counter() - start
            seconds[name].append(taken if told is None else told)
    return seconds
