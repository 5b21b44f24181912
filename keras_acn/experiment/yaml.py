"""YAML as this project reads and writes it: strict about keys, exact about numbers."""

import codecs
import pathlib
import re
from typing import Any

import yaml

from keras_acn._base.errors import UserError, short

# What nobody needs to say in a configuration, and what takes long or much memory to read.
_MOST_CHARACTERS = 1_000_000
_MOST_VALUES = 100_000
_DEEPEST = 50
_LARGEST = 2**63
# U+DC80 to U+DCFF are how Python has the bytes of a file's name that is no UTF-8.
_NEVER_IN_FILES = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, and reads 1e-3 as a number, a date as text."""

    depth = 0

    def compose_node(self, parent, index):
        self.depth += 1
        if self.depth > _DEEPEST:
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(
                None, None, f"lists and sections are nested more than {_DEEPEST} deep", mark
            )
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_yaml_int(self, node):
        text = self.construct_scalar(node).replace("_", "")
        if re.fullmatch(r"[-+]?\d+", text):
            return int(text)  # 010 is ten
        return super().construct_yaml_int(node)

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
                    None, None, f'the key "{short(key)}" is given twice', key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node):
        # PyYAML copies the options of all that `<<` names, so that every line may have thirty
        # times the options of the line before.
        count = len(node.value)
        for key_node, value_node in node.value:
            if key_node.tag != f"{_TAG}merge":
                continue
            several = isinstance(value_node, yaml.SequenceNode)
            for each in value_node.value if several else [value_node]:
                if isinstance(each, yaml.MappingNode):
                    self.flatten_mapping(each)
                    count += len(each.value)
                if count > _MOST_VALUES:
                    raise yaml.constructor.ConstructorError(
                        None,
                        None,
                        f"<< brings more than {_MOST_VALUES:,} options: write them out",
                        key_node.start_mark,
                    )
        super().flatten_mapping(node)


_TAG = "tag:yaml.org,2002:"
# A name such as 2001-01-01 is text, like any other, and so is =. Numbers are as YAML 1.2 has them:
# YAML 1.1 reads 010 as eight, and 1:30 as ninety.
_Loader.yaml_implicit_resolvers = {
    first: [
        each
        for each in resolvers
        if each[0] not in (f"{_TAG}timestamp", f"{_TAG}value", f"{_TAG}int", f"{_TAG}float")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_INT = (
    f"{_TAG}int",
    re.compile(r"^([-+]?(\d[\d_]*|0b[01_]+|0x[\da-fA-F_]+))$", re.ASCII),
    list("-+0123456789"),
)
# YAML 1.1 wants a dot and a signed exponent in a float, and reads 1e-3 as text.
_FLOAT = (
    f"{_TAG}float",
    re.compile(
        r"^([-+]?((\d[\d_]*\.[\d_]*|\.\d[\d_]*)([eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.(inf|Inf|INF))"
        r"|\.(nan|NaN|NAN))$",
        re.ASCII,
    ),
    list("-+0123456789."),
)
_Loader.add_implicit_resolver(*_INT)
_Loader.add_implicit_resolver(*_FLOAT)


_Loader.add_constructor(f"{_TAG}int", _Loader.construct_yaml_int)


class _Dumper(yaml.SafeDumper):
    """SafeDumper with mappings in block style and lists on one line."""


# So that text which looks like one is quoted.
_Dumper.add_implicit_resolver(*_FLOAT)


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
    if len(text) > _MOST_CHARACTERS:
        raise UserError(f"{what} is too long: give at most {_MOST_CHARACTERS:,} characters.")
    try:
        value = yaml.load(text, Loader=_Loader)
        _check_plain(value, [0])
        return value
    except UserError as error:
        raise UserError(f"{what} {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        problem = short(" ".join(str(problem).split()), 200)
        raise UserError(f"{what} is not valid YAML{where}: {problem}.") from error
    except Exception as error:
        # PyYAML lets through whatever Python says of a number, a truth or a date that is none.
        raise UserError(
            f"{what} is not valid YAML, as a value of it is not what its tag or its form says: "
            "write text in quotes, and numbers in digits."
        ) from error


def _check_plain(value: Any, count: list[int]) -> None:
    """Raise `UserError` unless a value is made of what a configuration is made of."""
    count[0] += 1
    if count[0] > _MOST_VALUES:
        # An anchor within what it names has no end.
        raise UserError(f"holds more than {_MOST_VALUES:,} values: leave out anchors (&, *).")
    if isinstance(value, dict):
        for key, each in value.items():
            _check_plain(key, count)
            _check_plain(each, count)
    elif isinstance(value, list):
        for each in value:
            _check_plain(each, count)
    elif isinstance(value, int):
        if abs(value) >= _LARGEST:
            raise UserError("holds a number of more than 19 digits: give a smaller one.")
    elif isinstance(value, str):
        if _NEVER_IN_FILES.search(value):
            raise UserError("holds a character that no file can hold (\\0 or half a character).")
    elif value is not None and not isinstance(value, float):
        raise UserError(
            f"holds a {type(value).__name__}: there are only text, numbers, true, false, null, "
            "lists and sections."
        )


def read(path: pathlib.Path) -> dict[str, Any]:
    """Return the mapping in the YAML file at `path` (a `pathlib.Path`).

    Raises:
      UserError: If the file cannot be read, or does not hold a mapping.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a YAML file.")
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is a device or a pipe, not a YAML file.")
    try:
        with open(path, encoding=_encoding(path)) as file:
            text = file.read(_MOST_CHARACTERS + 1)
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text in UTF-8: save it so.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    value = parse(text, str(path))
    if not isinstance(value, dict):
        raise UserError(
            f'{path} must hold sections such as "training:", not {type(value).__name__}.'
        )
    return value


def _encoding(path):
    """Return the encoding that the first two bytes of a file tell: PowerShell writes UTF-16."""
    with open(path, "rb") as file:
        begins = file.read(2)
    return "utf-16" if begins in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def dump(value: Any) -> str:
    """Return `value` as YAML text, keys in their own order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
