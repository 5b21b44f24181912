"""keras-acn info: what an .acn file holds."""

import json

import click

from keras_acn.cli import words
from keras_acn.cli.options import memory_option


@click.command()
@click.argument("file", metavar="FILE.acn", type=words.FILE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@memory_option
def info(file, as_json):
    """Show what FILE.acn holds: sizes, rates, model, order."""
    from keras_acn import codec

    header, report = codec.info(file)
    if isinstance(report, codec.FolderReport):
        _tell_folder(file, header, report, as_json)
        return
    about = {
        "file": file,
        "model": header.model_name or None,
        "model_inside": header.has_model,
        "model_hash": header.fingerprint.hex(),
        "array_shape": list(header.array_shape),
        "array_dtype": header.values.dtype,
        "written_by": f"keras_acn {header.writer}",
    }
    if as_json:
        click.echo(json.dumps({**about, **report.to_dict()}, indent=2))
        return
    shape = "x".join(map(str, header.array_shape))
    click.echo(f"file     {file}, written by keras_acn {header.writer}")
    inside = ", inside the file" if header.has_model else ""
    click.echo(f"model    {header.model_name or 'unnamed'}, {header.fingerprint.hex()}{inside}")
    click.echo(f"array    {shape} of {header.values.dtype}")
    click.echo(report.to_text())


def _tell_folder(file, header, report, as_json):
    """Print what a file of a folder of pictures holds; `header` is that of its tiles, or `None`."""
    about = {"file": file, "model": None, "model_inside": False, "model_hash": None}
    if header is not None:
        about["model"] = header.model_name or None
        about["model_inside"] = header.has_model
        about["model_hash"] = header.fingerprint.hex()
    about["written_by"] = f"keras_acn {report.writer}"
    if as_json:
        click.echo(json.dumps({**about, **report.to_dict()}, indent=2))
        return
    click.echo(f"file     {file}, written by keras_acn {report.writer}")
    if header is None:
        click.echo("model    none")
    else:
        inside = ", inside the file" if header.has_model else ""
        click.echo(f"model    {header.model_name or 'unnamed'}, {header.fingerprint.hex()}{inside}")
        click.echo(f"tiles    of {'x'.join(map(str, header.image_shape))}")
    click.echo(report.to_text())
