"""Pictures made of images: each image where it belongs."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_acn._base.errors import UserError
from keras_acn.plots import images

DIGITS = (load_digits().images[:40] / 16).astype(np.float32)[..., None]  # [40, 8, 8, 1]
COLOR = np.random.default_rng(0).random((12, 6, 5, 3))


def assert_cell(picture, row, column, image):
    """The cell is the image, each pixel repeated, and nothing else."""
    cell = picture.cell(row, column)
    times = cell.shape[0] // image.shape[0]
    expected = np.repeat(np.repeat(np.round(image * 255), times, 0), times, 1)
    assert cell.shape[:2] == expected.shape[:2]
    np.testing.assert_array_equal(cell, np.broadcast_to(expected, cell.shape))


def test_a_grid_is_in_reading_order():
    picture = images.grid(DIGITS[:7], columns=3, captions=range(7), title="digits")
    assert [len(row) for row in picture.boxes] == [3, 3, 3]
    for i in range(7):
        assert_cell(picture, i // 3, i % 3, DIGITS[i])
    assert picture.boxes[2][1] is None


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (9, 3), (10, 4), (40, 7)])
def test_a_grid_is_about_square(count, columns):
    assert len(images.grid(DIGITS[:count]).boxes[0]) == columns


def test_colour_and_uint8_keep_their_values():
    picture = images.grid(COLOR, columns=4)
    assert_cell(picture, 1, 2, COLOR[6])
    pixels = np.round(COLOR * 255).astype(np.uint8)
    np.testing.assert_array_equal(images.grid(pixels, columns=4).to_array(), picture.to_array())


def test_digits_are_legible_at_notebook_size():
    picture = images.comparison(DIGITS, DIGITS)
    left, top, right, bottom = picture.boxes[0][0]
    assert (right - left, bottom - top) == (72, 72)
    assert picture.size[0] <= 900


def test_samples_are_a_grid_with_a_title():
    picture = images.samples(DIGITS[:9])
    assert_cell(picture, 2, 2, DIGITS[8])
    assert picture.size[1] > images.grid(DIGITS[:9]).size[1]


def test_originals_stand_over_reconstructions():
    picture = images.comparison(DIGITS, 1 - DIGITS, n=6)
    assert [len(row) for row in picture.boxes] == [6, 6]
    for i in range(6):
        assert_cell(picture, 0, i, DIGITS[i])
        assert_cell(picture, 1, i, 1 - DIGITS[i])


def test_samples_and_runs_each_get_a_row():
    several = np.stack([1 - DIGITS, DIGITS / 2, DIGITS * 0])
    picture = images.comparison(DIGITS, several)
    assert len(picture.boxes) == 4
    assert_cell(picture, 2, 3, DIGITS[3] / 2)
    named = images.comparison(DIGITS, {"beta = 0": DIGITS, "beta = 4": DIGITS / 2})
    assert len(named.boxes) == 3
    assert_cell(named, 2, 9, DIGITS[9] / 2)


def test_neighbours_stand_beside_their_image():
    index = np.arange(15).reshape(3, 5) + 20
    distances = np.arange(15).reshape(3, 5) / 7
    picture = images.neighbors_picture(DIGITS[:3], DIGITS[index], distances)
    for q in range(3):
        assert_cell(picture, q, 0, DIGITS[q])
        for k in range(5):
            assert_cell(picture, q, 1 + k, DIGITS[index[q, k]])
    first, second, third = picture.boxes[0][:3]
    assert second[0] - first[2] > third[0] - second[2]
    assert picture.size[1] > images.neighbors_picture(DIGITS[:3], DIGITS[index]).size[1]


FIVE = DIGITS[None, :5]


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda: images.grid(DIGITS[0]), r"shape \[N, H, W, C\]"),
        (lambda: images.grid(DIGITS, columns=0), "`columns` must be"),
        (lambda: images.grid(DIGITS[:3], captions=["a"]), "1 captions for 3 images"),
        (lambda: images.comparison(DIGITS, DIGITS[:3]), "3 reconstructions for 40 originals"),
        (lambda: images.comparison(DIGITS, DIGITS[:, :4]), "give both at one size"),
        (lambda: images.comparison(DIGITS, DIGITS.repeat(3, -1)), "number of channels"),
        (lambda: images.comparison(DIGITS, {}), "dict is empty"),
        (lambda: images.comparison(DIGITS, {"b": DIGITS * np.nan}), '"b" hold NaN'),
        (lambda: images.comparison(DIGITS, DIGITS, n=0), "`n` must be"),
        (lambda: images.neighbors_picture(DIGITS[:2], FIVE), "1 rows of neighbors for 2 queries"),
        (lambda: images.neighbors_picture(DIGITS[:1], DIGITS), r"shape \[Q, K, H, W, C\]"),
        (lambda: images.neighbors_picture(COLOR[:1], FIVE), "give both at one size"),
        (lambda: images.neighbors_picture(DIGITS[:1], FIVE, [[1, 2]]), r"must have shape \[1, 5\]"),
    ],
)
def test_bad_input_is_told_in_a_sentence(draw, sentence):
    with pytest.raises(UserError, match=sentence):
        draw()


def test_classes_stand_under_neighbours():
    near = np.stack([DIGITS[:3], DIGITS[3:6]])
    names = ["ant", "bee"], [["ant", "ant", "bee"], ["bee", "cow", "bee"]]
    plain = images.neighbors_picture(DIGITS[:2], near)
    named = images.neighbors_picture(DIGITS[:2], near, class_names=names)
    assert named.size[1] > plain.size[1]
    both = images.neighbors_picture(DIGITS[:2], near, np.ones([2, 3]), class_names=names)
    assert both.boxes == named.boxes
    with pytest.raises(UserError, match=r"class names must have the shapes \[2\] and \[2, 3\]"):
        images.neighbors_picture(DIGITS[:2], near, class_names=(names[0], names[0]))
