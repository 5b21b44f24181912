"""Files that announce or unpack to more than a machine has: refused by their headers."""

import gzip
import io
import os
import struct
import threading
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from keras_acn import UserError, codec, data, memory_limit
from keras_acn._base import reading
from keras_acn._base.errors import DataWarning
from keras_acn._base.numpy_files import read_arrays
from keras_acn.data.readers import picture
from keras_acn.data.readers.base import ArraySource, StreamSource
from keras_acn.data.transform import transform_images, transformed_header

PIXELS = np.arange(12 * 6 * 4, dtype=np.uint8).reshape(12, 6, 4)
# All of these files are small; what they announce is not.
ENOUGH = 200_000


def idx(shape, body=b""):
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + body


def npy(shape, dtype="|u1", body=b"", fortran=False, version=1):
    text = f"{{'descr': {dtype!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + body


def npz(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return f"npz:{path}"


def an_idx(folder, content, packed=True, labels=None):
    ending = ".gz" if packed else ""
    write = gzip.compress if packed else bytes
    (folder / f"train-images-idx3-ubyte{ending}").write_bytes(write(content))
    if labels is not None:
        (folder / f"train-labels-idx1-ubyte{ending}").write_bytes(write(labels))
    return f"idx:{folder}"


ANNOUNCED = {
    "idx of 12.9 GB": lambda f: an_idx(f, idx((3, 65536, 65536))),
    "idx of all numbers": lambda f: an_idx(f, idx((2**32 - 1,) * 3)),
    "idx with 4 G labels": lambda f: an_idx(
        f, idx((12, 6, 4), PIXELS.tobytes()), labels=idx((2**32 - 1,))
    ),
    "npz of negative images": lambda f: npz(f / "a.npz", images=npy((-12, 6, 4))),
    "npz of negative rows": lambda f: npz(f / "a.npz", images=npy((12, -6, -4))),
    "npz of many": lambda f: npz(f / "a.npz", images=npy((10**12, 6, 4))),
    "npz of 2^900": lambda f: npz(f / "a.npz", images=npy((2**30,) * 30)),
    "npz of one that is huge": lambda f: npz(f / "a.npz", images=npy((1, 10**6, 10**6))),
    "npz, columns first": lambda f: npz(f / "a.npz", images=npy((10**12, 6, 4), fortran=True)),
    "npz of long texts": lambda f: npz(f / "a.npz", images=npy((12, 6), "<U2000000000")),
    "npz of nothings": lambda f: npz(f / "a.npz", images=npy((10**18, 6, 4), "|V0")),
    "npz with a long header": lambda f: npz(
        f / "a.npz",
        images=b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**27) + b" " * 2**27,
    ),
    "npz with many labels": lambda f: npz(
        f / "a.npz", images=npy((12, 6, 4), body=PIXELS.tobytes()), labels=npy((10**12,))
    ),
    "npz with huge labels": lambda f: npz(
        f / "a.npz", images=npy((12, 6, 4), body=PIXELS.tobytes()), labels=npy((12, 10**12))
    ),
    "npz with labels without end": lambda f: npz(
        f / "a.npz",
        images=npy((12, 6, 4), body=PIXELS.tobytes()),
        labels=npy((12, 1, 2**40)),
    ),
}


@pytest.mark.parametrize("kind", ANNOUNCED)
@pytest.mark.parametrize("look", [{}, {"resize": 8, "limit": 5}], ids=["as it is", "resized"])
def test_what_a_header_announces(kind, look, tmp_path):
    if "long header" in kind and look:
        pytest.skip("the same, and slow to make")
    source = ANNOUNCED[kind](tmp_path)
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) < ENOUGH
    with pytest.raises(UserError) as refusal:
        data.load(source, **look)
    assert len(str(refusal.value)) < 600


def test_npy(tmp_path):
    path = tmp_path / "a.npy"
    for content in (
        npy((-1, 6, 4), body=bytes(24)),
        npy((10**12, 6, 4), body=bytes(24)),
        npy((2**30,) * 30),
        npy((2, 6, 4), "|O"),
        npy((0, -6, 4)),
        b"",
        b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match="not a readable .npy file"):
            data.load(f"npy:{path}")


def test_the_limit_is_one_and_can_be_raised(tmp_path, monkeypatch):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((100, 10, 10), np.uint8))
    with memory_limit(9e-6):
        with pytest.raises(UserError, match=r"1e-05 GB in memory.*--max-gb 1 .*memory_limit\(1"):
            data.load(f"npy:{path}")
        # What is left of it counts.
        assert len(data.load(f"npy:{path}", limit=20).train) == 20
        with memory_limit(2e-5):
            assert len(data.load(f"npy:{path}").train) == 90
        with pytest.raises(UserError, match="in memory"):
            data.load(f"npy:{path}", resize=10**6, limit=1)
    monkeypatch.setenv(reading.VARIABLE, "1e-5")
    assert len(data.load(f"npy:{path}").train) == 90
    for wrong in ("x", "-1", "0", "nan", "inf"):
        monkeypatch.setenv(reading.VARIABLE, wrong)
        with pytest.raises(UserError, match="number of gigabytes above 0"):
            data.load(f"npy:{path}")
    with pytest.raises(UserError, match="number of gigabytes above 0"), memory_limit(True):
        pass


class Endless(io.RawIOBase):
    """Ones without end, which counts what is taken."""

    taken = 0

    def readable(self):
        return True

    def read(self, size=-1):
        assert 0 <= size <= 2**26
        self.taken += size
        return b"\1" * size


@pytest.mark.parametrize("shape", [(50, 6, 4), (2, 7000, 7000)])
def test_a_stream_is_read_to_its_announced_end(shape):
    file = Endless()
    source = StreamSource("x", lambda: file, shape, np.uint8)
    with pytest.raises(UserError, match="longer than its header says.* holds more"):
        for _ in source.scan():
            pass
    assert file.taken <= np.prod(shape) + 2**16


def test_a_senseless_header_does_not_have_all_unpacked():
    file = Endless()
    with pytest.raises(UserError, match="no pixels"):
        StreamSource("x", lambda: file, (50, 0, 4), np.uint8).check()
    assert file.taken <= 2**26


class Counted(ArraySource):
    """Large images, of which few are held at a time."""

    largest = 0

    def blocks(self, size):
        self.largest = max(self.largest, size)
        for start in range(0, len(self), size):
            yield np.array(self.array[start : start + size])


def test_few_large_images_at_a_time():
    # 9 MB each, of which blocks of 4096 would be 37 GB.
    huge = np.broadcast_to(np.uint8(3), (20, 3000, 3000))
    source = Counted(huge)
    small = source.transformed(resize=(4, 4))
    assert [len(block) for block in small.blocks(12)] == [12, 8]
    assert 1 <= source.largest <= 8
    tiny = Counted(np.broadcast_to(np.uint8(3), (9, 1, 1)), scale=255)
    large = tiny.transformed(resize=(3000, 3000))
    assert large.shape == (9, 3000, 3000)
    next(iter(large.blocks(1)))
    assert tiny.largest <= 8


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype,levels", [("uint8", 2), ("float32", None), ("float64", None)])
def test_what_images_become_is_known_before(channels, dtype, levels):
    image = np.zeros((1, 6, 5, channels), dtype)
    for look in ({"crop": (4, 3)}, {"resize": (7, 2)}, {"grey": True}, {}):
        got, found = transform_images(image, levels, **look)
        shape, kind, mixes = transformed_header(image.shape[1:], image.dtype, **look)
        assert (got.shape[1:], got.dtype) == (shape, kind)
        assert mixes == bool("resize" in look or ("grey" in look and channels >= 3))
        assert levels is None or mixes == (found == 256)


def test_large_pictures(tmp_path):
    Image.new("L", (3000, 2000)).save(tmp_path / "large.png")
    Image.new("L", (30, 20)).save(tmp_path / "small.png")
    with memory_limit(0.09):
        with pytest.raises(UserError, match="too large: its 2000x3000 pixels take .*--max-gb 1 "):
            data.load(f"images:{tmp_path}", resize=8)
        with pytest.warns(DataWarning, match=r"large\.png"):
            got = data.load(f"images:{tmp_path}", resize=8, skip_damaged=True, test=0)
        assert len(got.train) == 1
    assert len(data.load(f"images:{tmp_path}", resize=8, test=0).train) == 2


@pytest.mark.parametrize(
    "head", [b"\xff\xd8\xff", b"GIF89a\x08\0\x08\0", b"RIFF\xff\xff\xff\x7fWEBPVP8 "]
)
@pytest.mark.parametrize("name", ["a.jpg", "a"])
def test_files_that_no_picture_fills(head, name, tmp_path):
    """Decoders look through all of a file for its next part, or read it whole."""
    (tmp_path / name).write_bytes(head)
    os.truncate(tmp_path / name, 10**11)
    with pytest.raises(UserError, match="too large" if name == "a.jpg" else "no pictures"):
        data.load(f"images:{tmp_path}")


def test_large_pictures_take_turns(tmp_path, monkeypatch):
    for name in range(4):
        Image.new("L", (300, 200)).save(tmp_path / f"{name}.png")
    lock, now, most = threading.Lock(), [0], [0]

    def slow(image):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= 1
        return np.zeros((2, 2), np.uint8)

    def read_all():
        most[0] = 0
        files = [str(tmp_path / f"{name}.png") for name in range(4)]
        threads = [threading.Thread(target=picture.opened, args=(f, slow)) for f in files]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        return most[0]

    with memory_limit(0.001):
        assert read_all() == 1
    assert read_all() > 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_pipes_and_devices(tmp_path):
    for name in ("a.npy", "a.npz", "a.acn", "a.png", "strange"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "zero.npy").symlink_to("/dev/zero")
    (tmp_path / "zero.npz").symlink_to("/dev/zero")
    for source in ("npy:a.npy", "npz:a.npz", "npy:zero.npy", "npz:zero.npz"):
        kind, name = source.split(":")
        with pytest.raises(UserError, match="pipe or a device"):
            data.load(f"{kind}:{tmp_path / name}")
        with pytest.raises(UserError, match="pipe or a device"):
            codec.open_input(f"{kind}:{tmp_path / name}")
    with pytest.raises(UserError, match="pipe or a device"):
        codec.info(tmp_path / "a.acn")
    with pytest.raises(UserError, match="is not a folder"):
        codec.open_input(f"idx:{tmp_path / 'strange'}")
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("L", (6, 4)).save(folder / "b.png")
    (tmp_path / "a.png").rename(folder / "a.png")
    (tmp_path / "strange").rename(folder / "strange")
    with pytest.raises(UserError, match="pipe or a device"):
        data.load(f"images:{folder}")


def test_read_arrays(tmp_path):
    path = tmp_path / "a.npz"
    wanted = {"a/b": np.arange(6.0).reshape(2, 3).T, "c": np.zeros(0), "d": np.array(3, "i4")}
    for save in (np.savez, np.savez_compressed):
        save(path, **wanted)
        got = read_arrays(path)
        assert list(got) == list(wanted)
        for name, array in wanted.items():
            np.testing.assert_array_equal(got[name], array)
            assert got[name].dtype == array.dtype
    np.savez_compressed(path, a=np.zeros(10**5))
    with pytest.raises(ValueError, match="larger than the file"):
        read_arrays(path, packed=False)
    with memory_limit(1e-4), pytest.raises(UserError, match="The arrays of .* in memory"):
        read_arrays(path)
    for content in (npy((2**40,)), npy((-1,)), npy((3,), body=bytes(4)), npy((3,), "|O")):
        npz(path, a=content)
        with pytest.raises(ValueError):
            read_arrays(path)


def test_text_files_of_a_run(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("{}")
    assert reading.read_text(path) == "{}"
    with pytest.raises(UserError, match="more than 1 bytes"):
        reading.read_text(path, most=1)
    (tmp_path / "zero").symlink_to("/dev/zero")
    with pytest.raises(UserError, match="pipe or a device"):
        reading.read_text(tmp_path / "zero")
    with pytest.raises(FileNotFoundError):
        reading.read_text(tmp_path / "missing")


def test_more_than_any_packed_file_of_this_size_can_hold(tmp_path):
    """Their numbers alone, of so many small images, would take most of what is allowed."""
    source = an_idx(tmp_path, idx((150_000_000, 1, 1), bytes(300)))
    with pytest.raises(UserError, match="ends before its end.* more than the .* bytes"):
        data.load(source, resize=3)
    # Zeros are packed as tightly as can be.
    sound = an_idx(tmp_path, idx((1000, 100, 100), bytes(10**7)))
    assert len(data.load(sound, resize=1, test=0).train) == 1000
    path = tmp_path / "a.npz"
    source = npz(path, images=npy((1000, 100, 100), body=bytes(10**7)))
    assert len(data.load(source, resize=1, test=0).train) == 1000
    # The table says more than there is.
    content = path.read_bytes()
    size = zipfile.ZipFile(path).infolist()[0].file_size
    path.write_bytes(content.replace(size.to_bytes(4, "little"), (2**31).to_bytes(4, "little")))
    with pytest.raises(UserError, match="not a readable .npz"):
        data.load(source)
