"""A run's figures: which there are, what each needs, and drawing them to files."""

from keras_acn import plots
from keras_acn._base.errors import UserError, unknown_name
from keras_acn.figures import codes as of_codes
from keras_acn.figures import images as of_images
from keras_acn.figures import training as of_training
from keras_acn.figures.subject import Subject, columns

DPI = 110

# Every figure's name, and what it needs where not every run has it.
FIGURES = {
    "loss": (of_training.loss, "it needs a history"),
    "loss-log-log": (of_training.loss_log_log, "it needs a history of two epochs"),
    "gradients": (of_training.gradients, "it needs the gradient's columns, which a VHE logs"),
    "reconstructions": (of_images.reconstructions, ""),
    "many-from-one-code": (of_images.many_from_one_code, "it needs codes that are random"),
    "members": (of_images.members, "it needs a VHE, and labels"),
    "samples": (of_images.samples, ""),
    "codes": (of_codes.codes, "it needs two latents and three images"),
    "codes-tsne": (of_codes.codes_tsne, "it needs three latents and five images"),
    "codes-images": (of_codes.codes_images, "it needs two latents and three images"),
    "latent-grid": (of_codes.latent_grid, "it needs a model of two latents; see traversal"),
    "traversal": (of_codes.traversal, "it needs three latents; see latent-grid"),
    "neighbors": (of_codes.neighbors, "it needs a codebook of the run's training images"),
    "daydream": (of_images.daydream, "it needs an ACN or a VHE"),
    "daydream-grid": (of_images.daydream_grid, "it needs an ACN or a VHE"),
    "daydream-movie": (of_images.daydream_movie, "it needs an ACN or a VHE"),
    "movie": (of_training.movie, "it needs the frames that keras-acn train --movie keeps"),
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
    from keras_acn._base.atomic import make_folder

    make_folder(folder)
    if hasattr(figure, "save_helper"):  # a plotnine chart
        path = folder / f"{name}.png"
        figure.save(path, dpi=DPI, verbose=False)
    else:
        path = folder / f"{name}{video if hasattr(figure, 'frames') else '.png'}"
        figure.save(path)
    return path
