"""keras-acn sweep: a run for every point of a grid, then one table and its figures."""

import sys

import click

from keras_acn.cli.options import data_options
from keras_acn.cli.quiet import load_tensorflow


@click.command()
@click.argument("preset", required=False)
@click.option(
    "--grid",
    multiple=True,
    required=True,
    metavar="OPTION=A,B,...",
    help="An option and the values it takes; may be repeated.",
)
@data_options
@click.option("--epochs", type=click.IntRange(1), metavar="N", help="Passes over the data.")
@click.option("--batch-size", type=click.IntRange(1), metavar="N", help="Images per step.")
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), metavar="N", help="Seed of all that is random."
)
@click.option(
    "--out", metavar="DIR", help="The sweep's folder.  [default: runs/sweep-PRESET-DATE-TIME]"
)
@click.option(
    "--config",
    metavar="FILE.yaml",
    help="A YAML file, laid over the preset if one is named, else over the defaults.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="PART.OPTION=VALUE",
    help="Set one option of every run; may be repeated.",
)
@click.option("--no-figures", is_flag=True, help="Draw no figures at the end.")
@click.option("--quiet", "-q", is_flag=True, help="Print only where the files are.")
def sweep(
    preset,
    grid,
    data,
    data_dir,
    epochs,
    batch_size,
    seed,
    out,
    config,
    overrides,
    no_figures,
    quiet,
):
    """Train PRESET (digits by default) once for every point of a grid.

    \b
    keras-acn sweep beta-vae --data idx:DIR --grid beta=0,0.1,0.5,1,4
    keras-acn sweep digits --grid latent_dim=2,5,10 --grid codebook.unique=false,true
    keras-acn sweep digits --grid "encoder.hidden=[64],[256, 256]" --epochs 20 --out runs/sizes

    An OPTION is written in full, or by its last part where that says which. Every run gets a
    folder of its own, and sweep.csv a row. With the same --out again, finished runs are left
    alone, interrupted ones go on, and another grid adds its runs. Ctrl-C saves the run in hand.
    """
    import pathlib

    from keras_acn.experiment import sweep as sweep_lib
    from keras_acn.experiment.begin import new_folder
    from keras_acn.experiment.sweep_folder import find_runs

    given = {
        "data.source": data,
        "data.data_dir": data_dir,
        "training.epochs": epochs,
        "training.batch_size": batch_size,
        "seed": seed,
    }
    overrides = [*overrides, *((k, v) for k, v in given.items() if v is not None)]
    planned = sweep_lib.plan(preset, grid, config, overrides)
    if out is None:
        stem = new_folder(None, planned.base)
        out = stem.with_name(f"sweep-{stem.name}")
    out = pathlib.Path(out)
    # Before TensorFlow is loaded, so that a folder in use is said at once.
    find_runs(out, planned)
    load_tensorflow()
    from keras_acn.cli.sweep_lines import SweepLines, text
    from keras_acn.experiment.interrupt import Interrupted

    lines = SweepLines(planned, terminal=sys.stdout.isatty())
    hooks = {} if quiet else {"on_begin": lines.begin, "on_end": lines.end}
    try:
        rows = sweep_lib.run(
            planned, out, **hooks, callbacks=() if quiet else lambda point: [lines.epochs(point)]
        )
    except Interrupted:
        click.echo(f"\nStopped and saved. Go on with the same command and --out {out}.", err=True)
        raise
    drawn = []
    if not no_figures:
        from keras_acn.figures.sweep import draw

        drawn = draw(out, out / "figures")
    click.echo(str(out) if quiet else text(out, rows, drawn))
