"""One check of sizes for all parts: an image's shape, numbers of latents, widths."""

import numpy as np
import pytest

from keras_acn import ConvDecoder, ConvEncoder, GatedPixelCNN, MLPDecoder, MLPEncoder, UserError
from keras_acn._base.checks import check_count, check_image_shape, check_widths
from keras_acn._base.errors import short

PARTS = [MLPEncoder, ConvEncoder, MLPDecoder, ConvDecoder, GatedPixelCNN]
WRONG = [(8, 8), (8, 8, 1, 1), (8, 0, 1), (8, -8, 1), (8, None, 1), (8, 8.5, 1), None, 8, "881", {}]


@pytest.mark.parametrize("shape", WRONG, ids=str)
@pytest.mark.parametrize("cls", PARTS)
def test_a_wrong_image_shape(cls, shape):
    with pytest.raises(UserError, match=r"image_shape must be \(height, width, channels\)") as told:
        cls(shape)
    assert str(shape) in str(told.value) and str(told.value).endswith(".")


@pytest.mark.parametrize("latent_dim", [0, -2, None, 2.5, True, "4", (4,)], ids=str)
@pytest.mark.parametrize("cls", PARTS)
def test_a_wrong_number_of_latents(cls, latent_dim):
    with pytest.raises(UserError, match="latent_dim must be .*at least 1, not"):
        cls((8, 8, 1), latent_dim)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3", None, np.True_, -(10**5000)], ids=short)
def test_a_wrong_number(value):
    with pytest.raises(UserError, match="^n must be from 1 to 9, and whole, not .*[.]$"):
        check_count(value, "n", 1, 9)
    with pytest.raises(UserError, match="^n must be .*at least 1, not .*[.]$"):
        check_count(value, "n", 1)
    assert check_count(np.int64(3), "n", 1, 3) == check_count(3, "n", 3) == 3


def test_whole_numbers_of_any_kind():
    assert check_image_shape(np.array([8, 8, 1])) == (8, 8, 1)
    assert check_image_shape([8, 8, np.int64(1)]) == (8, 8, 1)
    assert check_widths((), "hidden") == () and check_widths([np.int32(4)], "hidden") == (4,)


@pytest.mark.parametrize("name", ["layers", "filters", "kernel_size", "map_filters"])
def test_a_wrong_option_of_the_pixelcnn(name):
    for value in (None, 0, 2.5):
        with pytest.raises(UserError, match=f"{name} must be|kernel sizes are odd"):
            GatedPixelCNN((8, 8, 1), **{name: value})
