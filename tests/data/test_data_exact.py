"""Picture files read as they are: the mode, every value, the palette, and nothing made up."""

import struct
import types
import zlib

import numpy as np
import pytest
from PIL import Image

from keras_acn.data.readers.exact import MODES, read_exact, tree_of
from keras_acn.data.readers.notices import Notices
from keras_acn.data.readers.picture import Unreadable, is_deep, opened, read_image, size_of_file

RNG = np.random.default_rng(0)


def values(*shape, most=256):
    return RNG.integers(0, most, shape)


IMAGES = {
    "1": Image.fromarray(values(5, 9, most=2).astype(bool)),
    "L": Image.fromarray(values(5, 9).astype(np.uint8)),
    "LA": Image.fromarray(values(5, 9, 2).astype(np.uint8), "LA"),
    "P": Image.fromarray(values(30, 20, 3).astype(np.uint8)).quantize(200),
    "RGB": Image.fromarray(values(5, 9, 3).astype(np.uint8)),
    "RGBA": Image.fromarray(values(5, 9, 4).astype(np.uint8)),
    "I;16": Image.fromarray(values(5, 9, most=2**16).astype(np.uint16)),
}
ENDINGS = {"png": list(MODES), "tif": list(MODES), "bmp": ["1", "L", "P", "RGB"], "gif": ["P"]}


def check(path, tmp_path):
    """Pillow reads the same from a picture's file, and from what is written of it."""
    picture = read_exact(str(path))
    picture.to_image().save(tmp_path / "again.png")
    with Image.open(path) as one, Image.open(tmp_path / "again.png") as other:
        one.load()
        if "transparency" not in one.info or one.mode == "P":
            assert one.mode.replace("16B", "16") == other.mode == picture.mode
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
        if not one.mode.startswith("I"):
            images = (np.asarray(each.convert("RGBA")) for each in (one, other))
            np.testing.assert_array_equal(*images)
    again = read_exact(str(tmp_path / "again.png"))
    assert (again.mode, again.palette, again.alphas) == (
        picture.mode,
        picture.palette,
        picture.alphas,
    )
    np.testing.assert_array_equal(again.pixels, picture.pixels)
    return picture


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_mode_of_every_format(ending, tmp_path):
    for mode in ENDINGS[ending]:
        path = tmp_path / f"x.{ending}"
        IMAGES[mode].save(path)
        assert check(path, tmp_path).mode == mode


@pytest.mark.parametrize(
    ("mode", "key", "found"),
    [
        ("P", 3, "P"),
        ("P", bytes([255, 0, 7]), "P"),
        ("RGB", (1, 2, 3), "RGBA"),
        ("L", 7, "LA"),
        ("1", 1, "LA"),
    ],
)
def test_a_transparent_colour(mode, key, found, tmp_path):
    IMAGES[mode].save(tmp_path / "x.png", transparency=key)
    assert check(tmp_path / "x.png", tmp_path).mode == found


def test_the_orientation_of_a_camera_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # lying on its side
    IMAGES["RGB"].save(tmp_path / "x.png", exif=exif)
    assert read_exact(str(tmp_path / "x.png")).size == (9, 5)


def png(depth, key, values):
    """A grey PNG file of a row of values, one of which is transparent."""

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    row = np.unpackbits(np.uint8(values)[:, None], axis=1)[:, 8 - depth :].ravel()
    head = struct.pack(">IIBBBBB", len(values), 1, depth, 0, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", head),
            chunk(b"tRNS", struct.pack(">H", key)),
            chunk(b"IDAT", zlib.compress(b"\0" + np.packbits(row).tobytes())),
            chunk(b"IEND", b""),
        )
    )


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_transparent_grey_of_any_depth(depth, tmp_path):
    most = 2**depth - 1
    stored = RNG.integers(0, most + 1, 16)
    stored[:2] = key, _ = (most + 1) // 2, 0
    path = tmp_path / "x.png"
    path.write_bytes(png(depth, key, stored))
    picture = read_exact(str(path))
    assert picture.mode == "LA"
    np.testing.assert_array_equal(picture.pixels[0, :, 0], stored * (255 // most))
    np.testing.assert_array_equal(picture.pixels[0, :, 1], np.where(stored == key, 0, 255))
    red = read_image(str(path), (255, 0, 0))
    np.testing.assert_array_equal((red[0] == (255, 0, 0)).all(axis=-1), stored == key)


def test_more_than_8_bits_in_colour_are_not_cut(tmp_path):
    deep = values(3, 4, 3, most=2**16).astype(">u2")
    files = {
        "a.ppm": b"P6 4 3 65535\n" + deep.tobytes(),
        "b.ppm": b"P6 4 3 1023\n" + (deep % 1024).astype(">u2").tobytes(),
        "c.ppm": b"P3 2 1 300\n1 2 3 300 200 100\n",
        "d.sgi": struct.pack(">hBBHHHHii", 474, 0, 2, 3, 4, 3, 3, 0, 65535).ljust(512, b"\0")
        + deep.transpose(2, 0, 1).tobytes(),
    }
    for name, content in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(Unreadable, match="more than 8 bits a channel in colour"):
            read_exact(str(path))
        said = []
        read_image(str(path), notice=said.append)
        assert "deep" in said
    for name, content in (("e.ppm", b"P6 2 1 255\n" + bytes(6)), ("f.pgm", b"P5 2 1 15\n\1\2")):
        (tmp_path / name).write_bytes(content)
        assert read_exact(str(tmp_path / name)).size == (1, 2)


@pytest.mark.parametrize("kind", ["JPEG2000", "AVIF"])
def test_the_bits_that_a_header_tells(kind, tmp_path):
    Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"Pillow was built without {kind}")
    path = tmp_path / "x"
    IMAGES["RGB"].save(path, format=kind)
    assert opened(str(path), is_deep) is False
    content = bytearray(path.read_bytes())
    # Another program writes 12 bits: the same header, but for this number.
    if kind == "AVIF":
        at = content.index(b"pixi") + 9
        assert content[at] == 8
        content[at] = 12
    else:
        at = content.index(b"\xff\x4f\xff\x51") + 42
        assert content[at] == 7
        content[at] = 11
    path.write_bytes(content)
    # Not every Pillow opens a file of more bits than it decodes.
    assert is_deep(types.SimpleNamespace(format=kind, filename=str(path)))


def test_16_bits_of_a_whole_pixel_are_not_many(tmp_path):
    # 5 or 6 bits a channel.
    pixels = bytes(range(16))
    head = struct.pack("<2sIHHI", b"BM", 70 + len(pixels), 0, 0, 70)
    info = struct.pack("<IiiHHIIiiIIIIII", 56, 4, 2, 1, 16, 3, 16, 0, 0, 0, 0, 63488, 2016, 31, 0)
    (tmp_path / "x.bmp").write_bytes(head + info + pixels)
    said = []
    assert read_exact(str(tmp_path / "x.bmp")).mode == "RGB"
    read_image(str(tmp_path / "x.bmp"), notice=said.append)
    assert not said


@pytest.mark.parametrize("number", range(1, 9))
def test_a_picture_is_turned_whatever_else_its_camera_noted(number, tmp_path):
    pixels = np.asarray(IMAGES["RGB"])
    flips = {1: "", 2: "h", 3: "hv", 4: "v", 5: "t", 6: "tr", 7: "hvt", 8: "rt"}[number]
    want = pixels
    for flip in flips:
        want = {
            "h": lambda x: x[:, ::-1],
            "v": lambda x: x[::-1],
            "t": lambda x: x.transpose(1, 0, 2),
            "r": lambda x: x[:, ::-1],
        }[flip](want)
    # The orientation, and a resolution that is a text instead of a ratio, in Exif's own form.
    entries = struct.pack("<HHIIHHI4s", 0x0112, 3, 1, number, 0x011A, 2, 4, b"abc")
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)
    path = tmp_path / "x.png"
    IMAGES["RGB"].save(path, exif=exif)
    np.testing.assert_array_equal(read_exact(str(path)).pixels, want)
    np.testing.assert_array_equal(read_image(str(path)), want)
    assert size_of_file(str(path)) == want.shape[:2]


def test_several_sizes_of_one_icon(tmp_path):
    Image.new("RGBA", (32, 32)).save(tmp_path / "x.ico", sizes=[(16, 16), (32, 32)])
    with pytest.raises(Unreadable, match="several pictures"):
        read_exact(str(tmp_path / "x.ico"))
    said = []
    read_image(str(tmp_path / "x.ico"), notice=said.append)
    assert "several" in said


def test_what_a_transparent_grey_of_16_bits_would_lose(tmp_path):
    IMAGES["I;16"].save(tmp_path / "x.png", transparency=5)
    with pytest.raises(Unreadable, match="transparent grey"):
        read_exact(str(tmp_path / "x.png"))


def test_a_tree_has_its_pictures_and_folders_in_order(tmp_path):
    for name in ("b/a.png", "a/z.png", "a-b.png", "a/é/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        IMAGES["L"].save(tmp_path / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / ".git").mkdir()
    tree = tree_of(str(tmp_path), Notices(str(tmp_path), ""))
    assert tree.files == ("a/z.png", "a/é/x.png", "a-b.png", "b/a.png")
    assert tree.folders == ("a", "a/é", "b", "empty")
