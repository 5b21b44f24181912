"""The grid of a sweep: which options are swept, through which values."""

import itertools
import re
import typing

from keras_acn._base.errors import UserError, did_you_mean
from keras_acn.experiment import yaml
from keras_acn.experiment.schema import Config, Section

_PARTS = ("model", "encoder", "class_encoder", "prior", "decoder")
_NOT_SWEPT = ("preset", "format", "description", "versions")


def parse_grid(text):
    """Returns `(name, values)` for the text `name=value,value,...`.

    Each value is read as YAML, so that `[100, 100]` is one value and `1e-3` a number.

    Raises:
      UserError: If there is no name, or there are no values.
    """
    name, equals, values = text.partition("=")
    name = name.strip()
    if not equals or not name or not values.strip():
        raise UserError(
            f'"{text}" is no row of a grid: write option=value,value, such as beta=0,0.5,1.'
        )
    return name, yaml.parse(f"[{values}]", f'The values of "{name}"')


def points(grid):
    """Returns every combination of a grid's values as dicts, the last option fastest.

    Args:
      grid: `{option: [value, ...]}`.

    Raises:
      UserError: If an option has no values, or one of them twice.
    """
    if not grid:
        raise UserError("There is nothing to sweep: give a grid, such as --grid beta=0,0.5,1.")
    for option, values in grid.items():
        if not isinstance(values, (list, tuple)) or not len(values):
            raise UserError(f"The grid needs a list of values for {option}, at least one.")
        for i, value in enumerate(values):
            if any(value == other for other in values[:i]):
                raise UserError(f"The grid has {option}={text_of(value)} twice: name it once.")
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def resolve(name, config):
    """Returns the dotted option that a name stands for, such as `"model.beta"` for `"beta"`.

    Args:
      name: A dotted option, taken as it is; the last part of one; or the name of a part
        of the model, such as `"encoder"`, whose values are then names of encoders.
      config: The `Config` whose options are meant.

    Raises:
      UserError: If no option ends in that name, or several do.
    """
    if "." in name or name in _PARTS or name == "seed":
        return name
    if name in _NOT_SWEPT:
        raise UserError(f"{name} cannot be swept: it is no option of a run.")
    if name == "data":  # as --data has it
        return "data.source"
    known = _option_names(config)
    matches = sorted(option for option in known if option.rpartition(".")[2] == name)
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UserError(f'"{name}" may be {" or ".join(matches)}: write which in full.')
    near = did_you_mean(name, {option.rpartition(".")[2] for option in known})
    raise UserError(
        f'There is no option "{name}" to sweep.{near} An option that the preset leaves out is '
        "written in full, such as encoder.variance."
    )


def _option_names(config):
    """Returns the dotted names of what the config sets and of what any config may set."""
    names = {key for key in config.flat() if "." in key}
    for section, field in Config.model_fields.items():
        for cls in (field.annotation, *typing.get_args(field.annotation)):
            if isinstance(cls, type) and issubclass(cls, Section):
                names |= {f"{section}.{key}" for key in cls.model_fields}
    return names


def labels(options, config):
    """Returns `{option: its shortest unmistakable name}`, as columns and folders are called."""
    short = {}
    for option in options:
        name = option.rpartition(".")[2]
        try:
            alone = resolve(name, config) == option
        except UserError:
            alone = False
        short[option] = name if alone else option
    return short


def text_of(value):
    """Returns a value as a person would write it: `true`, `0.5`, `[100, 100]`."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(text_of(each) for each in value)}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def folder_name(values, names):
    """Returns a folder's name for a point, such as `"beta=0.5,latent_dim=10"`.

    Args:
      values: `{option: value}`.
      names: `{option: label}`, from `labels`.
    """
    parts = []
    for option, value in values.items():
        text = re.sub(r"[^\w.+-]+", "-", text_of(value).strip("[]"))
        parts.append(f"{names[option]}={text}")
    return ",".join(parts)
