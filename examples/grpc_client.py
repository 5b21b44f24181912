"""Talks to TensorFlow Serving over gRPC, in batches; needs `tensorflow-serving-api`.

    python examples/grpc_client.py IMAGES.npy [--address localhost:8500] [--model acn-digits]

`IMAGES.npy` holds float32 images `[N, H, W, C]` in [0, 1]. Writes their codes, their nearest
neighbours in the training data and their cost in nats to an .npz file.
"""

import argparse
import sys

import numpy as np

try:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
except ImportError as missing:
    sys.exit(f"Error: {missing}: pip install tensorflow-serving-api.")


class Client:
    """One model on a server.

    Args:
      address: Such as `localhost:8500`.
      model: The model's name.
    """

    def __init__(self, address, model):
        # A batch of images outgrows gRPC's default of 4 MB.
        options = [(f"grpc.max_{way}_message_length", 2**28) for way in ("send", "receive")]
        self.channel = grpc.insecure_channel(address, options)
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model

    def predict(self, signature, **inputs):
        """Returns the outputs of a signature by name, NumPy arrays with the batch first.

        Raises:
          grpc.RpcError: If the server refuses the request, or there is none.
        """
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.model
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        response = self.stub.Predict(request, timeout=60)
        return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images")
    parser.add_argument("--address", default="localhost:8500")
    parser.add_argument("--model", default="acn-digits")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--out", default="answers.npz")
    args = parser.parse_args()

    client = Client(args.address, args.model)
    try:
        images = np.load(args.images).astype(np.float32)
    except (OSError, ValueError) as error:
        sys.exit(f"Error: {args.images} holds no images: {error}.")
    found = []
    for start in range(0, len(images), args.batch_size):
        batch = images[start : start + args.batch_size]
        # A row's seed alone decides what it draws, so batches can be cut anywhere.
        seed = np.arange(start, start + len(batch), dtype=np.int32)
        answers = client.predict("neighbors", image=batch)
        answers["mean"] = client.predict("encode", image=batch)["mean"]
        answers["nats"] = client.predict("nats", image=batch, seed=seed)["total"]
        found.append(answers)
    joined = {name: np.concatenate([each[name] for each in found]) for name in found[0]}
    np.savez(args.out, **joined)
    print(f"{len(images)} images, {joined['nats'].mean():.2f} nats on average: {args.out}")


if __name__ == "__main__":
    try:
        main()
    except grpc.RpcError as error:
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            sys.exit("Error: No TensorFlow Serving answers: start one, or name it by --address.")
        sys.exit(f"Error: {error.details()}")
