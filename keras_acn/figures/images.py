"""Figures of what a model makes of images: rebuilt, drawn, dreamt."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_acn import plots
from keras_acn.figures.subject import COUNT, Subject

# Images drawn from one code, and images of a class that new ones are drawn like.
DRAWS = 5


def reconstructions(subject: Subject) -> Any:
    """Images over their reconstructions."""
    chosen = subject.chosen
    return plots.comparison(chosen, subject.model.reconstruct(chosen, seed=subject.seed))


def many_from_one_code(subject: Subject) -> Any:
    """Images that one code stands for: drawn from it, or means at draws of the posterior."""
    model, chosen = subject.model, subject.chosen
    seeds = range(subject.seed, subject.seed + DRAWS)
    if model.is_deterministic:
        return None
    if model.class_dim is not None:  # the code of an image's class
        each = [model.generate_like(image[None], DRAWS, subject.seed) for image in chosen]
        drawn = list(np.stack(each, axis=1))
    elif subject.draws_only:
        drawn = [model.reconstruct(chosen, seed=seed) for seed in seeds]
    else:
        q = model.encode(chosen)
        drawn = [subject.decode(q.sample(seed=np.array([seed, 0], np.int32))) for seed in seeds]
    return plots.comparison(chosen, np.stack(drawn))


def members(subject: Subject) -> Any:
    """New members of each class, by a few of its images."""
    pixels, labels = subject.images
    if subject.model.class_dim is None or labels is None:
        return None
    classes = np.unique(labels)[:COUNT]
    given = [pixels[np.flatnonzero(labels == each)[:DRAWS]] for each in classes]
    drawn = [subject.model.generate_like(images, 10, subject.seed) for images in given]
    return plots.members_picture(given, drawn, names=subject.class_words(classes))


def samples(subject: Subject) -> Any:
    """Samples from the prior."""
    return plots.samples(subject.model.sample(64, seed=subject.seed))


def daydream(subject: Subject) -> Any:
    """Daydreams from a few images, as strips."""
    return plots.strip(subject.dreams) if _has_associations(subject) else None


def daydream_grid(subject: Subject) -> Any:
    """Every step of one daydream."""
    return plots.daydream_grid(subject.dreams[:, 0]) if _has_associations(subject) else None


def daydream_movie(subject: Subject) -> Any:
    """The daydreams, moving."""
    return plots.daydream_gif(subject.dreams) if _has_associations(subject) else None


def _has_associations(subject: Subject) -> bool:
    """Whether the prior depends on the image; else a dream is one sample after another."""
    return subject.model.codebook is not None or subject.model.class_dim is not None
