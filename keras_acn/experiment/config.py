"""A run's configuration, joined from a preset, a file and single settings."""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from keras_acn._base import lazy
from keras_acn._base.errors import UserError, short
from keras_acn._base.shell import expanded
from keras_acn.experiment import yaml
from keras_acn.experiment.presets import DEFAULT, preset_path
from keras_acn.experiment.schema import FORMAT as FORMAT
from keras_acn.experiment.schema import Config as Config
from keras_acn.experiment.schema import user_error

readers = lazy.module("keras_acn.data.readers")

_PARTS = ("model", "encoder", "prior", "decoder", "class_encoder")
# Sections of parts that another model has no use for.
_OF_THE_MODEL = ("prior", "codebook", "class_encoder", "pseudo_labels")


def merged(base: dict, top: dict, path: tuple[str, ...] = ()) -> dict:
    """Return `base` updated by `top`, section by section.

    Another name for a part drops the options that `base` has for the part it replaces:
    they belong to another class.
    """
    found = dict(base)
    if not path and _replaces_model(base, top):
        found = {key: value for key, value in base.items() if key not in _OF_THE_MODEL}
    for key, value in top.items():
        here = (*path, key)
        if here in {(part,) for part in _PARTS} and isinstance(value, str):
            value = {"name": value}
        old = found.get(key)
        if not (isinstance(value, dict) and isinstance(old, (dict, str))):
            found[key] = value
            continue
        if isinstance(old, str):
            old = {"name": old}
        if "name" in value:
            if _same_name(value["name"], old.get("name")):
                value = {**value, "name": old["name"]}
            elif here == ("model",):
                # These two are every model's; its own options are not.
                old = {k: v for k, v in old.items() if k in ("latent_dim", "beta")}
            else:
                old = {}
        found[key] = merged(old, value, here)
    return found


def _replaces_model(base: dict, top: dict) -> bool:
    old, new = (
        value.get("name") if isinstance(value, dict) else value
        for value in (base.get("model"), top.get("model"))
    )
    return None not in (old, new) and not _same_name(new, old)


def _same_name(one: Any, other: Any) -> bool:
    plain = [str(word).replace("_", "").lower() for word in (one, other)]
    return plain[0] == plain[1]


def parse_override(text: str) -> tuple[str, Any]:
    """Return `("part.option", value)` for the text `part.option=value`.

    The value is read as YAML: `[100, 100]`, `true`, `1e-3`, `null`, or plain text.

    Raises:
      UserError: If there is no `=`, no name before it, or no YAML after it.
    """
    path, equals, value = text.partition("=")
    path = path.strip()
    if not equals or not path or any(not part for part in path.split(".")):
        raise UserError(
            f'"{short(text)}" sets nothing: write part.option=value, such as training.epochs=5.'
        )
    if path.count(".") > 20:
        raise UserError(f'"{short(path)}" names no option: write part.option=value.')
    return path, yaml.parse(value, f'The value of "{short(path)}"')


def _joined(one, other):
    """Return two nested values of overrides as one, whatever their order."""
    kinds = {dict if isinstance(v, dict) else type(v) for v in (one, other)}
    if dict not in kinds or not kinds <= {dict, str}:
        return other
    one, other = ({"name": v} if isinstance(v, str) else v for v in (one, other))
    joined = {key: _joined(one[key], other[key]) for key in one if key in other}
    return {**one, **other, **joined}


def _overridden(raw, overrides):
    """Return `raw` with all overrides applied at once.

    They are merged before they are laid over `raw`, so that naming another part (which drops the
    options of the part before) keeps the options that a second override sets.
    """
    joined = {}
    for override in [overrides] if isinstance(overrides, str) else overrides:
        path, value = parse_override(override) if isinstance(override, str) else override
        if path in ("preset", "format"):
            raise UserError(f"{path} cannot be set: name the preset itself instead.")
        if value is None and path in raw:
            # What is set after that begins from nothing.
            raw = {**raw, path: None}
        keys = reversed(path.split("."))
        joined = _joined(joined, functools.reduce(lambda inner, key: {key: inner}, keys, value))
    return merged(raw, joined)


def _version(raw):
    """Return the format as validating will read it; the newest known where it cannot."""
    try:
        return TypeAdapter(int).validate_python(raw.get("format", FORMAT))
    except ValidationError:
        return FORMAT


def validated(raw: dict[str, Any], what: str = "The configuration") -> Config:
    """Return the `Config` of sections that were joined.

    Args:
      raw: The sections.
      what: What to call them in an error.

    Raises:
      UserError: If a name or a value is wrong.
    """
    version = _version(raw)
    if version > FORMAT:
        raise UserError(
            f"{what} was written by a newer keras-acn (format {version}, this version reads "
            f"up to {FORMAT}): upgrade keras-acn to use it."
        )
    # A section that is written out but left empty means its defaults.
    known = Config.model_fields
    raw = {str(k): value for k, value in raw.items() if value is not None or str(k) not in known}
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise user_error(error, Config) from None


def load_config(
    preset: str | None = None,
    file: str | os.PathLike | None = None,
    *,
    overrides: Iterable[str | tuple[str, Any]] = (),
) -> Config:
    """Return the `Config` made from a preset, a file and single overrides, in this order.

    A file that names a `preset` is laid over it; without one it is laid over the
    defaults. A run's own `config.yaml` is complete, and taken as it is. With neither a
    preset nor a file the preset is `mnist-mini`.

    Args:
      preset: Name of a preset.
      file: Path of a YAML file.
      overrides: Texts `"part.option=value"` with the value as YAML, or pairs
        `("part.option", value)`.

    Raises:
      UserError: If a name or a value is wrong; one sentence, with the nearest known name.
    """
    raw = {} if file is None else yaml.read(pathlib.Path(expanded(file)))
    what = "The configuration" if file is None else str(file)
    if preset is None and file is None:
        preset = DEFAULT
    if preset is None and "format" not in raw:
        preset = raw.get("preset")
    if preset is not None:
        base = yaml.read(preset_path(preset))
        raw = merged({**base, "preset": preset}, {k: v for k, v in raw.items() if k != "preset"})
    return validated(_overridden(raw, overrides), what)


def absolute(config: Config) -> Config:
    """Return a config whose data are found from any folder: with absolute paths.

    What a run stores is made so; a config that is written to be shared keeps what was typed.
    """
    data = config.data
    folder = None if data.data_dir is None else os.path.abspath(expanded(data.data_dir))
    found = {"source": readers.absolute_source(data.source), "data_dir": folder}
    training, start = config.training, config.training.start_from
    if start is not None and os.path.exists(expanded(start)):
        training = training.model_copy(update={"start_from": os.path.abspath(expanded(start))})
    return config.model_copy(update={"data": data.model_copy(update=found), "training": training})
