"""keras-acn train: a run, then its figures, then its table."""

import pathlib
import sys
from typing import Any

import click

from keras_acn import experiment, figures
from keras_acn._base import lazy
from keras_acn._base.errors import UserError
from keras_acn._base.lock import require_free
from keras_acn._base.shell import command
from keras_acn.cli import words
from keras_acn.cli.options import (
    check_data,
    config_options,
    count_option,
    memory_option,
    output_options,
    overrides_of,
    setting_options,
)
from keras_acn.cli.output import load_tensorflow

auto = lazy.module("keras_acn.experiment.auto")
config_lib = lazy.module("keras_acn.experiment.config")
preset_lib = lazy.module("keras_acn.experiment.presets")
readers = lazy.module("keras_acn.data.readers")
folder_lib = lazy.module("keras_acn.experiment.folder")
loggers = lazy.module("keras_acn.experiment.loggers")
precision = lazy.module("keras_acn.experiment.precision")
resume_lib = lazy.module("keras_acn.experiment.resume")
launcher = lazy.module("keras_acn.experiment.cluster.launch")
strategy = lazy.module("keras_acn.experiment.cluster.strategy")
tf_config = lazy.module("keras_acn.experiment.cluster.tf_config")


@click.command()
@click.argument("preset", metavar="[PRESET|SOURCE]", required=False, type=words.PRESET_OR_SOURCE)
@setting_options
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    metavar="M",
    help="Time for training, by which the preset auto chooses.  [default: 5]",
)
@click.option(
    "--out",
    metavar="DIR",
    type=words.FOLDER,
    help="The run folder.  [default: runs/PRESET-DATE-TIME]",
)
@config_options("Set one option, such as codebook.unique=true")
@click.option(
    "--resume", metavar="RUN", type=words.MODEL, help="Go on with a run; --epochs may be raised."
)
@click.option(
    "--start-from",
    metavar="MODEL",
    type=words.MODEL,
    help="Begin a new run with the weights of a trained model of the same parts, or of those "
    "named by --set training.start_parts=[encoder].",
)
@count_option(
    "--workers",
    help="Train on N processes of this machine that share each batch.  [default: 1]",
)
@click.option("--movie", is_flag=True, help="Keep a frame of every epoch; draw them as a GIF.")
@output_options
@memory_option
def train(
    preset,
    out,
    config,
    overrides,
    resume,
    start_from,
    workers,
    movie,
    no_figures,
    quiet,
    minutes,
    **given,
):
    """Train PRESET (mnist-mini by default), your own --config, or what suits the images of SOURCE.

    \b
    keras-acn train
    keras-acn train images:DIR --minutes 5
    keras-acn train blog-acn --data idx:DIR --epochs 10
    keras-acn train --set codebook.unique=true --set training.learning_rate=5e-4
    keras-acn train --resume runs/mnist-mini-20250101-120000 --epochs 100

    Where a SOURCE is named and no preset is, the preset is auto: it looks at the images, measures
    a few steps, says what it chose and why, and writes that into the run's config.yaml.

    Ctrl-C saves the run and ends it with exit code 130; --resume goes on exactly.
    Started with a TF_CONFIG, it is one worker of a cluster, whose chief writes the run.
    """
    team = tf_config.from_environment()
    if resume is None:
        preset, given["data"] = _preset_and_source(preset, given["data"], config)
    is_open = preset == "auto" or (preset is None and config is not None)
    if minutes is not None and (resume is not None or not is_open):
        raise UserError(
            "--minutes is for the preset auto, which chooses by it: leave it out, or name a "
            "SOURCE and no preset."
        )
    more: dict[str, Any] = {
        "training.snapshots_every": 1 if movie else None,
        "training.start_from": start_from,
        "training.minutes": minutes,
    }
    overrides = overrides_of(overrides, **given, **more)
    if start_from is not None:
        if resume is not None:
            raise UserError(
                "--resume goes on with the run's own weights: leave out --start-from, or begin a "
                "new run with it."
            )
        experiment.open_run(start_from)  # a wrong name is said at once
    if resume is None:
        settings = experiment.load_config(preset, config, overrides=overrides)
        # Before TensorFlow is loaded, so that a folder in use is said at once.
        folder = folder_lib.new_folder(out, settings) if team is None or team.is_chief else out
    else:
        if out is not None or config is not None:
            raise UserError(
                "--resume goes on in the run's own folder and with its own settings: "
                "leave out --out and --config."
            )
        settings, folder = _resumed(resume, preset, overrides), resume
        if team is None or team.is_chief:
            require_free(resume, "The run", "wait for it to end")
        before = experiment.open_run(resume)
        if before.finished and settings.training.epochs == before.config.training.epochs:
            if team is None or team.is_chief:
                folder_lib.clear_leftovers(resume)
            click.echo(
                f"The run {resume} is finished, after {before.metrics['epochs']} epochs: raise "
                "--epochs to go on."
            )
            return 0
    check_data(settings)
    loggers.require_installed(settings.training.loggers)
    if workers is not None and workers > 1:
        if resume is None and settings.training.minutes is not None:
            load_tensorflow()
            choice, _ = auto.choose(config_lib.absolute(settings))
            settings = choice.config
            click.echo(str(choice))
        flags = [*["--no-figures"] * no_figures, *["--quiet"] * quiet]
        return launcher.launch(settings, workers, folder, resume=resume is not None, flags=flags)

    load_tensorflow(None if team is None else lambda: strategy.join(team))
    told = None
    if settings.training.minutes is None:  # what is still to be chosen settles its own
        settings, told = precision.chosen(settings, alone=team is None)
    if told is not None and not quiet and (team is None or team.is_chief):
        click.echo(told)
    lines = experiment.EpochBar if sys.stdout.isatty() else experiment.EpochLines
    shown = [] if quiet else [lines(settings.training.epochs)]

    def chosen(choice):
        for each in shown:
            each.epochs = choice.config.training.epochs
        if not quiet:
            click.echo(f"{choice}\n")

    try:
        run = experiment.train(settings, out, resume=resume, callbacks=shown, on_choice=chosen)
    except experiment.WorkerLost:
        if launcher.is_launched():
            return launcher.LOST
        raise
    except experiment.Interrupted as interrupted:
        click.echo(
            f"\nStopped and saved. Go on with: {command('train', '--resume', interrupted.folder)}",
            err=True,
        )
        raise
    if team is not None and not team.is_chief:
        return 0
    drawn = []
    if not no_figures:
        drawn = figures.save(figures.draw(run, leave_out=figures.SLOW), run.folder / "figures")
    click.echo(str(run.path) if quiet else experiment.run_summary(run, drawn))
    return 0


def _preset_and_source(word, data, config):
    """Return the preset and the source of the data, of which one word may name either."""
    if word is not None and word not in preset_lib.preset_names() and readers.is_source(word):
        if data is not None:
            raise UserError(f"{word} and --data {data} are both a source: name one of them.")
        word, data = None, word
    # A source alone is looked at; with a file that says what to train, it is only its data.
    return ("auto" if word is None and data is not None and config is None else word), data


def _resumed(resume, preset, overrides):
    """Return the config that a run goes on with, of which only the epochs may be others."""
    stored = resume_lib.resumed_config(resume)
    if preset is not None and preset != stored.preset:
        raise UserError(
            f'The run {resume} was made from the preset "{stored.preset}", not "{preset}": leave '
            "the preset out."
        )
    file = pathlib.Path(resume) / folder_lib.CONFIG
    wanted = experiment.load_config(file=file, overrides=overrides)
    return resume_lib.resumed_config(resume, wanted)
