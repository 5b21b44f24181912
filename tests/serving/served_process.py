"""Serves SavedModels the way TensorFlow Serving does, in a process without Keras.

    python served_process.py JOBS.json

Each job names a SavedModel, an .npz file of requests and one for the answers. The model is
loaded by `tf.compat.v1.saved_model.load` into a Session, replays its own warm-up file, and
answers the requests. In this process keras, tf_keras and keras_acn cannot be imported.
"""

import importlib
import importlib.abc
import importlib.util
import json
import pathlib
import sys

HIDDEN = ("keras", "tf_keras", "keras_acn")


class Hide(importlib.abc.MetaPathFinder):
    """Finds all modules but the hidden ones, as if those were not installed."""

    def __init__(self, finders):
        self.finders = finders

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HIDDEN:
            return None
        found = (finder.find_spec(name, path, target) for finder in self.finders)
        return next((spec for spec in found if spec is not None), None)


if __name__ == "__main__":
    sys.meta_path[:] = [Hide(list(sys.meta_path))]

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow.core.protobuf import saved_model_pb2  # noqa: E402
from tensorflow.python.framework import op_def_registry  # noqa: E402


class Served:
    """A SavedModel in a Session; called with a signature and its inputs by name."""

    def __init__(self, path):
        graph = tf.Graph()
        with graph.as_default():
            self.session = tf.compat.v1.Session(graph=graph)
            meta = tf.compat.v1.saved_model.load(self.session, ["serve"], str(path))
        self.signatures = meta.signature_def

    def __call__(self, signature, inputs):
        definition = self.signatures[signature]
        assert set(inputs) == set(definition.inputs)
        fetches = {key: value.name for key, value in definition.outputs.items()}
        feeds = {definition.inputs[key].name: value for key, value in inputs.items()}
        return self.session.run(fetches, feeds)


def read_arrays(path):
    """Requests by their number: {number: (signature, {input: array})}."""
    requests = {}
    with np.load(path, allow_pickle=True) as arrays:
        for key in arrays.files:
            number, signature, name = key.split("/")
            requests.setdefault(number, (signature, {}))[1][name] = arrays[key]
    return requests


def warm_up(served, path):
    """Replays the warm-up file; returns the signatures asked and the rows answered."""
    from tensorflow_serving.apis import prediction_log_pb2

    replayed = {}
    for record in tf.compat.v1.io.tf_record_iterator(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.predict_log.request
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        answers = served(request.model_spec.signature_name, inputs)
        rows = {len(value) for value in answers.values()}
        replayed[request.model_spec.signature_name] = [request.model_spec.name, *rows]
    return replayed


def ops_of(path):
    """Every op of the graph and of every function in it, without the functions' own names."""
    model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    found = set()
    for meta in model.meta_graphs:
        library = meta.graph_def.library.function
        functions = {f.signature.name for f in library}
        found |= {node.op for node in meta.graph_def.node}
        found |= {node.op for f in library for node in f.node_def}
        found -= functions
    return sorted(found)


def main(jobs):
    report = {}
    for job in jobs:
        path = pathlib.Path(job["model"])
        served = Served(path)
        answers = {}
        for number, (signature, inputs) in read_arrays(job["requests"]).items():
            for name, value in served(signature, inputs).items():
                answers[f"{number}/{name}"] = value
        np.savez(job["answers"], **answers)
        ops = ops_of(path)
        unknown = [op for op in ops if op_def_registry.get(op) is None]
        extra = path / "assets.extra" / "tf_serving_warmup_requests"
        report[job["name"]] = {"ops": ops, "unknown_ops": unknown}
        if importlib.util.find_spec("tensorflow_serving") is not None:
            report[job["name"]]["warm_up"] = warm_up(served, extra)
    for name in HIDDEN:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        raise AssertionError(f"{name} was imported")
    report["imported"] = sorted({name.split(".")[0] for name in sys.modules} & set(HIDDEN))
    print(json.dumps(report))


if __name__ == "__main__":
    main(json.loads(pathlib.Path(sys.argv[1]).read_text()))
