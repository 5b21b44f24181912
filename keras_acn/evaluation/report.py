"""`evaluate_model`, the one call that measures a model, and the `Report` that it returns."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_acn._base.checks import check_count, check_seed
from keras_acn._base.progress import Progress, of_two, share_of
from keras_acn.data.checks import is_black_and_white
from keras_acn.evaluation.code_length import CodeLengths, code_lengths
from keras_acn.evaluation.costs import encode_images
from keras_acn.evaluation.importance_bound import ImportanceBound, importance_weighted_bound
from keras_acn.evaluation.inputs import (
    check_shapes,
    images_and_labels,
    is_mnist,
    rows_and_labels,
    some_rows,
)
from keras_acn.evaluation.probe import active_dimensions, table_3
from keras_acn.evaluation.representation import compare_features
from keras_acn.evaluation.tables import (
    notes_of_code_lengths,
    notes_of_own_costs,
    notes_on_the_data,
    paper_tables,
    render,
)
from keras_acn.evaluation.unconditional import unconditional_priors

# Few images get several samples each, so that the noise of z does not blur the figures.
DRAWS, MAX_SAMPLES = 10_000, 8
STAGES = (
    "encode training",
    "encode test",
    "unconditional priors",
    "code lengths",
    "importance-weighted bound",
    "probes",
)


@dataclasses.dataclass
class Report:
    """What `evaluate_model` found.

    Attributes:
      name: What the model is called in the tables.
      associative: Whether its prior is conditioned on a code.
      image_shape: `(H, W, C)`.
      train_images: Number of training images used.
      latent_dim: d.
      active_dimensions: Latent dimensions whose posterior mean varies by more than 0.01.
      samples: Samples of z for each image.
      code_lengths: `CodeLengths` of the test images.
      importance_bound: `ImportanceBound` of some test images, or `None`.
      priors: Dict from each fitted unconditional prior to a dict that describes it.
      probes: Dict of accuracies, or `None` without labels.
      representation: Dict of what codes, principal components and pixels are good for (see
        `keras_acn.evaluation.representation`), or `None` where probes were left out.
      notes: Sentences on what the figures are and are not.
      is_mnist: Whether the images are binarized MNIST, whose figures in the paper are shown beside.
      compare: A second `Report` to be shown beside this one, or `None`.

    Example:
      >>> import numpy as np
      >>> from keras_acn.evaluation import CodeLengths, Report
      >>> lengths = CodeLengths({"reconstruction_nats": np.array([70.0, 80.0])}, 784, None)
      >>> report = Report("Autoencoder", False, (28, 28, 1), 60_000, 16, 12, 1, lengths)
      >>> report.to_dict()["code_length"]["costs"]["reconstruction_nats"]["nats"]
      75.0
    """

    name: str
    associative: bool
    image_shape: tuple[int, int, int]
    train_images: int
    latent_dim: int
    active_dimensions: int
    samples: int
    code_lengths: CodeLengths
    importance_bound: ImportanceBound | None = None
    priors: dict[str, dict] = dataclasses.field(default_factory=dict)
    probes: dict[str, Any] | None = None
    representation: dict[str, Any] | None = None
    notes: list[str] = dataclasses.field(default_factory=list)
    is_mnist: bool = True
    compare: Report | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the report, the paper's figures beside it, as a JSON-able dict."""
        bound = self.importance_bound
        return {
            "name": self.name,
            "associative": self.associative,
            "image_shape": list(self.image_shape),
            "train_images": self.train_images,
            "latent_dim": self.latent_dim,
            "active_dimensions": self.active_dimensions,
            "samples": self.samples,
            "code_length": self.code_lengths.summary(),
            "importance_weighted": None if bound is None else bound.summary(),
            "unconditional_priors": self.priors,
            "probes": self.probes,
            "representation": self.representation,
            "notes": list(self.notes),
            "is_mnist": self.is_mnist,
            "compare": None if self.compare is None else self.compare.to_dict(),
            "paper": paper_tables(),
        }

    def to_text(self) -> str:
        """Return the tables 2 to 4; of MNIST with the paper's figures beside them, and table 1."""
        return render(self.to_dict())


def evaluate_model(
    model: Any,
    train: Any,
    test: Any,
    *,
    samples: int | None = None,
    iwae_samples: int = 16,
    iwae_images: int | None = 1000,
    seed: int = 0,
    probes: bool = True,
    limit: int | None = None,
    batch_size: int = 128,
    nearest: int | None = 512,
    max_probe_images: int | None = None,
    name: str | None = None,
    compare: Any = None,
    paper: bool | None = None,
    progress: Progress | None = None,
    stage: Callable[[str], Any] | None = None,
) -> Report:
    """Return the `Report` of a model on a test set.

    Everything that is fitted (the unconditional priors, the probes) is fitted to the
    training data. The same seed gives the same report on the same machine.

    Where most of the test images are training images too, an image's own code is kept from it:
    the mixture of codes, which holds it, is left out, and it is no neighbour of its own. A note
    says so.

    Args:
      model: A trained model of this package.
      train: The training data: an `ImageSet`, `(images, labels)` or images `[N, H, W, C]`,
        float in [0, 1] or uint8.
      test: The test data, likewise.
      samples: Samples of z for each image in the code lengths, at least 1. By default as
        many as make 10,000 in all, 1 to 8.
      iwae_samples: Samples S of the importance-weighted bound; 0 leaves it out.
      iwae_images: Test images that bound is taken on, drawn from `seed`; `None` for all.
      seed: Integer seed of everything random.
      probes: Whether to train classifiers on the codes. Left out without labels.
      limit: At most this many test images, drawn from `seed`. The training images are all there
        whatever is measured: their codes are what neighbours and fitted priors come from.
      batch_size: Images at a time.
      nearest: Terms of the mixture of codes that are summed for each z, more if leaving
        out the rest costs over 0.01 nats; `None` for all.
      max_probe_images: At most this many training images for each probe.
      name: What to call the model; its class by default.
      compare: A second model, evaluated likewise, or its `Report`, to show beside.
      paper: Whether the figures of the ACN paper, which are of binarized MNIST, are shown beside;
        by default where the images are seen to be MNIST, in black and white.
      progress: Called with the thousandths of the work that are done, and 1000.
      stage: Called with the name of each part of the work as it begins.

    Raises:
      UserError: If a part has no images, or images of another shape than the model's; or if
        the seed or a number is out of range.

    Example, with `data = keras_acn.load_data("digits")` and a trained model:

        report = evaluate_model(model, data.train, data.test)
        print(report.to_text())
        json.dumps(report.to_dict())
    """
    seed = check_seed(seed)
    for word, value, least in (
        ("samples", samples, 1),
        ("batch_size", batch_size, 1),
        ("iwae_samples", iwae_samples, 0),
        ("nearest", nearest, 1),
        ("max_probe_images", max_probe_images, 1),
    ):
        if value is not None:
            check_count(value, word, least)
    parts = (
        rows_and_labels(train, None, seed, "training"),
        # Of the same data, the same images.
        images_and_labels(test, limit, seed + (train is not test), "test"),
    )
    if paper is None:
        paper = is_black_and_white(parts[1][0]) and is_mnist(test)
    job = _Job(
        *parts,
        paper=paper,
        samples=samples or int(np.clip(math.ceil(DRAWS / len(parts[1][0])), 1, MAX_SAMPLES)),
        iwae_samples=iwae_samples,
        iwae_images=iwae_images,
        seed=seed,
        probes=probes,
        batch_size=batch_size,
        nearest=nearest,
        max_probe_images=max_probe_images,
        progress=of_two(progress, "evaluation"),
        stage=stage,
        models=1 if compare is None or isinstance(compare, Report) else 2,
    )
    report = job.report(model, name)
    if compare is not None:
        report.compare = compare if isinstance(compare, Report) else job.report(compare, None)
    return report


@dataclasses.dataclass
class _Job:
    """The data and the options of an evaluation, and what its models have in common."""

    train: tuple
    test: tuple
    paper: bool
    samples: int
    iwae_samples: int
    iwae_images: int | None
    seed: int
    probes: bool
    batch_size: int
    nearest: int | None
    max_probe_images: int | None
    progress: Progress | None
    stage: Callable | None
    models: int
    reports: int = 0
    image_probes: dict | None = None
    of_images: dict | None = None

    def __post_init__(self):
        """Find the test images that are training images too."""
        rows = {hash(image.tobytes()): row for row, image in enumerate(self.train[0])}
        own = np.array([rows.get(hash(image.tobytes()), -1) for image in self.test[0]])
        self.in_training = int(np.sum(own >= 0))
        # Some small images are alike by chance. Where most are, an own code would be a leak.
        self.own_rows = own if self.in_training > len(own) / 2 else None

    def begin(self, name):
        """Tell that a part of the work begins, and return its progress."""
        if self.stage is not None:
            self.stage(name)
        if self.progress is None:
            return None
        part = len(STAGES) * self.reports + STAGES.index(name)
        parts = len(STAGES) * self.models
        return share_of(lambda done, all: self.progress(1000 * done // all, 1000), part, parts)

    def report(self, model, name):
        """Return the `Report` of one model."""
        check_shapes(model, self.train[0], self.test[0])
        has_own_costs = model.class_dim is not None or model.is_deterministic
        found = self.own_costs(model) if has_own_costs else self.code_lengths(model)
        codes, test_codes = found.pop("codes")
        probes, uses, progress = None, None, self.begin("probes")
        if self.probes:
            images, labels = self.train
            if labels is not None:
                images = np.asarray(images)
            parts = (codes, images, labels), (test_codes, *self.test)
            options: dict[str, Any] = {"own_rows": self.own_rows, "seed": self.seed}
            self.image_probes = probes = table_3(
                *parts,
                of_images=self.image_probes,
                max_train=self.max_probe_images,
                progress=share_of(progress, 0, 2),
                **options,
            )
            self.of_images = uses = compare_features(
                *parts, of_images=self.of_images, progress=share_of(progress, 1, 2), **options
            )
        if progress is not None:
            progress(1, 1)
        self.reports += 1
        is_training = self.own_rows is not None
        notes = notes_on_the_data(model, self.test[0], self.in_training, is_training)
        return Report(
            name=name or type(model).__name__,
            associative=model.codebook is not None,
            image_shape=tuple(self.test[0].shape[1:]),
            train_images=len(self.train[0]),
            latent_dim=test_codes.shape[1],
            active_dimensions=active_dimensions(test_codes),
            probes=probes,
            representation=uses,
            notes=notes + found.pop("notes"),
            is_mnist=self.paper,
            **{"samples": self.samples, **found},
        )

    def code_lengths(self, model):
        """Return what is measured of a model whose latents are coded with fitted priors."""
        (train_images, _), (images, _) = self.train, self.test
        q = [
            encode_images(model, each, self.batch_size, progress=self.begin(name))
            for each, name in zip((train_images, images), STAGES[:2], strict=True)
        ]
        priors, described = unconditional_priors(
            model,
            *q,
            nearest=self.nearest,
            mixture_of_codes=self.own_rows is None,
            seed=self.seed,
            progress=self.begin("unconditional priors"),
        )
        options = {"seed": self.seed, "batch_size": self.batch_size}
        progress = self.begin("code lengths")
        lengths = code_lengths(
            model, images, priors, q=q[1], samples=self.samples, progress=progress, **options
        )
        lengths.is_loss = not model.is_code_length(images)
        bound = None
        if self.iwae_samples:
            rows = some_rows(len(images), self.iwae_images, self.seed)
            bound = importance_weighted_bound(
                model,
                images[rows],
                priors[lengths.unconditional],
                samples=self.iwae_samples,
                progress=self.begin("importance-weighted bound"),
                **options,
            )
        return {
            "codes": (q[0].mean, q[1].mean),
            "code_lengths": lengths,
            "importance_bound": bound,
            "priors": described,
            "notes": notes_of_code_lengths(lengths, bound, described),
        }

    def own_costs(self, model):
        """Return what is measured of a model whose costs are those it was trained on.

        A homoencoder's bound has priors of its own, for c and for z; an autoencoder's latents
        have no cost at all. Neither is coded with a prior that is fitted afterwards.
        """
        images, labels = self.test
        is_homoencoder = model.class_dim is not None
        samples = 1 if model.is_deterministic else self.samples
        costs = model.image_nats(
            images,
            labels if is_homoencoder and model.supervised else None,
            samples=samples,
            batch_size=self.batch_size,
            progress=self.begin("code lengths"),
        )
        per_image = {"reconstruction_nats": costs["reconstruction_nats"]}
        if is_homoencoder:
            per_image |= {name: costs[name] for name in ("kl_z_nats", "kl_c_nats")}
            per_image["unordered_nats"] = costs["reconstruction_nats"] + costs["kl_nats"]
        return {
            "codes": [
                model.codes(np.asarray(each), self.batch_size)
                for each, _ in (self.train, self.test)
            ],
            "code_lengths": CodeLengths(
                per_image,
                math.prod(images.shape[1:]),
                None,
                is_loss=not model.is_code_length(images),
            ),
            "samples": samples,
            "notes": notes_of_own_costs(model),
        }
