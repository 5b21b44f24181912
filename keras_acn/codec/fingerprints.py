"""What tells one model from another."""

import hashlib
import inspect
import json

import keras
import numpy as np

from keras_acn.codec.networks import is_associative

SIZE = 16


def fingerprint(model):
    """Returns 16 bytes that stand for a model: what kind it is, its options, its weights.

    Only what decides how images are coded is in it: the parts and the codes of the training
    data, but no optimizer, no names, and no option that is as by default (so that an option
    which a later version adds changes nothing).

    Args:
      model: An `ACN` or a `VAE`.
    """
    digest = hashlib.blake2b(digest_size=SIZE)
    _add(digest, b"keras_acn model 1")
    _add(digest, type(model).__name__.encode())
    _add(digest, json.dumps([list(model.image_shape), model.latent_dim]).encode())
    for part in (model.encoder, model.prior, model.decoder):
        _add(digest, json.dumps(_described(part), sort_keys=True).encode())
        for weight in part.get_weights():
            _add_array(digest, weight)
    if is_associative(model):
        _add_array(digest, np.asarray(model.codebook.codes))
    return digest.digest()


def _described(part):
    """Returns the name of a part's class, and its options that are not as by default."""
    options = part.get_config()
    described = {}
    for name, parameter in inspect.signature(type(part).__init__).parameters.items():
        if name in ("self", "name", "dtype", "trainable") or name not in options:
            continue
        value = _plain(options[name])
        if value != _plain(parameter.default):
            described[name] = value
    return [type(part).__name__, described]


def _plain(value):
    """Returns an option as JSON can write it, the same in every version of Keras."""
    if isinstance(value, dict) and "class_name" in value:
        value = keras.saving.deserialize_keras_object(value)
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, (bool, int, str)) or value is None:
        return value
    if isinstance(value, (float, np.number)):
        return float(value)
    if hasattr(value, "get_config"):
        config = value.get_config()
        return [type(value).__name__, {k: _plain(v) for k, v in config.items() if k != "name"}]
    return getattr(value, "__name__", type(value).__name__)


def _add(digest, content):
    digest.update(len(content).to_bytes(8, "little"))
    digest.update(content)


def _add_array(digest, array):
    array = np.ascontiguousarray(array, "<f4")
    _add(digest, json.dumps(list(array.shape)).encode())
    _add(digest, array.tobytes())


def is_of(header_fingerprint, model):
    """Returns whether a file's fingerprint is the model's."""
    return fingerprint(model) == header_fingerprint
