"""Picture files read as they are: the mode, every value, the palette, and nothing made up."""

import numpy as np
import pytest
from PIL import Image

from keras_acn.data.readers.exact import MODES, read_exact, tree_of
from keras_acn.data.readers.notices import Notices
from keras_acn.data.readers.picture import Unreadable

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
