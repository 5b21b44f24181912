"""The trained models that come with the package."""

import pathlib

from keras_acn._errors import unknown_name

PACKAGE = pathlib.Path(__file__).parents[1]


def pretrained_folders():
    """Returns `{name: folder}` of the models that come with the package.

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


def load_pretrained(name):
    """Opens a trained model that comes with the package; needs no network.

    Args:
      name: Its name, such as `"acn-mnist"`.

    Returns:
      The model, compiled, so that `evaluate` works as it is.

    Raises:
      UserError: If there is none of that name, with the nearest one.
    """
    from keras_acn.models.files import load_model

    folders = pretrained_folders()
    if name not in folders:
        raise unknown_name("pretrained model", name, folders)
    model = load_model(folders[name] / "model.keras", compile=False)
    model.compile()
    return model
