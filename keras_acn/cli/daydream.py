"""keras-acn daydream: a GIF, a strip and a grid."""

import click

from keras_acn import experiment, figures
from keras_acn._base.atomic import check_folder
from keras_acn.cli import words
from keras_acn.cli.options import (
    chosen_data,
    count_option,
    data_options,
    memory_option,
    model_argument,
    seed_option,
    split_option,
    use_data,
)
from keras_acn.cli.output import load_tensorflow


@click.command()
@model_argument
@data_options
@split_option
@seed_option
@count_option("--steps", default=30, show_default=True)
@count_option("--images", default=4, show_default=True, help="Number of images to begin from.")
@click.option(
    "--sample/--means",
    default=True,
    help="Draw latents and images, as in the paper; or follow the means.",
)
@click.option(
    "--out", metavar="DIR", type=words.FOLDER, help="Where to write.  [default: MODEL/figures]"
)
@memory_option
def daydream(model, split, seed, steps, images, sample, out, **source):
    """Let MODEL daydream: from an image to what it is associated with, again and again.

    Writes daydream.gif, daydream.png (a strip for each image) and daydream-grid.png (every
    step of the first).

    MODEL is a run folder, a .keras file, or a folder or name under saved_models/.
    """
    run = experiment.open_run(model)
    folder = check_folder(out or run.folder / "figures")
    chosen = chosen_data(run, **source)
    load_tensorflow()
    use_data(run, chosen)
    drawn = figures.daydreams(
        run, split=split, seed=seed, images=images, steps=steps, sample=sample
    )
    for path in figures.save(drawn, folder):
        click.echo(path)
