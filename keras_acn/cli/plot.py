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
def plot(model, data, data_dir, split, seed, out):
    """Draw the figures of MODEL: losses, reconstructions, neighbours, samples, codes.

    MODEL is a run folder, a .keras file, or a folder or name under saved_models/.
    """
    import pathlib

    from keras_acn.experiment import open_run

    run = open_run(model)
    load_tensorflow()
    if data is not None or data_dir is not None:
        run.data = run.load_data(data, data_dir)
    from keras_acn.cli.figures import draw

    folder = pathlib.Path(out) if out else run.folder / "figures"
    for path in draw(run, folder, split, seed):
        click.echo(path)
