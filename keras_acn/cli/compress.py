"""keras-acn compress: images into a file as short as the model can make it."""

import dataclasses
import functools

import click

from keras_acn.cli import words
from keras_acn.cli.options import data_dir_option, memory_option, model_argument, together
from keras_acn.cli.output import load_tensorflow, stage_line

# Which images of INPUT, and what is done to them first.
input_options = together(
    click.option(
        "--binarize",
        type=click.Choice(["none", "threshold", "static"]),
        default="none",
        show_default=True,
        help="Make the images black and white first: above a threshold, or by a draw.",
    ),
    click.option("--threshold", type=float, default=0.5, show_default=True, metavar="X"),
    click.option(
        "--seed",
        type=click.IntRange(0, 2**31 - 1),
        default=0,
        show_default=True,
        metavar="N",
        help="Seed of --binarize static.",
    ),
    click.option(
        "--resize", type=click.IntRange(1), metavar="PIXELS", help="Resize the images first."
    ),
    click.option("--crop", type=click.IntRange(1), metavar="PIXELS", help="Crop them first."),
    click.option("--grey", is_flag=True, help="Make colour images grey first."),
    click.option(
        "--split",
        type=click.Choice(["test", "train"]),
        help="Which part of INPUT.  [default: test, or train where there is no test part]",
    ),
    data_dir_option,
    click.option(
        "--background",
        metavar="COLOUR",
        help="What transparent pictures are laid on.  [default: white]",
    ),
    click.option("--skip-damaged", is_flag=True, help="Leave out pictures that cannot be read."),
    click.option(
        "--limit", type=click.IntRange(0), metavar="N", help="At most the first N images."
    ),
)


# The options of `input_options` that change the images, or leave some out.
_CHANGES = ("binarize", "threshold", "seed", "crop", "resize", "grey", "limit")


@click.command()
@model_argument
@click.argument("input_", metavar="INPUT", type=words.FILE)
@click.argument("output", metavar="OUTPUT.acn", type=words.FILE)
@click.option(
    "--mode",
    type=click.Choice(["stream", "set", "tour", "raw", "auto"]),
    help="stream: the images come back in their order. set: sorted, for log2(N!) bits less. tour: "
    "from each to one that is like it, as in the ACN paper, which saves less than set. Of a folder "
    "of pictures also raw: without the model; and auto: the best of stream, set and raw on some "
    "tiles.  [default: stream, or auto of a folder]",
)
@click.option("--keep-order", is_flag=True, help="With --mode set or tour: store the order too.")
@input_options
@click.option(
    "--lanes",
    type=click.IntRange(1),
    metavar="N",
    help="Images coded side by side: more are faster, and cost some bits.  [default: 1 to 256]",
)
@click.option(
    "--block",
    "block_images",
    type=click.IntRange(1),
    metavar="N",
    help="Images in memory at a time; the order of so many costs nothing in a set.  [default: "
    "16,384, or 65,536 of a set]",
)
@click.option(
    "--nearest",
    type=click.IntRange(1),
    metavar="N",
    help="Codes that are considered for an image.  [default: 512 where the decoder goes pixel by "
    "pixel, else 128]",
)
@click.option(
    "--codes",
    type=click.Choice(["training", "seen", "both"]),
    help="Whose codes an image's prior is made of: those of the training data; those of the "
    "images coded before it, for which the model needs no codebook; or both.  [default: training, "
    "or seen with --embed-model]",
)
@click.option(
    "--embed-model",
    is_flag=True,
    help="Put the model into the file, its weights rounded: decompress needs nothing else then.",
)
@click.option(
    "--weight-bits",
    type=click.Choice(["4", "5", "6", "7", "8", "16"]),
    help="With --embed-model: bits of a weight; fewer make a smaller, less exact model.  "
    "[default: 16]",
)
@click.option(
    "--verify/--no-verify",
    default=None,
    help="Decode what was written, and compare.  [default: where it takes no more than a minute]",
)
@click.option(
    "--names",
    type=click.Choice(["all", "none"]),
    help="Of a folder of pictures: whether names of files and folders are kept.  [default: all]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@memory_option
def compress(
    model,
    input_,
    output,
    as_json,
    split,
    data_dir,
    background,
    skip_damaged,
    weight_bits,
    mode,
    keep_order,
    names,
    **options,
):
    """Compress the images of INPUT with MODEL into OUTPUT.acn.

    MODEL is a run folder, a .keras file, or a folder or name under saved_models/. INPUT is
    npy:FILE, npz:FILE, idx:DIR, images:DIR, digits or a TensorFlow dataset; or the path of a
    file or folder of these kinds. decompress gives the images back, bit for bit. An .npz file,
    an IDX folder or a dataset has a test and a train part: one of them is compressed.

    A folder of pictures comes back as that folder: names, sizes and modes are kept, unless
    an option changes the pictures first. With --mode tour or --keep-order it is taken as an array.
    """
    import json

    from keras_acn._base.errors import UserError
    from keras_acn.codec import inputs, rivals
    from keras_acn.experiment import open_run

    if not output.endswith(".acn"):
        raise UserError(f"Compressed images are written as an .acn file: name it so, not {output}.")
    folder = None
    if mode != "tour" and not keep_order:
        folder = inputs.folder_of(input_, split)
    if folder is None and (mode in ("raw", "auto") or names is not None):
        option = f"--mode {mode}" if mode in ("raw", "auto") else "--names"
        raise UserError(f"{option} is for folders of pictures, not {input_}: leave it out.")
    # First, as the name of a model that comes with the package is looked up with TensorFlow.
    load_tensorflow()
    run = open_run(model)
    from keras_acn import codec
    from keras_acn.data.readers import notices
    from keras_acn.models import pretrained_folders

    shipped = {folder.resolve(): name for name, folder in pretrained_folders().items()}
    trained = run.model
    tell = stage_line(as_json)
    options["model_name"] = shipped.get(run.folder.resolve()) or run.path.resolve().stem[:60]
    options["weight_bits"] = None if weight_bits is None else int(weight_bits)
    options["progress"] = tell and functools.partial(tell, "compress")
    if folder is not None:
        report = codec.compress_folder(
            folder,
            trained,
            output,
            mode=mode or "auto",
            names=names or "all",
            background=background,
            skip_damaged=skip_damaged,
            **options,
        ).report
        click.echo(json.dumps(report.to_dict(), indent=2) if as_json else report.to_text())
        return
    source = codec.open_input(
        input_,
        split,
        trained.image_shape[2],
        data_dir,
        background=background,
        skip_damaged=skip_damaged,
    )
    # What is compressed is what the others get.
    treated = inputs.Treated(source, **{name: options.pop(name) for name in _CHANGES})
    report = codec.compress(
        treated, trained, output, mode=mode or "stream", keep_order=keep_order, **options
    ).report
    notices.tell(source.notices)
    ordered = keep_order or report.mode == "stream"
    found = rivals.source_rivals(treated, trained.decoder.likelihood.levels, ordered=ordered)
    if as_json:
        told = {**report.to_dict(), "rivals": [dataclasses.asdict(rival) for rival in found]}
        click.echo(json.dumps(told, indent=2))
        return
    values = report.images * report.values_per_image
    click.echo("\n".join([report.to_text(), *rivals.against(found, report.file_bytes, values)]))
