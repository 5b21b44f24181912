"""YAML as this project reads and writes it: strict about keys, exact about numbers."""

import pathlib
import re
from typing import Any

import yaml

from keras_acn._base.errors import UserError


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice and reads 1e-3 as a number."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a word, not a list or a section", key_node.start_mark
                )
            key = key_node.value
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f'the key "{key}" is given twice', key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


# YAML 1.1 wants a dot and a signed exponent in a float, and reads 1e-3 as text.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


class _Dumper(yaml.SafeDumper):
    """SafeDumper with mappings in block style and lists on one line."""


def _represent_list(dumper, data):
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)


_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(tuple, _represent_list)


def parse(text: str, what: str) -> Any:
    """Return the value that the YAML `text` stands for.

    Args:
      text: The text.
      what: What it is, for the error's sentence, such as a file's name.

    Raises:
      UserError: If it is not valid YAML; the sentence names the line.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except (ValueError, OverflowError, RecursionError) as error:
        # What looks like a date or a number and is none, or sections without an end.
        reason = str(error) if isinstance(error, ValueError) else "it cannot be read"
        raise UserError(f"{what} is not valid YAML: {' '.join(reason.split())}.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise UserError(
            f"{what} is not valid YAML{where}: {' '.join(str(problem).split())}."
        ) from error


def read(path: pathlib.Path) -> dict[str, Any]:
    """Return the mapping in the YAML file at `path` (a `pathlib.Path`).

    Raises:
      UserError: If the file cannot be read, or does not hold a mapping.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a YAML file.")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file, so it holds no configuration.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    value = parse(text, str(path))
    if not isinstance(value, dict):
        raise UserError(
            f'{path} must hold sections such as "training:", not {type(value).__name__}.'
        )
    return value


def dump(value: Any) -> str:
    """Return `value` as YAML text, keys in their own order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
