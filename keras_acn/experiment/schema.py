"""What may stand in a run's YAML: the sections, their options, and what those may be."""

import json
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from keras_acn._base.errors import UserError, did_you_mean, short
from keras_acn.experiment import yaml

# Raised whenever a run folder of this version could be misread by the one before.
FORMAT = 1
# Epochs, steps, images of a batch: more than any training has, and products of them fit 64 bits.
MOST = 10**9

SECTIONS_OF_PARTS = (
    "encoder",
    "prior",
    "decoder",
    "codebook",
    "class_encoder",
    "pseudo_labels",
)


# What pydantic calls what it wants, in words.
_WANTED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a section with options",
    "model_type": "a section with options",
    "model_attributes_type": "a section with options",
}
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


class Section(BaseModel):
    """A mapping with known keys and checked values."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, validate_default=False)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value, info):
        # Python takes true for 1, and so would pydantic.
        if isinstance(value, bool):
            wanted = _types_in(cls.model_fields[info.field_name].annotation)
            if bool not in wanted and wanted & {int, float}:
                kind = "int_type" if int in wanted else "float_type"
                raise PydanticCustomError(kind, "true and false are no numbers")
        return value


def _types_in(annotation: Any) -> set[Any]:
    inner = typing.get_args(annotation)
    return {annotation}.union(*map(_types_in, inner)) if inner else {annotation}


class Options(Section):
    """Options for a class that is built from them: the class checks those not named here."""

    model_config = ConfigDict(extra="allow")

    def as_dict(self) -> dict[str, Any]:
        """Return the options, without those that are not given."""
        return self.model_dump(exclude_none=True)


class Part(Options):
    """A part of the model: its name, and the options of its class.

    Attributes:
      name: The part's class, by any of its names.
    """

    name: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value):
        return {"name": value} if isinstance(value, str) else value


class ModelPart(Part):
    """Which model, and its own options.

    Attributes:
      name: The model's class, by any of its names.
      latent_dim: Number of latent dimensions d.
      beta: Weight of the KL term.
    """

    name: str = "ACN"
    latent_dim: int = Field(16, ge=1)
    beta: float = Field(1.0, ge=0)

    @model_validator(mode="after")
    def _nothing_said_elsewhere(self):
        for key in self.model_extra:
            if key in SECTIONS_OF_PARTS:
                raise UserError(
                    f"model.{key} is a section of its own: write {key} instead, such as "
                    f"{key}.option=value."
                )
            if key == "seed":
                raise UserError("model.seed is the seed of the whole run: write seed instead.")
            if key == "image_shape":
                raise UserError("model.image_shape follows from the data: leave it out.")
        return self


class CodebookPart(Options):
    """The options of `KNNCodebook`.

    Attributes:
      k: Number of nearest neighbours to pick from.
      unique: Whether a code may be a neighbour only once per pass.
      search: Name or config of the search strategy.
    """

    k: int = Field(5, ge=1)
    unique: bool = False
    search: Any = "auto"


class PseudoLabelsPart(Options):
    """The options of `PseudoLabels`.

    Attributes:
      clusters: Number of clusters.
      weighting: How the members of a cluster are weighted.
    """

    clusters: int = Field(10, ge=1)
    weighting: str = "fixed"


class DataSection(Section):
    """Where the images come from, and what is done to them: the arguments of `keras_acn.data.load`.

    Attributes:
      source: Where they come from, as `keras_acn.data.load` takes it.
      data_dir: Folder where TensorFlow Datasets keeps its prepared copies.
      binarize: What makes pixels 0 or 1: a threshold, a draw made once, or one anew each epoch.
      threshold: In [0, 1): with `binarize: threshold` the pixels above it are 1; 0.5 by default.
      validation: Share or number of training images to hold out.
      test: The same for the test part of a source that has none; a tenth by default.
      limit: The most images of the training part and of each other part.
      classes: Labels or names of the classes to keep.
      resize: Pixels, or `[height, width]`, after the crop.
      crop: Pixels, or `[height, width]`, kept around the centre.
      grey: Whether colour images become one channel.
      background: Colour that transparent pictures of a folder are laid on, white by default.
      skip_damaged: Whether to leave out pictures of a folder that cannot be read.
    """

    source: str = "mnist-mini"
    data_dir: str | None = None
    binarize: Literal["none", "threshold", "static", "dynamic"] = "none"
    threshold: float | None = Field(None, ge=0, lt=1)
    # Counts or shares, and sizes or pairs of them: the loader says what is wrong with one.
    validation: Any = 0
    test: Any = None
    limit: int | None = Field(None, ge=1)
    classes: Any = None
    resize: Any = None
    crop: Any = None
    grey: bool = False
    # Of folders of pictures.
    background: Any = None
    skip_damaged: bool = False


class TrainingSection(Section):
    """How the model is fitted.

    Attributes:
      start_from: A trained model (a run, a `.keras` file or a name) whose weights the first epoch
        begins with.
      start_parts: Those of its parts whose weights are taken; all by default.
      frozen: Parts whose weights stay as they are, such as an encoder that `start_from` gives; in
        the model that is kept they are frozen too, as Keras's `trainable` has it.
      minutes: Minutes for which the options that a configuration leaves open are chosen.
      epochs: Passes over the training images.
      steps_per_epoch: Batches of an epoch, where that is not to be a pass.
      batch_size: Images of a batch, over all replicas.
      optimizer: The optimizer.
      learning_rate: Its learning rate, at the end of the warm-up.
      schedule: How the learning rate falls to `final_learning_rate` by the last epoch.
      final_learning_rate: Where `cosine` and `linear` end.
      warmup_epochs: Epochs in which the learning rate rises from 0.
      weight_decay: The optimizer's weight decay.
      clipnorm: The largest norm of a weight's gradient, to which larger ones are scaled down.
      kl_warmup_epochs: Epochs in which the KL's weight rises to `model.beta`.
      kl_warmup_from: The share of `model.beta` that it rises from.
      kl_schedule: Pairs `[epoch, factor]` of `model.beta`, joined by straight lines; instead of a
        warm-up.
      ema: Momentum of averaged weights, which are evaluated and saved.
      jit_compile: Whether XLA compiles the step; `auto` where that pays.
      precision: What the networks compute in; `auto` is what is faster on the processor at hand.
      steps_per_execution: Steps that run without Python in between.
      keep_best: Whether the run ends with the epoch of the lowest validation loss.
      early_stopping: Epochs without a lower validation loss after which training ends.
      checkpoint_every: Epochs between checkpoints.
      checkpoint_minutes: Minutes after which a checkpoint is written within an epoch, 0 for never.
      snapshots_every: Of every n-th epoch a frame for the training movie, 0 for none.
      loggers: Where the run is logged as well: `mlflow`, `wandb`.
    """

    start_from: str | None = None
    start_parts: list[Literal["encoder", "prior", "decoder", "class_encoder"]] | None = Field(
        None, min_length=1
    )
    frozen: list[Literal["encoder", "prior", "decoder", "class_encoder"]] | None = Field(
        None, min_length=1
    )
    minutes: float | None = Field(None, gt=0, lt=1e5)
    epochs: int = Field(20, ge=1, le=MOST)
    steps_per_epoch: int | None = Field(None, ge=1, le=MOST)
    batch_size: int = Field(128, ge=1, le=MOST)
    optimizer: Literal["adam", "adamax", "adamw", "nadam", "rmsprop", "sgd"] = "adam"
    learning_rate: float = Field(1e-3, gt=0)
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    final_learning_rate: float = Field(0, ge=0)
    warmup_epochs: float = Field(0, ge=0, le=MOST)
    weight_decay: float | None = Field(None, ge=0)
    clipnorm: float | None = Field(None, gt=0)
    kl_warmup_epochs: float = Field(0, ge=0, le=MOST)
    kl_warmup_from: float = Field(0, ge=0, le=1)
    kl_schedule: (
        list[tuple[Annotated[float, Field(ge=0, le=MOST)], Annotated[float, Field(ge=0)]]] | None
    ) = Field(None, min_length=1)
    ema: float | None = Field(None, gt=0, lt=1)
    jit_compile: Literal["auto", True, False] = "auto"
    # "auto" is what is faster on the processor at hand, as keras_acn.experiment.precision finds.
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16", "auto"] = "float32"
    steps_per_execution: int = Field(1, ge=1, le=MOST)
    keep_best: bool = False
    early_stopping: int | None = Field(None, ge=1, le=MOST)
    checkpoint_every: int = Field(1, ge=1, le=MOST)
    checkpoint_minutes: float = Field(10, ge=0, le=MOST)
    snapshots_every: int = Field(0, ge=0, le=MOST)
    loggers: list[Literal["mlflow", "wandb"]] = []

    @model_validator(mode="after")
    def _parts_of_some_model(self):
        if self.start_parts is not None and self.start_from is None:
            raise UserError(
                "training.start_parts names parts of the model in training.start_from: give "
                "--start-from MODEL as well."
            )
        return self

    @model_validator(mode="after")
    def _one_schedule_of_the_kl(self):
        if self.kl_schedule is None:
            return self
        if self.kl_warmup_epochs:
            raise UserError(
                "training.kl_schedule says all of the KL's weight: set training.kl_warmup_epochs=0."
            )
        epochs = [epoch for epoch, _ in self.kl_schedule]
        if sorted(set(epochs)) != epochs:
            raise UserError(
                "training.kl_schedule is a list of pairs [epoch, factor] whose epochs rise, such "
                "as [[0, 0.05], [5, 2], [10, 1]]."
            )
        return self


class Config(Section):
    """Everything that is needed to run an experiment again.

    Attributes:
      format: Version of the layout of a run folder.
      preset: Name of the preset it was made from, if any.
      description: One line for people.
      seed: Seed of the weights, the codes, the order of the data and the sampling.
      model: The model's name and options.
      encoder: The encoder's, or `None` for the model's own choice.
      prior: The prior network's, likewise.
      decoder: The decoder's, likewise.
      codebook: The codebook's, likewise.
      class_encoder: That of q(c|x) of a homoencoder, likewise.
      pseudo_labels: The options of an unsupervised homoencoder's clusters, likewise.
      data: The images.
      training: The fit.
      versions: Versions of the packages that made the run.

    Example:
      >>> from keras_acn.experiment import load_config
      >>> config = load_config("digits", overrides=["training.epochs=5"])
      >>> config.model.name, config.training.epochs
      ('ACN', 5)
    """

    format: int = Field(FORMAT, ge=1)
    preset: str | None = None
    description: str | None = None
    seed: int = Field(0, ge=0, lt=2**31)
    model: ModelPart = Field(default_factory=ModelPart)
    encoder: Part | None = None
    prior: Part | None = None
    decoder: Part | None = None
    codebook: CodebookPart | None = None
    class_encoder: Part | None = None
    pseudo_labels: PseudoLabelsPart | None = None
    data: DataSection = Field(default_factory=DataSection)
    training: TrainingSection = Field(default_factory=TrainingSection)
    versions: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _parts_fit_together(self):
        training = self.training
        if training.steps_per_epoch and self.codebook and self.codebook.unique:
            raise UserError(
                "codebook.unique is over whole passes of the data: leave out "
                "training.steps_per_epoch, or set codebook.unique=false."
            )
        return self

    def to_yaml(self) -> str:
        """Return the configuration as YAML that `load_config` reads back."""
        written = self.model_dump(exclude_none=True)
        if not written["versions"]:
            del written["versions"]
        return yaml.dump(written)

    def flat(self) -> dict[str, Any]:
        """Return the values under dotted names, such as `"training.epochs"`."""
        return dict(_leaves(self.model_dump(exclude={"versions", "format"}), ()))


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and (value or not path):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    else:
        yield ".".join(path), value


def _section(model: type[BaseModel], loc: list[str]) -> type[BaseModel]:
    """Return the pydantic class of the section that `loc` lies in, under `model`."""
    for key in loc:
        field = model.model_fields.get(key)
        inner = None if field is None else section_of(field)
        if inner is None:
            break
        model = inner
    return model


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the pydantic class of a field that is a section, `None` of any other field."""
    for each in (field.annotation, *typing.get_args(field.annotation)):
        # In Python 3.10 `list[int]` passes for a type, but not for a class.
        plain = typing.get_origin(each) is None and isinstance(each, type)
        if plain and issubclass(each, BaseModel):
            return each
    return None


def user_error(validation_error: ValidationError, model: type[BaseModel]) -> UserError:
    """Return the `UserError` for the first problem of a pydantic `ValidationError`.

    Args:
      validation_error: The error that validating raised.
      model: The pydantic class that was to be made.
    """
    problem = validation_error.errors()[0]
    kind, loc = problem["type"], [part for part in problem["loc"] if isinstance(part, str)]
    context = problem.get("ctx", {})
    value = problem.get("input")
    name = short(".".join(loc))
    if kind == "value_error":
        return UserError(short(context["error"], 600))
    if kind == "extra_forbidden":
        *outer, key = loc
        known = sorted(_section(model, outer).model_fields)
        where = (
            f'option "{short(key)}" of {".".join(outer)}' if outer else f'section "{short(key)}"'
        )
        return UserError(
            f"Unknown {where}: known are {', '.join(known)}.{did_you_mean(key, known)}"
        )
    if kind == "missing":
        if any(isinstance(key, int) for key in problem["loc"]):
            return UserError(
                f"{name} must be a list of pairs, such as [[0, 0.5], [10, 1]]: one has too few "
                "numbers."
            )
        return UserError(f"{name} is missing: give it a value.")
    # As it is written in YAML.
    said = json.dumps(value) if value is None or isinstance(value, bool) else value
    shown = "a section" if isinstance(value, dict) else f'"{short(said)}"'
    if kind == "literal_error":
        known = context["expected"].replace("'", '"')
        near = did_you_mean(value, known.replace('"', "").replace(" or ", ", ").split(", "))
        return UserError(f"{name} must be {known}, not {shown}.{near}")
    for bound, words in _BOUNDS.items():
        if bound in context:
            return UserError(f"{name} must be {words} {context[bound]}, not {shown}.")
    wanted = _WANTED.get(kind)
    if wanted is None:
        return UserError(f"{name}: {problem['msg']}.")
    return UserError(f"{name} must be {wanted}, not {shown}.")
