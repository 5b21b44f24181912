"""The one way up: methods of a model whose work is done on a floor above it.

`model.export(DIR)` belongs on a model, as Keras has it there, but what it does (signatures,
warm-up requests, version folders) is a room of its own above the models. A method like that
is named here, and its module is imported only when the method is called: nothing below depends
on anything above to be imported, tested or used, and every exception to the direction of the
imports stands in this table.
"""

import importlib

UPWARD = {
    "export_model": "keras_acn.serving",
}


def late(name):
    """Returns the function called `name` in `UPWARD`, importing its room now."""
    return getattr(importlib.import_module(UPWARD[name]), name)
