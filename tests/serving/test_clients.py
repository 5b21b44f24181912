"""The example clients, run as the docs say, against a stand-in for the server."""

import http.server
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest
import python_answers
from served_models import pictures
from standin_server import grpc_server, rest_server

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


def run(*command):
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_rest(in_session, exported, tmp_path):
    image = pictures(1)
    (tmp_path / "picture.png").write_bytes(python_answers.png(image[0]))
    with rest_server(in_session("acn"), "acn-digits") as url:
        out = run(
            EXAMPLES / "rest_client.py",
            tmp_path / "picture.png",
            *("--url", url, "--seed", 5, "--out", tmp_path / "out.pgm"),
        )
    model = exported("acn").model
    _, index = model.neighbors(image)
    for row in index[0]:
        assert f"row {row} at" in out
    nats = python_answers.nats(model, image, 5)
    assert f"nats        {float(nats['total'][0]):.2f}" in out
    dreamt = python_answers.daydream_step(model, image, 5)["image"]
    header, pixels = (tmp_path / "out.pgm").read_bytes().split(b"\n", 1)
    assert header == b"P5 8 8 255"
    np.testing.assert_array_equal(np.frombuffer(pixels, np.uint8), 255 * dreamt.ravel())


@pytest.mark.parametrize(
    "options, words",
    [
        (["--url", "http://127.0.0.1:9"], "No TensorFlow Serving answers at http://127.0.0.1:9"),
        (["--url", "nonsense"], "No TensorFlow Serving answers at nonsense"),
        (["--url", "http://no.such.host.invalid"], "No TensorFlow Serving answers"),
    ],
)
def test_rest_without_a_server_is_one_sentence(options, words, tmp_path):
    (tmp_path / "picture.png").write_bytes(python_answers.png(pictures(1)[0]))
    command = [sys.executable, EXAMPLES / "rest_client.py", tmp_path / "picture.png", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"Error: {words}") and done.stderr.count("\n") == 1


def test_rest_without_a_picture_is_one_sentence():
    command = [sys.executable, EXAMPLES / "rest_client.py", "none.png"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("Error: none.png cannot be read")


def test_rest_with_another_kind_of_server_is_one_sentence():
    """It answers, but not as TensorFlow Serving does."""
    sys.path.insert(0, str(EXAMPLES))
    import rest_client

    class Page(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(200 if "well" in self.path else 404)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *what):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(RuntimeError, match="No TensorFlow Serving answers at"):
            rest_client.predict(url, "well", "encode", [])
        with pytest.raises(RuntimeError, match="<html>"):
            rest_client.predict(url, "m", "encode", [])
        server.shutdown()


@pytest.mark.slow
def test_grpc_without_a_server_is_one_sentence(tmp_path):
    pytest.importorskip("tensorflow_serving")
    np.save(tmp_path / "images.npy", pictures(2))
    client = [EXAMPLES / "grpc_client.py", tmp_path / "images.npy", "--address", "127.0.0.1:9"]
    done = subprocess.run([sys.executable, *client], capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "Error: No TensorFlow Serving answers" in done.stderr


def test_rest_tells_what_the_server_said(in_session):
    sys.path.insert(0, str(EXAMPLES))
    import rest_client

    with rest_server(in_session("acn"), "m") as url:
        with pytest.raises(RuntimeError, match="image must hold values"):
            rest_client.predict(url, "m", "encode", [{"image": (pictures(1)[0] * 9).tolist()}])
        # One input may also stand without its name.
        answers = rest_client.predict(url, "m", "encode", pictures(2).tolist())
    assert len(answers) == 2 and set(answers[0]) == {"mean", "stddev"}


@pytest.mark.slow
def test_grpc(in_session, exported, tmp_path):
    pytest.importorskip("tensorflow_serving")
    images = pictures(10)
    np.save(tmp_path / "images.npy", images)
    with grpc_server(in_session("acn"), "acn-digits") as address:
        out = run(
            EXAMPLES / "grpc_client.py",
            tmp_path / "images.npy",
            *("--address", address, "--batch-size", 4, "--out", tmp_path / "out.npz"),
        )
    assert "10 images" in out
    model = exported("acn").model
    with np.load(tmp_path / "out.npz") as answers:
        np.testing.assert_array_equal(answers["index"], model.neighbors(images)[1])
        np.testing.assert_allclose(answers["mean"], model.codes(images), atol=2e-5)
        nats = python_answers.nats(model, images[9:], 9)["total"]
        np.testing.assert_allclose(answers["nats"][9:], nats, rtol=1e-5)
