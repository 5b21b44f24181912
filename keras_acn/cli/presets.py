"""keras-acn presets: what there is to train."""

import click


@click.command()
@click.argument("name", required=False)
@click.option("--show", metavar="NAME", help="Show the YAML of a preset.")
def presets(name, show):
    """List the presets; with NAME, show the YAML of one."""
    from keras_acn.experiment import yaml
    from keras_acn.experiment.presets import preset_names, preset_path

    chosen = name or show
    if chosen:
        click.echo(preset_path(chosen).read_text(encoding="utf-8").rstrip())
        return
    names = preset_names()
    width = max(map(len, names))
    for each in names:
        click.echo(f"{each:<{width}}  {yaml.read(preset_path(each))['description']}")
    click.echo("\nShow one: keras-acn presets NAME.  Train one: keras-acn train NAME.")
