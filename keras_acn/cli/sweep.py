"""keras-acn sweep: a run for every point of a grid, then one table and its figures."""

import shlex
import sys

import click

from keras_acn import experiment, figures
from keras_acn._base import lazy
from keras_acn._base.atomic import check_folder
from keras_acn._base.lock import require_free
from keras_acn.cli import words
from keras_acn.cli.options import (
    check_data,
    config_options,
    memory_option,
    output_options,
    overrides_of,
    setting_options,
)
from keras_acn.cli.output import load_tensorflow

folder_lib = lazy.module("keras_acn.experiment.folder")


@click.command()
@click.argument("preset", required=False, type=words.PRESET)
@click.option(
    "--grid",
    multiple=True,
    required=True,
    metavar="OPTION=A,B,...",
    type=words.SETTING,
    help="An option and the values it takes; may be repeated.",
)
@setting_options
@click.option(
    "--out",
    metavar="DIR",
    type=words.FOLDER,
    help="The sweep's folder.  [default: runs/sweep-PRESET-DATE-TIME]",
)
@config_options("Set one option of every run")
@output_options
@memory_option
def sweep(preset, grid, out, config, overrides, no_figures, quiet, **given):
    """Train PRESET (mnist-mini by default) once for every point of a grid.

    \b
    keras-acn sweep beta-vae --data idx:DIR --grid beta=0,0.1,0.5,1,4
    keras-acn sweep digits --grid latent_dim=2,5,10 --grid codebook.unique=false,true
    keras-acn sweep digits --grid "encoder.hidden=[64],[256, 256]" --epochs 20 --out runs/sizes

    An OPTION is written in full, or by its last part where that says which. Every run gets a
    folder of its own, and sweep.csv a row. With the same --out again, finished runs are left
    alone, interrupted ones go on, and another grid adds its runs. Ctrl-C saves the run in hand.
    """
    sweeps = experiment.sweep
    planned = sweeps.plan(preset, grid, file=config, overrides=overrides_of(overrides, **given))
    if out is None:
        stem = folder_lib.new_folder(None, planned.base)
        out = stem.with_name(f"sweep-{stem.name}")
    out = check_folder(out)
    # Before TensorFlow is loaded, so that a folder in use is said at once.
    require_free(out, "The sweep")
    sweeps.find_runs(out, planned)
    for each in {point.config.data.source: point.config for point in planned.points}.values():
        check_data(each)
    load_tensorflow()
    lines = experiment.SweepLines(planned, terminal=sys.stdout.isatty())
    try:
        rows = sweeps.run(planned, out, **({} if quiet else lines.hooks()))
    except experiment.Interrupted:
        again = shlex.quote(str(out))
        click.echo(f"\nStopped and saved. Go on with the same command and --out {again}.", err=True)
        raise
    drawn = [] if no_figures else figures.save(figures.draw_sweep(out), out / "figures")
    click.echo(str(out) if quiet else experiment.sweep_summary(out, rows, drawn))
