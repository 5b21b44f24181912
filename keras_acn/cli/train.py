"""keras-acn train: a run, then its figures, then its table."""

import os
import sys

import click

from keras_acn.cli.options import data_options
from keras_acn.cli.quiet import load_tensorflow


@click.command()
@click.argument("preset", required=False)
@data_options
@click.option("--epochs", type=click.IntRange(1), metavar="N", help="Passes over the data.")
@click.option("--batch-size", type=click.IntRange(1), metavar="N", help="Images per step.")
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), metavar="N", help="Seed of all that is random."
)
@click.option("--out", metavar="DIR", help="The run folder.  [default: runs/PRESET-DATE-TIME]")
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
    help="Set one option, such as codebook.unique=true; may be repeated.",
)
@click.option("--resume", metavar="RUN", help="Go on with a run; --epochs may be raised.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="Train on N processes of this machine that share each batch.  [default: 1]",
)
@click.option("--movie", is_flag=True, help="Keep a frame of every epoch; draw them as a GIF.")
@click.option("--no-figures", is_flag=True, help="Draw no figures at the end.")
@click.option("--quiet", "-q", is_flag=True, help="Print only where the files are.")
def train(
    preset,
    data,
    data_dir,
    epochs,
    batch_size,
    seed,
    out,
    config,
    overrides,
    resume,
    workers,
    movie,
    no_figures,
    quiet,
):
    """Train PRESET (digits by default), or your own --config.

    \b
    keras-acn train
    keras-acn train blog-acn --data idx:DIR --epochs 10
    keras-acn train digits --set codebook.unique=true --set training.learning_rate=5e-4
    keras-acn train --resume runs/digits-20250101-120000 --epochs 100

    Ctrl-C saves the run and ends it with exit code 130; --resume goes on exactly.
    Started with a TF_CONFIG, it is one worker of a cluster, whose chief writes the run.
    """
    from keras_acn._base.errors import UserError
    from keras_acn.experiment.begin import new_folder, resumed_config
    from keras_acn.experiment.cluster import tf_config
    from keras_acn.experiment.config import load_config

    team = tf_config.from_environment()
    given = {
        "data.source": data,
        "data.data_dir": data_dir,
        "training.epochs": epochs,
        "training.batch_size": batch_size,
        "seed": seed,
        "training.snapshots_every": 1 if movie else None,
    }
    overrides = [*overrides, *((k, v) for k, v in given.items() if v is not None)]
    if resume is None:
        settings = load_config(preset, config, overrides)
        # Before TensorFlow is loaded, so that a folder in use is said at once.
        folder = new_folder(out, settings) if team is None or team.is_chief else out
    else:
        if out is not None or config is not None:
            raise UserError(
                "--resume goes on in the run's own folder and with its own settings: "
                "leave out --out and --config."
            )
        settings, folder = _resumed(resumed_config(resume), resume, preset, overrides), resume
    if workers is not None and workers > 1:
        if _told_finished(settings, resume):
            return 0
        from keras_acn.experiment.cluster import launch

        launch.check(workers, settings.training.batch_size)
        flags = [*["--no-figures"] * no_figures, *["--quiet"] * quiet]
        return launch.run(settings, workers, folder, resume is not None, flags)
    return _run(settings, out, resume, team, not no_figures, quiet)


def _resumed(stored, resume, preset, overrides):
    import pathlib

    from keras_acn._base.errors import UserError
    from keras_acn.experiment.begin import resumed_config
    from keras_acn.experiment.config import load_config
    from keras_acn.experiment.folder import CONFIG

    if preset is not None and preset != stored.preset:
        raise UserError(
            f'The run {resume} was made from the preset "{stored.preset}", not "{preset}": leave '
            "the preset out."
        )
    wanted = load_config(file=pathlib.Path(resume) / CONFIG, overrides=overrides)
    return resumed_config(resume, wanted)


def _told_finished(settings, resume):
    """Returns whether a run has nothing left to do, having said so."""
    from keras_acn.experiment import open_run

    if resume is None or not (before := open_run(resume)).finished:
        return False
    if settings.training.epochs != before.config.training.epochs:
        return False
    click.echo(
        f"The run {resume} is finished, after {before.metrics['epochs']} epochs: raise --epochs to "
        "go on."
    )
    return True


def _run(settings, out, resume, team, figures, quiet):
    if _told_finished(settings, resume):
        return 0
    load_tensorflow(None if team is None else lambda: _join(team))
    from keras_acn.cli import progress, summary
    from keras_acn.experiment import train as train_run
    from keras_acn.experiment.cluster.launch import LAUNCHED, LOST
    from keras_acn.experiment.cluster.strategy import WorkerLost
    from keras_acn.experiment.interrupt import Interrupted

    bar = sys.stdout.isatty() and not quiet
    callbacks = [] if bar or quiet else [progress.EpochLines(settings.training.epochs)]
    try:
        run = train_run(settings, out, resume, callbacks, verbose=1 if bar else 0)
    except WorkerLost:
        if LAUNCHED in os.environ:
            # The launcher knows which one, and says it.
            return LOST
        raise
    except Interrupted as interrupted:
        click.echo(
            f"\nStopped and saved. Go on with: keras-acn train --resume {interrupted.folder}",
            err=True,
        )
        raise
    if team is not None and not team.is_chief:
        return 0
    drawn = []
    if figures:
        from keras_acn.figures import SLOW, draw

        drawn = draw(run, run.folder / "figures", leave_out=SLOW)
    click.echo(str(run.path) if quiet else summary.text(run, drawn))
    return 0


def _join(team):
    from keras_acn.experiment.cluster import strategy

    strategy.join(team)
