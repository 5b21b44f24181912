import numpy as np
import pytest

from keras_acn._base.errors import UserError
from keras_acn.codec.values import PixelValues


def of(array, levels, scale=None):
    return PixelValues.of([array], array.dtype, levels, scale)


def same_bits(one, other):
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()


BINARY = np.random.default_rng(0).integers(0, 2, (5, 4, 3))
EIGHT = np.random.default_rng(1).integers(0, 256, (50, 4, 3))


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "i8", "<u2", ">u2", "f2", "f4", ">f4", "f8"])
def test_zeros_and_ones_come_back(dtype):
    array = BINARY.astype(dtype)
    for levels in (2, 256):
        values = of(array, levels)
        coded = values.to_levels(array)
        np.testing.assert_array_equal(coded, BINARY * (levels - 1))
        assert same_bits(values.to_array(coded), array)


@pytest.mark.parametrize("dtype", ["u1", "i4", ">i2"])
def test_black_and_white_of_255(dtype):
    array = (255 * BINARY).astype(dtype)
    values = of(array, 2)
    np.testing.assert_array_equal(values.to_levels(array), BINARY)
    assert same_bits(values.to_array(values.to_levels(array)), array)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8", "f2"])
def test_eight_bits_come_back(dtype):
    array = EIGHT.astype(dtype)
    if array.dtype.kind == "f":
        array = array / array.dtype.type(255)
    values = of(array, 256)
    np.testing.assert_array_equal(values.to_levels(array), EIGHT)
    assert same_bits(values.to_array(values.to_levels(array)), array)


@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_seventeen_grey_levels_come_back(dtype):
    grey = np.arange(17).repeat(2).reshape(2, 17, 1)
    array = grey.astype(dtype) / (1 if dtype == "u1" else np.float32(16))
    array = array.astype(dtype)
    values = of(array, 256, 16 if dtype == "u1" else None)
    np.testing.assert_array_equal(values.to_levels(array), np.rint(grey * 255 / 16))
    assert same_bits(values.to_array(values.to_levels(array)), array)


@pytest.mark.parametrize(
    ("array", "levels", "sentence"),
    [
        (EIGHT.astype("u1"), 2, "--binarize"),
        ((EIGHT / 255).astype("f4"), 2, "--binarize"),
        (np.full((1, 2, 2), 0.123, "f4"), 256, "multiple of 1/255"),
        (np.full((1, 2, 2), np.nan, "f4"), 256, "outside 0 to 1"),
        (np.full((1, 2, 2), np.inf, "f4"), 2, "outside 0 to 1"),
        (np.full((1, 2, 2), -1, "i4"), 256, "outside 0 to"),
        (np.full((1, 2, 2), 300, "i4"), 256, "outside 0 to 255"),
        (np.full((1, 2, 2), 2.0, "f4"), 2, "outside 0 to 1"),
        (np.full((1, 2, 2), -0.0, "f4"), 2, "grey values"),
    ],
)
def test_what_is_no_pixel_is_refused(array, levels, sentence):
    with pytest.raises(UserError, match=sentence):
        of(array, levels).to_levels(array)


@pytest.mark.parametrize("dtype", ["c8", "U3", "O", "M8[s]"])
def test_what_is_no_number_is_refused(dtype):
    with pytest.raises(UserError, match="stored as numbers"):
        PixelValues.of([], dtype, 2)


def test_the_scale_is_that_of_all_blocks():
    dark, bright = np.zeros((2, 2, 2), "u1"), np.full((2, 2, 2), 200, "u1")
    assert PixelValues.of([dark, dark], "u1", 256).scale == 1
    assert PixelValues.of([dark, bright], "u1", 256).scale == 255
