"""Folders of pictures into a file and back: pixel by pixel and name by name."""

import itertools
import json
import math
import os
import pathlib
import shutil
import struct
import zlib

import numpy as np
import pytest
from codec_models import small_model
from PIL import Image

import keras_acn
from keras_acn import codec
from keras_acn._base.errors import DataWarning, UserError
from keras_acn.cli import main
from keras_acn.codec import folder as folder_doors
from keras_acn.codec import folder_file
from keras_acn.codec.index import Entry, Index
from keras_acn.data.readers.exact import Picture


def shaded(height, width, channels=1, seed=0):
    """A slope with some noise, uint8."""
    y, x = np.mgrid[:height, :width]
    slope = np.stack([3 * y + k * x for k in range(1, channels + 1)], axis=-1)
    noise = np.random.default_rng(seed).integers(0, 4, slope.shape)
    pixels = ((slope + noise) % 256).astype(np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def fill(root):
    """Pictures of every mode, of many sizes, in folders with names of many kinds."""
    for folder in ("ä b/ü", "leer/innen", "日本", "q'uo\"te"):
        (root / folder).mkdir(parents=True)
    Image.fromarray(shaded(9, 13, 3)).save(root / "farbe.png")
    Image.fromarray(shaded(5, 14)).save(root / "ä b" / "grau.jpg")
    Image.fromarray(shaded(7, 7, 2), "LA").save(root / "ä b" / "grau.png")
    Image.fromarray(shaded(7, 7, 4)).save(root / "ä b" / "ü" / "alpha 1.webp", lossless=True)
    Image.fromarray(shaded(12, 11, 3)).quantize(9).save(root / "日本" / "palette.gif")
    palette = Image.fromarray(shaded(6, 5, 3, seed=1)).quantize(5)
    palette.save(root / "日本" / "durchsichtig.png", transparency=bytes([0, 255, 100]))
    Image.fromarray(shaded(9, 10) > 20).save(root / "q'uo\"te" / "schwarz.bmp")
    deep = shaded(10, 11).astype(np.uint16) * 300 + 7
    Image.fromarray(deep).save(root / "q'uo\"te" / "tief.PNG")
    Image.fromarray(shaded(1, 1, 3)).save(root / "punkt")  # no ending, so it must say its format
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "meine bilder"
    root.mkdir()
    try:
        fill(root)
    except ValueError:  # Pillow wants to know the format of "punkt"
        Image.fromarray(shaded(1, 1, 3)).save(root / "punkt", format="PNG")
    shutil.copy(root / "farbe.png", root / "日本" / "kopie.png")
    return root


# What the files of `root` are called when they come back as PNG.
NAMES = {
    "farbe.png": "farbe.png",
    "punkt": "punkt.png",
    "q'uo\"te/schwarz.bmp": "q'uo\"te/schwarz.png",
    "q'uo\"te/tief.PNG": "q'uo\"te/tief.PNG",
    "ä b/grau.jpg": "ä b/grau.jpg.png",  # there is a grau.png already
    "ä b/grau.png": "ä b/grau.png",
    "ä b/ü/alpha 1.webp": "ä b/ü/alpha 1.png",
    "日本/durchsichtig.png": "日本/durchsichtig.png",
    "日本/kopie.png": "日本/kopie.png",
    "日本/palette.gif": "日本/palette.png",
}
FOLDERS = {"leer", "leer/innen", "q'uo\"te", "ä b", "ä b/ü", "日本"}


def listed(root):
    """The files and the folders below a folder, as two sets of relative paths."""
    paths = {str(path.relative_to(root)): path.is_dir() for path in root.rglob("*")}
    return {p for p, folder in paths.items() if not folder}, {p for p, f in paths.items() if f}


def check_same(one, other):
    """Two files of pictures: the same mode, pixels and colours, by Pillow alone."""
    with Image.open(one) as a, Image.open(other) as b:
        assert a.mode == b.mode and a.size == b.size, (one, a.mode, b.mode)
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
        if a.mode == "P":
            colours = [np.asarray(each.convert("RGBA")) for each in (a, b)]
            np.testing.assert_array_equal(*colours)


@pytest.fixture(scope="module")
def model():
    return small_model("mlp", "logistic", (6, 5, 3))


IS_LARGER = folder_doors._is_larger


@pytest.fixture(scope="module", autouse=True)
def by_the_model():
    """The models are untrained, and do not pay: they are taken all the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder_doors, "_is_larger", lambda *given: False)
        yield


@pytest.fixture(scope="module")
def coded(root, model):
    return codec.compress_folder(root, model, mode="set", rivals=False)


def check_folder(root, data, model, tmp_path):
    back = codec.decompress_folder(data, tmp_path / "back", model)
    assert listed(back) == (set(NAMES.values()), FOLDERS)
    for name, again in NAMES.items():
        check_same(root / name, back / again)


def test_a_set_comes_back(root, model, coded, tmp_path):
    report = coded.report
    assert report.mode == "set" and report.tiles.order_bits > 0 and report.verified
    assert (report.pictures, report.copies, report.folders) == (10, 1, 6)
    assert report.kinds == {"RGB": 2, "P": 2, "1": 1, "I;16": 1, "L": 1, "LA": 1, "RGBA": 1}
    assert report.file_bytes == len(coded)
    parts = report.index_bytes + report.tiles_bytes + report.rest_bytes
    # A tag, a length and a checksum of the tiles; a tag, a digest and a checksum at the end.
    assert 0 <= report.file_bytes - parts <= 35
    check_folder(root, coded, model, tmp_path)


def test_without_the_model_too(root, tmp_path):
    data = codec.compress_folder(root, mode="raw", file=tmp_path / "x.acn")
    assert data == b"" and data.file == tmp_path / "x.acn" and data.report.tiles is None
    check_folder(root, data, None, tmp_path)


@pytest.mark.slow_sample(every=4)
@pytest.mark.parametrize("mode", ["auto", "stream", "set"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("decoder", ["mlp", "pixelcnn", "blocks"])
def test_by_every_decoder(root, decoder, channels, mode, tmp_path):
    model = small_model(decoder, "logistic", (6, 4, channels))
    data = codec.compress_folder(root, model, mode=mode, codes="seen")
    check_folder(root, data, model, tmp_path)


def test_black_and_white_by_a_model_of_such(tmp_path):
    root = tmp_path / "a"
    root.mkdir()
    bits = np.random.default_rng(0).random((3, 7, 9, 3)) > 0.5
    Image.fromarray(bits[0, ..., 0]).save(root / "eins.png")
    Image.fromarray(bits[1, ..., 0] * np.uint8(255)).save(root / "grau.png")
    Image.fromarray(bits[2] * np.uint8(255)).save(root / "farbe.png")
    Image.fromarray(shaded(4, 4, 3)).quantize(4).save(root / "palette.png")
    model = small_model()
    data = codec.compress_folder(root, model, mode="set", rivals=False)
    assert data.report.tiles.images == 20  # 2 by 2 tiles each, of three channels one
    back = codec.decompress_folder(data, tmp_path / "back", model)
    for name in ("eins", "grau", "farbe", "palette"):
        check_same(root / f"{name}.png", back / f"{name}.png")


def test_webp(root, model, coded, tmp_path):
    with pytest.raises(UserError, match="16 bits"):
        codec.decompress_folder(coded, tmp_path / "back", model, format="webp")
    shallow = tmp_path / "shallow"
    shutil.copytree(root, shallow)
    (shallow / "q'uo\"te" / "tief.PNG").unlink()
    data = codec.compress_folder(shallow, mode="raw", rivals=False)
    back = codec.decompress_folder(data, tmp_path / "back", format="webp")
    for name in set(NAMES) - {"q'uo\"te/tief.PNG", "ä b/grau.png"}:
        again = back / f"{os.path.splitext(name)[0]}.webp"
        with Image.open(root / name) as a, Image.open(again) as b:
            np.testing.assert_array_equal(*(np.asarray(each.convert("RGBA")) for each in (a, b)))
    # Both are called grau: the later one keeps its ending, too.
    assert {p.name for p in (back / "ä b").iterdir()} == {"grau.webp", "grau.png.webp", "ü"}


def tiny(root, count, side=4):
    """Many pictures of one tile each."""
    root.mkdir()
    for row in range(count):
        Image.fromarray(shaded(side, side, 3, seed=row)).save(root / f"{count - row:04d}.png")
    return root


def test_without_names_a_set_of_pictures_has_no_order(tmp_path):
    count = 40
    root = tiny(tmp_path / "a", count)
    shutil.copy(root / "0007.png", root / "9999.png")
    model = small_model("mlp", "logistic", (4, 4, 3))
    options = {"names": "none", "rivals": False, "lanes": 2}
    stream = codec.compress_folder(root, model, mode="stream", **options)
    data = codec.compress_folder(root, model, mode="set", **options)
    saved = 8 * (len(stream) - len(data))
    initial = data.report.tiles.initial_bits - stream.report.tiles.initial_bits
    assert abs(saved + initial - math.lgamma(count + 1) / math.log(2)) < 50
    assert "sorted" in data.report.to_text() and "no names" in data.report.to_text()
    back = codec.decompress_folder(data, tmp_path / "back", model)
    assert sorted(p.name for p in back.iterdir()) == [f"{n:02d}.png" for n in range(1, count + 2)]
    contents = [
        sorted(np.asarray(Image.open(p)).tobytes() for p in folder.iterdir())
        for folder in (root, back)
    ]
    assert contents[0] == contents[1]
    # With names the order is theirs, and costs what it does.
    named = codec.compress_folder(root, model, mode="set", lanes=2, rivals=False)
    assert named.report.tiles.order_bits > 0
    assert named.report.index_bytes > data.report.index_bytes + 20


def test_names_cost_what_they_must():
    # 16 digits of 4 bits are 8 bytes, however they are written down.
    rng = np.random.default_rng(0)
    for names, least, most in (
        ([f"IMG_{n:05d}.jpg" for n in range(1000)], 50, 300),
        (sorted(rng.bytes(8).hex() + ".jpg" for _ in range(1000)), 7000, 8500),
    ):
        index = Index(
            entries=(Entry("RGB", (64, 48)),) * 1000,
            shown=tuple(range(1000)),
            files=tuple(f"cats/{name}" for name in names),
            folders=("cats",),
            has_tiles=True,
            writer="1",
        )
        assert least < len(folder_file.index_part(index)) < most
        assert Index.read(index.to_bytes(), "x") == index


@pytest.mark.parametrize("mode", ["auto", "set"])
def test_a_file_is_never_larger_than_the_pixels(mode, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_doors, "_is_larger", IS_LARGER)
    (tmp_path / "a").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a" / "x.png")
    # Its latents cost more than it saves, as its codes lie far out.
    model = small_model("mlp", "logistic", (4, 4, 3), codes=3)
    model.codebook.codes.assign(np.full((3, 4), 50.0))
    report = codec.compress_folder(tmp_path / "a", model, mode=mode).report
    assert report.mode == "raw" and report.file_bytes <= noise.size + report.index_bytes + 50
    text = report.to_text()
    if mode == "auto":
        assert "the best on 80 tiles" in text and report.choice.best == "raw"
    else:
        assert "would have made more of them" in text
    assert "WebP" in text


def test_it_says_who_is_smaller(coded, root, model):
    report = codec.compress_folder(root, model, mode="stream").report
    assert [rival.size for rival in report.rivals] == sorted(r.size for r in report.rivals)
    assert {"WebP"} < {rival.name for rival in report.rivals}
    best = report.rivals[0]
    more = report.file_bytes - best.size
    assert f"{best.name} would have been smaller by {more:,} bytes" in report.to_text()
    json.dumps(report.to_dict())


def png_of_16_bits_in_colour(path):
    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + bytes(range(12)) for _ in range(2))
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def animated(path):
    frames = [Image.fromarray(shaded(4, 4, seed=n)) for n in range(2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


REFUSED = {
    "x.png": (png_of_16_bits_in_colour, "more than 8 bits a channel in colour"),
    "x.jpg": (lambda path: Image.fromarray(shaded(4, 4, 4), "CMYK").save(path), "CMYK"),
    "x.gif": (animated, "several pictures in one file"),
    "x.tif": (lambda path: Image.fromarray(np.float32([[0.5]])).save(path), "32-bit pixels"),
    "y.png": (
        lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(9)),
        "no picture, or damaged",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_come_back_otherwise_is_refused(name, model, tmp_path):
    make, why = REFUSED[name]
    root = tiny(tmp_path / "a", 2)
    make(root / name)
    with pytest.raises(UserError, match=why) as error:
        codec.compress_folder(root, model, tmp_path / "x.acn")
    assert name in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "x.acn").exists()
    with pytest.warns(DataWarning, match="Skipped"):
        data = codec.compress_folder(root, mode="raw", skip_damaged=True, rivals=False)
    assert data.report.pictures == 2


def test_grey_values_are_refused_by_a_model_of_black_and_white(root):
    with pytest.raises(UserError, match="--binarize threshold.*, or --mode raw"):
        codec.compress_folder(root, small_model())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mode": "tour"}, 'Unknown mode of a folder "tour"'),
        ({"names": "some"}, '"all" or "none"'),
        ({"limit": 0}, "at least 1"),
        ({"limit": True}, "at least 1, not True"),
        ({"model": None}, 'mode="raw"'),
        ({"weight_bits": 4}, "embed_model"),
        ({"codes": "nobody's"}, "Unknown codes"),
        ({"lanes": 0}, "lanes must be"),
        ({"binarize": "dynamic"}, "drawn anew"),
        ({"threshold": 2.0}, "threshold"),
        ({"background": "nocolour"}, "background must be"),
        ({"folder": "nowhere"}, "does not exist"),
    ],
)
def test_bad_options_are_one_sentence(root, model, options, sentence):
    given = {"folder": root, "model": model, **options}
    with pytest.raises(UserError, match=sentence):
        codec.compress_folder(given.pop("folder"), given.pop("model"), **given)


def test_files_of_other_kinds_are_told_apart(coded, model, tmp_path):
    array = keras_acn.compress(np.zeros((3, 6, 5, 3), np.uint8), model)
    for data, sentence in (
        (bytes(array), "holds an array, no folder"),
        (b"\x93ACN\x05" + bytes(coded)[5:], "newer version"),
        (b"PK", "no .acn file"),
    ):
        with pytest.raises(UserError, match=sentence):
            codec.decompress_folder(data, tmp_path / "b", model)


def test_a_name_that_is_no_text(tmp_path, model):
    root = tiny(tmp_path / "a", 1)
    try:
        os.rename(os.fsencode(root / "0001.png"), os.fsencode(root) + b"/\xff.png")
    except OSError:
        pytest.skip("this disk has no such names")
    with pytest.raises(UserError, match=r"\\xff|udcff.*--names none"):
        codec.compress_folder(root, model)
    data = codec.compress_folder(root, mode="raw", names="none", rivals=False)
    assert [p.name for p in codec.decompress_folder(data, tmp_path / "b").iterdir()] == ["1.png"]


def test_other_files_and_profiles_are_told(tmp_path):
    root = tiny(tmp_path / "a", 1)
    (root / "notes.txt").write_text("x")
    (root / ".hidden").mkdir()
    (root / "loop").symlink_to(tmp_path / "b", target_is_directory=True)
    (tmp_path / "b").mkdir()
    Image.fromarray(shaded(4, 4, 3)).save(tmp_path / "b" / "x.png", icc_profile=b"profile" * 20)
    with pytest.warns(DataWarning) as told:
        data = codec.compress_folder(root, mode="raw", rivals=False)
    said = " ".join(str(each.message) for each in told)
    assert "notes.txt" in said and "colour profile, which is not kept" in said
    assert data.report.pictures == 2  # a link to a folder is followed
    (tmp_path / "b" / "back").symlink_to(root, target_is_directory=True)
    with pytest.raises(UserError, match="is a link to a folder that it lies in"):
        codec.compress_folder(root, mode="raw")
    with pytest.raises(UserError, match="holds no pictures"):
        codec.compress_folder(root / ".hidden", mode="raw")


def test_nothing_is_overwritten_without_force(tmp_path):
    root = tiny(tmp_path / "a", 2)
    data = codec.compress_folder(root, mode="raw", rivals=False)
    target = tmp_path / "b"
    target.mkdir()
    codec.decompress_folder(data, target)  # an empty folder is as good as none
    (target / "0001.png").write_bytes(b"mine")
    (target / "other.txt").write_bytes(b"mine")
    with pytest.raises(UserError, match="--force"):
        codec.decompress_folder(data, target)
    assert (target / "0001.png").read_bytes() == b"mine"
    codec.decompress_folder(data, target, force=True)
    check_same(root / "0001.png", target / "0001.png")
    assert (target / "other.txt").read_bytes() == b"mine"
    with pytest.raises(UserError, match="is a file"):
        codec.decompress_folder(data, target / "other.txt")
    (target / "0002.png").unlink()
    (target / "0002.png").mkdir()
    (target / "0001.png").write_bytes(b"mine")
    with pytest.raises(UserError, match="in the way"):
        codec.decompress_folder(data, target, force=True)
    assert (target / "0001.png").read_bytes() == b"mine"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_no_link_leads_out_of_the_folder(tmp_path):
    root = tmp_path / "a"
    tiny(root, 1)
    tiny(root / "c", 1)
    data = codec.compress_folder(root, mode="raw", rivals=False)
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "b"
    target.mkdir()
    (target / "c").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(UserError, match="in the way"):
        codec.decompress_folder(data, target, force=True)
    assert not list((tmp_path / "elsewhere").iterdir())


def file_of(index, pixels=b"\0" * 4):
    """A file whose checksums and digest are right, whatever its index says."""
    parts, digest = [folder_file.index_part(index)], folder_file.Digest(index.to_bytes())
    rest = folder_file.RestWriter(parts.append)
    rest.add(pixels)
    rest.close()
    digest.add(Picture("L", np.frombuffer(pixels, np.uint8)))
    return b"".join([*parts, folder_file.end_part(digest.value())])


def index_of(*files, folders=(), size=(2, 2)):
    return Index((Entry("L", size),), (0,) * len(files), files, folders, False, "x")


def test_a_file_by_hand_is_read(tmp_path):
    codec.decompress_folder(file_of(index_of("a", "b/c", folders=("b",))), tmp_path / "b")
    assert (tmp_path / "b" / "b" / "c.png").exists()


@pytest.mark.parametrize(
    "index",
    [
        index_of("../x", folders=("..",)),
        index_of("x", folders=("b/../..",)),
        index_of("/x", folders=("/",)),
        index_of("x", folders=("/tmp",)),
        index_of("x", folders=(".ssh",)),
        index_of("."),
        index_of(""),
        index_of(".bashrc"),
        index_of("x", "x"),
        index_of("b", folders=("b",)),
        index_of("x", folders=("b", "b")),
        index_of("x", folders=("b/c",)),
        index_of("x", folders=("b//c", "b", "b/")),
        index_of("x", size=(2**20, 2**20)),
        index_of("x", size=(2, 3)),
        index_of("x", size=(2, 1)),
    ],
    ids=repr,
)
def test_indices_that_nobody_wrote(index, tmp_path):
    with pytest.raises(UserError, match=r"damaged|does not lie in its folder"):
        codec.decompress_folder(file_of(index), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_names_that_hold_a_nul_or_a_slash_are_none():
    content = bytearray(index_of("a_b", folders=("b",)).to_bytes())
    assert content.count(b"a_b\0") == 1
    for byte in (b"\0", b"/", b"\xff"):
        changed = bytes(content).replace(b"a_b", b"a" + byte + b"b")
        with pytest.raises(UserError):
            Index.read(changed, "x")


def test_memory_is_bounded(tmp_path):
    data = codec.compress_folder(tiny(tmp_path / "a", 3), mode="raw", rivals=False)
    with keras_acn.memory_limit(5e-9):
        with pytest.raises(UserError, match="^The names of the pictures in The data take"):
            codec.decompress_folder(data, tmp_path / "b")
    with keras_acn.memory_limit(100e-9):
        with pytest.raises(UserError, match="memory|GB"):
            codec.decompress_folder(data, tmp_path / "b")
    with keras_acn.memory_limit(300e-9):
        codec.decompress_folder(data, tmp_path / "b")
    with keras_acn.memory_limit(287e-9), pytest.raises(UserError, match="memory|GB"):
        codec.decompress(bytes(data))


def test_pictures_of_one_kind_are_an_array_too(root, coded, model, tmp_path):
    folder = tiny(tmp_path / "a", 5)
    shutil.copy(folder / "0002.png", folder / "0009.png")
    data = codec.compress_folder(folder, mode="raw", rivals=False)
    expected = np.stack([np.asarray(Image.open(p)) for p in sorted(folder.iterdir())])
    np.testing.assert_array_equal(codec.decompress(bytes(data)), expected)
    array = codec.decompress(data, file=tmp_path / "x.npy")
    np.testing.assert_array_equal(array, expected)
    with pytest.raises(UserError, match="do not fit into one array"):
        codec.decompress(coded, model)


def test_treated_pictures(root):
    model = small_model()
    options = {"resize": (6, 5), "grey": True, "binarize": "threshold", "rivals": False}
    with pytest.warns(DataWarning):
        data = codec.compress_folder(root, model, mode="stream", **options)
    assert data.report.kinds == {"1": data.report.pictures - data.report.copies}
    array = codec.decompress(bytes(data), model)
    source = codec.open_input(str(root / "ä b" / "grau.jpg"))
    expected = next(source.transformed(resize=(6, 5), grey=True).blocks(1)) > 127.5
    row = sorted(NAMES).index("ä b/grau.jpg")
    np.testing.assert_array_equal(array[row], expected[0])


@pytest.mark.slow
def test_what_is_drawn_is_drawn_once_and_as_for_an_array(tmp_path):
    model = small_model()
    folder = tmp_path / "a"
    folder.mkdir()
    for n in range(3):
        Image.fromarray(shaded(6, 5, seed=n)).save(folder / f"{n}.png")
    given = {"binarize": "static", "seed": 3}
    one = codec.decompress(codec.compress_folder(folder, model, mode="stream", **given), model)
    source = codec.open_input(f"images:{folder}")
    other = codec.decompress(codec.compress(source, model, **given), model)
    np.testing.assert_array_equal(one, other)


def test_large_folders_are_tried_on_some_tiles(root, model, monkeypatch, tmp_path):
    from keras_acn.codec import rivals, tiles

    monkeypatch.setattr(tiles, "SAMPLE", 8)
    monkeypatch.setattr(tiles, "RUNS", 4)
    monkeypatch.setattr(folder_doors, "PACKED_RAW", 0)
    monkeypatch.setattr(tiles, "_packed", lambda *given: 10**6)
    monkeypatch.setattr(rivals, "MOST_TRIED", 300)
    told = []
    data = codec.compress_folder(root, model, progress=lambda *done: told.append(done))
    assert data.report.choice.tiles == 8 and data.report.mode in ("stream", "set")
    assert "estimated from" in data.report.to_text() and told[-1][0] == told[-1][1]
    check_folder(root, data, model, tmp_path)


def test_chunks(root, monkeypatch, tmp_path):
    monkeypatch.setattr(folder_file, "CHUNK", 100)
    data = codec.compress_folder(root, mode="raw", rivals=False)
    check_folder(root, data, None, tmp_path)


@pytest.mark.slow
def test_the_model_inside(root, model, tmp_path):
    data = codec.compress_folder(root, model, mode="set", embed_model=True, rivals=False)
    if data.report.mode == "raw":
        pytest.fail("the model does not pay: give more pictures")
    check_folder(root, data, None, tmp_path)


@pytest.fixture
def place(root, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model.save("small.keras")
    return pathlib.Path(shutil.copytree(root, tmp_path / "pics"))


def test_the_command_line(place, root, tmp_path, capsys):
    assert main(["compress", "small.keras", "images:pics", "x.acn", "--mode", "set"]) == 0
    out = capsys.readouterr().out
    assert "pictures 10 in " in out and "WebP " in out and "bits per dimension" in out
    assert main(["info", "x.acn"]) == 0
    out = capsys.readouterr().out
    assert "model    small, " in out and "index    " in out and "from 1x1 to 12x11" in out
    assert main(["info", "x.acn", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["pictures"] == 10 and told["index_bytes"] > 0 and told["model"] == "small"
    assert main(["decompress", "x.acn", "back", "--model", "small.keras"]) == 0
    assert capsys.readouterr().out == "back: 10 pictures in 7 folders\n"
    for name, again in NAMES.items():
        check_same(root / name, tmp_path / "back" / again)
    before = sorted(tmp_path.iterdir())
    for arguments, sentence in (
        (["decompress", "x.acn", "back", "--model", "small.keras"], "--force"),
        (["decompress", "x.acn", "new.npy", "--model", "small.keras"], "fit into one array"),
        (["decompress", "x.acn", "new"], '"small"'),
        (["compress", "small.keras", "pics", "y.acn", "--split", "test"], "no test part"),
        (["compress", "small.keras", "digits", "y.acn", "--names", "none"], "folders of pictures"),
        (["compress", "small.keras", "digits", "y.acn", "--mode", "raw"], "folders of pictures"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert sentence in error and error.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("at", range(0, 400, 40))
def test_a_file_cut_off(at, coded, model, tmp_path):
    with pytest.raises(UserError, match=r"cut off|no \.acn file|damaged"):
        codec.decompress_folder(bytes(coded)[: at * len(coded) // 400], tmp_path / "b", model)


def test_parts_in_another_order(coded, root, model, tmp_path):
    raw = codec.compress_folder(root, mode="raw", rivals=False)
    parts = [parts_of(bytes(each)) for each in (coded, raw)]
    assert [len(each) for each in parts] == [5, 3]
    pool = list(itertools.chain(*parts))
    for chosen in itertools.product(range(len(pool)), repeat=3):
        data = b"".join(pool[row] for row in chosen)
        if data == raw:
            continue
        with pytest.raises(UserError):
            codec.decompress_folder(data, tmp_path / "b", model)


def parts_of(data):
    """The parts of a file of a folder: index, lengths of the tiles, the tiles, chunks, end."""
    read = folder_file.read_folder(data, "x")
    edges = [0, read.index_bytes]
    if read.tiles is not None:
        edges += [read.tiles._start, read.tiles._start + read.tiles_bytes]
    edges += [chunk._start + chunk._size + 4 for chunk in read.rest]
    return [data[start:stop] for start, stop in itertools.pairwise([*edges, len(data)])]


@pytest.mark.parametrize("place", ["here", "a link", "rights"])
def test_a_folder_that_is_there_stays_that_folder(place, tmp_path, monkeypatch):
    root = tiny(tmp_path / "a", 2)
    data = codec.compress_folder(root, mode="raw", rivals=False)
    real = tmp_path / "real"
    real.mkdir(mode=0o700)
    number = real.stat().st_ino
    target = real
    if place == "here":
        monkeypatch.chdir(real)
        target = "."
    elif place == "a link":
        target = tmp_path / "link"
        target.symlink_to(real)
    codec.decompress_folder(data, target)
    assert (real.stat().st_ino, real.stat().st_mode & 0o777) == (number, 0o700)
    assert sorted(each.name for each in real.iterdir()) == ["0001.png", "0002.png"]
    codec.decompress_folder(data, target, force=True)
    assert sorted(each.name for each in real.iterdir()) == ["0001.png", "0002.png"]


def test_names_as_long_as_a_disk_takes_come_back(tmp_path):
    root = tmp_path / "a"
    root.mkdir()
    names = ["x" * 255, "x" * 251 + ".png", "x" * 254 + "y", "é" * 125 + ".jpeg"]
    for number, name in enumerate(names):
        kind = "JPEG" if name.endswith("jpeg") else "PNG"
        Image.new("L", (3, 2 + number)).save(root / name, format=kind)
    data = codec.compress_folder(root, mode="raw", rivals=False)
    for format in ("png", "webp"):
        codec.decompress_folder(data, tmp_path / format, format=format)
        back = sorted((tmp_path / format).iterdir())
        assert len(back) == len(names) and all(len(os.fsencode(each.name)) <= 255 for each in back)
        sizes = sorted(Image.open(each).size for each in back)
        assert sizes == [(3, 2), (3, 3), (3, 4), (3, 5)]
