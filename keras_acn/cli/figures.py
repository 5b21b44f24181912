"""A run's figures: which there are, and what each is drawn from."""

import numpy as np

from keras_acn import plots
from keras_acn.cli.options import choose_split

COUNT = 10
NEIGHBORS = 8
STEPS = 20
DPI = 110


def draw(run, folder, split=None, seed=0):
    """Draws the figures of a run into a folder and returns their paths.

    Args:
      run: The `Run`.
      folder: A `pathlib.Path`, made where it is missing.
      split: Which part of the data the images are of; test where there is one.
      seed: Seed of the choice of images and of all that is sampled.
    """
    from keras_acn.experiment.files import make_folder

    # What the user may have to mend comes before the folder is made.
    figures = _curves(run)
    _, images = choose_split(run.data, split)
    make_folder(folder)
    pixels, labels = images.arrays()
    rows = np.sort(np.random.default_rng(seed).permutation(len(pixels))[:COUNT])
    figures |= _images(run, pixels[rows], seed)
    if len(pixels) > 2:
        figures["codes"] = plots.scatter(run.model.codes(pixels), labels, seed=seed)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        if hasattr(figure, "save_helper"):  # a plotnine chart
            figure.save(paths[-1], dpi=DPI, verbose=False)
        else:
            figure.save(paths[-1])
    return paths


def _curves(run):
    history = run.history
    if not history:
        return {}
    table = {name: [row.get(name, np.nan) for row in history] for name in history[-1]}
    figures = {"loss": plots.loss_terms(table, log=False)}
    if len(history) > 1:
        figures["loss-log-log"] = plots.loss_terms(table, log=True)
    return figures


def _images(run, chosen, seed):
    model = run.model
    figures = {
        "reconstructions": plots.comparison(chosen, model.reconstruct(chosen, seed=seed)),
        "samples": plots.samples(model.sample(64, seed=seed)),
    }
    if hasattr(model, "codebook"):
        count = min(NEIGHBORS, model.codebook.size)
        distance, index = model.neighbors(chosen, k=count)
        train = run.data.train.arrays()[0]
        if len(train) == model.codebook.size:
            figures["neighbors"] = plots.neighbors_picture(chosen, train[index], distance)
        frames = model.daydream(chosen[:4], steps=STEPS, seed=seed)
        figures["daydream"] = plots.strip(frames)
    return figures
