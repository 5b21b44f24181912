"""Sheets of images: where pixels land, what is written around them, how they are saved."""

import io

import numpy as np
import pytest
from PIL import Image

from keras_acn._base.errors import DataWarning, UserError
from keras_acn.plots import images, words
from keras_acn.plots.picture import (
    CELL,
    GAP,
    Picture,
    fitting_scale,
    sheet,
    upscale,
)
from keras_acn.plots.words import font, shortened, under_images, wrapped

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 8, 8, 1), dtype=np.uint8)


def test_upscaling_repeats_each_pixel():
    image = np.arange(4, dtype=np.uint8).reshape(2, 2, 1)
    big = upscale(image, 3)
    assert big.shape == (6, 6, 3)
    np.testing.assert_array_equal(big[..., 1], np.kron([[0, 1], [2, 3]], np.ones((3, 3))))


@pytest.mark.parametrize("words", [False, True])
def test_every_cell_holds_its_image(words):
    rows = [list(IMAGES[:3]), list(IMAGES[3:5])]
    around = {}
    if words:
        around = {
            "title": "a title",
            "footer": "a footer",
            "row_labels": ["one", "two"],
            "column_labels": ["a", "b", "c"],
            "captions": [["x"] * 3, ["y"] * 2],
        }
    picture = sheet(rows, scale=5, **around)
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            cell = picture.cell(r, c)
            assert cell.shape == (40, 40, 3)
            np.testing.assert_array_equal(cell[2::5, 2::5], np.repeat(image, 3, axis=-1))
            np.testing.assert_array_equal(cell, upscale(image, 5))
    assert picture.boxes[1][2] is None


@pytest.mark.parametrize("gap", [0, 3])
def test_images_stand_a_gap_apart(gap):
    boxes = sheet([list(IMAGES[:3]), list(IMAGES[3:])], scale=2, gap=gap).boxes
    assert boxes[0][1][0] - boxes[0][0][2] == boxes[1][0][1] - boxes[0][0][3] == gap


def test_words_take_room_and_leave_ink():
    bare = sheet([list(IMAGES)], scale=4)
    row = sheet([list(IMAGES)], scale=4, row_labels=["a long name"])
    top = sheet([list(IMAGES)], scale=4, title="title")
    assert row.size[0] > bare.size[0] and row.size[1] == bare.size[1]
    assert top.size[1] > bare.size[1] and top.size[0] == bare.size[0]
    left_of_images = row.to_array()[:, : row.boxes[0][0][0]]
    assert left_of_images.min() < 100
    above_images = top.to_array()[: top.boxes[0][0][1]]
    assert above_images.min() < 100


def test_a_long_title_widens_the_sheet():
    title = "a title that is a good deal longer than one small image is wide"
    picture = sheet([[IMAGES[0]]], title=title)
    above = picture.to_array()[: picture.boxes[0][0][1]].min(axis=(0, 2))
    assert (above[-5:] == 255).all()
    assert (above[-30:] < 255).any()


def test_crowded_labels_are_thinned_evenly():
    rows = [[image] * 12 for image in IMAGES]
    picture = sheet(rows, scale=1, gap=0, column_labels=["-2.0"] * 12, row_labels=["8"] * 6)
    ink = picture.to_array()[: picture.boxes[0][0][1]].min(axis=(0, 2)) < 200
    columns = np.flatnonzero(ink)
    words = np.split(columns, np.flatnonzero(np.diff(columns) > 5) + 1)
    gaps = np.diff([word.mean() for word in words])
    assert 2 <= len(words) < 12
    np.testing.assert_allclose(gaps, gaps[0], atol=1)


@pytest.mark.parametrize(
    ("side", "columns", "scale"), [(8, 10, 9), (28, 10, 3), (32, 10, 2), (28, 20, 1), (500, 9, 1)]
)
def test_small_images_are_blown_up_as_far_as_the_page_allows(side, columns, scale):
    assert fitting_scale(side, side, columns) == scale
    assert CELL == 72


@pytest.mark.parametrize("ending", [".png", ".webp", ".gif", ".jpg"])
def test_saving_and_reading_back(tmp_path, ending):
    picture = sheet([list(IMAGES)])
    path = tmp_path / f"a{ending}"
    picture.save(path)
    with Image.open(path) as back:
        assert back.size == picture.size
        if ending == ".png":
            np.testing.assert_array_equal(np.asarray(back), picture.to_array())


def test_a_picture_cut_short_leaves_the_older_one(tmp_path, monkeypatch):
    picture = sheet([list(IMAGES)])
    picture.save(tmp_path / "a.png")
    older = (tmp_path / "a.png").read_bytes()

    def full(path, **options):
        path.write_bytes(b"half a pic")
        raise OSError("No space left on device")

    monkeypatch.setattr(picture.image, "save", full)
    with pytest.raises(UserError, match="no space left on device.*is as it was"):
        picture.save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == older
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_notebook_gets_a_png():
    picture = sheet([list(IMAGES)])
    with Image.open(io.BytesIO(picture._repr_png_())) as shown:
        assert shown.format == "PNG"
        np.testing.assert_array_equal(np.asarray(shown), picture.to_array())


def test_bad_paths_and_scales_are_told(tmp_path):
    picture = Picture(Image.new("RGB", (3, 3)))
    with pytest.raises(UserError, match=r'"a.xyz": its name must end in .png'):
        picture.save(tmp_path / "a.xyz")
    with pytest.raises(UserError, match="does not exist"):
        picture.save(tmp_path / "nowhere" / "a.png")
    with pytest.raises(UserError, match="`scale`"):
        sheet([list(IMAGES)], scale=0)


@pytest.mark.parametrize("value", [0.0, 1.0], ids=["black", "white"])
def test_tiles_stand_apart_by_a_grey_gap(value):
    picture = images.grid(np.full([4, 8, 8, 1], value), columns=2, scale=2)
    pixels = picture.to_array()
    (first, second), (below, _) = picture.boxes
    assert (pixels[first[1] + 4, first[2] : second[0]] == GAP).all()
    assert (pixels[first[3] : below[1], first[0] + 4] == GAP).all()
    # Around the outermost too, so that a white image has an edge on a white page.
    assert (pixels[first[1] - 1, first[0] - 1] == GAP).all()
    assert (pixels[0, 0] == 255).all()


def test_one_surface_has_no_gap():
    picture = sheet([[np.zeros([16, 16, 1], np.uint8)] * 2], gap=0)
    assert not (picture.to_array() == GAP).all(axis=2).any()


def test_a_word_that_is_too_wide_loses_its_middle():
    face = font()
    assert shortened("cat", 60, face) == "cat"
    cut = shortened("a very long name 17", 60, face)
    assert cut.startswith("a v") and cut.endswith("17") and "\u2026" in cut
    assert face.getlength(cut) <= 60
    assert shortened("wide", 3, face) == ""


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("cat", ["cat"]),
        ("tufted titmouse", ["tufted", "titmouse"]),
        ("golden_retriever", ["golden_", "retriever"]),
        ("Fr\u00fchlingsb\u00e4ume", ["Fr\u00fchlingsb", "\u00e4ume"]),
        ("\u043f\u043e\u0434\u043e\u0441\u0438\u043d\u043e\u0432\u0438\u043a", None),
        ("n02099601-golden retriever of the north", None),
    ],
)
def test_names_of_classes_are_wrapped_not_cut_off(name, lines):
    face = font()
    found = wrapped(name, 72, face)
    assert lines is None or found == lines
    assert 1 <= len(found) <= 2 and all(face.getlength(line) <= 72 for line in found)
    assert found[0][:3] == name[:3] and found[-1][-2:] == name[-2:]


def test_a_class_and_a_distance_share_a_line_where_there_is_room():
    face = font()
    short = [[("cat", ""), ("cat", "0.12")]]
    assert under_images(short, 72, face) == [[["cat"], ["cat \u00b7 0.12"]]]
    long = [[("great grey owl", ""), ("cat", "0.12")]]
    assert under_images(long, 72, face) == [[["great grey", "owl"], ["cat", "0.12"]]]
    rows = [list(IMAGES[:2])]
    low, high = (sheet(rows, scale=9, captions=each).size[1] for each in (short, long))
    assert high - low == 13


def test_letters_of_the_world_are_written_in_a_font_that_has_them():
    # An accent that a Mac stores apart is drawn with its letter.
    assert under_images([["Cafe\u0301"]], 72, font())[0][0] == ["Caf\u00e9"]
    own = words._letters_of(words._own())
    letter = next(
        chr(code)
        for each in words.font_manager.fontManager.ttflist
        if each.style == "normal" and ord("a") in words._letters_of(each.fname)
        for code in sorted(words._letters_of(each.fname) - own)
        if chr(code).isprintable() and not each.name.startswith("Last Resort")
    )
    assert ord(letter) in words._letters_of(font(words=["a", letter]).path)
    assert font(words=["a"]).path == words._own()
    with pytest.warns(DataWarning, match="No font that is installed here has all letters"):
        font(words=["a\U0003ffff"])
