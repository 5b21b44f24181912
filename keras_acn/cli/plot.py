"""keras-acn plot: a trained model's figures."""

import pathlib

import click

from keras_acn import experiment, figures
from keras_acn._base.atomic import check_folder
from keras_acn._base.errors import UserError, unknown_name
from keras_acn.cli import words
from keras_acn.cli.options import (
    chosen_data,
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
@click.option(
    "--out", metavar="DIR", type=words.FOLDER, help="Where to write.  [default: MODEL/figures]"
)
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    type=words.FIGURE,
    help="Draw this one; may be repeated.",
)
@click.option(
    "--compare",
    multiple=True,
    metavar="RUN",
    type=words.MODEL,
    help="Draw the loss curves of MODEL and RUN in one chart, only these; may be repeated.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="COLUMN",
    help="Draw this column of history.csv, only this; may be repeated.",
)
@click.option(
    "--dims", nargs=2, type=click.IntRange(0), metavar="I J", help="The two latents to traverse."
)
@click.option("--mp4", is_flag=True, help="Write moving pictures as MP4 instead of GIF.")
@memory_option
def plot(model, split, seed, out, only, compare, metrics, dims, mp4, **source):
    """Draw the figures of MODEL: losses, images, codes, dreams; all that apply.

    \b
    keras-acn plot runs/first
    keras-acn plot runs/first --only traversal --dims 3 7
    keras-acn plot runs/acn --compare runs/vae
    keras-acn plot runs/vhe --metric kl_nats --metric learning_rate

    MODEL is a run folder, a .keras file, or a folder or name under saved_models/. Given the
    folder of a sweep, the figures that compare its runs are drawn again.
    """
    run = None if experiment.sweep.is_sweep(model) else experiment.open_run(model)
    own = pathlib.Path(model) if run is None else run.folder
    folder = check_folder(out or own / "figures")
    if run is None:
        if any((*source.values(), split, only, compare, metrics, dims, mp4)):
            raise UserError(
                f"{model} holds a sweep, for which only --out and --seed are: for the figures of "
                "one of its runs, name the run's folder in it."
            )
        load_tensorflow()
        drawn = figures.draw_sweep(model, seed=seed)
        if not drawn:
            raise UserError(
                f"{model} has no finished run to draw: go on with it by keras-acn sweep."
            )
    elif compare or metrics:
        if only:
            raise UserError("--only is for the figures of one run: leave out --compare, --metric.")
        drawn = figures.compare([run, *map(experiment.open_run, compare)], metrics)
    else:
        for name in only:
            if name not in figures.FIGURES:
                raise unknown_name("figure", name, figures.FIGURES)
        chosen = chosen_data(run, **source)
        load_tensorflow()
        use_data(run, chosen)
        drawn = figures.draw(run, only, split=split, seed=seed, dims=dims or None)
    for path in figures.save(drawn, folder, video=".mp4" if mp4 else ".gif"):
        click.echo(path)
