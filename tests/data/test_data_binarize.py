"""Binarization: exact where it is exact, within standard errors where it is drawn."""

import numpy as np
import pytest

from keras_acn._base.errors import UserError
from keras_acn.data import ImageSet
from keras_acn.data.transform import by_draw, by_threshold


def ramp(count=2000, levels=17):
    """Every image is the same ramp from 0 to 1."""
    row = np.arange(levels, dtype=np.uint8).reshape(1, 1, levels, 1)
    return np.repeat(row, count, axis=0)


def five_sigma(draws, p):
    return 5 * np.sqrt(p * (1 - p) / draws)


def drawn(data, **options):
    return np.concatenate([b["image"] for b in data.dataset(512, **options).as_numpy_iterator()])


@pytest.mark.parametrize("threshold", [0, 0.25, 0.5, 0.99])
def test_threshold_is_strict(threshold):
    got = by_threshold(ramp(3), 16, threshold)
    expected = (np.arange(17) / 16 > threshold).astype(np.uint8)
    np.testing.assert_array_equal(got[1, 0, :, 0], expected)
    data = ImageSet(ramp(3), levels=17, binarize="threshold", threshold=threshold)
    np.testing.assert_array_equal(data.arrays()[0][2, 0, :, 0], expected)
    np.testing.assert_array_equal(drawn(data, shuffle=True)[2, 0, :, 0], expected)


@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_each_pixel_is_one_with_its_own_probability(binarize):
    data = ImageSet(ramp(), levels=17, binarize=binarize)
    images = drawn(data, shuffle=True)
    p = np.arange(17) / 16
    assert set(np.unique(images)) == {0.0, 1.0}
    error = np.abs(images.mean(axis=0)[0, :, 0] - p)
    assert np.all(error <= five_sigma(len(images), p))
    # Neighbouring pixels and images are independent: products have the product's mean.
    middle = images[:, 0, 8, 0]
    for other in (images[:, 0, 9, 0], np.roll(middle, 1)):
        both, each = np.mean(middle * other), np.mean(middle) * np.mean(other)
        assert abs(both - each) < 5 * 0.25 / np.sqrt(len(middle))


def test_static_is_drawn_once():
    data = ImageSet(ramp(50), levels=17, binarize="static", seed=4)
    images = data.arrays()[0]
    by_index = np.empty_like(images)
    for b in data.dataset(7, shuffle=True, start_epoch=3).as_numpy_iterator():
        by_index[b["index"]] = b["image"]
    np.testing.assert_array_equal(by_index, images)
    again = ImageSet(ramp(50), levels=17, binarize="static", seed=4)
    np.testing.assert_array_equal(again.arrays()[0], images)
    other = ImageSet(ramp(50), levels=17, binarize="static", seed=5)
    assert np.any(other.arrays()[0] != images)


def test_the_draw_of_a_row_does_not_depend_on_the_rows_after_it():
    long, short = by_draw(ramp(5000), 16, 1), by_draw(ramp(10), 16, 1)
    np.testing.assert_array_equal(long[:10], short)
    assert np.any(long[4096:] != long[: len(long) - 4096])


def test_dynamic_changes_in_training_and_is_fixed_in_evaluation():
    data = ImageSet(ramp(40), levels=17, binarize="dynamic")
    in_order = {"training": True, "seed": 1}
    first, second = (drawn(data, start_epoch=e, **in_order) for e in (0, 1))
    assert 0.2 < np.mean(first[..., 4:13, :] != second[..., 4:13, :]) < 0.6
    np.testing.assert_array_equal(first, drawn(data, **in_order))
    assert np.any(first != drawn(data, training=True, seed=2))
    fixed = data.arrays()[0]
    np.testing.assert_array_equal(drawn(data), fixed)
    np.testing.assert_array_equal(drawn(data, start_epoch=5, seed=9), fixed)
    shuffled = np.empty_like(fixed)
    for b in data.dataset(16, shuffle=True, training=False).as_numpy_iterator():
        shuffled[b["index"]] = b["image"]
    np.testing.assert_array_equal(shuffled, fixed)


def test_dynamic_steps_of_one_epoch_differ():
    data = ImageSet(ramp(4), levels=17, binarize="dynamic")
    one, two = (b["image"] for b in data.dataset(2, training=True).as_numpy_iterator())
    assert np.any(one != two)


def test_binarizing_binary_images_changes_nothing():
    images = np.random.default_rng(0).integers(0, 2, (20, 3, 3, 1), np.uint8)
    for binarize in ("none", "threshold", "static", "dynamic"):
        data = ImageSet(images, binarize=binarize)
        np.testing.assert_array_equal(data.arrays()[0], images)
        np.testing.assert_array_equal(drawn(data, training=True), images)


@pytest.mark.parametrize(
    "options,words",
    [
        ({"binarize": "statc"}, 'Did you mean "static"'),
        ({"binarize": None}, "Unknown binarization"),
        ({"threshold": 1}, r"in \[0, 1\)"),
        ({"threshold": "0.5"}, r"in \[0, 1\)"),
        ({"threshold": float("nan")}, r"in \[0, 1\)"),
    ],
)
def test_bad_options_are_told_in_a_sentence(options, words):
    with pytest.raises(UserError, match=words):
        ImageSet(ramp(2), **options)
