"""Requests with their answers: the server warms up with them, and a deployment is checked by them.

The warm-up file is a TFRecord of `tensorflow.serving.PredictionLog` messages, which TensorFlow
Serving replays before a version goes live. Those are part of the package
`tensorflow-serving-api`, which nobody needs to have just to export a model, so the
four nested messages that hold a request are written here field by field:

    PredictionLog  { PredictLog predict_log = 6 }
    PredictLog     { PredictRequest request = 1 }
    PredictRequest { ModelSpec model_spec = 1; map<string, TensorProto> inputs = 2 }
    ModelSpec      { string name = 1; string signature_name = 3 }
"""

import numpy as np
import tensorflow as tf

from keras_acn._base.numpy_files import read_arrays
from keras_acn._base.varint import varint

FILE = "tf_serving_warmup_requests"
RECORDED = "recorded_requests.npz"
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
        images = np.random.default_rng(0).integers(0, 2, [ROWS, *model.image_shape])
        images = images.astype(np.float32)
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


def write_recorded(path, requests, answers):
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


def read_recorded(path):
    """Return `{signature: (inputs, outputs)}`, each `{name: array}`, as recorded."""
    found = {}
    for key, value in read_arrays(path).items():
        signature, kind, name = key.split("/")
        if name == "image_bytes":
            value = np.array([row.tobytes() for row in value], object)
        inputs, outputs = found.setdefault(signature, ({}, {}))
        (inputs if kind == "inputs" else outputs)[name] = value
    return found


def write(path, name, requests):
    """Write the warm-up file.

    Args:
      path: Path of the file.
      name: The model's name.
      requests: Pairs of a signature's name and its inputs, NumPy arrays by name.
    """
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests:
            writer.write(prediction_log(name, signature, inputs))


def prediction_log(name, signature, inputs):
    """Return one `PredictionLog`, serialized, that asks `signature` of the model `name`."""
    spec = _field(1, name.encode()) + _field(3, signature.encode())
    request = _field(1, spec)
    for key, value in inputs.items():
        tensor = tf.make_tensor_proto(value).SerializeToString()
        # An entry of a map is a message of its key and its value.
        request += _field(2, _field(1, key.encode()) + _field(2, tensor))
    return _field(6, _field(1, request))


def _field(number, data):
    """Return a field of bytes in protocol buffers' wire format: tag, length, data."""
    return varint(number << 3 | 2) + varint(len(data)) + data
