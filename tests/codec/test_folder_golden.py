"""Files of folders by earlier versions come back to the bit; changed ones do, or are refused."""

import functools
import itertools
import pathlib
import shutil
import sys

import numpy as np
import pytest
import test_mutations

import keras_acn
from keras_acn import codec
from keras_acn._base.errors import UserError
from keras_acn.codec import archive
from keras_acn.codec.folder_file import read_folder, tiles_part
from keras_acn.codec.index import Index

GOLDEN = pathlib.Path(__file__).parent / "golden"
FILES = sorted((GOLDEN / "format-4").glob("*.acn"))
sys.path.insert(0, str(GOLDEN))


@functools.cache
def model_of(path):
    header, _ = codec.info(path)
    if header is None or header.has_model:
        return None
    return keras_acn.load_model(GOLDEN / f"{header.model_name}.keras")


def check_same(back, path):
    from make_format_4 import arrays_of

    found, expected = arrays_of(back), np.load(path.with_suffix(".npz"))
    assert sorted(found) == sorted(expected)
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


@pytest.mark.fast(every=2)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_comes_back(path, tmp_path):
    check_same(codec.decompress_folder(path, tmp_path / "back", model_of(path)), path)


def test_they_are_of_all_kinds():
    reports = [codec.info(path)[1] for path in FILES]
    assert {report.mode for report in reports} == {"raw", "stream", "set"}
    assert {report.has_names for report in reports} == {True, False}
    assert any(report.model_bytes for report in reports)
    sets = [report.tiles for report in reports if report.mode == "set"]
    assert any(tiles.order_bits == 0 for tiles in sets) and any(t.order_bits for t in sets)
    # Nothing that a file holds is left out of it.
    for path, report in zip(FILES, reports, strict=True):
        assert report.file_bytes == path.stat().st_size


def parts_of(data):
    """The bytes of each part of a file: index, the tiles' length, the tiles, chunks, end."""
    read = read_folder(data, "x")
    edges = [0, read.index_bytes]
    if read.tiles is not None:
        edges += [read.tiles._start, read.tiles._start + read.tiles_bytes]
    edges += [chunk._start + chunk._size + 4 for chunk in read.rest]
    return [data[start:stop] for start, stop in itertools.pairwise([*edges, len(data)])]


sealed = test_mutations.sealed


def changed(content, rng, start=0):
    """Some of the content after `start` flipped, overwritten, cut out or put in."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        place, kind = int(rng.integers(start, max(start + 1, len(content)))), rng.integers(6)
        if place >= len(content):
            content += rng.bytes(2)
        elif kind < 2:
            content[place : place + 1] = bytes([content[place] ^ 1 << rng.integers(8)])
        elif kind < 4:
            content[place : place + 2] = rng.bytes(len(content[place : place + 2]))
        elif kind == 4:
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
        return b"".join(pool[row] for row in rows)
    if kind == 4 and len(parts) > 3:  # the tiles, by someone who knows about checksums
        tiles = test_mutations.parts_of(parts[2])
        at = int(rng.integers(len(tiles)))
        tiles[at] = sealed(changed(tiles[at][:-4], rng, 6 if at == 0 else 1) + bytes(4))
        parts[2] = b"".join(tiles)
        parts[1] = tiles_part(len(parts[2]))
        return b"".join(parts)
    if kind == 3:  # any other part
        at = int(rng.integers(len(parts)))
        parts[at] = sealed(changed(parts[at][:-4], rng, 6 if at == 0 else 1) + bytes(4))
        return b"".join(parts)
    # The index, stored as it is, and changed in itself.
    content = changed(read_folder(data, "x").index.to_bytes(), rng)
    if len(content) > 127 * 128:
        return data
    size = bytes([len(content) & 127 | 128, len(content) >> 7])
    parts[0] = sealed(b"\x93ACN\x04I" + size + b"\0" + size + content + bytes(4))
    return b"".join(parts)


@pytest.fixture
def quick(monkeypatch):
    """Codecs and models are made once, where a file asks for the same as ever."""
    make, codec_of, match = archive.own_model, archive.codec_of, archive.check_match
    models, codecs, matches = {}, {}, set()

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

    def check_match(model, header, name):
        key = id(model), header.fingerprint, header.mode, header.codes, header.image_shape
        key += (header.latent_dim, header.values.levels)
        if key not in matches:
            match(model, header, name)
            matches.add(key)

    monkeypatch.setattr(archive, "own_model", own_model)
    monkeypatch.setattr(archive, "codec_of", own_codec)
    monkeypatch.setattr(archive, "check_match", check_match)


def check(trials, seed, folder):
    rng, refused, same = np.random.default_rng(seed), 0, 0
    files = [path.read_bytes() for path in FILES]
    target = folder / "in" / "back"
    target.parent.mkdir()
    for trial in range(trials):
        path, data = FILES[trial % len(FILES)], files[trial % len(FILES)]
        damaged = mutated(data, files, rng)
        try:
            codec.decompress_folder(damaged, target, model_of(path))
        except UserError as error:
            assert len(str(error)) < 300 and "\n" not in str(error)
            # Nothing is written, here or anywhere near.
            assert not list(target.parent.iterdir())
            refused += 1
        else:
            check_same(target, path)
            same += 1
            shutil.rmtree(target)
        assert list(folder.iterdir()) == [target.parent]
    return refused, same


def test_changed_files_are_refused_or_come_back(quick, tmp_path):
    refused, same = check(90, 1, tmp_path)
    assert refused > 75


@pytest.mark.slow_sample("1500")
@pytest.mark.parametrize("trials", [1500, 6000])
def test_thousands_of_changed_files_are_refused_or_come_back(quick, tmp_path, trials):
    # The fewer are the first of the many.
    refused, same = check(trials, 2, tmp_path)
    assert refused > 0.9 * trials


@pytest.mark.slow
def test_ten_thousand_changed_indices():
    """What an index says, it says as `to_bytes` does, or it is refused in a sentence."""
    rng = np.random.default_rng(3)
    contents = [read_folder(path.read_bytes(), "x").index.to_bytes() for path in FILES]
    read = 0
    for trial in range(10_000):
        content = changed(contents[trial % len(contents)], rng)
        try:
            index = Index.read(content, "x")
        except UserError as error:
            assert "\n" not in str(error)
            continue
        read += 1
        for path in (*index.folders, *(index.files or ())):
            parts = path.split("/")
            assert not path.startswith("/") and "\0" not in path
            assert all(part and not part.startswith(".") for part in parts)
        assert len({*index.folders, *(index.files or ())}) == len(index.folders) + len(
            index.files or ()
        )
    assert 100 < read < 5000
