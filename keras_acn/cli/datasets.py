"""keras-acn datasets: where images may come from."""

import textwrap

import click


@click.command()
def datasets():
    """List the data sources that --data takes."""
    from keras_acn.data import describe_sources

    rows = describe_sources()
    width = max(len(name) for name, _ in rows)
    for name, description in rows:
        lines = textwrap.wrap(description, 96 - width)
        for i, line in enumerate(lines):
            click.echo(f"{name if i == 0 else '':<{width}}  {line}")
