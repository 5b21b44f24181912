"""A real compressor: images to a file as long as the model says, and back bit for bit.

The names below are imported on first use: what a file says about itself needs no TensorFlow.
"""

from keras_acn._base import lazy as _lazy

_PUBLIC = {
    "Compressed": "keras_acn.codec.api:Compressed",
    "FolderReport": "keras_acn.codec.folder_report:FolderReport",
    "Header": "keras_acn.codec.container:Header",
    "Report": "keras_acn.codec.report:Report",
    "compress": "keras_acn.codec.api:compress",
    "compress_folder": "keras_acn.codec.folder:compress_folder",
    "decompress": "keras_acn.codec.api:decompress",
    "decompress_folder": "keras_acn.codec.folder:decompress_folder",
    "fingerprint": "keras_acn.codec.fingerprints:fingerprint",
    "info": "keras_acn.codec.api:info",
    "open_input": "keras_acn.codec.inputs:open_input",
    "pack": "keras_acn.codec.packing:pack",
    "without_codes": "keras_acn.codec.networks:without_codes",
}
_LIGHT = ("FolderReport", "Header", "Report", "info")


def _before(where):
    if where.partition(":")[2] not in _LIGHT:
        _lazy.check_backend()


__getattr__, __dir__, __all__ = _lazy.names(__name__, _PUBLIC, _before)
