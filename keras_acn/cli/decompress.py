"""keras-acn decompress: the images of an .acn file."""

import functools

import click

from keras_acn.cli import words
from keras_acn.cli.options import memory_option
from keras_acn.cli.output import load_tensorflow, stage_line


@click.command()
@click.argument("input_", metavar="INPUT.acn", type=words.FILE)
@click.argument("output", metavar="OUTPUT", type=words.FILE)
@click.option(
    "--model",
    metavar="MODEL",
    type=words.MODEL,
    help="The model it was compressed with, if it is none of ours.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["png", "webp"]),
    help="Of a folder: what its pictures are written as; WebP is lossless.  [default: png]",
)
@click.option(
    "--force",
    is_flag=True,
    help="Of a folder: write into one that holds something, and replace files of the same names.",
)
@memory_option
def decompress(input_, output, model, format_, force):
    """Write the images of INPUT.acn to OUTPUT, bit for bit as they were.

    OUTPUT is an .npy file; or, of a folder of pictures, a folder. Pictures of one size and mode may
    go into an .npy file, too.

    A file that holds its model (compress --embed-model, pack) needs nothing else. Another says
    which model it was compressed with: one that comes with keras-acn is found by itself, another
    is named with --model: a run folder, a .keras file, or a folder or name
    under saved_models/.
    """
    from keras_acn import codec
    from keras_acn._base.errors import UserError
    from keras_acn.experiment import open_run

    header, report = codec.info(input_)
    is_array, is_folder = output.endswith(".npy"), isinstance(report, codec.FolderReport)
    if not is_array and not is_folder:
        raise UserError(f"The images are written as an .npy file: name it so, not {output}.")
    if is_array and (format_ is not None or force):
        raise UserError("--format and --force are for folders of pictures: leave them out.")
    if header is not None:
        load_tensorflow()
    run = None if model is None or header is None else open_run(model)
    tell = stage_line()
    given = None if run is None else run.model
    progress = tell and functools.partial(tell, "decompress")
    if is_array:
        array = codec.decompress(input_, given, output, progress=progress)
        shape = "x".join(map(str, array.shape))
        click.echo(f"{output}: {shape} numbers of type {array.dtype.str}")
        return
    options = {"format": format_ or "png", "force": force, "progress": progress}
    codec.decompress_folder(input_, output, given, **options)
    inside = f" in {report.folders + 1:,} folders" if report.folders else ""
    plural = "" if report.pictures == 1 else "s"
    click.echo(f"{output}: {report.pictures:,} picture{plural}{inside}")
