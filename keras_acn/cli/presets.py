"""keras-acn presets: what there is to train."""

import click

from keras_acn._base import lazy
from keras_acn.cli import words

yaml = lazy.module("keras_acn.experiment.yaml")
preset_lib = lazy.module("keras_acn.experiment.presets")


@click.command()
@click.argument("name", required=False, type=words.PRESET)
@click.option("--show", metavar="NAME", type=words.PRESET, help="Show the YAML of a preset.")
def presets(name, show):
    """List the presets; with NAME, show the YAML of one."""
    chosen = name or show
    if chosen:
        click.echo(preset_lib.preset_path(chosen).read_text(encoding="utf-8").rstrip())
        return
    names = preset_lib.preset_names()
    width = max(map(len, names))
    for each in names:
        description = yaml.read(preset_lib.preset_path(each))["description"]
        click.echo(f"{each:<{width}}  {description}")
    click.echo("\nShow one: keras-acn presets NAME.  Train one: keras-acn train NAME.")
