"""A configuration made into data, a model and an optimizer, as a notebook would."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from keras_acn import codebook, data, decoders, encoders, models, priors
from keras_acn._base.errors import UserError, first_line
from keras_acn._base.precision import built_in
from keras_acn._base.reading import in_gigabytes, machine_bytes
from keras_acn._base.registry import Registry, options
from keras_acn.experiment import precision
from keras_acn.experiment.schema import Config, Part, TrainingSection
from keras_acn.models.saved import no_more_weights_than

_REGISTRIES = {
    "encoder": encoders.registry,
    "prior": priors.registry,
    "decoder": decoders.registry,
    "class_encoder": encoders.registry,
}
_OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamax": keras.optimizers.Adamax,
    "adamw": keras.optimizers.AdamW,
    "nadam": keras.optimizers.Nadam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


def build_data(config: Config) -> data.Data:
    """Return the `keras_acn.data.Data` that a `Config` asks for."""
    section = config.data
    given = section.model_dump(exclude={"source"}, exclude_none=True)
    return data.load(section.source, seed=config.seed, **given)


def steps_per_epoch(config: Config, num_images: int) -> int:
    """Return the optimizer steps an epoch has: a pass over the data, unless it is given.

    Raises:
      UserError: If a batch would be larger than the training data.
    """
    training = config.training
    if training.batch_size > num_images:
        raise UserError(
            f"A batch of {training.batch_size} is larger than the training data of {num_images} "
            f"images: set --batch-size to at most {num_images}."
        )
    return training.steps_per_epoch or math.ceil(num_images / training.batch_size)


def build_model(
    config: Config,
    image_shape: tuple[int, int, int],
    num_images: int,
    *,
    cls: type[models.LatentModel] | None = None,
) -> models.LatentModel:
    """Return the compiled model of a `Config`, its weights drawn from the seed.

    Args:
      config: The `Config`.
      image_shape: `(H, W, C)`.
      num_images: Number of training images: the codebook's size and a pass's length.
      cls: A subclass of the model's class, to be made instead.

    Raises:
      UserError: If a part's name or option is unknown, or the parts do not fit together.
    """
    steps = steps_per_epoch(config, num_images)
    keras.utils.set_random_seed(config.seed)
    memory = machine_bytes() or 2**62
    too_large = UserError(
        f"The networks of this configuration take more than half of the {in_gigabytes(memory)} of "
        "memory that this machine has: give smaller sizes, such as model.latent_dim and "
        "encoder.hidden."
    )
    with (
        built_in(precision.chosen(config)[0].training.precision),
        no_more_weights_than(memory // 8, too_large),
    ):
        model = _model(config, tuple(image_shape), num_images, steps, cls)
        _freeze(model, config.training.frozen or ())
        _average_statistics(model, config.training.ema)
        optimizer = _optimizer(config.training, steps)
        model.compile(
            optimizer,
            jit_compile=config.training.jit_compile,
            steps_per_execution=config.training.steps_per_execution,
        )
    model.optimizer.build(model.trainable_variables)
    return model


def _model(
    config: Config,
    image_shape: tuple[int, ...],
    num_images: int,
    steps: int,
    subclass: type[models.LatentModel] | None = None,
) -> models.LatentModel:
    given = config.model.as_dict()
    found = models.registry.find(given.pop("name"))
    cls: Any = subclass or found
    given["beta"] = _beta(config, steps)
    sizes = cls.part_sizes(image_shape, config.model.latent_dim, given.get("class_dim"))
    config = _as_it_was_begun(config, image_shape, cls.default_decoder)
    for part, registry in _REGISTRIES.items():
        section = getattr(config, part)
        if section is not None and section.as_dict():
            _check_part_of(cls, part)
            default = getattr(cls, f"default_{part}")
            given[part] = _part(registry, section.as_dict(), default, sizes[part])
    if "codebook" in options(cls):
        given["codebook"] = _codebook(config, num_images)
    elif config.codebook is not None:
        _check_part_of(cls, "codebook")
    if config.pseudo_labels is not None:
        _check_part_of(cls, "pseudo_labels")
    if "pseudo_labels" in options(cls) and not given.get("supervised", True):
        given["pseudo_labels"] = _pseudo_labels(config, given, num_images)
    models.registry.check_options(cls, given)
    return cls(image_shape=image_shape, seed=config.seed, **given)


def noting_likelihood(config: Config, model: models.LatentModel) -> Config:
    """Return the config of a new run, with the likelihood of its colours where it names none.

    Which one that is may be another in another version. (That of one channel never was.)
    """
    likelihood = model.decoder.likelihood
    if likelihood is None or not _is_open(config, model.image_shape, model.default_decoder):
        return config
    return _with_likelihood(config, {"name": likelihood.name, **likelihood.get_config()})


def _as_it_was_begun(config: Config, image_shape: tuple[int, ...], default: Any) -> Config:
    """Return the config of a run as its version had it: once the likelihood was Bernoulli."""
    is_of_a_run = bool(config.versions)
    if is_of_a_run and _is_open(config, image_shape, default):
        return _with_likelihood(config, "bernoulli")
    return config


def _is_open(config: Config, image_shape: tuple[int, ...], default: Any) -> bool:
    """Whether a config leaves the likelihood of colour images to the decoder's default."""
    given = {} if config.decoder is None else config.decoder.as_dict()
    name = given.get("name") or (default["name"] if isinstance(default, dict) else default)
    takes = "likelihood" in decoders.registry.options_of(name)
    return image_shape[-1] > 1 and "likelihood" not in given and takes


def _with_likelihood(config: Config, likelihood: Any) -> Config:
    given = {} if config.decoder is None else config.decoder.as_dict()
    decoder = Part.model_validate({**given, "likelihood": likelihood})
    return config.model_copy(update={"decoder": decoder})


def _check_part_of(cls: type, part: str) -> None:
    """Raise `UserError` if models of a class have no such part."""
    if part in options(cls):
        return
    having = [n for n in models.registry.names() if part in options(models.registry.find(n))]
    raise UserError(
        f"A model {cls.__name__} has no {part}: leave the section out, or set model.name="
        f"{' or '.join(having)}."
    )


def _freeze(model: models.LatentModel, names: Sequence[str]) -> None:
    parts = model.parts()
    for name in names:
        if parts.get(name) is None:
            raise UserError(
                f"training.frozen names the {name} of a model {type(model).__name__}, which has "
                f"{', '.join(parts)}."
            )
        parts[name].trainable = False


def _average_statistics(model: models.LatentModel, momentum: float | None) -> None:
    """Let statistics of codes be averages over as many steps as the weights they go with."""
    for part in model.parts().values():
        norm = getattr(part, "code_norm", None)
        if norm is not None and momentum is not None:
            norm.momentum = momentum


def _part(registry: Registry, given: dict, default: Any, sizes: dict) -> keras.Layer:
    with _built_from(registry.kind, given):
        return registry.get(given, default, **sizes)


@contextlib.contextmanager
def _built_from(kind: str, given: dict) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        if kind in str(error):
            raise
        raise UserError(f"In the {kind}: {error}") from error
    except (TypeError, ValueError) as error:
        # What only Keras knows, such as the names of activations.
        raise UserError(
            f"The {kind} cannot be built from its options {given}: {first_line(error)}."
        ) from error


def _codebook(config: Config, num_images: int) -> codebook.KNNCodebook:
    given = {} if config.codebook is None else config.codebook.as_dict()
    codebook.registry.check_options(codebook.KNNCodebook, given)
    latent_dim = config.model.latent_dim
    known: dict[str, Any] = {"size": num_images, "latent_dim": latent_dim, "seed": config.seed}
    fixed = [key for key in known if key in given]
    if fixed:
        raise UserError(
            f"codebook.{fixed[0]} follows from the data, the model and the seed: leave it out."
        )
    if num_images <= given.get("k", 5):
        raise UserError(
            f"codebook.k of {given.get('k', 5)} needs more than the {num_images} training images "
            "there are: give more data, or a smaller codebook.k."
        )
    with _built_from("codebook", given):
        return codebook.KNNCodebook(**given, **known)


def _pseudo_labels(config: Config, model: dict, num_images: int) -> codebook.PseudoLabels:
    given = {} if config.pseudo_labels is None else config.pseudo_labels.as_dict()
    codebook.pseudo_labels_registry.check_options(codebook.PseudoLabels, given)
    latent_dim = config.model.latent_dim
    class_dim = model.get("class_dim") or latent_dim
    known: dict[str, Any] = {"class_dim": class_dim, "latent_dim": latent_dim, "seed": config.seed}
    fixed = [key for key in ("size", *known) if key in given]
    if fixed:
        raise UserError(
            f"pseudo_labels.{fixed[0]} follows from the data, the model and the seed: leave it out."
        )
    with _built_from("pseudo-labels", given):
        return codebook.PseudoLabels(**given, **known, size=num_images)


def _beta(config: Config, steps: int) -> Any:
    beta, training = config.model.beta, config.training
    if training.kl_schedule is not None:
        epochs, factors = zip(*training.kl_schedule, strict=True)
        return models.PiecewiseLinear([e * steps for e in epochs], [f * beta for f in factors])
    if not training.kl_warmup_epochs:
        return beta
    return keras.optimizers.schedules.PolynomialDecay(
        initial_learning_rate=training.kl_warmup_from * beta,
        decay_steps=max(1, round(training.kl_warmup_epochs * steps)),
        end_learning_rate=beta,
    )


def _learning_rate(training: TrainingSection, steps: int) -> Any:
    rate = training.learning_rate
    total = max(1, training.epochs * steps)
    warmup = round(training.warmup_epochs * steps)
    schedules = keras.optimizers.schedules
    if warmup >= total:
        raise UserError(
            f"training.warmup_epochs of {training.warmup_epochs:g} leaves none of the "
            f"{training.epochs} epochs: set it lower."
        )
    if training.schedule == "linear":
        if warmup:
            raise UserError(
                "training.warmup_epochs goes with the schedules constant and cosine: set "
                "training.schedule=cosine."
            )
        return schedules.PolynomialDecay(rate, total, training.final_learning_rate)
    if training.schedule == "constant" and not warmup:
        return rate
    # Keras's cosine schedule with alpha one is a constant with a warm-up.
    cosine = training.schedule == "cosine"
    return schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else rate,
        decay_steps=total - warmup,
        alpha=training.final_learning_rate / rate if cosine else 1.0,
        warmup_target=rate if warmup else None,
        warmup_steps=warmup,
    )


def _optimizer(training: TrainingSection, steps: int) -> keras.Optimizer:
    given = {"learning_rate": _learning_rate(training, steps), "clipnorm": training.clipnorm}
    if training.weight_decay is not None:
        given["weight_decay"] = training.weight_decay
    if training.ema is not None:
        given |= {"use_ema": True, "ema_momentum": training.ema}
    return _OPTIMIZERS[training.optimizer](**given)
