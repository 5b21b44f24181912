"""Files written by earlier versions decode, to the bit, in this one."""

import functools
import pathlib

import numpy as np
import pytest

import keras_acn
from keras_acn import codec

GOLDEN = pathlib.Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*.acn"))


@functools.cache
def open_model(name):
    path = GOLDEN / f"{name}.keras"
    return keras_acn.load_model(path) if path.exists() else keras_acn.load_pretrained(name)


def test_they_are_there():
    assert len(FILES) >= 7
    headers = [codec.info(path)[0] for path in FILES]
    assert {header.mode for header in headers} == {"stream", "set"}
    assert any(header.keep_order for header in headers)
    assert {header.values.levels for header in headers} == {2, 256}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_decodes(path):
    header, _ = codec.info(path)
    model = open_model(header.model_name)
    expected = np.load(path.with_suffix(".npy"))
    images = codec.decompress(path, model)
    assert images.dtype == expected.dtype and images.shape == expected.shape
    assert images.tobytes() == expected.tobytes()


def test_the_hash_of_a_model_stays():
    """Pinned, so that a change which would orphan every file is seen as one."""
    model = open_model("acn-mlp")
    header, _ = codec.info(GOLDEN / "mlp-stream.acn")
    assert codec.fingerprint(model) == header.fingerprint
