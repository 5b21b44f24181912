"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from keras_acn.data import Data
    from keras_acn.experiment import Run

Decorator = Callable[[Callable], Callable]


def _all(*decorators: Decorator) -> Decorator:
    """Return one decorator that adds options in the order in which they are given."""

    def add(function: Callable) -> Callable:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return add


def count_option(name: str, metavar: str = "N", least: int = 1, **options: Any) -> Decorator:
    """Add an option that takes a whole number, at least 1 or as said."""
    return click.option(name, type=click.IntRange(least), metavar=metavar, **options)


model_argument = click.argument("model", metavar="MODEL")

data_options = _all(
    click.option(
        "--data", metavar="SOURCE", help="The images; see keras-acn datasets for the forms."
    ),
    click.option("--data-dir", metavar="DIR", help="Where TensorFlow Datasets keeps its files."),
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
setting_options = _all(
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
    return _all(
        click.option(
            "--config",
            metavar="FILE.yaml",
            help="A YAML file, laid over the preset if one is named, else over the defaults.",
        ),
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="PART.OPTION=VALUE",
            help=f"{set_help}; may be repeated.",
        ),
    )


output_options = _all(
    click.option("--no-figures", is_flag=True, help="Draw no figures at the end."),
    click.option("--quiet", "-q", is_flag=True, help="Print only where the files are."),
)


def other_data(run: Run, **given: Any) -> Data:
    """Return the run's data, or what `data_options` say; the run keeps them as its own."""
    given["source"] = given.pop("data")
    if any(value is not None for value in given.values()):
        run.data = run.load_data(**given)
    return run.data


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
