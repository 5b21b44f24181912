"""keras-acn evaluate: what a trained model is worth."""

import json

import click

from keras_acn import experiment
from keras_acn._base import lazy
from keras_acn._base.checks import without_non_finite
from keras_acn._base.errors import UserError
from keras_acn.cli import words
from keras_acn.cli.options import (
    chosen_data,
    count_option,
    data_options,
    memory_option,
    model_argument,
    seed_option,
)
from keras_acn.cli.output import load_tensorflow, stage_line

evaluation = lazy.module("keras_acn.evaluation")


@click.command()
@model_argument
@data_options
@click.option(
    "--split",
    type=click.Choice(["test", "validation"]),
    help="Which part is measured.  [default: test, or validation where there is none]",
)
@count_option(
    "--samples",
    help="Samples of the latents for each image.  [default: 10,000 over the images, 1 to 8]",
)
@count_option(
    "--iwae-samples",
    least=0,
    default=16,
    show_default=True,
    help="Samples of the importance-weighted bound; 0 leaves it out.",
)
@count_option(
    "--iwae-images", default=1000, show_default=True, help="Images that bound is measured on."
)
@count_option("--limit", help="Measure at most N images. All training codes are used anyway.")
@count_option("--batch-size", default=128, show_default=True)
@click.option(
    "--classes",
    metavar="A,B,...",
    help="Labels or names of the classes to keep, such as those left out of training.",
)
@click.option(
    "--few-shot",
    is_flag=True,
    help="Measure only how well a VHE classifies from a handful of images of each class.",
)
@count_option("--ways", least=2, help="Of --few-shot.  [default: 5]")
@count_option("--shots", help="Of --few-shot.  [default: 1]")
@count_option("--episodes", help="Of --few-shot.  [default: 200]")
@click.option("--no-probes", is_flag=True, help="Train no classifiers on the codes.")
@click.option(
    "--compare", metavar="MODEL", type=words.MODEL, help="A second model, shown beside the first."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@seed_option
@memory_option
def evaluate(
    model,
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
    **source,
):
    """Measure MODEL: code lengths in nats, likelihood, what its codes know.

    \b
    keras-acn evaluate runs/vae --compare runs/acn
    keras-acn evaluate runs/vhe --few-shot --classes 5,6,7,8,9 --ways 5 --shots 1

    MODEL is a run folder, a .keras file, or a folder or name under saved_models/.
    """
    for name, value in (("ways", ways), ("shots", shots), ("episodes", episodes)):
        if value is not None and not few_shot:
            raise UserError(f"--{name} is of --few-shot: give that, too, or leave --{name} out.")
    run = experiment.open_run(model)
    other = None if compare is None else experiment.open_run(compare)
    chosen = chosen_data(run, classes=_labels(classes), **source)
    load_tensorflow()
    images = run.load_data(**chosen)
    held_out = {"test": images.test, "validation": images.validation}
    measured = held_out[split] if split else images.test or images.validation
    if measured is None:
        raise UserError(
            f"{images.name} has no {split or 'test or validation'} split to measure on: hold one "
            "out in training, by --set data.validation=0.1, or name other data with --data."
        )
    tell = stage_line(as_json)
    if few_shot:
        result = evaluation.few_shot_accuracy(
            run.model,
            *measured.arrays(),
            ways=ways or 5,
            shots=shots or 1,
            episodes=episodes or 200,
            samples=samples or 16,
            seed=seed,
            progress=None if tell is None else lambda done, total: tell("episodes", done, total),
        )
        click.echo(_json(result.summary()) if as_json else result.to_text())
        return
    stages: list[str] = []
    report = evaluation.evaluate_model(
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
        progress=None if tell is None else lambda done, total: tell(stages[-1], done, total),
        stage=stages.append,
    )
    click.echo(_json(report.to_dict()) if as_json else report.to_text().rstrip())


def _labels(text: str | None) -> list[int | str] | None:
    """Return the labels and names in `--classes`, `None` where it is not given."""
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise UserError(f'--classes takes labels or names such as 5,6,7, not "{text}".')
    return [int(word) if word.isdecimal() else word for word in words]


def _json(figures):
    return json.dumps(without_non_finite(figures), indent=2)
