"""What tells one model from another, in a way that later versions of the package keep.

A file names the model it was compressed with by a hash over the model's parts, their options
and their weights. Options that are as in `FORMAT_1` are left out of it. That table is part of the
file format: it says what the defaults were when the format was made, whatever they are now.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from typing import Any

import keras
import numpy as np

from keras_acn.codec.networks import is_associative
from keras_acn.decoders.families import get_likelihood

SIZE = 16
# Stands for "no default": the option is always in the hash.
ALWAYS = object()

# The options of this package's parts, each with the value that is left out of the hash: its default
# when the format was made. An option that came, or comes, later stands here with the value that
# makes the part what it was without it. Nothing else in the table may ever change, or files that
# are there already could no longer be read.
_ENCODER = {
    "image_shape": ALWAYS,
    "latent_dim": 16,
    "context_dim": 0,
    "activation": "relu",
    "code_stddev": None,
}
_DECODER = {"image_shape": ALWAYS, "latent_dim": 16, "likelihood": ALWAYS, "activation": "relu"}
FORMAT_1: dict[str, dict[str, Any]] = {
    "MLPEncoder": {**_ENCODER, "hidden": [512], "variance": "learned"},
    "ConvEncoder": {
        **_ENCODER,
        "filters": [32, 64, 64],
        "convolutions": 2,
        "dense": 256,
        "normalization": "none",
        "variance": "unit",
    },
    "StandardNormal": {"latent_dim": 16},
    "FittedNormal": {"latent_dim": 16, "momentum": 0.99},
    "MixturePrior": {
        "latent_dim": 16,
        "components": 8,
        "hidden": [512, 512, 512],
        "activation": "tanh",
        "skip_connections": True,
        "code_dim": None,
    },
    "LearnedMixture": {"latent_dim": 16, "components": 100},
    "VampPrior": {"image_shape": ALWAYS, "latent_dim": 16, "components": 100},
    "MLPDecoder": {**_DECODER, "hidden": [512]},
    "ConvDecoder": {**_DECODER, "filters": [64, 64, 32]},
    "GatedPixelCNN": {
        "image_shape": ALWAYS,
        "latent_dim": 16,
        "likelihood": ALWAYS,
        "layers": 6,
        "filters": 32,
        "kernel_size": 5,
        "first_kernel_size": 7,
        "residual": "bottleneck",
        "bottleneck_filters": None,
        "dropout": 0.0,
        "output_hidden": None,
        "conditioning": "global",
        "map_filters": 16,
        "block": 1,
        "prediction": "none",
    },
    # Output families, which are an option of the decoders.
    "Bernoulli": {},
    "DiscretizedLogisticMixture": {"components": ALWAYS},
    "Categorical256": {},
}
# The same networks under another name, whose output family was no option.
_BERNOULLI = {"MLPDecoder": "BernoulliMLP", "ConvDecoder": "BernoulliConv"}
for _general, _special in _BERNOULLI.items():
    FORMAT_1[_special] = {k: v for k, v in FORMAT_1[_general].items() if k != "likelihood"}

# What Keras adds to every part's options, and what no image depends on.
_NOT_HASHED = ("name", "dtype", "trainable")


def fingerprint(model: Any, *, codes: bool = True) -> bytes:
    """Return 16 bytes that stand for a model: what kind it is, its options, its weights.

    Only what decides how images are coded is in it: the parts and the codes of the training
    data, but no optimizer, no names, no precision, and no option that is as it was by default
    when the format was made.

    Args:
      model: An `ACN` or a `VAE`.
      codes: Whether the codes of the training data are in it, where there are any. They are
        not in the fingerprint of a file that was coded without them.

    Example:
      >>> import keras_acn
      >>> is_of(fingerprint(model := keras_acn.load_pretrained("acn-digits")), model)
      True
      >>> is_of(bytes.fromhex("b5c001c030406381ea167430c57670a9"), model)  # of version 0.1.0
      True
    """
    return next(_fingerprints(model, codes))


def is_of(fingerprint: bytes, model: Any, *, codes: bool = True) -> bool:
    """Return whether a file's fingerprint is the model's.

    A decoder of binary images goes by two names, as `MLPDecoder` with the family
    `"bernoulli"` and as `BernoulliMLP`, so that such a model has two fingerprints.

    Args:
      fingerprint: 16 bytes.
      model: An `ACN` or a `VAE`.
      codes: See `fingerprint`.

    Example:
      >>> import keras_acn
      >>> model = keras_acn.load_pretrained("acn-digits")
      >>> is_of(bytes(16), model)
      False
    """
    return any(each == fingerprint for each in _fingerprints(model, codes))


def _fingerprints(model, codes):
    """Yield the model's fingerprints, first the one that files are written with."""
    digest = hashlib.blake2b(digest_size=SIZE)
    _add(digest, b"keras_acn model 1")
    _add(digest, type(model).__name__.encode())
    _add(digest, json.dumps([list(model.image_shape), model.latent_dim]).encode())
    for part in (model.encoder, model.prior):
        _add_part(digest, part, described(part))
    for name in _names(model.decoder):
        whole = digest.copy()
        _add_part(whole, model.decoder, name)
        if codes and is_associative(model):
            _add_array(whole, np.asarray(model.codebook.codes))
        yield whole.digest()


def _names(decoder):
    """Yield the descriptions that a decoder goes by."""
    name, options = described(decoder)
    yield [name, options]
    for general, special in _BERNOULLI.items():
        if name == special:
            yield [general, {**options, "likelihood": ["Bernoulli", {}]}]
        elif name == general and options["likelihood"] == ["Bernoulli", {}]:
            yield [special, {k: v for k, v in options.items() if k != "likelihood"}]


def described(part: Any) -> list[Any]:
    """Return `[name of a part's class, its options that are hashed]`, as JSON can write it.

    Args:
      part: An encoder, a prior or a decoder.
    """
    name = type(part).__name__
    ours = keras.saving.get_registered_name(type(part)) == f"keras_acn>{name}"
    frozen = FORMAT_1.get(name) if ours else None
    # What the table does not know goes by its default of today: the parts that users write.
    left_out = {
        key: _plain(parameter.default)
        for key, parameter in inspect.signature(type(part).__init__).parameters.items()
    }
    left_out.update(frozen or {})
    given = {}
    for key, value in part.get_config().items():
        if key in _NOT_HASHED or key not in left_out:
            continue
        if key == "likelihood" and frozen is not None:
            if key in frozen:
                given[key] = _family(name, value)
        elif (value := _plain(value)) != left_out[key]:
            given[key] = value
    return [name, given]


def _family(decoder, value):
    """Return the output family of one of our decoders, as the format writes it."""
    if isinstance(value, dict) and "class_name" in value:
        value = keras.saving.deserialize_keras_object(value)
    family = get_likelihood(value)
    known = FORMAT_1.get(type(family).__name__, {})
    options = {
        key: _plain(option)
        for key, option in family.get_config().items()
        if known.get(key, ALWAYS) is ALWAYS or _plain(option) != known[key]
    }
    if decoder == "GatedPixelCNN":
        return {"name": family.name, **options}
    return [type(family).__name__, options]


def _plain(value):
    """Return an option as JSON can write it, the same in every version of Keras."""
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


def _add_part(digest, part, description):
    _add(digest, json.dumps(description, sort_keys=True).encode())
    for weight in part.get_weights():
        _add_array(digest, weight)


def _add_array(digest, array):
    array = np.ascontiguousarray(array, "<f4")
    _add(digest, json.dumps(list(array.shape)).encode())
    _add(digest, array.tobytes())


def _add(digest, content):
    digest.update(len(content).to_bytes(8, "little"))
    digest.update(content)
