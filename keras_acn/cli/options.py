"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from keras_acn._base import lazy, reading
from keras_acn.cli import words

if TYPE_CHECKING:
    from keras_acn.experiment import Config, Run

data_lib = lazy.module("keras_acn.data")

Decorator = Callable[[Callable], Callable]


def together(*decorators: Decorator) -> Decorator:
    """Return one decorator that adds options in the order in which they are given."""

    def add(function: Callable) -> Callable:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return add


def count_option(name: str, metavar: str = "N", least: int = 1, **options: Any) -> Decorator:
    """Add an option that takes a whole number, at least 1 or as said."""
    return click.option(name, type=click.IntRange(least), metavar=metavar, **options)


def _allow(ctx: click.Context, param: click.Parameter, value: float | None) -> None:
    """Let the readers of this call take so much memory."""
    if value is not None:
        ctx.with_resource(reading.memory_limit(value))


memory_option = click.option(
    "--max-gb",
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    expose_value=False,
    callback=_allow,
    help="Memory that reading one file or data set may take.  [default: 4, or half of what the "
    "machine has]",
)

model_argument = click.argument("model", metavar="MODEL", type=words.MODEL)

data_dir_option = click.option(
    "--data-dir",
    metavar="DIR",
    type=words.FOLDER,
    help="Where TensorFlow Datasets keeps its files.",
)

data_options = together(
    click.option(
        "--data",
        metavar="SOURCE",
        type=words.SOURCE,
        help="The images; see keras-acn datasets for the forms.",
    ),
    data_dir_option,
    click.option(
        "--background",
        metavar="COLOUR",
        help="What transparent pictures of images:DIR are laid on.  [default: white]",
    ),
    click.option(
        "--skip-damaged",
        is_flag=True,
        default=None,
        help="Leave out pictures of images:DIR that cannot be read.",
    ),
)

seed_option = click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, metavar="N"
)

split_option = click.option(
    "--split",
    type=click.Choice(["test", "validation", "train"]),
    help="Which part of the data.  [default: test, or what there is]",
)

# What `load_config` lays over a preset, for one run or for all runs of a sweep.
setting_options = together(
    data_options,
    count_option("--epochs", help="Passes over the data."),
    count_option("--batch-size", help="Images per step."),
    click.option(
        "--seed",
        type=click.IntRange(0, 2**31 - 1),
        metavar="N",
        help="Seed of all that is random.",
    ),
)


def config_options(set_help: str) -> Decorator:
    """Add `--config` and `--set`, as `config` and `overrides`."""
    return together(
        click.option(
            "--config",
            metavar="FILE.yaml",
            type=words.FILE,
            help="A YAML file, laid over the preset if one is named, else over the defaults.",
        ),
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="PART.OPTION=VALUE",
            type=words.SETTING,
            help=f"{set_help}; may be repeated.",
        ),
    )


output_options = together(
    click.option("--no-figures", is_flag=True, help="Draw no figures at the end."),
    click.option("--quiet", "-q", is_flag=True, help="Print only where the files are."),
)


def chosen_data(run: Run, data: str | None, **given: Any) -> dict[str, Any]:
    """Return what `data_options` say, as `Run.load_data` takes it, after a first check.

    Call it before TensorFlow is loaded, so that a wrong name is told at once.
    """
    given = {"source": data, **given}
    given = {key: value for key, value in given.items() if value is not None}
    check_data(run.with_data(**given))
    return given


def use_data(run: Run, chosen: dict[str, Any]) -> None:
    """Let a run's figures be of other data than its own, where `chosen_data` has any."""
    if chosen:
        run.data = run.load_data(**chosen)


def check_data(config: Config) -> None:
    """Check what can be checked of a config's data at once: see `keras_acn.data.check_source`."""
    data_lib.check_source(config.data.source, background=config.data.background)


def overrides_of(
    overrides: tuple[str, ...],
    data: str | None,
    data_dir: str | None,
    background: str | None,
    skip_damaged: bool | None,
    epochs: int | None,
    batch_size: int | None,
    seed: int | None,
    **more: Any,
) -> list[str | tuple[str, Any]]:
    """Return what `--set` and `setting_options` say, as `load_config` takes it."""
    given = {
        "data.source": data,
        "data.data_dir": data_dir,
        "data.background": background,
        "data.skip_damaged": skip_damaged,
        "training.epochs": epochs,
        "training.batch_size": batch_size,
        "seed": seed,
        **more,
    }
    return [*overrides, *((key, value) for key, value in given.items() if value is not None)]
