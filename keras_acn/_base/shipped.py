"""Where the trained models that come with the package lie."""

import pathlib

PACKAGE = pathlib.Path(__file__).parents[1]


def pretrained_folders():
    """Return `{name: folder}` of the models that come with the package.

    In a checkout they lie in `saved_models/` beside the package, in an installed wheel
    inside it.
    """
    found = {}
    for parent in (PACKAGE / "saved_models", PACKAGE.parent / "saved_models"):
        if parent.is_dir():
            found |= {
                folder.name: folder
                for folder in sorted(parent.iterdir())
                if (folder / "model.keras").is_file()
            }
    return found
