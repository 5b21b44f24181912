"""A stand-in for TensorFlow Serving: its REST rows and its gRPC service, on a Session.

It reads requests as the server documents them, so that the clients can be run where there is
no `tensorflow_model_server`. What it cannot show is the server itself; the test that does
starts the real one where it is installed.
"""

import base64
import contextlib
import http.server
import json
import threading
from concurrent import futures

import numpy as np
import tensorflow as tf


def decoded(value):
    """A JSON value with `{"b64": ...}` replaced by bytes."""
    if isinstance(value, dict) and set(value) == {"b64"}:
        return base64.b64decode(value["b64"])
    return [decoded(each) for each in value] if isinstance(value, list) else value


def rest_answer(served, body):
    """The answer to a REST request in the row format."""
    definition = served.signatures[body.get("signature_name", "serving_default")]
    instances = body["instances"]
    inputs = {}
    for name, info in definition.inputs.items():
        dtype = tf.dtypes.as_dtype(info.dtype)
        values = [decoded(row[name] if isinstance(row, dict) else row) for row in instances]
        inputs[name] = np.array(values, object if dtype == tf.string else dtype.as_numpy_dtype)
    outputs = {name: value.tolist() for name, value in served(_name(body), inputs).items()}
    if len(outputs) == 1:
        return {"predictions": next(iter(outputs.values()))}
    rows = zip(*outputs.values(), strict=True)
    return {"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]}


def _name(body):
    return body.get("signature_name", "serving_default")


@contextlib.contextmanager
def rest_server(served, model):
    """Yields the address of a REST server for one model."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path == f"/v1/models/{model}:predict"
            try:
                status, answer = 200, rest_answer(served, body)
            except tf.errors.InvalidArgumentError as error:
                status, answer = 400, {"error": error.message}
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def grpc_server(served, model):
    """Yields the address of a gRPC `PredictionService` for one model."""
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            assert request.model_spec.name == model
            inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
            try:
                outputs = served(request.model_spec.signature_name, inputs)
            except tf.errors.InvalidArgumentError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
            response = predict_pb2.PredictResponse()
            for name, value in outputs.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return response

    server = grpc.server(futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    try:
        yield f"localhost:{port}"
    finally:
        server.stop(None)
