"""The presets that ship with the package, one YAML file each."""

import pathlib

from keras_acn._base.errors import unknown_name

_FOLDER = pathlib.Path(__file__).parent
DEFAULT = "mnist-mini"


def preset_names() -> list[str]:
    """Return the presets' names, the default first."""
    return sorted((path.stem for path in _FOLDER.glob("*.yaml")), key=lambda n: (n != DEFAULT, n))


def preset_path(name: str) -> pathlib.Path:
    """Return the path of the preset's YAML file.

    Raises:
      UserError: If there is no such preset; the sentence names the nearest.
    """
    names = preset_names()
    if name not in names:
        raise unknown_name("preset", name, names)
    return _FOLDER / f"{name}.yaml"
