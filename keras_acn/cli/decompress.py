"""keras-acn decompress: the images of an .acn file."""

import functools

import click

from keras_acn.cli import words
from keras_acn.cli.options import memory_option
from keras_acn.cli.output import load_tensorflow, stage_line


@click.command()
@click.argument("input_", metavar="INPUT.acn", type=words.FILE)
@click.argument("output", metavar="OUTPUT.npy", type=words.FILE)
@click.option(
    "--model",
    metavar="MODEL",
    type=words.MODEL,
    help="The model it was compressed with, if it is none of ours.",
)
@memory_option
def decompress(input_, output, model):
    """Write the images of INPUT.acn to OUTPUT.npy, bit for bit as they were.

    A file that holds its model (compress --embed-model, pack) needs nothing else. Another says
    which model it was compressed with: one that comes with keras-acn is found by itself, another
    is named with --model: a run folder, a .keras file, or a folder or name
    under saved_models/.
    """
    from keras_acn import codec
    from keras_acn._base.errors import UserError
    from keras_acn.experiment import open_run

    if not output.endswith(".npy"):
        raise UserError(f"The images are written as an .npy file: name it so, not {output}.")
    header, _ = codec.info(input_)
    load_tensorflow()
    run = None if model is None else open_run(model)
    tell = stage_line()
    codec.decompress(
        input_,
        None if run is None else run.model,
        output,
        progress=tell and functools.partial(tell, "decompress"),
    )
    shape = "x".join(map(str, header.array_shape))
    click.echo(f"{output}: {shape} numbers of type {header.values.dtype}")
