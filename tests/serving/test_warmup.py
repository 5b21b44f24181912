"""The warm-up file against the messages that TensorFlow Serving itself reads it by."""

import numpy as np
import pytest
import tensorflow as tf

from keras_acn.serving import warmup

REQUESTS = [
    ("encode", {"image": np.random.default_rng(0).random((2, 40, 40, 3), np.float32)}),
    ("decode_png", {"image_bytes": np.array([b"\x89PNG\0\xff", b""], object)}),
    ("sample_prior", {"code": np.zeros((1, 4), np.float32), "seed": np.array([-7], np.int32)}),
    ("nothing", {}),
]


def equal(one, other):
    assert set(one) == set(other)
    for name, value in one.items():
        assert value.dtype == other[name].dtype
        np.testing.assert_array_equal(value, other[name])


def test_the_servers_own_messages_read_it(tmp_path):
    apis = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    warmup.write(tmp_path / "file", "müller", REQUESTS)
    records = tf.data.TFRecordDataset(str(tmp_path / "file")).as_numpy_iterator()
    for record, (signature, inputs) in zip(records, REQUESTS, strict=True):
        log = apis.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name == "müller"
        assert request.model_spec.signature_name == signature
        equal({k: tf.make_ndarray(v) for k, v in request.inputs.items()}, inputs)
        # Nothing else is in it.
        again = apis.PredictionLog()
        again.predict_log.request.CopyFrom(request)
        assert again.SerializeToString(deterministic=True) == log.SerializeToString(
            deterministic=True
        )
