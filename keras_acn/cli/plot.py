"""keras-acn plot: a trained model's figures."""

import click

from keras_acn.cli.options import data_options, model_argument, seed_option, split_option
from keras_acn.cli.quiet import load_tensorflow


@click.command()
@model_argument
@data_options
@split_option
@seed_option
@click.option("--out", metavar="DIR", help="Where to write.  [default: MODEL/figures]")
@click.option("--only", multiple=True, metavar="NAME", help="Draw this one; may be repeated.")
@click.option(
    "--compare",
    multiple=True,
    metavar="RUN",
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
def plot(model, data, data_dir, split, seed, out, only, compare, metrics, dims, mp4):
    """Draw the figures of MODEL: losses, images, codes, dreams; all that apply.

    \b
    keras-acn plot runs/first
    keras-acn plot runs/first --only traversal --dims 3 7
    keras-acn plot runs/acn --compare runs/vae
    keras-acn plot runs/vhe --metric kl_nats --metric learning_rate

    MODEL is a run folder, a .keras file, or a folder or name under saved_models/. Given the
    folder of a sweep, the figures that compare its runs are drawn again.
    """
    import pathlib

    from keras_acn._base.errors import UserError
    from keras_acn.experiment import open_run
    from keras_acn.experiment.sweep_folder import SWEEP

    if (pathlib.Path(model) / SWEEP).exists():
        _plot_sweep(
            pathlib.Path(model),
            out,
            seed,
            (data, data_dir, split, only, compare, metrics, dims, mp4),
        )
        return
    run = open_run(model)
    folder = pathlib.Path(out) if out else run.folder / "figures"
    if compare or metrics:
        if only:
            raise UserError("--only is for the figures of one run: leave out --compare, --metric.")
        from keras_acn.figures import compare as draw_curves

        paths = draw_curves([run, *map(open_run, compare)], folder, metrics)
    else:
        load_tensorflow()
        if data is not None or data_dir is not None:
            run.data = run.load_data(data, data_dir)
        from keras_acn.figures import draw

        video = ".mp4" if mp4 else ".gif"
        paths = draw(run, folder, split, seed, only=only, dims=dims or None, video=video)
    for path in paths:
        click.echo(path)


def _plot_sweep(sweep, out, seed, options_of_runs):
    import pathlib

    from keras_acn._base.errors import UserError

    if any(options_of_runs):
        raise UserError(
            f"{sweep} holds a sweep, for which only --out and --seed are: for the figures of one "
            "of its runs, name the run's folder in it."
        )
    load_tensorflow()
    from keras_acn.figures.sweep import draw

    paths = draw(sweep, pathlib.Path(out) if out else sweep / "figures", seed)
    if not paths:
        raise UserError(f"{sweep} has no finished run to draw: go on with it by keras-acn sweep.")
    for path in paths:
        click.echo(path)
