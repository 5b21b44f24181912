"""Figures of a model's codes: where they lie, what lies between them, what lies near."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_acn import plots
from keras_acn.figures.subject import Subject

NEIGHBORS = 8
# The most points of a t-SNE, which takes a second for a hundred.
TSNE_POINTS = 1000


def codes(subject: Subject) -> Any:
    """The codes of the images by class, on their principal components."""
    if not _is_a_plane(subject):
        return None
    return plots.scatter(subject.codes, subject.classes, seed=subject.seed)


def codes_tsne(subject: Subject) -> Any:
    """The same by t-SNE."""
    if not _is_a_plane(subject) or subject.codes.shape[1] == 2 or len(subject.codes) < 5:
        return None
    classes = subject.classes
    return plots.scatter(subject.codes, classes, "tsne", limit=TSNE_POINTS, seed=subject.seed)


def codes_images(subject: Subject) -> Any:
    """The images themselves where their codes are."""
    if not _is_a_plane(subject):
        return None
    return plots.image_scatter(subject.codes, subject.images[0], subject.classes, seed=subject.seed)


def _is_a_plane(subject: Subject) -> bool:
    return len(subject.images[0]) > 2 and subject.codes.shape[1] > 1


def latent_grid(subject: Subject) -> Any:
    """Images decoded from a grid of the plane of two latents."""
    if subject.codes.shape[1] != 2:
        return None
    low, high = np.percentile(subject.codes, [1, 99])
    n = 10 if subject.draws_only else 20
    return plots.latents.grid(subject.decode, 2, n=n, span=(min(low, -0.1), max(high, 0.1)))


def traversal(subject: Subject) -> Any:
    """Two latents moved about the mean code: those named, or the two that vary most."""
    codes = subject.codes
    if codes.shape[1] < 2:
        return None
    dims: Sequence[int] | None = subject.dims
    if dims is None:
        if codes.shape[1] == 2:
            return None  # the grid shows it
        dims = tuple(int(d) for d in np.sort(np.argsort(-codes.std(axis=0), kind="stable")[:2]))
    known = [d for d in dims if 0 <= d < codes.shape[1]]
    span = 2 * max(float(codes[:, known].std(axis=0).max()) if known else 1.0, 0.05)
    return plots.traversal(subject.decode, codes.mean(axis=0), dims, 10, span)


def neighbors(subject: Subject) -> Any:
    """Images beside the training images whose codes are nearest."""
    model = subject.model
    if model.codebook is None:
        return None
    train = subject.training_images
    if len(train) != model.codebook.size:
        return None
    count = min(NEIGHBORS, model.codebook.size)
    distance, index = model.neighbors(subject.chosen, k=count)
    return plots.neighbors_picture(subject.chosen, train[index], distance)
