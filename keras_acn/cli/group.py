"""The command group: commands are imported when they are called."""

import importlib

import click

from keras_acn import __version__
from keras_acn._base.errors import unknown_name

# One command a line. The help stands here so that listing the commands imports none.
COMMANDS = {
    "train": "Train a model on a preset or your own YAML.",
    "sweep": "Train a preset once for every point of a grid.",
    "presets": "List the presets, or show one.",
    "datasets": "List the data sources.",
    "evaluate": "Measure a trained model.",
    "plot": "Draw a trained model's figures.",
    "daydream": "Let a trained model daydream: a GIF, a strip and a grid.",
    "export": "Export a trained model for TensorFlow Serving.",
    "compress": "Compress images with a trained model.",
    "decompress": "Get the images of an .acn file back.",
    "info": "Show what an .acn file holds.",
}


class CommandGroup(click.Group):
    """A group whose command `name` is `keras_acn.cli.name.name`."""

    def list_commands(self, ctx):
        return list(COMMANDS)

    def get_command(self, ctx, cmd_name):
        if cmd_name not in COMMANDS:
            raise unknown_name("command", cmd_name, COMMANDS)
        module = importlib.import_module(f"keras_acn.cli.{cmd_name}")
        return getattr(module, cmd_name)

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def version(ctx):
    """Prints the installed version and ends the command."""
    click.echo(f"keras-acn {__version__}")
    ctx.exit()
