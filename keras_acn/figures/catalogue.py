"""Which figures there are of a run or a model, what each needs, and drawing and saving them."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from keras_acn import plots
from keras_acn._base.atomic import make_folder, replacing
from keras_acn._base.errors import UserError, unknown_name
from keras_acn._base.shell import expanded
from keras_acn.experiment.folder import Run, open_run
from keras_acn.figures import drawings
from keras_acn.figures.subject import Source, Subject, columns

# A plotnine chart, a `keras_acn.plots.Picture` or a `keras_acn.plots.Animation`.
Figure = Any

DPI = 110

# Every figure's name, and what it needs where not every run has it.
FIGURES = {
    "loss": (drawings.loss, "it needs a history"),
    "loss-log-log": (drawings.loss_log_log, "it needs a history of two epochs"),
    "gradients": (drawings.gradients, "it needs the gradient's columns, which a VHE logs"),
    "reconstructions": (drawings.reconstructions, ""),
    "many-from-one-code": (drawings.many_from_one_code, "it needs codes that are random"),
    "members": (drawings.members, "it needs a VHE, and labels"),
    "samples": (drawings.samples, ""),
    "codes": (drawings.codes, "it needs two latents and three images"),
    "codes-tsne": (drawings.codes_tsne, "it needs three latents and five images"),
    "codes-images": (drawings.codes_images, "it needs two latents and three images"),
    "latent-grid": (drawings.latent_grid, "it needs a model of two latents; see traversal"),
    "traversal": (drawings.traversal, "it needs three latents; see latent-grid"),
    "neighbors": (drawings.neighbors, "it needs a codebook of the run's training images"),
    "daydream": (drawings.daydream, "it needs an ACN or a VHE"),
    "daydream-grid": (drawings.daydream_grid, "it needs an ACN or a VHE"),
    "daydream-movie": (drawings.daydream_movie, "it needs an ACN or a VHE"),
    "movie": (drawings.movie, "it needs the frames that keras-acn train --movie keeps"),
}
# These take longer than a short training.
SLOW = ("codes-tsne",)


def draw(
    run: Source,
    names: Sequence[str] = (),
    *,
    data: Any = None,
    split: str | None = None,
    seed: int = 0,
    leave_out: Sequence[str] = (),
    dims: tuple[int, int] | None = None,
) -> dict[str, Figure]:
    """Draw the figures of a run or of a model, all that apply or those that are named.

    Args:
      run: A `keras_acn.experiment.Run`, what `open_run` takes, or a model. A model that was just
        fitted has its losses too.
      names: Keys of `FIGURES`.
      data: The images that the figures are of: an array `[N, H, W, C]`, `(images, labels)`, an
        `ImageSet` or a `Data`. A run has its own; a model needs them.
      split: Which part of a `Data` is used, by default the test split where there is one.
      seed: Seed of the choice of images and of all that is sampled.
      leave_out: Names of figures not to draw.
      dims: The two latents to traverse, by default the two that vary most.

    Returns:
      `{name: figure}`: plotnine charts, `Picture`s and `Animation`s, in the order of `FIGURES`.

    Raises:
      UserError: If a name is unknown, or what was named cannot be drawn.
    """
    names, leave_out = ([one] if isinstance(one, str) else one for one in (names, leave_out))
    for name in (*names, *leave_out):
        if name not in FIGURES:
            raise unknown_name("figure", name, FIGURES)
    subject = Subject(run, data=data, split=split, seed=seed, dims=dims)
    drawn = {}
    for name, (function, needs) in FIGURES.items():
        if name in leave_out or (names and name not in names):
            continue
        figure = function(subject)
        if figure is not None:
            drawn[name] = figure
        elif names:
            raise UserError(f"{subject.name} has no figure {name}: {needs}.")
    return drawn


def compare(
    runs: Sequence[Run | str | os.PathLike], metrics: Sequence[str] = ()
) -> dict[str, Figure]:
    """Draw the loss curves of several runs, all of them in each chart.

    Args:
      runs: The runs, or what `open_run` takes.
      metrics: Columns of the histories to draw too, such as `"kl_nats"`.

    Raises:
      UserError: If a run has no history, or not these columns.
    """
    opened = [run if isinstance(run, Run) else open_run(run) for run in runs]
    names = [run.path.name for run in opened]
    if len(set(names)) < len(names):
        names = [str(run.path) for run in opened]
    histories = {name: columns(run.history) for name, run in zip(names, opened, strict=True)}
    for name, history in histories.items():
        if not history:
            raise UserError(f"{name} has no history, so there is no curve to draw of it.")
    drawn = {}
    if len(opened) > 1:
        drawn["compared-loss"] = plots.loss_curves(histories, "loss")
        terms = ("total_nats", "reconstruction_nats", "kl_nats")
        drawn["compared-terms"] = plots.loss_curves(histories, terms)
    if metrics:
        name = f"{'compared-' if len(opened) > 1 else ''}metrics"
        drawn[name] = plots.loss_curves(histories, metrics)
    return drawn


def daydreams(
    run: Source,
    *,
    data: Any = None,
    split: str | None = None,
    seed: int = 0,
    images: int = 4,
    steps: int = 30,
    sample: bool = True,
) -> dict[str, Figure]:
    """Draw daydreams: from an image to what it is associated with, again and again.

    Args:
      run: As for `draw`.
      data: Likewise.
      split: Likewise.
      seed: Seed of the choice of images and of all that is drawn.
      images: How many images to begin from.
      steps: How many steps to take.
      sample: Whether to draw latents and images, as in the paper; the means are followed
        otherwise.

    Returns:
      The dreams moving, as a strip for each image, and every step of the first one.
    """
    subject = Subject(run, data=data, split=split, seed=seed)
    rows = subject.order[:images]
    frames = subject.model.daydream(subject.images[0][rows], steps=steps, sample=sample, seed=seed)
    return {
        "daydream.gif": plots.daydream_gif(frames),
        "daydream.png": plots.strip(frames, title=subject.titled("daydreams")),
        "daydream-grid.png": plots.daydream_grid(frames[:, 0], title=subject.titled("a daydream")),
    }


def save(
    figures: Mapping[str, Figure], folder: str | os.PathLike, *, video: str = ".gif"
) -> list[pathlib.Path]:
    """Write figures to files of their names, each in one step, and return the paths.

    Args:
      figures: `{name: figure}`. A name may have its suffix.
      folder: Where to write, made where it is missing.
      video: The suffix of moving pictures, `".gif"` or `".mp4"`.
    """
    folder = pathlib.Path(expanded(folder))
    make_folder(folder)
    paths = []
    for name, figure in figures.items():
        suffix = video if isinstance(figure, plots.Animation) else ".png"
        path = folder / (name if name.endswith((".png", ".gif")) else f"{name}{suffix}")
        with replacing(path) as temporary:
            if isinstance(figure, (plots.Animation, plots.Picture)):
                figure.save(temporary)
            else:
                figure.save(temporary, dpi=DPI, verbose=False)
        paths.append(path)
    return paths
