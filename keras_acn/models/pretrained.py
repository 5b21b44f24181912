"""The trained models that come with the package."""

from keras_acn._base.errors import unknown_name
from keras_acn._base.shipped import pretrained_folders


def load_pretrained(name):
    """Opens a trained model that comes with the package; needs no network.

    Args:
      name: Its name, such as `"acn-mnist"`.

    Returns:
      The model, compiled, so that `evaluate` works as it is.

    Raises:
      UserError: If there is none of that name, with the nearest one.
    """
    from keras_acn.models.saved import load_model

    folders = pretrained_folders()
    if name not in folders:
        raise unknown_name("pretrained model", name, folders)
    model = load_model(folders[name] / "model.keras", compile=False)
    model.compile()
    return model
