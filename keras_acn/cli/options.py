"""Options that several commands share."""

import click


def model_argument(function):
    """Adds the argument MODEL: a run folder, a .keras file, or a saved model."""
    return click.argument("model", metavar="MODEL")(function)


def data_options(function):
    """Adds `--data` and `--data-dir`."""
    function = click.option(
        "--data-dir", metavar="DIR", help="Where TensorFlow Datasets keeps its files."
    )(function)
    return click.option(
        "--data", metavar="SOURCE", help="The images; see keras-acn datasets for the forms."
    )(function)


def seed_option(function):
    """Adds `--seed`."""
    return click.option(
        "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, metavar="N"
    )(function)


def split_option(function):
    """Adds `--split`."""
    return click.option(
        "--split",
        type=click.Choice(["test", "validation", "train"]),
        help="Which part of the data.  [default: test, or what there is]",
    )(function)
