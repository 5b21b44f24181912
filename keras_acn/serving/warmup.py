"""The warm-up file: requests that TensorFlow Serving replays before a version goes live.

The file is a TFRecord of `tensorflow.serving.PredictionLog` messages. Those are part of the
package `tensorflow-serving-api`, which nobody needs to have just to export a model, so the
four nested messages that hold a request are written here field by field:

    PredictionLog  { PredictLog predict_log = 6 }
    PredictLog     { PredictRequest request = 1 }
    PredictRequest { ModelSpec model_spec = 1; map<string, TensorProto> inputs = 2 }
    ModelSpec      { string name = 1; string signature_name = 3 }
"""

import tensorflow as tf

from keras_acn._base.varint import varint

FILE = "tf_serving_warmup_requests"


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
