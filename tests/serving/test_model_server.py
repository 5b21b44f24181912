"""End to end with the real server, where `tensorflow_model_server` is on the PATH."""

import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from served_models import pictures

BINARY = shutil.which("tensorflow_model_server")
EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.skipif(
    BINARY is None, reason="tensorflow_model_server is not on the PATH of this machine"
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def server(folder, name):
    grpc_port, rest_port = free_port(), free_port()
    command = [BINARY, f"--port={grpc_port}", f"--rest_api_port={rest_port}"]
    command += [f"--model_name={name}", f"--model_base_path={folder}"]
    command += ["--file_system_poll_wait_seconds=1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    url = f"http://localhost:{rest_port}"
    try:
        wait_for(url, name, 1)
        yield url, f"localhost:{grpc_port}"
    finally:
        process.terminate()
        process.wait(30)


def wait_for(url, name, version):
    """Waits until the version is there, warmed up."""
    for _ in range(120):
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            with urllib.request.urlopen(f"{url}/v1/models/{name}/versions/{version}") as answer:
                states = json.load(answer)["model_version_status"]
                if any(state["state"] == "AVAILABLE" for state in states):
                    return
        time.sleep(0.5)
    raise AssertionError(f"version {version} of {name} did not come up")


@pytest.mark.slow
def test_rest_grpc_and_a_new_version(exported, tmp_path):
    sys.path.insert(0, str(EXAMPLES))
    import rest_client

    model = exported("acn").model
    folder = tmp_path / "served"
    model.export(folder, name="small")
    images = pictures(5)
    with server(folder, "small") as (url, address):
        rows = [{"image": image.tolist(), "seed": i} for i, image in enumerate(images)]
        encoded = rest_client.predict(url, "small", "encode", [{"image": r["image"]} for r in rows])
        means = np.array([row["mean"] for row in encoded])
        np.testing.assert_allclose(means, model.codes(images), atol=2e-5)
        dreamt = np.array(rest_client.predict(url, "small", "daydream_step", rows))
        want = [model.daydream(images[i : i + 1], steps=1, seed=i)[1, 0] for i in range(5)]
        np.testing.assert_array_equal(dreamt, want)
        with pytest.raises(RuntimeError, match="image must"):
            rest_client.predict(url, "small", "encode", [{"image": [[[9.0]] * 8] * 8}])

        pytest.importorskip("tensorflow_serving")
        import grpc_client

        near = grpc_client.Client(address, "small").predict("neighbors", image=images)
        np.testing.assert_array_equal(near["index"], model.neighbors(images)[1])

        assert model.export(folder, name="small").version == 2
        wait_for(url, "small", 2)
        again = rest_client.predict(url, "small", "encode", [{"image": rows[0]["image"]}])
        np.testing.assert_allclose(again[0]["mean"], means[0], atol=2e-5)
