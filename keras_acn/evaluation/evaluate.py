"""One call that evaluates a model: code lengths, likelihood, probes."""

import dataclasses
import math

import numpy as np

from keras_acn.evaluation.code_length import CodeLengths, code_lengths
from keras_acn.evaluation.importance_bound import importance_weighted_bound
from keras_acn.evaluation.inputs import check_shapes, images_and_labels, some_rows
from keras_acn.evaluation.notes import (
    TRUNCATION_IMAGES,
    notes_of_code_lengths,
    notes_of_own_costs,
)
from keras_acn.evaluation.posteriors import (
    encode_images,
    is_associative,
    is_deterministic,
    is_homoencoder,
)
from keras_acn.evaluation.probe import active_dimensions, knn_accuracy, linear_probe, pca_probe
from keras_acn.evaluation.report import Report
from keras_acn.evaluation.unconditional import StandardNormalPrior, fit_gaussian_mixture

# Few images get several samples each, so that the noise of z does not blur the figures.
DRAWS, MAX_SAMPLES = 10_000, 8
# More terms are summed until leaving out the rest costs less than this.
TRUNCATION_NATS = 0.01


def evaluate_model(
    model,
    train,
    test,
    *,
    samples=None,
    iwae_samples=16,
    iwae_images=1000,
    seed=0,
    probes=True,
    limit=None,
    batch_size=128,
    nearest=512,
    max_probe_images=None,
    name=None,
    compare=None,
    progress=None,
):
    """Returns the `Report` of a model on a test set.

    Everything that is fitted (the unconditional priors, the probes) is fitted to the
    training data. The same seed gives the same report on the same machine.

    Args:
      model: A trained model of this package.
      train: The training data: an `ImageSet`, `(images, labels)` or images `[N, H, W, C]`,
        float in [0, 1] or uint8.
      test: The test data, likewise.
      samples: Samples of z for each image in the code lengths. By default as many as
        make 10,000 in all, 1 to 8.
      iwae_samples: Samples S of the importance-weighted bound; 0 leaves it out.
      iwae_images: Test images that bound is taken on, drawn from `seed`; `None` for all.
      seed: Integer seed of everything random.
      probes: Whether to train classifiers on the codes. Left out without labels.
      limit: At most this many images of each part, drawn from `seed`.
      batch_size: Images at a time.
      nearest: Terms of the mixture of codes that are summed for each z, more if leaving
        out the rest costs over 0.01 nats; `None` for all.
      max_probe_images: At most this many training images for each probe.
      name: What to call the model; its class by default.
      compare: A second model, evaluated likewise, or its `Report`, to show beside.
      progress: Optional callable `progress(stage, done, total)`.

    Raises:
      UserError: If a part has no images, or images of another shape than the model's.
    """
    job = _Job(
        train=images_and_labels(train, limit, seed, "training"),
        test=images_and_labels(test, limit, seed + 1, "test"),
        samples=samples,
        iwae_samples=iwae_samples,
        iwae_images=iwae_images,
        seed=seed,
        probes=probes,
        batch_size=batch_size,
        nearest=nearest,
        max_probe_images=max_probe_images,
        progress=progress,
    )
    report = _report(job, model, name)
    if compare is not None:
        report.compare = compare if isinstance(compare, Report) else _report(job, compare, None)
    return report


@dataclasses.dataclass
class _Job:
    """The data and the options of an evaluation, and what its models have in common."""

    train: tuple
    test: tuple
    samples: int | None
    iwae_samples: int
    iwae_images: int | None
    seed: int
    probes: bool
    batch_size: int
    nearest: int | None
    max_probe_images: int | None
    progress: object
    image_probes: dict | None = None

    def stage(self, name):
        if self.progress is None:
            return None
        return lambda done, total: self.progress(name, done, total)


def _report(job, model, name):
    """Returns the `Report` of one model."""
    train_images, images = job.train[0], job.test[0]
    check_shapes(model, train_images, images)
    size = job.batch_size
    if is_homoencoder(model) or is_deterministic(model):
        return _report_of_own_costs(job, model, name)
    trained = encode_images(model, train_images, size, job.stage("encode training"))
    tested = encode_images(model, images, size, job.stage("encode test"))
    priors, described = _unconditional(job, model, trained, tested)
    samples = job.samples or int(np.clip(math.ceil(DRAWS / len(images)), 1, MAX_SAMPLES))
    lengths = code_lengths(
        model,
        images,
        priors,
        q=tested,
        samples=samples,
        seed=job.seed,
        batch_size=size,
        progress=job.progress,
    )
    bound = None
    if job.iwae_samples:
        rows = some_rows(len(images), job.iwae_images, job.seed)
        bound = importance_weighted_bound(
            model,
            images[rows],
            priors[lengths.unconditional],
            samples=job.iwae_samples,
            seed=job.seed,
            batch_size=size,
            progress=job.stage("importance-weighted bound"),
        )
    return Report(
        name=name or type(model).__name__,
        associative=is_associative(model),
        image_shape=tuple(images.shape[1:]),
        train_images=len(train_images),
        latent_dim=tested.latent_dim,
        active_dimensions=active_dimensions(tested.mean),
        samples=samples,
        code_lengths=lengths,
        importance_bound=bound,
        priors=described,
        probes=_probe(job, trained.mean, tested.mean),
        notes=notes_of_code_lengths(model, images, lengths, bound, described),
    )


def _report_of_own_costs(job, model, name):
    """Returns the `Report` of a model whose costs are those it was trained on.

    A homoencoder's bound has priors of its own, for c and for z; an autoencoder's latents
    have no cost at all. Neither is coded with a prior that is fitted afterwards.
    """
    (train_images, _), (images, labels) = job.train, job.test
    samples = job.samples or int(np.clip(math.ceil(DRAWS / len(images)), 1, MAX_SAMPLES))
    if is_deterministic(model):
        samples = 1
    labels = labels if getattr(model, "supervised", False) else None
    costs = model.image_nats(
        images,
        labels,
        samples=samples,
        batch_size=job.batch_size,
        progress=job.stage("code test"),
    )
    per_image = {"reconstruction_nats": costs["reconstruction_nats"]}
    if is_homoencoder(model):
        per_image |= {name: costs[name] for name in ("kl_z_nats", "kl_c_nats")}
        per_image["unordered_nats"] = costs["reconstruction_nats"] + costs["kl_nats"]
    codes = [model.codes(each, job.batch_size) for each in (train_images, images)]
    return Report(
        name=name or type(model).__name__,
        associative=False,
        image_shape=tuple(images.shape[1:]),
        train_images=len(train_images),
        latent_dim=codes[1].shape[1],
        active_dimensions=active_dimensions(codes[1]),
        samples=samples,
        code_lengths=CodeLengths(per_image, int(np.prod(images.shape[1:])), None),
        probes=_probe(job, *codes),
        notes=notes_of_own_costs(model, images),
    )


def _unconditional(job, model, trained, tested):
    """Returns the unconditional priors of `model`, and a description of each."""
    from keras_acn.priors.codes_mixture import MixtureOfCodes

    fitted = fit_gaussian_mixture(trained, seed=job.seed, progress=job.stage("Gaussian mixture"))
    described = {
        "gaussian_mixture": {
            "components": fitted.components,
            "held_out_log_density_nats": {str(k): v for k, v in fitted.tried.items()},
        }
    }
    if not is_associative(model):
        return {"standard_normal": StandardNormalPrior(), "gaussian_mixture": fitted}, described
    mixture = MixtureOfCodes(model.prior, trained.mean, nearest=job.nearest)
    z = tested.sample(job.seed)[:TRUNCATION_IMAGES]
    lost = float(np.mean(mixture.truncation_nats(z)))
    while lost > TRUNCATION_NATS and mixture.nearest is not None:
        mixture = mixture.with_nearest(2 * mixture.nearest)
        lost = float(np.mean(mixture.truncation_nats(z)))
    described["mixture_of_codes"] = {
        "codes": mixture.num_codes,
        "nearest": mixture.nearest,
        "truncation_nats": lost,
    }
    return {"gaussian_mixture": fitted, "mixture_of_codes": mixture}, described


def _probe(job, codes, test_codes):
    """Returns the accuracies of table 3 and of nearest neighbours, or `None`.

    There are none without labels of at least two classes, nor where the test images are
    of classes that the training images have none of.
    """
    (images, labels), (test_images, test_labels) = job.train, job.test
    if not job.probes or labels is None or test_labels is None or len(np.unique(labels)) < 2:
        return None
    if not np.isin(test_labels, labels).all():
        return None
    tell = job.stage("probes") or (lambda done, total: None)
    options = {"max_train": job.max_probe_images, "seed": job.seed}
    parts = images, labels, test_images, test_labels
    if job.image_probes is None:
        pca = pca_probe(*parts, **options)
        tell(1, 4)
        # The one slow fit, with hundreds of features: it wants strong regularisation, and
        # its C is chosen on fewer images.
        strengths = (0.001, 0.01, 0.1)
        pixels = linear_probe(*parts, strengths=strengths, max_select=5000, max_iter=200, **options)
        job.image_probes = {
            "pca": dataclasses.asdict(pca),
            "pixels": dataclasses.asdict(pixels),
        }
    tell(2, 4)
    parts = codes, labels, test_codes, test_labels
    linear = dataclasses.asdict(linear_probe(*parts, **options))
    tell(3, 4)
    neighbors = min(5, len(codes))
    accuracy = knn_accuracy(*parts, k=neighbors)
    tell(4, 4)
    return {
        "codes": linear,
        **job.image_probes,
        "knn_neighbors": neighbors,
        "knn_accuracy": accuracy,
    }
