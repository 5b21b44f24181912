import dataclasses
import io
import struct
import zlib

import numpy as np
import pytest
from codec_models import noise, small_model

from keras_acn import codec
from keras_acn._base.errors import UserError
from keras_acn.codec.container import Block, End, Header, Reader, read_parts
from keras_acn.codec.grid import LatentGrid
from keras_acn.codec.values import PixelValues

HEADER = Header(
    mode="set",
    keep_order=True,
    fingerprint=bytes(range(16)),
    model_name="a model",
    image_shape=(28, 27, 3),
    has_channel_axis=True,
    latent_dim=3,
    count=300,
    block=200,
    lanes=128,
    nearest=512,
    values=PixelValues("<f4", 255, 256),
    writer="1.2.3",
)
BLOCKS = [
    Block(200, LatentGrid((2, 2, 2), 500), np.arange(1, 9, dtype=np.uint32)),
    Block(100, LatentGrid((-3, 0, 7), 9), np.zeros(0, np.uint32)),
]
END = End(bytes(range(16, 32)), 12345, 678)


def test_flags_tell_how_latents_are_drawn():
    cut = dataclasses.replace(HEADER, cut=True)
    assert Header.read(Reader(cut.to_bytes(), "x.acn")) == cut
    # Files of before have no such flag, and none that is not known is passed over.
    assert HEADER.to_bytes()[7] ^ cut.to_bytes()[7] == 16
    assert Header.read(Reader(HEADER.to_bytes(), "x.acn")).cut is False
    body = bytearray(HEADER.to_bytes()[:-4])
    body[7] |= 32
    with pytest.raises(UserError, match="damaged"):
        Header.read(Reader(bytes(body) + struct.pack("<I", zlib.crc32(body)), "x.acn"))


def whole():
    parts = [HEADER.to_bytes(), *(each.to_bytes() for each in BLOCKS), END.to_bytes()]
    return b"".join(parts)


def read(content):
    reader = Reader(content, "x.acn")
    header = Header.read(reader)
    return header, list(read_parts(reader, header))


def test_what_is_written_is_read():
    header, (one, two, end) = read(whole())
    assert header == HEADER and end == END
    assert header.array_shape == (300, 28, 27, 3)
    for got, expected in zip((one, two), BLOCKS, strict=True):
        assert (got.count, got.grid) == (expected.count, expected.grid)
        np.testing.assert_array_equal(got.words, expected.words)
    read(io.BytesIO(whole()))


def test_a_header_is_small():
    assert len(HEADER.to_bytes()) < 80
    assert len(BLOCKS[0].to_bytes()) == 8 * 4 + 12


def test_every_flipped_bit_is_found():
    content = whole()
    for place in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            with pytest.raises(UserError, match=r"x\.acn (is|was)"):
                read(bytes(damaged))


def test_every_truncation_and_every_addition_is_found():
    content = whole()
    for size in range(len(content)):
        with pytest.raises(UserError, match="cut off|no .acn file|damaged"):
            read(content[:size])
    for more in (b"\0", content, b"B"):
        with pytest.raises(UserError, match="damaged|cut off"):
            read(content + more)


def sealed(body):
    """A header around any body, with a checksum that fits."""
    head = b"\x93ACN\x02" + bytes([len(body)]) + body
    return head + struct.pack("<I", zlib.crc32(head))


def test_the_header_parser_survives_anything():
    rng = np.random.default_rng(0)
    body = HEADER.to_bytes()[6:-4]
    assert read(sealed(body) + b"".join(b.to_bytes() for b in BLOCKS) + END.to_bytes())
    refused = 0
    for trial in range(3000):
        if trial % 3 == 0:
            content = rng.bytes(rng.integers(0, 200))
        elif trial % 3 == 1:
            content = sealed(rng.bytes(rng.integers(0, 120)))
        else:
            changed = bytearray(body)
            for _ in range(rng.integers(1, 4)):
                changed[rng.integers(len(changed))] = rng.integers(256)
            content = sealed(bytes(changed))
        try:
            header = Header.read(Reader(content, "x.acn"))
        except UserError as error:
            assert str(error).startswith("x.acn ")
            refused += 1
        else:
            # What is let through can be worked with: nothing is huge or contradictory.
            assert np.prod(header.image_shape) <= 2**26 and header.lanes <= 2**16
            assert np.dtype(header.values.dtype).itemsize <= 8
            assert len(header.array_shape) in (3, 4)
    assert refused > 2000


def test_blocks_that_do_not_add_up():
    for count, block in ((299, 200), (301, 200), (300, 150), (0, 200)):
        header = dataclasses.replace(HEADER, count=count, block=block)
        rest = b"".join(b.to_bytes() for b in BLOCKS) + END.to_bytes()
        with pytest.raises(UserError, match="damaged"):
            read(header.to_bytes() + rest)


@pytest.mark.parametrize(
    "change",
    [
        {"block": 100, "lanes": 101},
        {"image_shape": (8192, 8192, 1)},
        {"model_name": "a\x1b[2Jmodel"},
        {"writer": "1\n2"},
    ],
)
def test_a_header_that_nobody_writes(change):
    header = dataclasses.replace(HEADER, **change)
    with pytest.raises(UserError, match="damaged"):
        Header.read(Reader(header.to_bytes(), "x.acn"))


def test_many_images_announced_and_not_there():
    header = dataclasses.replace(HEADER, count=10**12, block=2**20)
    rest = dataclasses.replace(BLOCKS[1], count=2**20).to_bytes() + END.to_bytes()
    with pytest.raises(UserError, match="damaged"):
        read(header.to_bytes() + rest)
    with pytest.raises(UserError, match="cut off"):
        read(header.to_bytes())


def test_a_stack_that_ends_in_zero():
    zero = dataclasses.replace(BLOCKS[0], words=np.array([5, 0], np.uint32))
    with pytest.raises(UserError, match="damaged"):
        read(HEADER.to_bytes() + zero.to_bytes() + BLOCKS[1].to_bytes() + END.to_bytes())


def test_a_newer_version_is_told():
    content = bytearray(whole())
    content[4] = 9
    with pytest.raises(UserError, match="newer version"):
        read(bytes(content))


@pytest.fixture(scope="module")
def packed():
    model = small_model(kind="VAE")
    images = noise(90)
    return model, images, codec.compress(images, model, lanes=8, block_images=30, verify=False)


def resealed(data, start, stop):
    """The data with the checksum of `start:stop` worked out anew."""
    crc = struct.pack("<I", zlib.crc32(data[start : stop - 4]))
    return data[: stop - 4] + crc + data[stop:]


def parts_of(data):
    """Where each part of a file begins, and where the last one ends."""
    reader = Reader(data, "x")
    header = Header.read(reader)
    edges = [0, reader._file.tell()]
    edges += [reader._file.tell() for _ in read_parts(reader, header)]
    return edges


@pytest.mark.slow
def test_two_hundred_damaged_files(packed, tmp_path):
    model, images, data = packed
    other = small_model(kind="VAE", seed=2)
    rng = np.random.default_rng(0)
    edges = parts_of(data)
    for trial in range(200):
        kind = trial % 5
        damaged, used = bytearray(data), model
        if kind == 0:
            place = rng.integers(len(data))
            damaged[place] ^= 1 << rng.integers(8)
        elif kind == 1:
            damaged = damaged[: rng.integers(len(data))]
        elif kind == 2:
            # A payload that was changed by someone who knows about checksums.
            start, stop = edges[1 + trial % 3], edges[2 + trial % 3]
            damaged[rng.integers(start + 12, stop - 4)] ^= 1 << rng.integers(8)
            damaged = resealed(bytes(damaged), start, stop)
        elif kind == 3:
            # A header likewise: any byte after the model's hash.
            damaged[rng.integers(6, edges[1] - 4)] ^= 1 << rng.integers(8)
            damaged = resealed(bytes(damaged), 0, edges[1])
        else:
            used = other
        out = tmp_path / "out.npy"
        with pytest.raises(UserError) as refusal:
            codec.decompress(bytes(damaged), used, out)
        sentence = str(refusal.value)
        assert len(sentence) < 300 and "\n" not in sentence
        assert list(tmp_path.iterdir()) == []


def test_another_models_file(packed):
    _, _, data = packed
    with pytest.raises(UserError, match="compressed with another model"):
        codec.decompress(data, small_model(kind="VAE", seed=2))
    with pytest.raises(UserError, match="does not come with keras_acn"):
        codec.decompress(data)
    with pytest.raises(UserError, match="cannot be read"):
        codec.decompress("no-such-file.acn")


def test_the_hash_is_of_what_matters(tmp_path):
    model = small_model()
    expected = codec.fingerprint(model)
    model.compile(optimizer="sgd")
    model.save(tmp_path / "m.keras")
    import keras_acn

    assert codec.fingerprint(keras_acn.load_model(tmp_path / "m.keras")) == expected
    assert codec.fingerprint(small_model()) == expected
    assert codec.fingerprint(small_model(seed=2)) != expected
    assert codec.fingerprint(small_model(codes=41)) != expected
    changed = small_model()
    changed.codebook.codes.assign(changed.codebook.codes + 1e-3)
    assert codec.fingerprint(changed) != expected
    changed = small_model()
    changed.decoder.hidden_layers[0].kernel.assign(changed.decoder.hidden_layers[0].kernel * 1.01)
    assert codec.fingerprint(changed) != expected
    # The same weights under another activation are another model.
    assert (
        codec.fingerprint(
            small_model(
                prior={"name": "mixture", "hidden": [16], "components": 3, "activation": "relu"}
            )
        )
        != expected
    )


def test_info_without_decoding(packed, tmp_path):
    _, images, data = packed
    (tmp_path / "x.acn").write_bytes(data)
    header, report = codec.info(tmp_path / "x.acn")
    assert header.array_shape == images.shape and report.file_bytes == len(data)
    assert report.images == 90 and report.mode == "stream"
