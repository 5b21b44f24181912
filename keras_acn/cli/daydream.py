"""keras-acn daydream: a GIF, a strip and a grid."""

import click

from keras_acn.cli.options import data_options, model_argument, seed_option, split_option
from keras_acn.cli.quiet import load_tensorflow


@click.command()
@model_argument
@data_options
@split_option
@seed_option
@click.option("--steps", type=click.IntRange(1), default=30, show_default=True, metavar="N")
@click.option(
    "--images",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    metavar="N",
    help="Number of images to begin from.",
)
@click.option(
    "--sample/--means",
    default=True,
    help="Draw latents and images, as in the paper; or follow the means.",
)
@click.option("--out", metavar="DIR", help="Where to write.  [default: MODEL/figures]")
def daydream(model, data, data_dir, split, seed, steps, images, sample, out):
    """Let MODEL daydream: from an image to what it is associated with, again and again.

    Writes daydream.gif, daydream.png (a strip for each image) and daydream-grid.png (every
    step of the first).

    MODEL is a run folder, a .keras file, or a folder or name under saved_models/.
    """
    import pathlib

    from keras_acn.experiment import open_run

    run = open_run(model)
    load_tensorflow()
    if data is not None or data_dir is not None:
        run.data = run.load_data(data, data_dir)
    folder = pathlib.Path(out) if out else run.folder / "figures"

    import numpy as np

    from keras_acn import plots
    from keras_acn._base.atomic import make_folder
    from keras_acn.figures.subject import choose_split

    make_folder(folder)
    pixels = choose_split(run.data, split)[1].arrays()[0]
    rows = np.random.default_rng(seed).permutation(len(pixels))[:images]
    frames = run.model.daydream(pixels[rows], steps=steps, sample=sample, seed=seed)
    for name, figure in (
        ("daydream.gif", plots.daydream_gif(frames)),
        ("daydream.png", plots.strip(frames)),
        ("daydream-grid.png", plots.daydream_grid(frames[:, 0])),
    ):
        figure.save(folder / name)
        click.echo(folder / name)
