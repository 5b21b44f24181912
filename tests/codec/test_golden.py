"""Files written by earlier versions decode, to the bit, in this one."""

import functools
import itertools
import pathlib

import numpy as np
import pytest

import keras_acn
from keras_acn import codec
from keras_acn.codec.container import CODES, MODES

GOLDEN = pathlib.Path(__file__).parent / "golden"
# Those of format 1 lie beside the models, later ones in folders of their own. Those of format 4 are
# of folders of pictures: see test_folder_golden.py.
FILES = [path for path in sorted(GOLDEN.rglob("*.acn")) if path.parent.name != "format-4"]


@functools.cache
def open_model(name):
    path = GOLDEN / f"{name}.keras"
    return keras_acn.load_model(path) if path.exists() else keras_acn.load_pretrained(name)


def test_they_are_there():
    headers = [codec.info(path)[0] for path in FILES]
    # What format 1 called "set" is the tour.
    for version, modes in ((1, {"stream", "tour"}), (2, set(MODES)), (3, set(MODES))):
        of_it = [header for header in headers if header.format == version]
        assert len(of_it) >= 6 and {header.mode for header in of_it} == modes
        assert {header.mode for header in of_it if header.keep_order} == modes - {"stream"}
        assert {header.values.levels for header in of_it} == {2, 256}
        if version == 3:
            assert {header.codes for header in of_it} == set(CODES)
            continue
        learned = {(h.mode, h.codes) for h in of_it if h.codes != "training"}
        both = itertools.product(("stream", "set"), ("seen", "both")) if version == 2 else ()
        assert learned == set(both)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_decodes(path):
    header, _ = codec.info(path)
    model = None if header.has_model else open_model(header.model_name)
    expected = np.load(path.with_suffix(".npy"))
    images = codec.decompress(path, model)
    assert images.dtype == expected.dtype and images.shape == expected.shape
    assert images.tobytes() == expected.tobytes()


def test_the_hash_of_a_model_stays():
    """Pinned, so that a change which would orphan every file is seen as one."""
    model = open_model("acn-mlp")
    header, _ = codec.info(GOLDEN / "mlp-stream.acn")
    assert codec.fingerprint(model) == header.fingerprint
