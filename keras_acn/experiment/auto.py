"""What a config leaves open, chosen: by the data, and by the time that there is to train.

A config whose `training.minutes` is set is completed in two steps. `prepared` looks at the source
before anything of it is read: what is held out, and the size of pictures that have several, or
are too large. `complete` looks at the images, measures a few steps of training, and chooses parts
and schedule. Whatever the config says itself is kept.
"""

from __future__ import annotations

import dataclasses
import gc
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_acn import data as data_lib
from keras_acn import decoders, encoders, models
from keras_acn._base.errors import UserError
from keras_acn._base.registry import Registry
from keras_acn.data.image_set import ImageSet
from keras_acn.data.readers import open_source
from keras_acn.data.readers.notices import tell
from keras_acn.data.transform import SQUARE
from keras_acn.experiment import build, precision
from keras_acn.experiment.config import merged, validated
from keras_acn.experiment.schema import Config
from keras_acn.models import sizes
from keras_acn.models.sizes import SIZES, Size

if TYPE_CHECKING:
    from keras_acn.data import Data
    from keras_acn.models import LatentModel

# Parts whose options tell which of them is meant, the one that is chosen anyway first.
_ROOMS = {"encoder": encoders.registry, "decoder": decoders.registry}
_TRIED = ("conv", "mlp", "pixelcnn")
# A weight for so many values. (Weights that have to be sent, as in a packed file, are dearer.)
VALUES_PER_WEIGHT = {2: 10, 256: 3}
# Steps that a PixelCNN has to have, and a larger one before it is taken instead of a smaller.
# Colours and grey values lie so close to what their neighbours predict that it is ahead at once.
LEAST_STEPS = {2: sizes.LEAST_STEPS, 256: 60}
STEPS_WANTED = 1500
# No more passes over the data: by then a small set is known by heart.
MOST_PASSES = 300
# Larger pictures, and those of several sizes, are brought to SIDE.
MOST_SIDE, SIDE = 64, 32
VALIDATION_SHARE, MOST_VALIDATION, LEAST_IMAGES = 0.1, 5000, 50
EPOCHS_PER_MINUTE, FEWEST_EPOCHS, MOST_EPOCHS = 4, 5, 40
# The cost of a forward pass, as a share of a training step's.
FORWARD = 0.35


@dataclasses.dataclass(frozen=True)
class Choice:
    """What was chosen, and why.

    Attributes:
      config: The whole `Config`, without `training.minutes`.
      lines: Five lines: likelihood, encoder, decoder, training, what is held out.

    Example:
      >>> from keras_acn.experiment import Config
      >>> print(Choice(Config(), ("likelihood  Bernoulli",)))
      likelihood  Bernoulli
    """

    config: Config
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.lines)

    @property
    def fit(self) -> dict[str, int]:
        """The arguments of `fit`: `batch_size` and `epochs`."""
        training = self.config.training
        return {"batch_size": training.batch_size, "epochs": training.epochs}


def model_for_data(
    cls: type[LatentModel], data: Any, *, minutes: float = 5.0, seed: int = 0
) -> LatentModel:
    """Return a compiled model for data: see `LatentModel.for_data`."""
    data = _as_data(data)
    name = next((each.__name__ for each in cls.__mro__ if _is_known(each)), None)
    if name is None:
        raise UserError(f"{cls.__name__} is no model that can be chosen for data: build it.")
    given = {"model": {"name": name}, "seed": seed, "training": {"minutes": minutes}}
    config = validated({**given, "data": {"source": data.name}})
    choice = complete(config, data, whole_passes=True)
    model = build.build_model(choice.config, data.image_shape, len(data.train), cls=cls)
    model.choice = choice
    return model


def _is_known(cls: type) -> bool:
    return models.registry.by_name.get(cls.__name__) is cls


def _as_data(data: Any) -> Data:
    if isinstance(data, data_lib.Data):
        return data
    if not isinstance(data, ImageSet):
        data = data_lib.from_arrays(*(data if isinstance(data, tuple) else (data,)))
    classes = None if data.labels is None else int(data.labels.max()) + 1
    return data_lib.Data(data, None, None, "the images", data.image_shape, classes)


# -- what the source tells before it is read ---------------------------------------------------


def prepared(config: Config) -> Config:
    """Return a config that says what is held out, and what size the pictures are brought to.

    Args:
      config: A `Config` with `training.minutes`.

    Warns:
      DataWarning: If pictures are cropped or reduced, which a setting can change.
    """
    section = config.data
    opened = open_source(
        section.source,
        None if section.data_dir is None else os.path.expanduser(section.data_dir),
        background=section.background,
        skip_damaged=section.skip_damaged,
    )
    train = opened.train
    if train is None:
        return config  # whose loading says what is wrong
    chosen: dict[str, Any] = {}
    count = min(len(train), section.limit or len(train))
    if not section.validation and opened.validation is None and count >= LEAST_IMAGES:
        most = count * VALIDATION_SHARE > MOST_VALIDATION
        chosen["validation"] = MOST_VALIDATION if most else VALIDATION_SHARE
    if section.resize is None and section.crop is None:
        found = set().union(*(part.sizes() for part in (train, *train.peers)))
        chosen |= _one_size(found, section.source)
    given = section.model_fields_set
    chosen = {key: value for key, value in chosen.items() if key not in given}
    return config.model_copy(update={"data": section.model_copy(update=chosen)})


def _one_size(found: set[tuple[int, int]], source: str) -> dict[str, Any]:
    """Return crop and size for pictures of several sizes, or of one that is too large."""
    if len(found) == 1 and max(max(size) for size in found) <= MOST_SIDE:
        return {}
    narrow = int(np.median([min(size) for size in found]))
    side = SIDE if narrow >= SIDE else max(4, narrow // 4 * 4)
    chosen: dict[str, Any] = {"resize": side}
    square = all(height == width for height, width in found)
    if not square:
        chosen["crop"] = SQUARE
    low, high = min(found, key=np.prod), max(found, key=np.prod)
    sized = f"are {high[0]}x{high[1]}"
    if len(found) > 1:
        sized = f"have {len(found)} sizes, from {low[0]}x{low[1]} to {high[0]}x{high[1]}"
    cropped = "" if square else "cropped to their central squares and "
    tell(
        [
            f"The pictures of {source} {sized}: they are {cropped}brought to {side}x{side}; choose "
            "another size by --set data.resize=64, or a part by --set data.crop=64."
        ],
        stacklevel=4,
    )
    return chosen


def choose(config: Config) -> tuple[Choice, Data]:
    """Return a `Choice` and the data that it was made by, from a config with `training.minutes`."""
    config = prepared(config)
    data = build.build_data(config)
    return complete(config, data), data


# -- what the images and the first steps tell --------------------------------------------------


def complete(config: Config, data: Data, *, whole_passes: bool = False) -> Choice:
    """Return a `Choice`: the config with all that it leaves open.

    Args:
      config: A `Config` with `training.minutes`.
      data: What it was loaded as.
      whole_passes: Whether an epoch is a pass over the data, as `fit` has it.
    """
    return _Chooser(config, data, whole_passes).choice()


class _Chooser:
    """Chooses for one config and one data set."""

    def __init__(self, config: Config, data: Data, whole_passes: bool):
        self.given = config.model_dump(exclude_unset=True, exclude_none=True)
        self.minutes = config.training.minutes or 5.0
        self.given.get("training", {}).pop("minutes", None)
        for part, registry in _ROOMS.items():
            _name_by_options(self.given.get(part), registry)
        self.data, self.whole_passes = data, whole_passes
        self.kind = models.registry.find(config.model.name)
        self.count = len(data.train)
        self.shape = data.image_shape
        self.levels = 2 if data.train.is_binary else 256
        self.dense = 64 if max(self.shape[:2]) <= 12 or self.count < 2000 else 128
        self.values = self.count * int(np.prod(self.shape))
        if config.training.precision == "auto":
            # Steps are measured in the precision that they will be trained in.
            config = precision.chosen(self._config(SIZES[0], True, {}))[0]
            self.given["training"]["precision"] = config.training.precision

    def choice(self) -> Choice:
        """Return the choice."""
        seconds = 60 * self.minutes
        size, autoregressive, why, step = self._networks(seconds)
        schedule = self._schedule(seconds, step)
        config = self._config(size, autoregressive, schedule)
        lines = (
            f"likelihood  {self._likelihood(config)}",
            f"encoder     {self._encoder(config)}",
            f"decoder     {self._decoder(config)}: {why}",
            f"training    {self._training(config, step)}",
            f"held out    {self._held_out(config)}",
        )
        return Choice(config, lines)

    # -- networks ------------------------------------------------------------------------

    def _networks(self, seconds):
        """Return `(size, autoregressive, why, seconds of a step)`."""
        wanted = self.values / VALUES_PER_WEIGHT[self.levels]
        least = LEAST_STEPS[self.levels]
        given = self.given.get("decoder", {}).get("name")
        if given is not None:
            size = self._largest(wanted, False)
            step = self._measured(size, False)
            return size, False, f"as asked for; a step takes {_time(step)}", step
        most = SIZES.index(self._largest(wanted, True))
        tried = min(most, 3)
        step = self._measured(SIZES[tried], True)
        times = [step * _work(size) / _work(SIZES[tried]) for size in SIZES]
        fitting = [i for i in range(most + 1) if seconds >= STEPS_WANTED * times[i]]
        if not fitting:
            fitting = [i for i in range(most + 1) if sizes.pays(seconds, times[i], least)][:1]
        if fitting:
            size = SIZES[fitting[-1]]
            if fitting[-1] != tried:
                step = self._measured(size, True)
            why = f"a step takes {_time(step)}, so that there is time for {seconds / step:,.0f}"
            return size, True, why, step
        slow = times[0]
        size = self._largest(wanted, False)
        step = self._measured(size, False)
        while not sizes.pays(seconds, step, least) and size is not SIZES[0]:
            size = SIZES[SIZES.index(size) - 1]
            step = self._measured(size, False)
        why = (
            f"the smallest PixelCNN would have time for {seconds / slow:,.0f} steps, of the "
            f"{least} that it needs"
        )
        return size, False, why, step

    def _largest(self, wanted: float, autoregressive: bool) -> Size:
        """Return the largest size that the data have enough values for."""

        def count(size):
            return sizes.roughly(size, self.shape, autoregressive=autoregressive, dense=self.dense)

        fitting = [size for size in SIZES if count(size) <= wanted]
        return fitting[-1] if fitting else SIZES[0]

    def _measured(self, size: Size, autoregressive: bool) -> float:
        config = self._config(size, autoregressive, {})
        model = build.build_model(config, self.shape, self.count)
        try:
            return sizes.seconds_per_step(model, self.data.train, config.training.batch_size)
        finally:
            del model
            gc.collect()

    # -- the config ----------------------------------------------------------------------

    def _config(self, size: Size, autoregressive: bool, schedule: dict[str, Any]) -> Config:
        """Return the config of a size, with what is given laid over it."""
        latent_dim = 8 if max(self.shape[:2]) <= 12 or self.count < 200 else 16
        if self.shape[2] > 1 and self.count >= 2000:
            latent_dim = 32
        encoder = sizes.encoder_of(size, dense=self.dense)
        if not issubclass(self.kind, models.Autoencoder):
            learned = not issubclass(self.kind, models.ACN)
            encoder["variance"] = "learned" if learned else "unit"
        decoder = sizes.decoder_of(size, self.shape, self.levels, autoregressive=autoregressive)
        centred = {"prediction": "linear"} if self._predicts() else {}
        if autoregressive:
            decoder |= centred
        chosen: dict[str, Any] = {
            "model": {"name": self.kind.__name__, "latent_dim": latent_dim},
            "encoder": encoder,
            "decoder": decoder,
        }
        if issubclass(self.kind, models.ACN):
            prior = {"name": "mixture", "components": 8, "hidden": [128] * 3}
            chosen["prior"] = {**prior, "activation": "tanh", "skip_connections": True}
            chosen["codebook"] = {"k": min(5, max(1, self.count - 1)), "unique": False}
        if issubclass(self.kind, models.VHE):
            chosen["class_encoder"] = encoder
        has_validation = self.data.validation is not None
        given = dict(self.given)
        asked = given.get("decoder", {})
        if "name" in asked:
            # The merge leaves out what was chosen for a decoder of another name.
            fitting = {"likelihood": decoder["likelihood"], **centred}
            known = decoders.registry.options_of(asked["name"])
            fitting = {name: each for name, each in fitting.items() if name in known}
            given["decoder"] = {**fitting, **asked}
        chosen["training"] = {
            "batch_size": min(64 if self.count >= 500 else 32, self.count),
            # Measured on patches of photographs: small PixelCNNs learn faster by the larger one.
            "learning_rate": 5e-3 if autoregressive and size.filters <= 16 else 3e-3,
            "schedule": "cosine",
            "clipnorm": 5.0,
            "keep_best": has_validation,
            **schedule,
        }
        if given.get("preset") == "auto" or "description" not in given:
            given["description"] = self._description()
        return validated(merged(chosen, given))

    def _predicts(self) -> bool:
        """Whether a pixel can be centred on a prediction: the likelihood may be asked for."""
        asked = self.given.get("decoder", {}).get("likelihood")
        likelihood = decoders.get_likelihood(asked or "discretized_logistic_mixture")
        return self.levels > 2 and likelihood.has_centre

    def _description(self) -> str:
        shape = "x".join(map(str, self.shape))
        return f"Chosen for {self.count:,} images of {shape} and {self.minutes:g} minutes."

    def _schedule(self, seconds: float, step: float) -> dict[str, Any]:
        """Return epochs, their steps, and the warm-ups, for so many seconds."""
        batch = self._config(SIZES[0], False, {}).training.batch_size
        in_a_pass = self.data.train.steps_per_epoch(batch)
        held_out = self.data.validation or self.data.test
        measured = 0 if held_out is None else held_out.steps_per_epoch(batch)
        given = self.given.get("training", {})
        total = max(1, min(int(seconds / step), MOST_PASSES * in_a_pass))
        epochs = round(EPOCHS_PER_MINUTE * seconds / 60)
        epochs = min(max(epochs, FEWEST_EPOCHS), MOST_EPOCHS)
        # Each epoch ends with a look at what is held out.
        total = max(epochs, total - round(epochs * measured * FORWARD))
        whole = self.whole_passes or self.given.get("codebook", {}).get("unique")
        schedule: dict[str, Any] = {}
        if whole or total >= in_a_pass * epochs * 0.75 and total <= in_a_pass * MOST_EPOCHS:
            epochs = max(1, round(total / in_a_pass))
        else:
            epochs = min(epochs, total)
            schedule["steps_per_epoch"] = max(1, round(total / epochs))
        epochs = given.get("epochs", epochs)
        schedule["epochs"] = epochs
        if "kl_schedule" not in given:
            schedule |= {"kl_warmup_epochs": round(0.25 * epochs, 2), "kl_warmup_from": 0.05}
        if given.get("schedule", "cosine") != "linear":
            schedule["warmup_epochs"] = round(0.02 * epochs, 3)
        return schedule

    # -- in words ------------------------------------------------------------------------

    def _likelihood(self, config):
        shape = f"{self.shape[0]}x{self.shape[1]}"
        if self.levels == 2:
            return f"Bernoulli: all values of the {shape} pixels are black or white"
        channels = "grey" if self.shape[2] == 1 else f"{self.shape[2]} channels"
        levels = self.data.train.levels
        many = "numbers between 0 and 1" if levels is None else f"{levels} values"
        rounded = ", rounded to 8 bits" if levels is None else ""
        family = _words(config.decoder.as_dict().get("likelihood"))
        return f"{family}: the {shape} pixels are {channels} of {many}{rounded}"

    def _encoder(self, config):
        latents = f"{config.model.latent_dim} latents"
        return f"{_described(config.encoder)}, {latents}: for {self.count:,} images to learn from"

    def _decoder(self, config):
        return _described(config.decoder)

    def _training(self, config, step):
        training = config.training
        steps = build.steps_per_epoch(config, self.count)
        warm = training.kl_warmup_epochs
        rises = f"; the KL's weight rises over the first {warm:g}" if warm else ""
        epochs = "1 epoch" if training.epochs == 1 else f"{training.epochs} epochs"
        takes = training.epochs * steps * step
        takes = f"{takes:.0f} seconds" if takes < 90 else f"{takes / 60:.1f} minutes"
        return (
            f"{epochs} of {steps} steps with {training.batch_size} images, which take about "
            f"{takes}{rises}"
        )

    def _held_out(self, config):
        validation, test = self.data.validation, self.data.test
        words = []
        if validation is not None:
            best = ", by which the best epoch is kept" if config.training.keep_best else ""
            words.append(f"{len(validation):,} images for validation{best}")
        if test is not None:
            words.append(f"{len(test):,} to test on")
        return "; ".join(words) or "nothing: there are too few images"


def _name_by_options(section: dict[str, Any] | None, registry: Registry) -> None:
    """Name the part that a section means which has options and no name: the first with these."""
    if section and "name" not in section:
        names = [name for name in _TRIED if name in registry.by_name]
        fitting = [name for name in names if set(section) <= set(registry.options_of(name))]
        # All know the options of each other's parts, or none does, which is said later.
        if fitting and fitting[0] != names[0]:
            section["name"] = fitting[0]


def _work(size: Size) -> float:
    """Return about what a step of a PixelCNN of a size costs, in no unit."""
    return size.layers * size.filters * (size.filters + 8)


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _words(likelihood: Any) -> str:
    name = likelihood.get("name") if isinstance(likelihood, dict) else likelihood
    return str(name or "the decoder's own").replace("_", " ")


def _described(part: Any) -> str:
    options = part.as_dict()
    name = options.get("name", "")
    if name == "pixelcnn":
        block = options.get("block", 1)
        by = f"blocks of {block} x {block}" if block > 1 else "single pixels"
        centred = " around a linear prediction" if options.get("prediction") == "linear" else ""
        # What was neither chosen here nor given is the decoder's own default.
        deep = f", {options['layers']} layers" if "layers" in options else ""
        wide = f" of {options['filters']}" if "filters" in options else ""
        return f"PixelCNN by {by}{centred}{deep}{wide}"
    layers: Sequence[int] = options.get("filters") or options.get("hidden") or ()
    kind = {"conv": "convolutions", "mlp": "dense layers"}.get(name, name)
    return f"{kind} {list(layers)}" if layers else kind
