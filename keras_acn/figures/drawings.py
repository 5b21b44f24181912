"""The figures of a run or a model, each a function of a `Subject`; `None` where it has no such."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_acn import plots
from keras_acn.figures.subject import COUNT, Subject
from keras_acn.plots.curves import GRADIENTS

# The most frames of a movie.
FRAMES = 60
# Images drawn from one code, and images of a class that new ones are drawn like.
DRAWS = 5
NEIGHBORS = 8
# The most points of a t-SNE, which takes a second for a hundred.
TSNE_POINTS = 1000

# -- how the training went -------------------------------------------------------------


def loss(subject: Subject) -> Any:
    """Total, reconstruction and KL against epochs."""
    if not subject.history:
        return None
    return plots.loss_terms(subject.history, log=False, title=subject.titled("losses"))


def loss_log_log(subject: Subject) -> Any:
    """The same on log-log axes."""
    if subject.epochs < 2:
        return None
    return plots.loss_terms(subject.history, title=subject.titled("losses"))


def gradients(subject: Subject) -> Any:
    """The shares of the loss gradient through z and c, and their ratio."""
    if not set(GRADIENTS) <= set(subject.history):
        return None
    return plots.gradient_curves(subject.history, title=subject.titled("gradients"))


def movie(subject: Subject) -> Any:
    """Reconstructions and codes, a frame for each snapshot that training kept."""
    frames, labels = subject.frames
    if not frames or frames[0]["codes"].shape[1] < 2:
        return None
    shown = np.unique(np.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).round().astype(int))
    return plots.training_movie([frames[i] for i in shown], labels)


# -- what the model makes of images: rebuilt, drawn, dreamt ----------------------------


def reconstructions(subject: Subject) -> Any:
    """Images over their reconstructions."""
    chosen = subject.chosen
    rebuilt = subject.model.reconstruct(chosen, seed=subject.seed)
    return plots.comparison(chosen, rebuilt, title=subject.titled("reconstructions"))


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
    title = subject.titled("many images from one code")
    return plots.comparison(chosen, np.stack(drawn), title=title)


def members(subject: Subject) -> Any:
    """New members of each class, by a few of its images."""
    pixels, labels = subject.images
    if subject.model.class_dim is None or labels is None:
        return None
    classes = np.unique(labels)[:COUNT]
    given = [pixels[np.flatnonzero(labels == each)[:DRAWS]] for each in classes]
    drawn = [subject.model.generate_like(images, 10, subject.seed) for images in given]
    title = subject.titled("new members of each class")
    return plots.members_picture(given, drawn, names=subject.class_words(classes), title=title)


def samples(subject: Subject) -> Any:
    """Samples from the prior."""
    drawn = subject.model.sample(64, seed=subject.seed)
    return plots.samples(drawn, title=subject.titled("samples from the prior"))


def daydream(subject: Subject) -> Any:
    """Daydreams from a few images, as strips."""
    if not _has_associations(subject):
        return None
    return plots.strip(subject.dreams, title=subject.titled("daydreams"))


def daydream_grid(subject: Subject) -> Any:
    """Every step of one daydream."""
    if not _has_associations(subject):
        return None
    return plots.daydream_grid(subject.dreams[:, 0], title=subject.titled("a daydream"))


def daydream_movie(subject: Subject) -> Any:
    """The daydreams, moving."""
    return plots.daydream_gif(subject.dreams) if _has_associations(subject) else None


def _has_associations(subject: Subject) -> bool:
    """Whether the prior depends on the image; else a dream is one sample after another."""
    return subject.model.codebook is not None or subject.model.class_dim is not None


# -- the codes: where they lie, what lies between them, what lies near -----------------


def codes(subject: Subject) -> Any:
    """The codes of the images by class, on their principal components."""
    if not _is_a_plane(subject):
        return None
    title = subject.titled("codes")
    return plots.scatter(subject.codes, subject.classes, seed=subject.seed, title=title)


def codes_tsne(subject: Subject) -> Any:
    """The same by t-SNE."""
    if not _is_a_plane(subject) or subject.codes.shape[1] == 2 or len(subject.codes) < 5:
        return None
    options: dict[str, Any] = {"limit": TSNE_POINTS, "seed": subject.seed}
    title = subject.titled("codes")
    return plots.scatter(subject.codes, subject.classes, "tsne", title=title, **options)


def codes_images(subject: Subject) -> Any:
    """The images themselves where their codes are."""
    if not _is_a_plane(subject):
        return None
    title = subject.titled("images at the places of their codes")
    options: dict[str, Any] = {"seed": subject.seed, "title": title}
    return plots.image_scatter(subject.codes, subject.images[0], subject.classes, **options)


def _is_a_plane(subject: Subject) -> bool:
    return len(subject.images[0]) > 2 and subject.codes.shape[1] > 1


def latent_grid(subject: Subject) -> Any:
    """Images decoded from a grid of the plane of two latents."""
    if subject.codes.shape[1] != 2:
        return None
    low, high = np.percentile(subject.codes, [1, 99])
    n = 10 if subject.draws_only else 20
    title = subject.titled("images decoded from the plane of the latents")
    span = (min(low, -0.1), max(high, 0.1))
    return plots.latents.grid(subject.decode, 2, n=n, span=span, title=title)


def traversal(subject: Subject) -> Any:
    """Two latents moved about the mean code: those named, or the two that vary most."""
    # In float32 the squares of what is far out would overflow.
    codes = subject.codes.astype(np.float64)
    if codes.shape[1] < 2:
        return None
    dims: Sequence[int] | None = subject.dims
    if dims is None:
        if codes.shape[1] == 2:
            return None  # the grid shows it
        dims = tuple(int(d) for d in np.sort(np.argsort(-codes.std(axis=0), kind="stable")[:2]))
    known = [d for d in dims if 0 <= d < codes.shape[1]]
    span = 2 * max(float(codes[:, known].std(axis=0).max()) if known else 1.0, 0.05)
    title = subject.titled("images decoded around the mean code")
    return plots.traversal(subject.decode, codes.mean(axis=0), dims, 10, span, title=title)


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
    own, others = subject.chosen_classes, subject.training_classes
    names = None
    if own is not None and others is not None:
        names = (own, others[index])
    title = subject.titled("the training images whose codes are nearest")
    return plots.neighbors_picture(
        subject.chosen, train[index], distance, class_names=names, title=title
    )
