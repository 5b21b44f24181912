"""Folders of pictures as people have them: formats, alpha, 16 bits, damage, parts, names."""

import pathlib
import warnings

import numpy as np
import pytest
from PIL import Image

from keras_acn import data
from keras_acn._base.errors import DataWarning, UserError
from keras_acn.data.readers.picture import check_background, is_picture, read_image

# A square in the middle, and slopes that lossy formats keep within a few levels.
Y, X = np.mgrid[0:16, 0:16]
SQUARE = ((abs(Y - 7.5) < 4) & (abs(X - 7.5) < 4)).astype(np.uint8) * 255
SLOPE = (8 * Y + 6 * X).astype(np.uint8)
COLOUR = np.stack([SLOPE, 255 - SLOPE, SLOPE // 2], -1)


def rgba(colour, alpha):
    return Image.fromarray(np.dstack([np.broadcast_to(np.uint8(colour), (16, 16, 3)), alpha]))


def loaded(folder, **options):
    """The training images of a folder, and what was said of them."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        got = data.load(f"images:{folder}", test=0, **options)
    sentences = [str(each.message) for each in said if each.category is DataWarning]
    assert tuple(sentences) == got.notices
    return got.train.images, " ".join(sentences)


@pytest.mark.parametrize(
    "name, kind, near",
    [
        ("a.png", "PNG", 0),
        ("a.bmp", "BMP", 0),
        ("a.gif", "GIF", 0),
        ("a.tif", "TIFF", 0),
        ("a.TIFF", "TIFF", 0),
        ("a.webp", "WEBP", 12),
        ("a.jfif", "JPEG", 12),
        ("a.jp2", "JPEG2000", 0),
        ("a.pgm", "PPM", 0),
        ("a.tga", "TGA", 0),
        ("a.pcx", "PCX", 0),
        ("a.sgi", "SGI", 0),
        ("a.jpg", "WEBP", 12),  # the name of another format
        ("a", "PNG", 0),  # no ending at all
        ("a.001", "TIFF", 0),
    ],
)
def test_every_still_format_is_read(tmp_path, name, kind, near):
    Image.fromarray(SLOPE).save(tmp_path / name, kind)
    images, said = loaded(tmp_path)
    assert np.abs(images[0, ..., 0].astype(int) - SLOPE).max() <= near
    assert not said


def test_what_is_no_picture_is_said(tmp_path):
    Image.fromarray(SLOPE).save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("of 2020")
    (tmp_path / "labels.csv").write_text("a,1")
    for litter in (".DS_Store", "Thumbs.db", "desktop.ini", "._a.png"):
        (tmp_path / litter).write_bytes(b"x")
    images, said = loaded(tmp_path)
    assert len(images) == 1
    assert "they are no pictures: labels.csv, notes.txt." in said and "Thumbs" not in said


@pytest.mark.parametrize("background, want", [(None, 255), ("black", 0), ("128", 128), (64, 64)])
def test_alpha_is_laid_on_a_background(tmp_path, background, want):
    """Black everywhere, the shape in the alpha channel: what was all black without a word."""
    rgba(0, SQUARE).save(tmp_path / "a.png")
    images, said = loaded(tmp_path, background=background)
    assert images.shape == (1, 16, 16, 3)
    expected = np.where(SQUARE, 0, want)
    np.testing.assert_array_equal(images[0], np.stack([expected] * 3, -1))
    assert "partly transparent" in said and "--background" in said
    assert ("nothing is seen" in said) == (want == 0)


def test_alpha_of_every_mode(tmp_path):
    alpha = SLOPE
    grey = 200
    over = np.rint((grey * alpha.astype(float) + 10 * (255 - alpha.astype(float))) / 255)
    plain = Image.new("L", (16, 16), grey)
    both = Image.merge("LA", [plain, Image.fromarray(alpha)])
    both.save(tmp_path / "a.png")
    both.convert("RGBA").save(tmp_path / "b.png")
    both.convert("RGBA").save(tmp_path / "c.webp", lossless=True, exact=True)
    both.convert("RGBA").save(tmp_path / "d.tif")
    for path in sorted(tmp_path.iterdir()):
        got = read_image(str(path), (10, 10, 10))
        assert np.abs(got - over[..., None]).max() == 0, path
        assert got.shape[-1] == (1 if path.name == "a.png" else 3)
    # On a colour a grey picture is none any more.
    assert read_image(str(tmp_path / "a.png"), (10, 20, 30)).shape == (16, 16, 3)


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_a_transparent_colour_of_a_palette(tmp_path, kind):
    picture = Image.fromarray((SQUARE > 0).astype(np.uint8))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.save(tmp_path / "a.x", kind, transparency=0)
    got = read_image(str(tmp_path / "a.x"), (0, 255, 0))
    want = np.where(SQUARE[..., None] > 0, [0, 0, 255], [0, 255, 0])
    np.testing.assert_array_equal(got, want)


def test_opaque_alpha_changes_nothing(tmp_path):
    rgba((9, 8, 7), np.full((16, 16), 255, np.uint8)).save(tmp_path / "a.png")
    images, said = loaded(tmp_path)
    assert (images == [9, 8, 7]).all() and not said


def test_sixteen_bits_are_said(tmp_path):
    deep = SLOPE.astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "a.png")
    Image.fromarray(deep).save(tmp_path / "b.tif")
    images, said = loaded(tmp_path)
    np.testing.assert_array_equal(images[:, ..., 0], [SLOPE, SLOPE])
    assert "2 pictures" in said and "16 bits a channel, of which 8 are kept (a.png, b.tif)" in said
    Image.fromarray(SLOPE.astype(np.uint16)).save(tmp_path / "c.png")
    assert "almost black (c.png)" in loaded(tmp_path)[1]


def test_sixteen_bit_colours_are_said(tmp_path):
    """Pillow opens these as 8 bits, and says nothing."""
    width = height = 4
    rows = b"".join(b"\0" + bytes(range(6 * width)) for _ in range(height))
    import struct
    import zlib

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    content += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(content)
    assert "16 bits a channel" in loaded(tmp_path)[1]


def test_of_moving_pictures_the_first_is_read_and_that_is_said(tmp_path):
    frames = [Image.fromarray(SLOPE), Image.fromarray(255 - SLOPE)]
    for name in ("a.gif", "b.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    images, said = loaded(tmp_path)
    assert np.abs(images[..., 0].astype(int) - SLOPE).max() <= 2
    assert (
        "2 files" in said and "several pictures, of which the first is read (a.gif, b.tif)" in said
    )


@pytest.mark.parametrize(
    "picture, words",
    [
        (Image.fromarray(SLOPE.astype(np.float32) / 255), "32-bit pixels"),
        (Image.fromarray(SLOPE.astype(np.int32) * 2**20), "32-bit pixels"),
        (Image.new("LAB", (16, 16), (100, 5, 5)), "LAB"),
    ],
    ids=["float", "int32", "LAB"],
)
def test_pixels_that_8_bits_cannot_hold_are_refused(tmp_path, picture, words):
    picture.save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=words):
        data.load(f"images:{tmp_path}")


@pytest.fixture
def damaged(tmp_path):
    """Two classes in two parts, with five files that cannot be read."""
    for part, letters in (("train", "abcdef"), ("test", "ab")):
        for name in ("cat", "dog"):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for letter in letters:
                Image.fromarray(SLOPE).save(folder / f"{letter}.png")
    whole = (tmp_path / "train/cat/a.png").read_bytes()
    (tmp_path / "train/cat/c.png").write_bytes(whole[:55])
    (tmp_path / "train/dog/a.png").write_bytes(b"")
    (tmp_path / "train/dog/g.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "train/dog/h.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "test/dog/b.png").write_bytes(b"hello")
    return tmp_path


def test_all_unreadable_files_are_named_at_once(damaged):
    with pytest.raises(UserError) as caught:
        data.load(f"images:{damaged}")
    sentence = str(caught.value)
    assert sentence.startswith("5 of the 18 pictures in ") and "--skip-damaged" in sentence
    for name in (
        "train/cat/c.png (cut off or damaged)",
        "train/dog/a.png (empty)",
        "train/dog/g.heic (of a kind that is not read, HEIC; convert it to PNG)",
        "train/dog/h.png (not to be opened: no such file or directory)",
        "test/dog/b.png (no picture, or damaged)",
    ):
        assert name in sentence, name


def test_skip_damaged_leaves_them_out_and_says_so(damaged):
    with pytest.warns(DataWarning, match=r"Skipped in .*train/dog/h.png \(not to be opened"):
        got = data.load(f"images:{damaged}", skip_damaged=True)
    assert np.bincount(got.train.labels).tolist() == [5, 5]
    assert np.bincount(got.test.labels).tolist() == [2, 1]
    assert got.class_names == ("cat", "dog") and len(got.notices) == 1


def test_nothing_left(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match="None of the pictures"):
        data.load(f"images:{tmp_path}", skip_damaged=True)


@pytest.mark.parametrize(
    "train, val, test",
    [
        ("train", "val", "test"),
        ("Train", "Valid", "Test"),
        ("TRAINING", "validation", "testing"),
    ],
)
def test_parts_by_every_usual_name(tmp_path, train, val, test):
    for number, part in enumerate((train, val, test)):
        for label in "ab":
            (tmp_path / part / label).mkdir(parents=True)
            for row in range(3 - number):
                Image.fromarray(SLOPE + number).save(tmp_path / part / label / f"{row}.png")
    got = data.load(f"images:{tmp_path}")
    assert [len(each) for each in (got.train, got.validation, got.test)] == [6, 4, 2]
    assert (got.validation.images[0, ..., 0] == SLOPE + 1).all()
    assert got.class_names == ("a", "b") and not got.notices


def test_a_validation_part_alone_is_enough_to_measure_on(tmp_path):
    for part in ("train", "val"):
        (tmp_path / part).mkdir()
        for row in range(20):
            Image.fromarray(SLOPE).save(tmp_path / part / f"{row}.png")
    got = data.load(f"images:{tmp_path}")
    assert (len(got.train), len(got.validation), got.test) == (20, 20, None)
    assert len(data.load(f"images:{tmp_path}", test=5).test) == 5
    with pytest.warns(DataWarning, match="a validation part of its own"):
        data.load(f"images:{tmp_path}", validation=3)


def picture_in(*folders):
    def build(root):
        for folder in folders:
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(SLOPE).save(root / folder / "a.png")

    return build


@pytest.mark.parametrize(
    "folders, words",
    [
        (("Train", "train", "test"), "are both the train part"),
        (("train", "val", "valid"), "are both the validation part"),
        (("test", "val"), "holds test/ and val/ but no train/"),
        (("train", "."), "holds both images, such as a.png, and train/"),
    ],
)
def test_parts_that_cannot_be_told_are_refused(tmp_path, folders, words):
    picture_in(*folders)(tmp_path)
    with pytest.raises(UserError, match=words):
        data.load(f"images:{tmp_path}")


def test_folders_beside_the_parts_are_said(tmp_path):
    picture_in("train", "test", "unsorted")(tmp_path)
    with pytest.warns(DataWarning, match="it is no part of the data: unsorted"):
        assert len(data.load(f"images:{tmp_path}").train) == 1


def test_a_class_called_test_is_a_class(tmp_path):
    picture_in("test", "control")(tmp_path)
    assert data.load(f"images:{tmp_path}", test=0).class_names == ("control", "test")


def test_classes_by_their_names(tmp_path):
    picture_in("ant", "bee", "cat")(tmp_path)
    got = data.load(f"images:{tmp_path}", test=0, classes=["cat", 0])
    assert got.train.labels.tolist() == [0, 2] and got.class_names == ("ant", "bee", "cat")
    with pytest.raises(UserError, match='Unknown class "be".*Did you mean "bee"'):
        data.load(f"images:{tmp_path}", test=0, classes="be")


def test_options_of_pictures_are_for_pictures():
    with pytest.raises(UserError, match="background is for folders of pictures"):
        data.load("digits", background="white")
    with pytest.raises(UserError, match="skip_damaged is for folders of pictures"):
        data.load("digits", skip_damaged=True)


@pytest.mark.parametrize("wrong", ["purplish", "#12", -1, 256, True, [1, 2], [1, 2, 300], 0.5])
def test_what_is_no_colour(wrong):
    with pytest.raises(UserError, match="background must be a colour such as white"):
        check_background(wrong)


def test_a_picture_by_its_first_bytes(tmp_path):
    path = pathlib.Path(tmp_path / "x")
    path.write_bytes(bytes(100))
    assert not is_picture(str(path)) and is_picture("missing.heic") and is_picture("missing.JPG")
