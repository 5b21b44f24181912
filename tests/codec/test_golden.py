"""Files written by earlier versions decode, to the bit, in this one."""

import dataclasses
import functools
import itertools
import pathlib

import numpy as np
import pytest

import keras_acn
from keras_acn import codec
from keras_acn._base.errors import UserError
from keras_acn.codec.container import CODES, MODES, Header, Reader, read_parts

GOLDEN = pathlib.Path(__file__).parent / "golden"
# Those of format 1 lie beside the models, later ones in folders of their own. Those of format 4 are
# of folders of pictures: see test_folder_golden.py.
FILES = [path for path in sorted(GOLDEN.rglob("*.acn")) if path.parent.name != "format-4"]
KINDS_OF_BITS = ("initial_bits", "lane_bits")


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


@pytest.mark.fast(every=2)
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


def with_bits(content, initial, lanes):
    """The file with other numbers of bits at its end, and a checksum that fits."""
    reader = Reader(content, "x")
    header = Header.read(reader)
    *_, end = read_parts(reader, header)
    head = content[: -len(end.to_bytes())]
    changed = dataclasses.replace(end, initial_bits=initial, lane_bits=lanes)
    return end, head + changed.to_bytes()


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("name", ["mlp-set.acn", "format-2/mlp-set.acn", "format-3/mlp-stream.acn"])
def test_the_bit_counts_are_those_of_the_images(name):
    path = GOLDEN / name
    content = path.read_bytes()
    end, same = with_bits(content, *(codec.info(path)[1].__dict__[k] for k in KINDS_OF_BITS))
    assert same == content
    header, _ = codec.info(path)
    model = None if header.has_model else open_model(header.model_name)
    for initial, lanes in (
        *((end.initial_bits + 5, end.lane_bits), (end.initial_bits, end.lane_bits + 5)),
        (max(0, end.initial_bits - 5), end.lane_bits),
    ):
        _, changed = with_bits(content, initial, lanes)
        codec.info(changed)
        with pytest.raises(UserError, match="other numbers of bits"):
            codec.decompress(changed, model)
    # What nothing can have is refused before anything is decoded.
    for many in ((2**40, 0), (0, 2**40)):
        with pytest.raises(UserError, match="damaged"):
            codec.info(with_bits(content, *many)[1])


def test_no_rate_is_less_than_nothing():
    _, changed = with_bits((GOLDEN / "mlp-set.acn").read_bytes(), 6000, 0)
    report = codec.info(changed)[1]
    assert report.net_bits_per_dim is None and report.net_nats_per_image is None
    assert "unknown" in report.to_text() and "-" not in report.to_text()
