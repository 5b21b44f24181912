"""A C program linked against the library inside the TensorFlow wheel loads and runs a model."""

import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from served_models import pictures

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
LIBRARIES = pathlib.Path(tf.sysconfig.get_lib())

pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason="there is no C compiler on this machine"),
    pytest.mark.skipif(
        not (LIBRARIES / "libtensorflow_cc.so.2").exists(),
        reason="this TensorFlow wheel has no libtensorflow_cc.so.2",
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("c") / "serve"
    source = pathlib.Path(__file__).with_name("serve.c")
    command = [COMPILER, source, "-o", path, f"-I{tf.sysconfig.get_include()}", f"-L{LIBRARIES}"]
    command += ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
    subprocess.run([*command, f"-Wl,-rpath,{LIBRARIES}"], check=True)
    return path


def ask(program, served, path, signature, output, first, second):
    """The two lines that the program answers `first` and `second` with."""
    definition = served.signatures[signature]
    into, out = definition.inputs["image"].name, definition.outputs[output]
    kind = "i" if out.dtype == tf.int32.as_datatype_enum else "f"
    done = subprocess.run(
        [program, path, into, out.name, kind, *map(str, [len(second), *first.shape])],
        input=first.tobytes() + second.tobytes(),
        capture_output=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 2
    return lines


@pytest.mark.slow
def test_encode_and_neighbors(program, exported, in_session):
    model, export = exported("acn")
    first, second = pictures(5, seed=3), pictures(5, seed=4)
    served = in_session("acn")
    lines = ask(program, served, export.path, "encode", "mean", first, second)
    for line, images in zip(lines, (first, second), strict=True):
        codes = np.array(line.split(), np.float32).reshape(5, 4)
        np.testing.assert_allclose(codes, model.codes(images), atol=2e-5)
    lines = ask(program, served, export.path, "neighbors", "index", first, second)
    for line, images in zip(lines, (first, second), strict=True):
        index = np.array(line.split(), np.int32).reshape(5, 3)
        np.testing.assert_array_equal(index, model.neighbors(images)[1])


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 4, 16, 1), (2, 64), (1, 2, 8, 8, 1), (128,)])
def test_a_wrong_shape_is_refused_and_serving_goes_on(program, exported, in_session, shape):
    model, export = exported("acn")
    good = pictures(2)
    refused, answered = ask(
        program,
        in_session("acn"),
        export.path,
        "encode",
        "mean",
        good.reshape(shape),
        good,
    )
    assert refused.startswith(
        "error: assertion failed: [image must have the shape [batch, 8, 8, 1]"
    )
    codes = np.array(answered.split(), np.float32).reshape(2, 4)
    np.testing.assert_allclose(codes, model.codes(good), atol=2e-5)
