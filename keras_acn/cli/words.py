"""What the words of a command may be: paths, models, presets, figures, settings.

Each kind says what a shell completes it to; what is imported for that, is imported then.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from typing import Any

import click
from click.shell_completion import CompletionItem

from keras_acn._base import lazy
from keras_acn._base.shell import expanded

readers = lazy.module("keras_acn.data.readers")
schema = lazy.module("keras_acn.experiment.schema")
presets = lazy.module("keras_acn.experiment.presets")
shipped = lazy.module("keras_acn._base.shipped")
figures = lazy.module("keras_acn.figures")


def _beginning(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


class Path(click.ParamType):
    """A file or a folder, `"file"` or `"dir"`; `~` is the home folder, in `--out=~/x` too."""

    def __init__(self, name: str):
        self.name = name

    def convert(self, value, param, ctx):
        return expanded(value)

    def shell_complete(self, ctx, param, incomplete):
        return [CompletionItem(incomplete, type=self.name)]


class _Model(Path):
    """A run folder, a `.keras` file, or the name of a model that comes with the package."""

    def shell_complete(self, ctx, param, incomplete):
        # Where none of the names fits, the shell goes on with files.
        words = [*shipped.pretrained_folders(), *self._runs(incomplete)]
        return [*super().shell_complete(ctx, param, incomplete), *_beginning(words, incomplete)]

    def _runs(self, incomplete: str) -> Iterator[str]:
        for pattern in (f"{glob.escape(incomplete)}*", "runs/*"):
            for path in sorted(glob.glob(pattern)):
                if os.path.exists(os.path.join(path, "config.yaml")):
                    yield path


class _Preset(click.ParamType):
    name = "preset"

    def shell_complete(self, ctx, param, incomplete):
        return _beginning(presets.preset_names(), incomplete)


class _PresetOrSource(click.ParamType):
    """A preset, or a source of images to choose a model for."""

    name = "preset"

    def shell_complete(self, ctx, param, incomplete):
        sources = SOURCE.shell_complete(ctx, param, incomplete)
        return [*PRESET.shell_complete(ctx, param, incomplete), *sources]


class _Figure(click.ParamType):
    name = "figure"

    def shell_complete(self, ctx, param, incomplete):
        return _beginning(figures.FIGURES, incomplete)


class _Source(click.ParamType):
    """A source of images. Its path is made absolute where it is stored, not here."""

    name = "source"

    def shell_complete(self, ctx, param, incomplete):
        kind, colon, path = incomplete.partition(":")
        if colon:
            return [CompletionItem(path, type="dir" if kind in ("idx", "images") else "file")]
        built_in = readers.built_in_sources()
        return _beginning((*built_in, "idx:", "images:", "npy:", "npz:"), incomplete)


class _Setting(click.ParamType):
    """`PART.OPTION=VALUE`; the names of options are completed."""

    name = "setting"

    def shell_complete(self, ctx, param, incomplete):
        return _beginning((f"{name}=" for name in _options(schema.Config)), incomplete)


def _options(section: Any, before: str = "") -> Iterator[str]:
    """Yield the dotted names of all options of a section of the configuration."""
    for name, field in section.model_fields.items():
        inner = schema.section_of(field)
        if inner is not None:
            yield from _options(inner, f"{before}{name}.")
        elif before or name == "seed":
            yield f"{before}{name}"


FILE, FOLDER, MODEL = Path("file"), Path("dir"), _Model("dir")
PRESET, FIGURE, SOURCE, SETTING = _Preset(), _Figure(), _Source(), _Setting()
PRESET_OR_SOURCE = _PresetOrSource()
