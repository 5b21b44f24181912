"""Rows of images: of models, of one dream, and of classes known by a few images."""

import numpy as np
import pytest

from keras_acn._base.errors import UserError
from keras_acn.plots import daydream_grid, members_picture, rows

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 8, 8, 1), np.uint8)


def cell(picture, row, column):
    """An image of the sheet at its own size."""
    pixels = picture.cell(row, column)[..., :1]
    step = pixels.shape[0] // 8
    return pixels[::step, ::step]


def test_each_model_has_a_row():
    picture = rows({"a": IMAGES[:3], "b": IMAGES[3:]})
    for r, part in enumerate((IMAGES[:3], IMAGES[3:])):
        for c in range(3):
            np.testing.assert_array_equal(cell(picture, r, c), part[c])
    for bad, sentence in (
        ({}, "at least one"),
        (IMAGES, "at least one"),
        ({"a": IMAGES, "b": IMAGES[:2]}, "one shape"),
    ):
        with pytest.raises(UserError, match=sentence):
            rows(bad)


def test_a_dream_in_reading_order():
    picture = daydream_grid(IMAGES, columns=4)
    np.testing.assert_array_equal(cell(picture, 1, 1), IMAGES[5])
    assert picture.boxes[1][2:] == [None, None]
    with pytest.raises(UserError, match="T, H, W, C"):
        daydream_grid(IMAGES[None])


def test_the_given_and_the_drawn_members_of_each_class():
    picture = members_picture([IMAGES[:2], IMAGES[2:3]], [IMAGES[3:], IMAGES[:3]])
    # Two given at most, a gap, then the drawn ones.
    np.testing.assert_array_equal(cell(picture, 0, 1), IMAGES[1])
    np.testing.assert_array_equal(cell(picture, 1, 0), IMAGES[2])
    assert [row[2] for row in picture.boxes] == [None, None] and picture.boxes[1][1] is None
    for c in range(3):
        np.testing.assert_array_equal(cell(picture, 0, 3 + c), IMAGES[3 + c])
        np.testing.assert_array_equal(cell(picture, 1, 3 + c), IMAGES[c])


@pytest.mark.parametrize(
    ("given", "drawn", "sentence"),
    [
        ([], [], "no sets of images"),
        ([IMAGES], [], "0 sets of drawn images for 1"),
        ([IMAGES], [IMAGES[:, :4]], "one shape"),
        ([IMAGES[..., 0]], [IMAGES], "N, H, W, C"),
    ],
)
def test_bad_input_is_told_in_a_sentence(given, drawn, sentence):
    with pytest.raises(UserError, match=sentence):
        members_picture(given, drawn)


def test_members_have_the_names_of_their_classes():
    sets = [IMAGES[:2], IMAGES[2:3]], [IMAGES[3:], IMAGES[:3]]
    plain, named = members_picture(*sets), members_picture(*sets, names=["ant hill", "bee"])
    # The words stand on the left of the rows, and need room there.
    assert named.image.width > plain.image.width + 10
    assert named.image.height == plain.image.height
    with pytest.raises(UserError, match="names"):
        members_picture(*sets, names=["ant hill"])
