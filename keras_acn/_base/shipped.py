"""Where the trained models that come with the package lie."""

import pathlib

from keras_acn._base.errors import UserError

PACKAGE = pathlib.Path(__file__).parents[1]


def _described():
    """Return `{name: folder}` of the models that there are, be their weights there or not."""
    found = {}
    for parent in (PACKAGE / "saved_models", PACKAGE.parent / "saved_models"):
        if parent.is_dir():
            found |= {
                folder.name: folder
                for folder in sorted(parent.iterdir())
                if any((folder / name).is_file() for name in ("model.keras", "config.yaml"))
            }
    return found


def pretrained_folders():
    """Return `{name: folder}` of the models that come with the package.

    In a checkout they lie in `saved_models/` beside the package, in an installed wheel
    inside it.
    """
    return {
        name: folder for name, folder in _described().items() if (folder / "model.keras").is_file()
    }


def require_weights(name):
    """Say where the weights of a model are that the installed package only describes.

    Of large models a wheel has no more than the configuration and the figures (`setup.py`).

    Raises:
      UserError: If `name` is such a model.
    """
    if name in _described() and name not in pretrained_folders():
        raise UserError(
            f'The weights of "{name}" are too large to come with the installed package: take the '
            f"folder saved_models/{name} out of a checkout or the source distribution, and give "
            "its path (in Python, that of its model.keras to load_model)."
        )
