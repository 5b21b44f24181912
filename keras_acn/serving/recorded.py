"""Requests with their answers: for the warm-up, and to check a deployment by."""

import numpy as np
import tensorflow as tf

FILE = "recorded_requests.npz"
ROWS = 4


def requests(model, table, decoder, examples=None):
    """Return one request for each signature: `{signature: {input: array}}`.

    Args:
      model: The model.
      table: The list of `Signature`s.
      decoder: The `ImageDecoder`, or `None`.
      examples: Images, as all methods of the model take them; `None` for noise.
    """
    if examples is None:
        images = _noise([ROWS, *model.image_shape])
    else:
        images = model._images(examples)[:ROWS]
    count = len(images)
    codes = np.asarray(model.codes(images), np.float32)
    values = {"image": images, "seed": np.arange(count, dtype=np.int32)}
    # A model with a code of the class gives that first.
    values["code"] = codes[:, : model.class_dim or model.latent_dim]
    values["latent"] = codes[:, -model.latent_dim :]
    if decoder is not None:
        values["image_bytes"] = files(images, decoder)
    return {each.name: {key: values[key] for key in each.inputs} for each in table}


def files(images, decoder):
    """Return PNG files, bytes `[B]`, large enough for the decoder's crop.

    Images smaller than that lie in the middle of a black frame, so that they are what the
    crop leaves.
    """
    height, width = decoder.source_size
    pixels = np.rint(images * 255).astype(np.uint8)
    down, right = height - pixels.shape[1], width - pixels.shape[2]
    if down > 0 or right > 0:
        down, right = max(down, 0), max(right, 0)
        margins = [(0, 0), (down // 2, -(-down // 2)), (right // 2, -(-right // 2)), (0, 0)]
        pixels = np.pad(pixels, margins)
    return np.array([tf.io.encode_png(each).numpy() for each in pixels], object)


def write(path, requests, answers):
    """Write requests and answers as `SIGNATURE/inputs/NAME` and `SIGNATURE/outputs/NAME`."""
    arrays = {}
    for kind, every in (("inputs", requests), ("outputs", answers)):
        for signature, values in every.items():
            for key, value in values.items():
                value = np.asarray(value)
                if value.dtype == object:
                    # Files as rows of bytes of equal length, so that no pickle is needed:
                    # nothing after the end of a PNG file counts.
                    size = max(map(len, value))
                    rows = [np.frombuffer(v.ljust(size, b"\0"), np.uint8) for v in value]
                    value = np.stack(rows)
                arrays[f"{signature}/{kind}/{key}"] = value
    np.savez_compressed(path, **arrays)


def read(path):
    """Return `{signature: (inputs, outputs)}`, each `{name: array}`, as `write` wrote them."""
    found = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            signature, kind, name = key.split("/")
            value = arrays[key]
            if name == "image_bytes":
                value = np.array([row.tobytes() for row in value], object)
            inputs, outputs = found.setdefault(signature, ({}, {}))
            (inputs if kind == "inputs" else outputs)[name] = value
    return found


def _noise(shape):
    return np.random.default_rng(0).integers(0, 2, shape).astype(np.float32)
