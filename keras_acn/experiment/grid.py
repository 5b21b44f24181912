"""The grid of a sweep: which options are swept, through which values, and the runs it makes."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keras_acn._base.errors import UserError, did_you_mean, short
from keras_acn._base.shell import LONGEST_NAME
from keras_acn.experiment import yaml
from keras_acn.experiment.config import absolute, load_config
from keras_acn.experiment.schema import Config, section_of

Grid = Mapping[str, Sequence[Any]] | Iterable[str]

_PARTS = ("model", "encoder", "class_encoder", "prior", "decoder")
_NOT_SWEPT = ("preset", "format", "description", "versions")


@dataclasses.dataclass(frozen=True)
class Point:
    """One run of a sweep.

    Attributes:
      name: Of its folder, such as `"beta=0.5,latent_dim=10"`.
      values: `{option: value}`, the options dotted.
      config: The whole `Config`.
    """

    name: str
    values: dict[str, Any]
    config: Config


@dataclasses.dataclass(frozen=True)
class Plan:
    """A grid laid over a preset.

    Attributes:
      base: The `Config` without the grid.
      options: The swept options, dotted.
      points: The runs to train, the last option fastest.

    Example:
      >>> planned = plan("digits", {"latent_dim": [2], "beta": [0, 1]})
      >>> [point.name for point in planned.points]
      ['latent_dim=2,beta=0', 'latent_dim=2,beta=1']
    """

    base: Config
    options: tuple[str, ...]
    points: list[Point]


def plan(
    preset: str | None = None,
    grid: Grid = (),
    *,
    file: str | os.PathLike | None = None,
    overrides: Sequence[str | tuple[str, Any]] = (),
) -> Plan:
    """Return the `Plan` of a sweep; every point's config is read, nothing is trained.

    Args:
      preset: Name of a preset, as for `load_config`.
      grid: `{name: [value, ...]}`, or texts `"name=value,value"`. A name is a dotted
        option, or the last part of one where that says which.
      file: A YAML file laid over the preset.
      overrides: Settings that all runs share, as for `load_config`.

    Raises:
      UserError: If a name or a value is wrong.
    """
    base = absolute(load_config(preset, file, overrides=overrides))
    texts = [grid] if isinstance(grid, str) else grid
    overrides = [overrides] if isinstance(overrides, str) else overrides
    rows = grid.items() if isinstance(grid, Mapping) else map(parse_grid, texts)
    resolved = {}
    for name, values in rows:
        option = resolve(name, base)
        if option in resolved:
            raise UserError(f"The grid names {option} twice: give all its values in one.")
        resolved[option] = values
    names = labels(resolved, base)
    points = []
    for values in combinations(resolved):
        config = absolute(load_config(preset, file, overrides=[*overrides, *values.items()]))
        points.append(Point(folder_name(values, names), values, config))
    if len({repr(point.config) for point in points}) < len(points):
        raise UserError("Two values of the grid mean the same: name one of them.")
    # To some disks A and a are one name.
    if len({point.name.casefold() for point in points}) < len(points):
        raise UserError(
            "Two values of the grid would have one folder's name: sweep them in two sweeps."
        )
    for point in points:
        if len(os.fsencode(point.name)) > LONGEST_NAME:
            raise UserError(
                f"A run's folder is named by its values, and {short(point.name)} is too long a "
                "name: put what all runs share into --set or a --config file."
            )
    return Plan(base, tuple(resolved), points)


def parse_grid(text: str) -> tuple[str, list]:
    """Return `(name, values)` for the text `name=value,value,...`.

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


def combinations(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every combination of a grid's values as dicts, the last option fastest.

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


def resolve(name: str, config: Config) -> str:
    """Return the dotted option that a name stands for, such as `"model.beta"` for `"beta"`.

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


def _option_names(config: Config) -> set[str]:
    """Return the dotted names of what the config sets and of what any config may set."""
    names = {key for key in config.flat() if "." in key}
    for section, field in Config.model_fields.items():
        inner = section_of(field)
        if inner is not None:
            names |= {f"{section}.{key}" for key in inner.model_fields}
    return names


def labels(options: Iterable[str], config: Config) -> dict[str, str]:
    """Return `{option: its shortest unmistakable name}`, as columns and folders are called."""
    short = {}
    for option in options:
        name = option.rpartition(".")[2]
        try:
            alone = resolve(name, config) == option
        except UserError:
            alone = False
        short[option] = name if alone else option
    return short


def text_of(value: Any) -> str:
    """Return a value as a person would write it: `true`, `0.5`, `[100, 100]`."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(text_of(each) for each in value)}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def folder_name(values: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return a folder's name for a point, such as `"beta=0.5,latent_dim=10"`.

    Args:
      values: `{option: value}`.
      names: `{option: label}`, from `labels`.
    """
    parts = []
    for option, value in values.items():
        text = re.sub(r"[^\w.+-]+", "-", text_of(value).strip("[]"))
        parts.append(f"{names[option]}={text}")
    return ",".join(parts)
