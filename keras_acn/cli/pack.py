"""keras-acn pack: images into a file that holds its model, all in one command."""

import functools

import click

from keras_acn.cli import words
from keras_acn.cli.compress import input_options
from keras_acn.cli.options import memory_option
from keras_acn.cli.output import load_tensorflow, stage_line


@click.command()
@click.argument("input_", metavar="INPUT", type=words.FILE)
@click.argument("output", metavar="OUTPUT.acn", type=words.FILE)
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="M",
    help="Time for training a model on the images. Coding and comparing come after it.",
)
@click.option(
    "--mode",
    type=click.Choice(["set", "stream"]),
    default="set",
    show_default=True,
    help="set: the images come back sorted, for log2(N!) bits less. stream: in their order.",
)
@click.option("--keep-order", is_flag=True, help="With --mode set: store the order too.")
@input_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@memory_option
def pack(input_, output, as_json, split, data_dir, background, skip_damaged, **options):
    """Train a small model on the images of INPUT, and write both into OUTPUT.acn.

    The file needs nothing else: decompress gives the images back from it alone, bit for bit. It is
    decoded and compared before it appears. What gzip, bz2, xz, zstd, brotli, PNG and WebP make of
    the same images, as far as they are installed, is told in a table. INPUT is as for compress.
    """
    import json

    from keras_acn._base.errors import UserError

    if not output.endswith(".acn"):
        raise UserError(f"Compressed images are written as an .acn file: name it so, not {output}.")
    load_tensorflow()
    from keras_acn import codec
    from keras_acn.data.readers import notices

    source = codec.open_input(
        input_, split, None, data_dir, background=background, skip_damaged=skip_damaged
    )
    tell = stage_line(as_json)
    packed = codec.pack(
        source, output, progress=tell and functools.partial(tell, "pack"), **options
    )
    notices.tell(source.notices)
    click.echo(json.dumps(packed.to_dict(), indent=2) if as_json else packed.to_text())
