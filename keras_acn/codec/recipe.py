"""The config of a model inside a file: what a model is written as, and made of again.

A file may come from anybody. So nothing is looked up by a name that it gives but this package's own
parts; their options are the ones of the table `FORMAT_1`, each checked; and how large the model
would be is worked out before anything of it is made.
"""

from __future__ import annotations

import math
import reprlib
from typing import Any

import numpy as np

from keras_acn import decoders, encoders, priors
from keras_acn._base.errors import UserError
from keras_acn.codebook import KNNCodebook
from keras_acn.codec.container import Header, damaged
from keras_acn.codec.embedded import Layout, Packed
from keras_acn.codec.fingerprints import ALWAYS, FORMAT_1, described, is_of
from keras_acn.codec.networks import is_associative
from keras_acn.decoders.families import FAMILIES
from keras_acn.models import ACN, VAE

_KINDS: dict[str, Any] = {"ACN": ACN, "VAE": VAE}
# A `FittedNormal` has no marginals that the codec could use.
_PARTS = {
    "encoder": (encoders.registry, ("MLPEncoder", "ConvEncoder")),
    "prior": (
        priors.registry,
        ("StandardNormal", "MixturePrior", "LearnedMixture", "VampPrior"),
    ),
    "decoder": (decoders.registry, ("MLPDecoder", "ConvDecoder", "GatedPixelCNN")),
}
_FAMILIES = {
    "Bernoulli": "bernoulli",
    "DiscretizedLogisticMixture": "discretized_logistic_mixture",
    "Categorical256": "categorical",
}
_ACTIVATIONS = (
    "elu gelu leaky_relu linear mish relu relu6 selu sigmoid silu softplus softsign swish tanh"
).split()
# What follows from the header, or must be as it is by default.
_FROM_HEADER = ("image_shape", "latent_dim")
_FIXED = ("context_dim", "code_dim")
# The largest number that an option may be, and the most of a list.
MOST_NUMBER, MOST_LAYERS = 2**14, 64
# Of all parts together; and the floats of a layer's features of one image, 512 MiB in float64.
MOST_WEIGHTS, MOST_FEATURES = 2**26, 2**26
# A pass is sized for 64 features a pixel (codec/networks.py): with more it takes more memory, with
# so many about 1 GiB. Narrow images may have some more.
MOST_PER_PIXEL, MOST_PER_IMAGE = 2**10, 2**16
MOST_CODES = 2**24


def pack_model(model: Any, *, codes: bool, bits: int) -> tuple[Packed, Any]:
    """Return a model as it goes into a file, its weights rounded, and what a reader makes of that.

    The latter is what codes the images, so that both sides have the very same weights.

    Args:
      model: An `ACN` or a `VAE`.
      codes: Whether the codes of its training data go with it.
      bits: Of a weight: one of `embedded.WEIGHT_BITS`.

    Raises:
      UserError: If the model has parts or options that a file cannot hold.
    """
    own = next((name for name, cls in _KINDS.items() if type(model) is cls), None)
    if own is None:
        raise UserError(
            f"A file holds models of the kinds ACN and VAE only, not a {type(model).__name__}: "
            "compress without embed_model (--embed-model)."
        )
    for name, (registry, known) in _PARTS.items():
        cls = type(getattr(model, name))
        if cls not in [registry.find(each) for each in known]:
            raise UserError(
                f"The model cannot go into a file (its {name} {cls.__name__} is none of this "
                "package's that a file holds): compress without embed_model (--embed-model), and "
                "keep the model beside it."
            )
    config: dict[str, Any] = {part: described(getattr(model, part)) for part in _PARTS}
    config["kind"] = own
    config["codes"] = int(model.codebook.size) if codes and is_associative(model) else 0
    shape, latent_dim = tuple(model.image_shape), model.latent_dim
    try:
        empty = _build(config, shape, latent_dim)
    except _Unfit as error:
        raise UserError(
            f"The model cannot go into a file ({error}): compress without embed_model "
            "(--embed-model), and keep the model beside it."
        ) from error
    layouts = _layouts(empty)
    packed = Packed.of(config, layouts, _weights(model, config["codes"]), bits)
    arrays = packed.arrays(layouts)
    if arrays is None:
        raise UserError("The weights of the model are too large to be rounded: train it anew.")
    _set_weights(empty, arrays)
    return packed, empty


def unpack_model(packed: Packed, header: Header, name: str) -> Any:
    """Return the model that a file holds.

    Args:
      packed: What the file holds of it.
      header: The file's header.
      name: What to call the file in an error.

    Raises:
      UserError: If its config is none of a model of this package, is too large, or doesn't go
        with the weights, or with the header.
    """
    try:
        model = _build(packed.config, header.image_shape, header.latent_dim)
    except _Unfit as error:
        raise UserError(
            f"{name} holds a model that this package does not make ({error}): get the file again, "
            "from where it was written."
        ) from error
    arrays = packed.arrays(_layouts(model))
    if arrays is None:
        raise UserError(
            f"The weights in {name} are not those of the model that it describes: it is damaged; "
            "get it, or compress its images, again."
        )
    _set_weights(model, arrays)
    if model.decoder.likelihood.levels != header.values.levels:
        raise damaged(name)
    if not is_of(header.fingerprint, model, codes=header.codes != "seen"):
        raise UserError(
            f"{name} holds another model than it was written with: it is damaged; get it, or "
            "compress its images, again."
        )
    return model


class _Unfit(ValueError):
    """Why there is no model of a config."""


def _build(config, shape, latent_dim):
    """Return the untrained model of a config, or raises `_Unfit`."""
    if not isinstance(config, dict) or set(config) != {"kind", *_PARTS, "codes"}:
        raise _Unfit("its description is not complete")
    kind, codes = config["kind"], config["codes"]
    if not isinstance(kind, str) or kind not in _KINDS:
        raise _Unfit(f"the kind {_shown(kind)}")
    if not _is_whole(codes, 0, MOST_CODES) or (codes and kind != "ACN"):
        raise _Unfit(f"{_shown(codes)} codes")
    options = {part: _options(part, config[part], shape, latent_dim) for part in _PARTS}
    weights, widest, pixels = codes * latent_dim, {}, math.prod(shape[:2])
    for part, (name, given) in options.items():
        most_weights, features = _SIZES[name](given, pixels)
        widest[part] = features
        if features > min(MOST_FEATURES, MOST_PER_PIXEL * pixels + MOST_PER_IMAGE):
            raise _Unfit(f"{part}: it is too large for its images")
        weights += most_weights
    if weights > MOST_WEIGHTS:
        raise _Unfit(f"it has more than the {MOST_WEIGHTS:,} weights that a file may hold")
    name, given = options["prior"]
    # All pseudo-inputs go through the encoder at once.
    if name == "VampPrior" and given["components"] * widest["encoder"] > MOST_FEATURES:
        raise _Unfit(f"the prior with {given['components']} components: too many for its encoder")
    parts = {}
    for part, (name, given) in options.items():
        try:
            parts[part] = _PARTS[part][0].find(name)(**given, dtype="float32")
        except (ValueError, TypeError, OverflowError) as error:
            raise _Unfit(f"{part}: {_reason(error)}") from error
    try:
        if kind == "VAE":
            return VAE(shape, latent_dim, **parts)
        codebook = KNNCodebook(size=codes or None, k=1, search="exact", latent_dim=latent_dim)
        return ACN(shape, latent_dim, **parts, codebook=codebook)
    except UserError as error:
        # Each part is fine, but they are none of one model.
        raise _Unfit(f"{kind}: {_reason(error)}") from error


def _reason(error):
    return " ".join(str(error).split())[:100].rstrip(".")


def _options(part, given, shape, latent_dim):
    """Return `(name, options)` of a part, every one of them checked."""
    if not (isinstance(given, list) and len(given) == 2 and isinstance(given[1], dict)):
        raise _Unfit(f"the {part} is not described")
    name, options = given
    if not isinstance(name, str) or name not in _PARTS[part][1]:
        raise _Unfit(f"the {part} {_shown(name)}")
    table = FORMAT_1[name]
    own = [key for key in table if key not in (*_FROM_HEADER, *_FIXED)]
    for key in options:
        if key in _FROM_HEADER and options[key] == (
            list(shape) if key == "image_shape" else latent_dim
        ):
            continue
        if key == "code_dim" and options[key] == latent_dim:
            continue
        if key not in own:
            raise _Unfit(f"the option {_shown(key)} of {name}")
    checked = {}
    for key in own:
        default = table[key]
        value = options.get(key, default)
        if key == "likelihood":
            checked[key] = _family(value)
        else:
            if value is ALWAYS or not _is_like(key, value, default):
                raise _Unfit(f"{name} with {key} {_shown(value)}")
            checked[key] = value
    if "image_shape" in table:
        checked["image_shape"] = shape
    return name, {**checked, "latent_dim": latent_dim}


def _family(value):
    """Return an output family from what a decoder's description says of it."""
    if isinstance(value, dict):
        options = {key: each for key, each in value.items() if key != "name"}
        name = value.get("name")
        names = {short: short for short in _FAMILIES.values()}
    elif isinstance(value, list) and len(value) == 2 and isinstance(value[1], dict):
        (name, options), names = value, _FAMILIES
    else:
        raise _Unfit(f"the output family {_shown(value)}")
    if not isinstance(name, str) or name not in names:
        raise _Unfit(f"the output family {_shown(name)}")
    cls = FAMILIES.find(names[name])
    if set(options) - set(FORMAT_1[cls.__name__]) or not all(
        _is_whole(each, 1, 100) for each in options.values()
    ):
        raise _Unfit(f"the output family {_shown(value)}")
    return cls(**options)


def _is_like(key, value, default):
    """Return whether an option is of the kind that its default is, and not too large."""
    if key == "activation":
        return isinstance(value, str) and value in _ACTIVATIONS
    if key == "code_stddev":
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return value is None or (is_number and 0 < value <= MOST_NUMBER)
    if isinstance(default, bool):
        return isinstance(value, bool)
    if default is None:
        return value is None or _is_whole(value, 1, MOST_NUMBER)
    if isinstance(default, int):
        return _is_whole(value, 0, MOST_NUMBER)
    if isinstance(default, float):
        return isinstance(value, (int, float)) and 0 <= value < 1
    if isinstance(default, list):
        short = isinstance(value, list) and len(value) <= MOST_LAYERS
        return short and all(_is_whole(each, 1, MOST_NUMBER) for each in value)
    return isinstance(value, str) and len(value) < 30


def _is_whole(value, least, most):
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _shown(value):
    return "".join(c if c.isprintable() else "?" for c in reprlib.repr(value))


# -- how large a part is, at most: (weights, floats of one image's features) -------------------


def _chain(widths):
    """Return the weights of dense layers from each width to the next, biases included."""
    return sum((a + 1) * b for a, b in zip(widths[:-1], widths[1:], strict=True))


def _mlp_encoder(given, pixels):
    widths = [pixels * given["image_shape"][2], *given["hidden"], 2 * given["latent_dim"]]
    return _chain(widths) + 2 * given["latent_dim"], max(widths)


def _conv_encoder(given, pixels):
    channels, weights, features = given["image_shape"][2], 0, pixels * given["image_shape"][2]
    height, width, _ = given["image_shape"]
    count = given["convolutions"]
    if count > MOST_LAYERS:
        raise _Unfit(f"the encoder with convolutions {count}")
    for filters in given["filters"]:
        for _ in range(count):
            weights += (9 * channels + 3) * filters
            features = max(features, height * width * filters)
            channels = filters
        if count:
            height, width = -(-height // 2), -(-width // 2)
    flat = height * width * channels
    widths = [flat, *[given["dense"]] * bool(given["dense"]), 2 * given["latent_dim"]]
    weights += _chain(widths) + 2 * max(widths) + 2 * given["latent_dim"]
    return weights, max(features, *widths)


def _standard_normal(given, pixels):
    return 0, given["latent_dim"]


def _mixture_prior(given, pixels):
    code, hidden = given["latent_dim"], given["hidden"]
    outputs = code * 3 * given["components"]
    weights = sum((a + code + 1) * b for a, b in zip([code, *hidden], hidden, strict=False))
    return weights + (code + sum(hidden) + 1) * outputs, max(outputs, code + sum(hidden))


def _learned_mixture(given, pixels):
    count, code = given["components"], given["latent_dim"]
    return count * (2 * code + 1), code


def _vamp_prior(given, pixels):
    return given["components"] * pixels * given["image_shape"][2] + 1, given["latent_dim"]


def _outputs(given):
    return given["likelihood"].parameters_per_pixel(given["image_shape"][2])


def _mlp_decoder(given, pixels):
    widths = [given["latent_dim"], *given["hidden"], pixels * _outputs(given)]
    return _chain(widths), max(widths)


def _conv_decoder(given, pixels):
    filters, outputs = given["filters"], _outputs(given)
    if len(filters) > 12:
        raise _Unfit(f"the decoder with {len(filters)} filters")
    factor = 2 ** (len(filters) - 1) if filters else 1
    height, width = (-(-side // factor) for side in given["image_shape"][:2])
    small = height * width * (filters or [1])[0]
    features = max(small, pixels * outputs)
    weights = (given["latent_dim"] + 1) * small
    for i, (before, after) in enumerate(zip(filters[:-1], filters[1:], strict=True), start=1):
        weights += (16 * before + 1) * after
        features = max(features, height * width * 4**i * after)
    return weights + (9 * (filters or [1])[-1] + 1) * outputs, features


def _pixelcnn(given, pixels):
    layers, filters, block = given["layers"], given["filters"], given["block"]
    if layers > MOST_LAYERS or not 1 <= block <= 64:
        raise _Unfit(f"the decoder with layers {layers} and block {block}")
    channels, latents = given["image_shape"][2], given["latent_dim"]
    inner = given["bottleneck_filters"] or filters
    wide = 2 * max(filters, inner)  # features of a gate
    values = block**2 * channels
    kernel = max(given["kernel_size"], given["first_kernel_size"])
    each = (kernel**2 + kernel) * max(filters, inner) * wide + (wide + 1) * wide
    each += 4 * (max(filters, inner) + 1) * wide
    first = (kernel**2 + kernel) * (values + 1) * wide
    drawn, maps = given["map_filters"], pixels // block**2 + 1
    biases = 2 * layers * wide * (latents + drawn + 1)
    biases += 2 * (latents + 1) * drawn * maps + 2 * 16 * (2 * drawn + 1) * drawn
    hidden = given["output_hidden"] or filters
    # A turn of the head knows the values before it; or one softmax is over all of 8 values.
    outputs = _outputs(given)
    per_turn = (filters + values + hidden + 3) * hidden + (hidden + 1) * outputs
    head = values * per_turn + (hidden + 1) * 2**8
    if given["prediction"] == "linear":
        # From four positions next to it, and from the values of the position itself.
        head += 5 * values * (values + 1)
    # How many lanes' biases fit is seen to by `check_lanes`.
    features = pixels // block**2 * max(2 * wide, 2 * hidden, 2**8)
    return layers * each + first + biases + head, max(features, pixels * outputs)


_SIZES = {
    "MLPEncoder": _mlp_encoder,
    "ConvEncoder": _conv_encoder,
    "StandardNormal": _standard_normal,
    "MixturePrior": _mixture_prior,
    "LearnedMixture": _learned_mixture,
    "VampPrior": _vamp_prior,
    "MLPDecoder": _mlp_decoder,
    "ConvDecoder": _conv_decoder,
    "GatedPixelCNN": _pixelcnn,
}


# -- weights -----------------------------------------------------------------------------------


def _layouts(model):
    """Return the `Layout` of every weight, in the order in which `_weights` has them."""
    parts = [getattr(model, part) for part in _PARTS]
    layouts = [Layout(tuple(w.shape), not w.trainable) for part in parts for w in part.weights]
    if model.codebook is not None and model.codebook.built:
        layouts.append(Layout(tuple(model.codebook.codes.shape), exact=False))
    return layouts


def _weights(model, codes):
    weights = [weight for part in _PARTS for weight in getattr(model, part).get_weights()]
    return weights + ([np.asarray(model.codebook.codes)] if codes else [])


def _set_weights(model, arrays):
    arrays = list(arrays)
    for part in _PARTS:
        count = len(getattr(model, part).weights)
        getattr(model, part).set_weights(arrays[:count])
        del arrays[:count]
    if arrays:
        model.codebook.codes.assign(arrays[0])
