"""A run's figures: which there are, what each needs, and drawing them to files."""

import numpy as np

from keras_acn import plots
from keras_acn._errors import UserError, unknown_name
from keras_acn.cli.subject import COUNT, Subject, columns

NEIGHBORS = 8
# Images drawn from one code, and images of a class that new ones are drawn like.
DRAWS = 5
DPI = 110
# The most frames of a movie, and points of a t-SNE, which takes a second for a hundred.
FRAMES, TSNE_POINTS = 60, 1000


def _loss(subject):
    return plots.loss_terms(subject.history, log=False) if subject.history else None


def _loss_log_log(subject):
    return plots.loss_terms(subject.history) if len(subject.run.history) > 1 else None


def _gradients(subject):
    from keras_acn.plots.gradients import GRADIENTS

    if not set(GRADIENTS) <= set(subject.history):
        return None
    return plots.gradient_curves(subject.history)


def _reconstructions(subject):
    chosen = subject.chosen
    return plots.comparison(chosen, subject.model.reconstruct(chosen, seed=subject.seed))


def _many_from_one_code(subject):
    """Images that one code stands for: drawn from it, or means at draws of the posterior."""
    model, chosen = subject.model, subject.chosen
    seeds = range(subject.seed, subject.seed + DRAWS)
    if getattr(model, "is_deterministic", False):
        return None
    if hasattr(model, "generate_like"):  # the code of an image's class
        each = [model.generate_like(image[None], DRAWS, subject.seed) for image in chosen]
        drawn = np.stack(each, axis=1)
    elif subject.draws_only:
        drawn = [model.reconstruct(chosen, seed=seed) for seed in seeds]
    else:
        q = model.encode(chosen)
        drawn = [subject.decode(q.sample(seed=np.array([seed, 0], np.int32))) for seed in seeds]
    return plots.comparison(chosen, np.stack(drawn))


def _members(subject):
    """New members of each class, by a few of its images."""
    pixels, labels = subject.images
    if not hasattr(subject.model, "generate_like") or labels is None:
        return None
    classes = np.unique(labels)[:COUNT]
    given = [pixels[np.flatnonzero(labels == each)[:DRAWS]] for each in classes]
    drawn = [subject.model.generate_like(images, 10, subject.seed) for images in given]
    return plots.members_picture(given, drawn)


def _samples(subject):
    return plots.samples(subject.model.sample(64, seed=subject.seed))


def _codes(subject):
    if not _is_a_plane(subject):
        return None
    return plots.scatter(subject.codes, subject.images[1], seed=subject.seed)


def _codes_tsne(subject):
    if not _is_a_plane(subject) or subject.codes.shape[1] == 2 or len(subject.codes) < 5:
        return None
    labels = subject.images[1]
    return plots.scatter(subject.codes, labels, "tsne", limit=TSNE_POINTS, seed=subject.seed)


def _codes_images(subject):
    if not _is_a_plane(subject):
        return None
    return plots.image_scatter(subject.codes, *subject.images, seed=subject.seed)


def _is_a_plane(subject):
    return len(subject.images[0]) > 2 and subject.codes.shape[1] > 1


def _latent_grid(subject):
    if subject.codes.shape[1] != 2:
        return None
    low, high = np.percentile(subject.codes, [1, 99])
    n = 10 if subject.draws_only else 20
    return plots.latents.grid(subject.decode, 2, n=n, span=(min(low, -0.1), max(high, 0.1)))


def _traversal(subject):
    """Two latents moved about the mean code: those named, or the two that vary most."""
    codes = subject.codes
    if codes.shape[1] < 2:
        return None
    dims = subject.dims
    if dims is None:
        if codes.shape[1] == 2:
            return None  # the grid shows it
        dims = tuple(int(d) for d in np.sort(np.argsort(-codes.std(axis=0), kind="stable")[:2]))
    known = [d for d in dims if 0 <= d < codes.shape[1]]
    span = 2 * max(float(codes[:, known].std(axis=0).max()) if known else 1.0, 0.05)
    return plots.traversal(subject.decode, codes.mean(axis=0), dims, 10, span)


def _neighbors(subject):
    model = subject.model
    if not hasattr(model, "neighbors"):
        return None
    train = subject.run.data.train.arrays()[0]
    if len(train) != model.codebook.size:
        return None
    count = min(NEIGHBORS, model.codebook.size)
    distance, index = model.neighbors(subject.chosen, k=count)
    return plots.neighbors_picture(subject.chosen, train[index], distance)


def _daydream(subject):
    return plots.strip(subject.dreams) if _has_associations(subject) else None


def _daydream_grid(subject):
    return plots.daydream_grid(subject.dreams[:, 0]) if _has_associations(subject) else None


def _daydream_movie(subject):
    return plots.daydream_gif(subject.dreams) if _has_associations(subject) else None


def _has_associations(subject):
    """Whether the prior depends on the image; else a dream is one sample after another."""
    return any(hasattr(subject.model, name) for name in ("codebook", "generate_like"))


def _movie(subject):
    from keras_acn.experiment.snapshots import SNAPSHOTS, read_snapshots

    frames, labels = read_snapshots(subject.run.folder / SNAPSHOTS)
    if not frames or frames[0]["codes"].shape[1] < 2:
        return None
    shown = np.unique(np.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).round().astype(int))
    return plots.training_movie([frames[i] for i in shown], labels)


# Every figure's name, and what it needs where not every run has it.
FIGURES = {
    "loss": (_loss, "it needs a history"),
    "loss-log-log": (_loss_log_log, "it needs a history of two epochs"),
    "gradients": (_gradients, "it needs the gradient's columns, which a VHE logs"),
    "reconstructions": (_reconstructions, ""),
    "many-from-one-code": (_many_from_one_code, "it needs a code that is not an image's own"),
    "members": (_members, "it needs a VHE, and labels"),
    "samples": (_samples, ""),
    "codes": (_codes, "it needs two latents and three images"),
    "codes-tsne": (_codes_tsne, "it needs three latents and five images"),
    "codes-images": (_codes_images, "it needs two latents and three images"),
    "latent-grid": (_latent_grid, "it needs a model of two latents; see traversal"),
    "traversal": (_traversal, "it needs three latents; see latent-grid"),
    "neighbors": (_neighbors, "it needs a codebook of the run's training images"),
    "daydream": (_daydream, "it needs an ACN or a VHE"),
    "daydream-grid": (_daydream_grid, "it needs an ACN or a VHE"),
    "daydream-movie": (_daydream_movie, "it needs an ACN or a VHE"),
    "movie": (_movie, "it needs the frames that keras-acn train --movie keeps"),
}
# These take longer than a short training.
SLOW = ("codes-tsne",)


def draw(run, folder, split=None, seed=0, *, only=(), leave_out=(), dims=None, video=".gif"):
    """Draws the figures of a run into a folder and returns their paths.

    Args:
      run: The `Run`.
      folder: A `pathlib.Path`, made where it is missing.
      split: Which part of the data the images are of; test where there is one.
      seed: Seed of the choice of images and of all that is sampled.
      only: Names of the figures to draw; all that apply where there are none.
      leave_out: Names of figures not to draw.
      dims: The two latents to traverse, `None` for the two that vary most.
      video: The ending of moving pictures, `".gif"` or `".mp4"`.

    Raises:
      UserError: If a name is unknown, or what was named cannot be drawn.
    """
    for name in only:
        if name not in FIGURES:
            raise unknown_name("figure", name, FIGURES)
    subject = Subject(run, split, seed, dims)
    names = [n for n in FIGURES if (n in only or not only) and n not in leave_out]
    paths = []
    for name in names:
        function, needs = FIGURES[name]
        figure = function(subject)
        if figure is not None:
            paths.append(save(figure, folder, name, video))
        elif only:
            raise UserError(f"{run.path} has no figure {name}: {needs}.")
    return paths


def compare(runs, folder, metrics=()):
    """Draws the loss curves of several runs, each in one chart, and returns their paths.

    Args:
      runs: The `Run`s.
      folder: A `pathlib.Path`, made where it is missing.
      metrics: Columns of the histories to draw too, such as `"kl_nats"`.
    """
    names = [str(run.path.name) for run in runs]
    if len(set(names)) < len(names):
        names = [str(run.path) for run in runs]
    histories = {name: columns(run) for name, run in zip(names, runs, strict=True)}
    for name, history in histories.items():
        if not history:
            raise UserError(f"{name} has no history, so there is no curve to draw of it.")
    figures = {}
    if len(runs) > 1:
        figures["compared-loss"] = plots.loss_curves(histories, "loss")
        terms = ("total_nats", "reconstruction_nats", "kl_nats")
        figures["compared-terms"] = plots.loss_curves(histories, terms)
    if metrics:
        name = f"{'compared-' if len(runs) > 1 else ''}metrics"
        figures[name] = plots.loss_curves(histories, metrics)
    return [save(figure, folder, name) for name, figure in figures.items()]


def save(figure, folder, name, video=".gif"):
    """Writes a chart, a picture or an animation, and returns the path."""
    from keras_acn.experiment.files import make_folder

    make_folder(folder)
    if hasattr(figure, "save_helper"):  # a plotnine chart
        path = folder / f"{name}.png"
        figure.save(path, dpi=DPI, verbose=False)
    else:
        path = folder / f"{name}{video if hasattr(figure, 'frames') else '.png'}"
        figure.save(path)
    return path
