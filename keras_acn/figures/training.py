"""Figures of how a run went: its losses, its gradients, its movie."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_acn import plots
from keras_acn.figures.subject import Subject
from keras_acn.plots.curves import GRADIENTS

# The most frames of a movie.
FRAMES = 60


def loss(subject: Subject) -> Any:
    """Total, reconstruction and KL against epochs."""
    return plots.loss_terms(subject.history, log=False) if subject.history else None


def loss_log_log(subject: Subject) -> Any:
    """The same on log-log axes."""
    return plots.loss_terms(subject.history) if subject.epochs > 1 else None


def gradients(subject: Subject) -> Any:
    """The shares of the loss gradient through z and c, and their ratio."""
    if not set(GRADIENTS) <= set(subject.history):
        return None
    return plots.gradient_curves(subject.history)


def movie(subject: Subject) -> Any:
    """Reconstructions and codes, a frame for each snapshot that training kept."""
    frames, labels = subject.frames
    if not frames or frames[0]["codes"].shape[1] < 2:
        return None
    shown = np.unique(np.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).round().astype(int))
    return plots.training_movie([frames[i] for i in shown], labels)
