"""What the pictures accept as images, codes and labels."""

import numpy as np
import pytest

from keras_acn._base.errors import UserError
from keras_acn.plots import comparison, daydream_grid, image_scatter, latents, members_picture, rows
from keras_acn.plots.arrays import as_codes, as_images, as_labels

GOOD = np.zeros((2, 4, 4, 1), np.float32)


def test_floats_become_the_nearest_of_256_levels():
    levels = np.arange(256, dtype=np.float32).reshape(1, 16, 16, 1) / 255
    assert as_images(levels).ravel().tolist() == list(range(256))
    assert as_images(np.full((1, 2, 2, 1), 1 + 1e-6)).max() == 255


def test_uint8_and_booleans_pass_through():
    pixels = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    np.testing.assert_array_equal(as_images(pixels), pixels)
    assert as_images(np.ones((1, 2, 2, 1), bool)).max() == 255


def test_zeros_and_ones_are_black_and_white():
    """As in `fit` and in tables: uint8 images without a pixel above 1 are 0/1 images."""
    binary = np.random.default_rng(0).integers(0, 2, (4, 8, 8, 1), np.uint8)
    np.testing.assert_array_equal(as_images(binary), binary * 255)
    codes = np.random.default_rng(1).normal(size=(4, 2))
    for picture in (
        comparison(binary, binary),
        comparison(binary, {"a": binary, "b": binary.astype(np.float32)}),
        rows({"a": binary, "b": binary}),
        members_picture([binary[:2]], [binary]),
        daydream_grid(binary),
        latents.grid(lambda z: np.ones([len(z), 8, 8, 1], np.uint8), 2, n=2),
    ):
        assert picture.cell(0, 0).max() == 255
    place = next(i for i, box in enumerate(image_scatter(codes, binary).boxes[0]) if box)
    assert image_scatter(codes, binary).cell(0, place).max() == 255


def test_a_dark_image_of_several_is_not_white():
    dark = np.full((2, 8, 8, 1), 1, np.uint8)
    bright = np.full((2, 8, 8, 1), 200, np.uint8)
    assert rows({"dark": dark, "bright": bright}).cell(0, 0).max() == 1
    assert members_picture([dark, bright], [bright, bright]).cell(0, 0).max() == 1
    # A float so dark that it is rounded to 1 of 255 stays that.
    assert daydream_grid(dark / 255.0).cell(0, 0).max() == 1


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (GOOD[..., 0], r"\[N, H, W, C\], not \[2, 4, 4\]. Add the channel axis"),
        (GOOD[0, 0, 0, 0], r"not \[\]"),
        (GOOD[:0], "no images to draw"),
        (np.zeros((2, 4, 4, 2)), r"1 channel \(grey\) or 3 \(colour\), not 2"),
        (GOOD * np.nan, "hold NaN"),
        (GOOD + 2, "run from 2 to 2: scale"),
        (GOOD - 0.1, "run from -0.1 to -0.1"),
        (GOOD + np.inf, "run from inf"),
        (GOOD.astype(np.int64), "int64: give uint8"),
        ("a word", "array of numbers"),
        ([[1, 2], [3]], "array of numbers"),
    ],
)
def test_bad_images_are_told_in_a_sentence(images, sentence):
    with pytest.raises(UserError, match=sentence):
        as_images(images)


@pytest.mark.parametrize(
    ("codes", "sentence"),
    [
        (np.zeros(3), r"shape \[N, d\], not \[3\]"),
        (np.zeros((0, 2)), "no codes to draw"),
        (np.zeros((3, 1)), "at least 2"),
        (np.full((3, 2), np.nan), "NaN or infinity"),
    ],
)
def test_bad_codes_are_told_in_a_sentence(codes, sentence):
    with pytest.raises(UserError, match=sentence):
        as_codes(codes)


def test_labels_keep_the_order_of_their_numbers():
    labels, classes = as_labels(np.array([10, 2, 10]), 3)
    assert labels.tolist() == ["10", "2", "10"]
    assert classes == ["2", "10"]
    assert as_labels(None, 3) == (None, [])
    with pytest.raises(UserError, match="3 labels for 2 codes"):
        as_labels([1, 2, 3], 2)
    with pytest.raises(UserError, match=r"shape \[N\]"):
        as_labels([[1]], 1)
