"""The check that an exported graph runs without Python."""

from tensorflow.core.protobuf import saved_model_pb2

from keras_acn._base.errors import UserError

# Each of these names a Python function by a token of the process that traced it.
PYTHON_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")


def ops_of(path):
    """Returns the names of all ops in a SavedModel, those inside its functions included."""
    model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    found = set()
    for meta in model.meta_graphs:
        graph = meta.graph_def
        found |= {node.op for node in graph.node}
        found |= {node.op for function in graph.library.function for node in function.node_def}
        found -= {function.signature.name for function in graph.library.function}
    return found


def check_servable(path):
    """Raises `UserError` if the SavedModel at `path` calls Python, as no server can."""
    calls = sorted(ops_of(path) & set(PYTHON_OPS))
    if calls:
        raise UserError(
            f"A part of the model runs Python inside the graph ({', '.join(calls)}), which a "
            "server cannot: write it with TensorFlow or keras.ops, or use a part that is, such as "
            'KNNCodebook(search="exact").'
        )
