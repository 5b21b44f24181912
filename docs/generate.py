"""The pages of the site that are made from the code: commands, configuration, the public names.

`docs/conf.py` calls `write` when the site is built. What is written lies in `docs/_generated`
and in no commit.
"""

from __future__ import annotations

import inspect
import pathlib
import re
import typing
from collections.abc import Iterator
from typing import Any

import click
import pydantic

import keras_acn
from keras_acn import codebook, decoders, encoders, models, priors
from keras_acn._base import lazy
from keras_acn._base.registry import Registry, options
from keras_acn.cli import COMMANDS, command_line
from keras_acn.experiment import schema

ROOT = pathlib.Path(__file__).parents[1]
ROOMS = (
    "models",
    "codebook",
    "encoders",
    "priors",
    "decoders",
    "decoders.families",
    "data",
    "codec",
    "evaluation",
    "experiment",
    "figures",
    "html_report",
    "plots",
    "serving",
    "sklearn",
    "testing",
)
# Which classes a section of the configuration chooses from.
PARTS: dict[str, Registry] = {
    "model": models.registry,
    "encoder": encoders.registry,
    "prior": priors.registry,
    "decoder": decoders.registry,
    "codebook": codebook.registry,
    "class_encoder": encoders.registry,
    "pseudo_labels": codebook.pseudo_labels_registry,
}
ABOUT = {
    "model": "Which model, and its own options.",
    "encoder": "The network of the posterior q(z|x); without it, the model's own choice.",
    "prior": "The prior p(z|c) or p(z); without it, the model's own choice.",
    "decoder": "The network of r(x|z); without it, the model's own choice.",
    "codebook": "The codebook of an ACN.",
    "class_encoder": "The network of q(c|x) of a VHE; without it, the model's own choice.",
    "pseudo_labels": "The clusters of a VHE without labels.",
}
# What a run fills in, or has sections of their own.
FILLED_IN = {
    *("image_shape", "latent_dim", "code_dim", "class_dim", "context_dim", "size", "seed"),
    *(name for name in PARTS if name != "model"),
}


def write(folder: pathlib.Path) -> None:
    """Write all pages into `folder`, and remove others; one that says the same is left alone."""
    pages = {"commands.md": commands_page(), "configuration.md": configuration_page()}
    pages |= {f"api/{name}": text for name, text in api_pages().items()}
    for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"):
        if (ROOT / name).exists():
            pages[f"project/{name.lower()}"] = from_the_top(name)
    for path in folder.rglob("*.md"):
        if path.relative_to(folder).as_posix() not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def from_the_top(name: str) -> str:
    """Return a page of the repository's top folder, its links as the site has them."""
    text = (ROOT / name).read_text().replace("](docs/", "](../../")
    return re.sub(r"\]\((?:\./)?([A-Z]+\.md)", lambda found: f"]({found[1].lower()}", text)


# -- the command line ------------------------------------------------------------------


def commands_page() -> str:
    """Return the page of all commands, from what click knows of them."""
    lines = [
        "# Commands",
        "",
        "This is what `keras-acn COMMAND --help` says; "
        "[the command line](../command-line.md) has what the commands have in common.",
        "",
    ]
    lines += ["| command | |", "|---|---|"]
    lines += [f"| [`{name}`](#keras-acn-{name}) | {help} |" for name, help in COMMANDS.items()]
    parent = click.Context(command_line, info_name="keras-acn")
    for name in COMMANDS:
        command = lazy.load(f"keras_acn.cli.{name}:{name}")
        context = click.Context(command, info_name=name, parent=parent)
        lines += ["", f"## keras-acn {name}", ""]
        lines += ["```text", command.get_usage(context).removeprefix("Usage: "), "```", ""]
        lines += list(_help(command.help or ""))
        records = [each.get_help_record(context) for each in command.get_params(context)]
        lines += ["", "| option | |", "|---|---|"]
        lines += [f"| {_code(record[0])} | {_cell(record[1])} |" for record in records if record]
    return "\n".join(lines) + "\n"


def _help(text: str) -> Iterator[str]:
    """Yield a command's help as Markdown: click's blocks that keep their lines are code."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            yield from ("```text", paragraph.removeprefix("\b").strip("\n"), "```", "")
        else:
            yield from (_escaped(" ".join(paragraph.split())), "")


# -- the configuration -----------------------------------------------------------------


def configuration_page() -> str:
    """Return the page of all options of a configuration, from the schema and the classes."""
    config = schema.Config
    sections = [name for name, field in config.model_fields.items() if _model(field.annotation)]
    lines = [
        "# Configuration",
        "",
        "A run is described by a YAML file: of a preset (`keras-acn presets NAME` shows it), of "
        "your own (`keras-acn train --config FILE.yaml`), or with options set by "
        "`--set SECTION.OPTION=VALUE`. These are all options there are. `keras_acn.experiment."
        "load_config` reads the same in Python.",
        "",
        "## At the top",
        "",
        *_table(config, [name for name in config.model_fields if name not in sections]),
    ]
    for name in sections:
        section = _model(config.model_fields[name].annotation)
        assert section is not None
        about = ABOUT.get(name) or _first(inspect.getdoc(section) or "")
        lines += ["", f"## `{name}`", "", _escaped(about), ""]
        if name not in PARTS:
            lines += _table(section, list(section.model_fields))
            continue
        classes = sorted(set(PARTS[name].by_name.values()), key=lambda cls: cls.__name__)
        if len(classes) > 1:
            known = ", ".join(f"`{each}`" for each in PARTS[name].names())
            lines += [f"`{name}.name` is one of {known}, in any of their spellings.", ""]
        for cls in classes:
            lines += ["", f"### {cls.__name__}", "", _escaped(_first(inspect.getdoc(cls) or ""))]
            lines += [""] + _options(cls, section)
    return "\n".join(lines) + "\n"


def _model(annotation: Any) -> type[pydantic.BaseModel] | None:
    """Return the section that a field of the configuration holds, `None` for a plain value."""
    for each in (annotation, *typing.get_args(annotation)):
        if isinstance(each, type) and issubclass(each, pydantic.BaseModel):
            return each
    return None


def _table(section: type[pydantic.BaseModel], names: list[str]) -> list[str]:
    """Return the table of plain options of a section."""
    lines = ["| option | default | values | meaning |", "|---|---|---|---|"]
    for name in names:
        field = section.model_fields[name]
        default = field.get_default(call_default_factory=True)
        values = _values(field.annotation, field.metadata)
        lines.append(f"| `{name}` | `{_shown(default)}` | {values} | {_meaning(section, name)} |")
    return lines


def _options(cls: type, section: type[pydantic.BaseModel]) -> list[str]:
    """Return the table of the options of a part's class."""
    signature = inspect.signature(cls.__init__).parameters
    fields = section.model_fields
    lines = []
    for name in options(cls):
        if name in FILLED_IN and not (name == "latent_dim" and name in fields):
            continue
        default = signature[name].default
        if name in fields:
            # What a configuration says where it differs from the class.
            default = fields[name].get_default(call_default_factory=True)
        shown = "" if default is inspect.Parameter.empty else f"`{_shown(default)}`"
        lines.append(f"| `{name}` | {shown} | {_meaning(cls, name)} |")
    if not lines:
        return ["It has no options."]
    return ["| option | default | meaning |", "|---|---|---|", *lines]


def _meaning(cls: type, name: str) -> str:
    told = meanings(cls)
    if name not in told:
        raise KeyError(f'the docstring of {cls.__name__} says nothing of "{name}": add a line')
    return _cell(told[name])


def meanings(thing: Any) -> dict[str, str]:
    """Return what a class's docstring, or those of its bases, says of each argument."""
    found: dict[str, str] = {}
    for cls in reversed(inspect.getmro(thing)):
        if not cls.__module__.startswith("keras_acn"):
            continue
        name = None
        inside = False
        for line in inspect.cleandoc(cls.__doc__ or "").splitlines():
            if re.match(r"\S", line):
                inside = line in ("Args:", "Attributes:")
                name = None
            elif inside and (start := re.match(r"  (\w[\w, ]*): (.*)", line)):
                name = start[1]
                for each in name.split(", "):
                    found[each] = start[2]
            elif inside and name and line.strip():
                for each in name.split(", "):
                    found[each] += " " + line.strip()
    return found


def _values(annotation: Any, metadata: list) -> str:
    """Return in words what values an option takes."""
    choices = [each for each in typing.get_args(annotation) if each is not type(None)]
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{_shown(each)}`" for each in choices)
    if typing.get_origin(annotation) is dict:
        return ""
    kinds = choices or [annotation]
    words = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    said = " or ".join(dict.fromkeys(words.get(each, "") for each in kinds if each in words))
    bounds = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    for limit in metadata:
        for key, word in bounds.items():
            if getattr(limit, key, None) is not None:
                said += f", {word} {getattr(limit, key)}"
    return said.removeprefix(", ")


def _shown(value: Any) -> str:
    """Return a value as YAML has it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_shown, value))}]"
    return str(value)


# -- the public names ------------------------------------------------------------------


def api_pages() -> dict[str, str]:
    """Return a page for each room, and one that lists all names."""
    pages, places = {}, {}
    for room in ROOMS:
        module = lazy.load(f"keras_acn.{room}")
        names = public_names(room)
        title = f"keras_acn.{room}"
        about = (inspect.getdoc(module) or "").strip()
        lines = [f"# `{title}`", "", _escaped(about), ""]
        for name in names:
            value = getattr(module, name)
            kind = "class" if isinstance(value, type) else "function"
            if not callable(value):
                kind = "data" if not inspect.ismodule(value) else "module"
            places.setdefault(id(value), (room, name))
            first = places[id(value)]
            if first != (room, name):
                there = f"keras_acn.{first[0]}.{first[1]}"
                lines += [f"`{name}` is {{py:obj}}`{there}`.", ""]
                continue
            # The docstring of a value would be that of its type.
            directive = ".. py:data::" if kind == "data" else f".. auto{kind}::"
            lines += [f"## {name}", "", "```{eval-rst}", f"{directive} {title}.{name}"]
            if kind in ("class", "module"):
                lines += ["   :members:", "   :member-order: bysource"]
            if kind == "class":
                lines += ["   :show-inheritance:"]
            lines += ["```", ""]
            lines += _inherited(value) if kind == "class" else []
        pages[f"{room}.md"] = "\n".join(lines)
    pages["index.md"] = _index(places)
    return pages


def _inherited(cls: type) -> list[str]:
    """Return a line for each base of this package: what the class has from it."""
    lines, told = [], set(vars(cls))
    for base in cls.__mro__[1:]:
        if not base.__module__.startswith("keras_acn"):
            continue
        kinds = (property, classmethod, staticmethod)
        names = [
            name
            for name, value in vars(base).items()
            if not name.startswith("_")
            and (inspect.isfunction(value) or isinstance(value, kinds))
            and name not in told
        ]
        told |= set(names)
        if names:
            lines += [f"From `{base.__name__}`: {', '.join(f'`{name}`' for name in names)}.", ""]
    return lines


def public_names(room: str) -> list[str]:
    """Return the public names of a room: its classes and functions, in the order they stand."""
    module = lazy.load(f"keras_acn.{room}")
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return list(listed)
    found = []
    for name, value in vars(module).items():
        is_ours = getattr(value, "__module__", "").startswith("keras_acn.")
        is_kind = inspect.isclass(value) or inspect.isfunction(value)
        if name.startswith("_") or not (is_ours and is_kind) or value is Registry:
            continue
        # A file that is a room of its own imports what is another's.
        if hasattr(module, "__path__") or value.__module__ == module.__name__:
            found.append(name)
    return found


def _index(places: dict[int, tuple[str, str]]) -> str:
    lines = [
        "# API reference",
        "",
        "The names of `keras_acn` itself, which are the ones that most programs need:",
        "",
        "| name | |",
        "|---|---|",
    ]
    for name in keras_acn.__all__:
        value = getattr(keras_acn, name)
        if inspect.ismodule(value):
            continue
        about = _cell(_first(inspect.getdoc(value) or ""))
        if id(value) in places:
            room, there = places[id(value)]
            link = f"{{py:obj}}`{name} <keras_acn.{room}.{there}>`"
        else:
            link = f"{{py:obj}}`keras_acn.{name}`"
        lines.append(f"| {link} | {about} |")
    own = [
        name
        for name in keras_acn.__all__
        if not inspect.ismodule(getattr(keras_acn, name))
        and id(getattr(keras_acn, name)) not in places
    ]
    lines += ["", "and rooms, one a subject:", "", "```{toctree}", ":maxdepth: 1", ""]
    lines += [*ROOMS, "```", ""]
    for name in own:
        kind = "class" if isinstance(getattr(keras_acn, name), type) else "function"
        lines += ["```{eval-rst}", f".. auto{kind}:: keras_acn.{name}", "```", ""]
    return "\n".join(lines)


# -- text ------------------------------------------------------------------------------


def _first(text: str) -> str:
    """Return the first paragraph, as one line."""
    return " ".join(text.split("\n\n")[0].split())


def _cell(text: str) -> str:
    """Return text as a cell of a Markdown table."""
    return _escaped(" ".join(text.split())).replace("|", "\\|")


def _code(text: str) -> str:
    """Return text as code in a cell of a Markdown table."""
    return f"`{text}`".replace("|", "\\|")


def _escaped(text: str) -> str:
    """Return prose in which Markdown marks nothing outside of backticks."""
    pieces = re.split(r"(`+[^`]*`+)", text)
    return "".join(
        each if each.startswith("`") else re.sub(r"([*_<>\[\]{}])", r"\\\1", each)
        for each in pieces
    )
