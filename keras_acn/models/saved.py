"""Opening a saved model, and the trained ones that come with the package."""

import pathlib
import zipfile

import keras

from keras_acn._base.errors import UserError, unknown_name
from keras_acn._base.shipped import pretrained_folders as pretrained_folders


def load_model(path, compile=True):
    """Open a model saved with `model.save("NAME.keras")`, its codebook included.

    `keras.saving.load_model` does the same once `keras_acn.models` is imported; this
    imports it, and says in one sentence what is wrong with a file.

    Args:
      path: Path of a `.keras` file.
      compile: Whether the optimizer is restored too.

    Raises:
      UserError: If there is no such file, or it is no model of this package.
    """
    from keras_acn.models.base import LatentModel

    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"There is no model file {path}: give the path of a .keras file.")
    damaged = f"{path} is damaged, or no model of keras_acn"
    try:
        model = keras.saving.load_model(path, compile=compile)
    except UserError:
        raise
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{damaged}: {str(error).splitlines()[0]}") from error
    if not isinstance(model, LatentModel):
        raise UserError(f"{damaged}: it holds a {type(model).__name__}.")
    return model


def load_pretrained(name):
    """Open a trained model that comes with the package; needs no network.

    Args:
      name: Its name, such as `"acn-mnist"`.

    Returns:
      The model, compiled, so that `evaluate` works as it is.

    Raises:
      UserError: If there is none of that name, with the nearest one.
    """
    folders = pretrained_folders()
    if name not in folders:
        raise unknown_name("pretrained model", name, folders)
    model = load_model(folders[name] / "model.keras", compile=False)
    model.compile()
    return model
