"""A real compressor: images to a file as long as the model says, and back bit for bit.

The names below are imported on first use: what a file says about itself needs no TensorFlow.
"""

import importlib

_PUBLIC = {
    "Compressed": "api",
    "Header": "container",
    "Report": "report",
    "compress": "api",
    "decompress": "api",
    "fingerprint": "fingerprints",
    "info": "api",
    "open_input": "inputs",
}

_WITHOUT_KERAS = ("Header", "Report", "info")

__all__ = list(_PUBLIC)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f'module "keras_acn.codec" has no attribute "{name}"')
    if name not in _WITHOUT_KERAS:
        import keras_acn

        keras_acn._check_backend()
    module = importlib.import_module(f"keras_acn.codec.{_PUBLIC[name]}")
    globals()[name] = getattr(module, name)
    return globals()[name]
