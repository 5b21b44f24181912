"""keras-acn evaluate: what a trained model is worth."""

import json
import sys

import click

from keras_acn.cli.options import data_options, model_argument, seed_option
from keras_acn.cli.quiet import load_tensorflow


@click.command()
@model_argument
@data_options
@click.option(
    "--split",
    type=click.Choice(["test", "validation"]),
    help="Which part is measured.  [default: test, or validation where there is none]",
)
@click.option(
    "--samples",
    type=click.IntRange(1),
    metavar="N",
    help="Samples of the latents for each image.  [default: 10,000 over the images, 1 to 8]",
)
@click.option(
    "--iwae-samples",
    type=click.IntRange(0),
    default=16,
    show_default=True,
    metavar="N",
    help="Samples of the importance-weighted bound; 0 leaves it out.",
)
@click.option(
    "--iwae-images",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Images that bound is measured on.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N images a split.")
@click.option("--batch-size", type=click.IntRange(1), default=128, show_default=True, metavar="N")
@click.option(
    "--classes",
    metavar="A,B,...",
    help="Labels of the classes to keep, such as those left out of training.",
)
@click.option(
    "--few-shot",
    is_flag=True,
    help="Measure only how well a VHE classifies from a handful of images of each class.",
)
@click.option("--ways", type=click.IntRange(2), default=5, show_default=True, metavar="N")
@click.option("--shots", type=click.IntRange(1), default=1, show_default=True, metavar="N")
@click.option("--episodes", type=click.IntRange(1), default=200, show_default=True, metavar="N")
@click.option("--no-probes", is_flag=True, help="Train no classifiers on the codes.")
@click.option("--compare", metavar="MODEL", help="A second model, shown beside the first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@seed_option
def evaluate(
    model,
    data,
    data_dir,
    split,
    samples,
    iwae_samples,
    iwae_images,
    limit,
    batch_size,
    classes,
    few_shot,
    ways,
    shots,
    episodes,
    no_probes,
    compare,
    as_json,
    seed,
):
    """Measure MODEL: code lengths in nats, likelihood, what its codes know.

    \b
    keras-acn evaluate runs/vae --compare runs/acn
    keras-acn evaluate runs/vhe --few-shot --classes 5,6,7,8,9 --ways 5 --shots 1

    MODEL is a run folder, a .keras file, or a folder or name under saved_models/.
    """
    from keras_acn._base.errors import UserError
    from keras_acn.experiment import open_run

    run = open_run(model)
    other = None if compare is None else open_run(compare)
    load_tensorflow()
    images = run.load_data(data, data_dir, _labels(classes))
    held_out = {"test": images.test, "validation": images.validation}
    measured = held_out[split] if split else images.test or images.validation
    if measured is None:
        raise UserError(
            f"{images.name} has no {split or 'test or validation'} split to measure on: hold one "
            "out in training, by --set data.validation=0.1, or name other data with --data."
        )
    tell = _tell if sys.stderr.isatty() and not as_json else None
    if few_shot:
        _few_shot(run.model, measured, ways, shots, episodes, samples, seed, as_json, tell)
        return
    from keras_acn.evaluation import evaluate_model

    stages = []
    report = evaluate_model(
        run.model,
        images.train,
        measured,
        samples=samples,
        iwae_samples=iwae_samples,
        iwae_images=iwae_images,
        seed=seed,
        probes=not no_probes,
        limit=limit,
        batch_size=batch_size,
        compare=None if other is None else other.model,
        progress=tell and (lambda done, total: tell(stages[-1], done, total)),
        stage=stages.append,
    )
    click.echo(json.dumps(report.to_dict(), indent=2) if as_json else report.to_text().rstrip())


def _labels(text):
    """Returns the labels in `--classes`, `None` where it is not given."""
    from keras_acn._base.errors import UserError

    if text is None:
        return None
    try:
        return [int(label) for label in text.split(",")]
    except ValueError:
        raise UserError(f'--classes takes labels such as 5,6,7, not "{text}".') from None


def _few_shot(model, images, ways, shots, episodes, samples, seed, as_json, tell):
    from keras_acn.evaluation import few_shot_accuracy

    result = few_shot_accuracy(
        model,
        *images.arrays(),
        ways=ways,
        shots=shots,
        episodes=episodes,
        samples=samples or 16,
        seed=seed,
        progress=None if tell is None else lambda done, total: tell("episodes", done, total),
    )
    click.echo(json.dumps(result.summary(), indent=2) if as_json else result.to_text())


def _tell(stage, done, total):
    end = "\n" if done >= total else ""
    click.echo("\r" + f"{stage}: {done}/{total}".ljust(40), err=True, nl=False)
    if end:
        click.echo("", err=True)
