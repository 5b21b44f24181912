"""Talks to TensorFlow Serving over REST; needs only Python.

    python examples/rest_client.py PICTURE.png [--url http://localhost:8501] [--model acn-digits]

Asks for the picture's code, its nearest neighbours in the training data, what it costs in
nats, and one step of a daydream, and writes that step's image to a file.
"""

import argparse
import base64
import contextlib
import http.client
import json
import pathlib
import sys
import urllib.error
import urllib.request


def predict(url, model, signature, instances):
    """Returns the predictions, a list with one entry an instance.

    Args:
      url: Such as `http://localhost:8501`.
      model: The model's name.
      signature: The signature's name.
      instances: A list of dicts, the inputs of each row by name.

    Raises:
      RuntimeError: With the server's sentence, if it refuses the request, or one of our own if
        there is no server.
    """
    body = json.dumps({"signature_name": signature, "instances": instances}).encode()
    try:
        request = urllib.request.Request(f"{url}/v1/models/{model}:predict", body)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["predictions"]
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        with contextlib.suppress(ValueError, KeyError, TypeError):
            said = json.loads(said)["error"]
        raise RuntimeError(said or f"{url} answers {error.code} {error.reason}.") from error
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        # Nobody listens, no answer in time, no such host, or another server's answer.
        reason = getattr(error, "reason", error)
        raise RuntimeError(
            f"No TensorFlow Serving answers at {url} ({reason}): start one as keras-acn export "
            "says, or name another by --url."
        ) from error


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=pathlib.Path)
    parser.add_argument("--url", default="http://localhost:8501")
    parser.add_argument("--model", default="acn-digits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("daydream.pgm"))
    args = parser.parse_args()

    # Bytes travel as base64. An instance holds the inputs of one row: here a file and a seed.
    try:
        file = {"b64": base64.b64encode(args.picture.read_bytes()).decode()}
    except OSError as error:
        raise RuntimeError(f"{args.picture} cannot be read: {error.strerror}.") from error
    one, seeded = {"image_bytes": file}, {"image_bytes": file, "seed": args.seed}

    def ask(signature, instance):
        return predict(args.url, args.model, signature, [instance])[0]

    print("code       ", [round(value, 3) for value in ask("encode_png", one)["mean"]])
    near = ask("neighbors_png", one)
    for index, distance in zip(near["index"], near["distance"], strict=True):
        print(f"neighbour   row {index} at distance {distance:.3f}")
    cost = ask("nats_png", seeded)
    print(f"nats        {cost['total']:.2f} = {cost['reconstruction']:.2f} + {cost['kl']:.2f}")
    # A signature with one output answers with its value, without a name.
    image = ask("daydream_step_png", seeded)
    rows = [[round(255 * pixel[0]) for pixel in row] for row in image]
    header = f"P5 {len(rows[0])} {len(rows)} 255\n".encode()
    args.out.write_bytes(header + bytes(pixel for row in rows for pixel in row))
    print(f"daydream    {args.out}")


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
