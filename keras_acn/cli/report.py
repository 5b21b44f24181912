"""keras-acn report: one HTML file of a run, or of several side by side."""

import click

from keras_acn import experiment, html_report
from keras_acn.cli import words
from keras_acn.cli.options import (
    chosen_data,
    count_option,
    data_options,
    memory_option,
    seed_option,
    split_option,
    use_data,
)
from keras_acn.cli.output import load_tensorflow, stage_line


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...", type=words.MODEL)
@data_options
@split_option
@seed_option
@click.option(
    "--out", metavar="FILE", type=words.FILE, help="The file.  [default: report.html in MODEL]"
)
@click.option("--title", metavar="TEXT", help="The page's title.  [default: the models' names]")
@click.option(
    "--projection",
    type=click.Choice(["tsne", "pca"]),
    default="tsne",
    show_default=True,
    help="How codes come to lie on the map.",
)
@count_option("--points", least=3, default=60_000, show_default=True, help="Codes on a map.")
@memory_option
def report(models, split, seed, out, title, projection, points, **source):
    """Write one HTML file of MODEL, or of several side by side.

    \b
    keras-acn report runs/first
    keras-acn report runs/acn runs/vae --out compared.html

    It holds configuration, curves, costs, pictures, daydreams, and a map of the codes to zoom,
    point and click in, and opens from disk without a network.

    MODEL is a run folder, a .keras file, or a folder or name under saved_models/.
    """
    runs = [experiment.open_run(model) for model in models]
    out = out or runs[0].folder / "report.html"
    chosen = [chosen_data(run, **source) for run in runs]
    html_report.check_ready(out)
    load_tensorflow()
    for run, given in zip(runs, chosen, strict=True):
        use_data(run, given)
    path = html_report.write(
        runs,
        out,
        split=split,
        title=title,
        projection=projection,
        points=points,
        seed=seed,
        progress=stage_line(),
    )
    click.echo(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
