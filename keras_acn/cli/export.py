"""keras-acn export: a trained model for TensorFlow Serving."""

import json
import shlex

import click

from keras_acn import experiment
from keras_acn._base.atomic import check_folder
from keras_acn.cli import words
from keras_acn.cli.options import memory_option, model_argument
from keras_acn.cli.output import load_tensorflow


@click.command()
@model_argument
@click.argument("folder", metavar="DIR", type=words.FOLDER)
@click.option(
    "--version",
    type=click.IntRange(1, 2**63 - 1),
    metavar="N",
    help="Number of the version.  [default: the next free one]",
)
@click.option(
    "--quantize",
    type=click.Choice(["float16"]),
    metavar="TYPE",
    help="Store kernels and codes as float16, which halves the size.",
)
@click.option(
    "--no-codebook",
    is_flag=True,
    help="Leave the codebook out: smaller, without neighbors and nats.",
)
@click.option("--name", help="The model's name for the server.  [default: that of DIR]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@memory_option
def export(model, folder, version, quantize, no_codebook, name, as_json):
    """Export MODEL for TensorFlow Serving, to DIR/VERSION/.

    MODEL is a run folder, a .keras file, or a folder or name under saved_models/. DIR is
    the folder that the server is pointed at. A server that polls it sees a version once it
    is whole; a version that is there already is never written over.
    """
    run = experiment.open_run(model)
    check_folder(folder, "choose another one to export to")
    load_tensorflow()
    exported = run.model.export(
        folder,
        version=version,
        quantize=quantize,
        codebook=not no_codebook,
        name=name,
        config=run.config,
        metrics=run.metrics if run.config is not None else None,
    )
    click.echo(_as_json(exported) if as_json else _summary(exported))


def _as_json(exported):
    signatures = {
        name: {
            kind: {key: [spec.dtype.name, spec.shape.as_list()] for key, spec in specs.items()}
            for kind, specs in zip(("inputs", "outputs"), pair, strict=True)
        }
        for name, pair in exported.signatures.items()
    }
    return json.dumps(
        {
            "path": str(exported.path),
            "version": exported.version,
            "name": exported.name,
            "total_bytes": exported.total_bytes,
            "weight_bytes": exported.weight_bytes,
            "full_weight_bytes": exported.full_weight_bytes,
            "signatures": signatures,
        },
        indent=2,
    )


def _summary(exported):
    before, after = exported.full_weight_bytes, exported.weight_bytes
    weights = f"weights {after / 1e6:.2f} MB"
    if before != after:
        weights += f", {before / 1e6:.2f} MB in full precision with everything"
    lines = [f"{exported.path}  {exported.total_bytes / 1e6:.2f} MB ({weights})", ""]
    width = max(map(len, exported.signatures))
    for name, (inputs, outputs) in exported.signatures.items():
        lines.append(f"{name:<{width}}  {', '.join(inputs)} -> {', '.join(outputs)}")
    volume = shlex.quote(f"{exported.path.parent.absolute()}:/models/{exported.name}")
    variable = shlex.quote(f"MODEL_NAME={exported.name}")
    lines += [
        "",
        f"serve it   docker run --rm -p 8500:8500 -p 8501:8501 -v {volume} -e {variable} "
        "tensorflow/serving",
    ]
    return "\n".join(lines)
