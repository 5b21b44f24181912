"""Files of formats 2 and 3 that were changed, by accident or on purpose: refused, or right."""

import functools
import pathlib
import struct
import zlib

import numpy as np
import pytest

import keras_acn
from keras_acn import codec
from keras_acn._base.errors import UserError
from keras_acn.codec import archive
from keras_acn.codec.blocks import BlockCodec
from keras_acn.codec.container import Header, Reader, read_parts

GOLDEN = pathlib.Path(__file__).parent / "golden"
FILES = sorted((GOLDEN / "format-2").glob("*.acn"))
WITH_MODEL = sorted((GOLDEN / "format-3").glob("*.acn"))


@functools.cache
def model_of(name):
    return keras_acn.load_model(GOLDEN / f"{name}.keras")


@functools.cache
def block_codec(name, *options, **named):
    return BlockCodec(model_of(name), *options, **named)


@pytest.fixture
def quick(monkeypatch):
    """Files whose headers ask for the same codec share one: making it is most of the work."""

    def codec_of(header, model, tell=None):
        return block_codec(
            names[id(model)],
            header.mode,
            header.lanes,
            keep_order=header.keep_order,
            nearest=max(1, header.nearest),
            codes=header.codes,
            cut=header.cut,
        )

    names = {}
    for path in FILES:
        name = codec.info(path)[0].model_name
        names[id(model_of(name))] = name
    monkeypatch.setattr(archive, "codec_of", codec_of)


def parts_of(data):
    """The bytes of each part of a file, which all end in a checksum of their own."""
    reader = Reader(data, "x")
    header = Header.read(reader)
    edges = [0, reader._file.tell()]
    edges += [reader._file.tell() for _ in read_parts(reader, header)]
    return [data[start:stop] for start, stop in zip(edges[:-1], edges[1:], strict=True)]


def sealed(part):
    return part[:-4] + struct.pack("<I", zlib.crc32(part[:-4]))


def changed(content, rng, start=0, kinds=4):
    """Some of the content after `start` flipped, overwritten or (of 4 kinds) cut out or put in."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(start, max(start + 1, len(content))))
        kind = rng.integers(kinds)
        if kind == 0:
            content[place : place + 1] = bytes([content[place] ^ 1 << rng.integers(8)])
        elif kind == 1:
            content[place : place + 4] = rng.bytes(len(content[place : place + 4]))
        elif kind == 2:
            del content[place : place + int(rng.integers(1, 6))]
        else:
            content[place:place] = rng.bytes(int(rng.integers(1, 6)))
    return bytes(content)


def mutated(data, others, rng):
    """The data, changed in one of the ways that files are."""
    parts, kind = parts_of(data), rng.integers(6)
    if kind == 0:  # on the way
        return changed(data, rng)
    if kind == 1:
        return data[: rng.integers(len(data))]
    if kind == 2:  # parts lost, doubled, in another order, or of another file
        strangers = [part for other in others for part in parts_of(other)]
        pool = parts + [strangers[rng.integers(len(strangers))]]
        rows = rng.integers(0, len(pool), rng.integers(1, len(pool) + 1))
        return parts[0] + b"".join(pool[row] for row in rows)
    # By someone who knows about checksums: any part, the header twice as often.
    at = 0 if kind == 3 else int(rng.integers(len(parts)))
    # After the magic, the version and the length, or after the tag; and mostly of the same length.
    kinds = 4 if rng.random() < 0.2 else 2
    parts[at] = sealed(changed(parts[at][:-4], rng, 6 if at == 0 else 1, kinds) + bytes(4))
    return b"".join(parts)


@pytest.fixture
def quick_inside(monkeypatch):
    """Models that files hold are made once, where the file holds the same one as ever."""
    make, codec_of = archive.own_model, archive.codec_of
    models, codecs = {}, {}

    def own_model(part, header, name):
        key = part.content, header.fingerprint, header.image_shape, header.latent_dim, header.codes
        key += (header.values.levels,)
        if key not in models:
            models[key] = make(part, header, name)
        return models[key]

    def own_codec(header, model, tell=None):
        asked = header.mode, header.lanes, header.keep_order, header.nearest, header.codes
        key = id(model), asked
        if key not in codecs:
            codecs[key] = codec_of(header, model, tell)
        return codecs[key]

    monkeypatch.setattr(archive, "own_model", own_model)
    monkeypatch.setattr(archive, "codec_of", own_codec)


def check(trials, seed, paths=FILES):
    rng, refused, same = np.random.default_rng(seed), 0, 0
    files = [path.read_bytes() for path in paths]
    for trial in range(trials):
        path, data = paths[trial % len(paths)], files[trial % len(paths)]
        damaged = mutated(data, files, rng)
        header, _ = codec.info(path)
        model = None if header.has_model else model_of(header.model_name)
        try:
            images = codec.decompress(damaged, model)
        except UserError as error:
            assert len(str(error)) < 300 and "\n" not in str(error)
            refused += 1
        else:
            expected = np.load(path.with_suffix(".npy"))
            assert images.dtype == expected.dtype and images.tobytes() == expected.tobytes()
            same += 1
    return refused, same


def test_changed_files_are_refused_or_come_back(quick):
    refused, same = check(300, seed=1)
    assert refused + same == 300 and refused > 280


@pytest.mark.slow
def test_three_thousand_changed_files_are_refused_or_come_back(quick):
    refused, same = check(3000, seed=2)
    assert refused + same == 3000 and refused > 2800


def test_changed_files_with_their_model_are_refused_or_come_back(quick_inside):
    refused, same = check(120, seed=3, paths=WITH_MODEL)
    assert refused + same == 120 and refused > 100


@pytest.mark.slow
def test_three_thousand_of_them(quick_inside):
    refused, same = check(3000, seed=4, paths=WITH_MODEL)
    assert refused + same == 3000 and refused > 2800
