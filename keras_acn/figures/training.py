"""Figures of how a run went: its losses, its gradients, its movie."""

import numpy as np

from keras_acn import plots

# The most frames of a movie.
FRAMES = 60


def loss(subject):
    """Total, reconstruction and KL against epochs."""
    return plots.loss_terms(subject.history, log=False) if subject.history else None


def loss_log_log(subject):
    """The same on log-log axes."""
    return plots.loss_terms(subject.history) if len(subject.run.history) > 1 else None


def gradients(subject):
    """The shares of the loss gradient through z and c, and their ratio."""
    from keras_acn.plots.curves import GRADIENTS

    if not set(GRADIENTS) <= set(subject.history):
        return None
    return plots.gradient_curves(subject.history)


def movie(subject):
    """Reconstructions and codes, a frame for each snapshot that training kept."""
    from keras_acn.experiment.snapshots import SNAPSHOTS, read_snapshots

    frames, labels = read_snapshots(subject.run.folder / SNAPSHOTS)
    if not frames or frames[0]["codes"].shape[1] < 2:
        return None
    shown = np.unique(np.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).round().astype(int))
    return plots.training_movie([frames[i] for i in shown], labels)
