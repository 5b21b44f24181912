"""The loader's options: parts, splits, limits, sizes."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_acn import data
from keras_acn._base.errors import UserError
from keras_acn.codec import open_input
from keras_acn.data.load import _read
from keras_acn.data.readers import absolute_source, needs_tensorflow
from keras_acn.data.readers.base import ArraySource
from keras_acn.data.split import held_out
from keras_acn.data.transform import transform_image

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def archive(tmp_path):
    """120 images that spell their row; sorted labels of 80, 30 and 10."""
    rows = np.arange(120)
    images = np.zeros((120, 4, 6), np.uint8)
    images[:, 1:3, 2:4] = rows[:, None, None] * 2
    path = tmp_path / "some.npz"
    np.savez(path, images=images, labels=np.repeat([0, 1, 2], [80, 30, 10]))
    return f"npz:{path}"


def rows_of(images):
    return images.images[:, 1, 2, 0] // 2


def test_digits_are_split_by_class_and_complete():
    got = data.load("digits")
    assert (len(got.train), len(got.test), got.validation) == (1437, 360, None)
    assert (got.name, got.image_shape, got.num_classes) == ("digits", (8, 8, 1), 10)
    assert got.train.levels == 17 and got.train.images.dtype == np.uint8
    oracle = load_digits()
    both = np.concatenate([got.train.images, got.test.images]).reshape(-1, 64)
    np.testing.assert_array_equal(np.unique(both, axis=0), np.unique(oracle.data, axis=0))
    share = np.bincount(oracle.target) * 360 / 1797
    assert np.all(np.abs(np.bincount(got.test.labels) - share) < 1)
    by_image = {i.tobytes(): t for i, t in zip(oracle.images, oracle.target, strict=True)}
    images, labels = got.test.arrays()
    for image, label in zip(images, labels, strict=True):
        assert by_image[(image[..., 0] * 16).astype(float).tobytes()] == label
    again = data.load("digits", seed=7)
    np.testing.assert_array_equal(again.test.images, got.test.images)


def test_validation_is_held_out_of_training_by_class(archive):
    whole = data.load(archive, test=0)
    assert whole.test is None and list(rows_of(whole.train)) == list(range(120))
    got = data.load(archive, test=0, validation=0.25, seed=3)
    np.testing.assert_array_equal(np.bincount(got.train.labels), [60, 22, 8])
    np.testing.assert_array_equal(np.bincount(got.validation.labels), [20, 8, 2])
    both = np.concatenate([rows_of(got.train), rows_of(got.validation)])
    assert sorted(both) == list(range(120))
    assert list(rows_of(got.train)) == sorted(rows_of(got.train))
    same = data.load(archive, test=0, validation=30, seed=3)
    np.testing.assert_array_equal(same.validation.images, got.validation.images)
    other = data.load(archive, test=0, validation=30, seed=4)
    assert set(rows_of(other.validation)) != set(rows_of(got.validation))


def test_a_tenth_becomes_the_test_part_whatever_the_seed(archive):
    got = data.load(archive)
    np.testing.assert_array_equal(np.bincount(got.test.labels), [8, 3, 1])
    assert len(got.train) == 108 and list(rows_of(got.test)) == sorted(rows_of(got.test))
    assert not set(rows_of(got.test)) & set(rows_of(got.train))
    other = data.load(archive, seed=9, validation=10)
    np.testing.assert_array_equal(rows_of(other.test), rows_of(got.test))
    assert len(data.load(archive, test=7).test) == 7


def test_limit_keeps_the_first_of_each_part(archive):
    whole, got = data.load(archive), data.load(archive, limit=5, validation=2)
    assert (len(got.train), len(got.validation), len(got.test)) == (3, 2, 5)
    both = sorted([*rows_of(got.train), *rows_of(got.validation)])
    assert both == list(rows_of(whole.train)[:5])
    np.testing.assert_array_equal(rows_of(got.test), rows_of(whole.test)[:5])
    assert len(data.load(archive, limit=10**6).train) == 108


def test_one_image_is_a_training_part(tmp_path):
    np.save(tmp_path / "one.npy", np.zeros((1, 2, 2), np.uint8))
    got = data.load(f"npy:{tmp_path / 'one.npy'}")
    assert len(got.train) == 1 and got.test is None


def test_a_source_without_blocks_is_told_in_a_sentence():
    with pytest.raises(UserError, match="The images of the array are empty: give at least one"):
        _read(ArraySource(np.empty((0, 4, 4), np.uint8)))


def test_static_draws_differ_between_parts_and_seeds(tmp_path):
    grey = np.full((40, 5, 5), 128, np.uint8)
    np.savez(tmp_path / "grey.npz", x_train=grey, x_test=grey)
    source = f"npz:{tmp_path / 'grey.npz'}"
    got = data.load(source, binarize="static")
    assert np.any(got.train.arrays()[0] != got.test.arrays()[0])
    again = data.load(source, binarize="static")
    np.testing.assert_array_equal(got.test.arrays()[0], again.test.arrays()[0])
    other = data.load(source, binarize="static", seed=1)
    assert np.any(got.test.arrays()[0] != other.test.arrays()[0])


def test_the_largest_square_of_each_image_is_kept(archive):
    got = data.load(archive, crop="square", test=0)
    assert got.image_shape == (4, 4, 1)
    np.testing.assert_array_equal(
        got.train.images, data.load(archive, crop=(4, 4), test=0).train.images
    )
    with pytest.raises(UserError, match='a pair .height, width. or "square"'):
        data.load(archive, crop="round")


def test_crop_and_resize(archive):
    got = data.load(archive, crop=(2, 2), test=0)
    assert got.image_shape == (2, 2, 1) and np.all(got.train.images[7] == 14)
    got = data.load(archive, crop=2, resize=[4, 3], test=0)
    assert got.image_shape == (4, 3, 1) and np.all(got.train.images[7] == 14)


def test_resizing_few_levels_makes_256():
    digits = data.load("digits", limit=20)
    got = data.load("digits", limit=20, resize=16)
    assert got.train.levels == 256 and got.image_shape == (16, 16, 1)
    means = [x.train.arrays()[0].mean() for x in (digits, got)]
    assert abs(means[0] - means[1]) < 0.01
    assert data.load("digits", limit=20, crop=4, grey=True).train.levels == 17


def triangle(size, new):
    """The antialiased bilinear filter as a matrix [new, size]."""
    scale = max(1.0, size / new)
    centre = (np.arange(new) + 0.5)[:, None] * size / new
    weight = np.maximum(0, 1 - np.abs(np.arange(size) + 0.5 - centre) / scale)
    return weight / weight.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("size", [(3, 4), (9, 14), (6, 8)])
def test_resize_is_bilinear_and_antialiased(size, dtype, channels):
    image = np.random.default_rng(0).random((6, 8, channels))
    if dtype == np.uint8:
        image = image * 255
    image = image.astype(dtype)
    got = transform_image(image, resize=size)
    assert got.dtype == dtype and got.shape == (*size, channels)
    expected = np.einsum("ih,hwc,jw->ijc", triangle(6, size[0]), image, triangle(8, size[1]))
    # 8-bit images are rounded after each of the two axes.
    np.testing.assert_allclose(got, expected, atol=1.1 if dtype == np.uint8 else 1e-5)


def test_grey_is_luma():
    image = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    expected = image[..., 0] * 0.299 + image[..., 1] * 0.587 + image[..., 2] * 0.114
    got = transform_image(image, grey=True)
    np.testing.assert_allclose(got[..., 0], expected, atol=0.501)
    got = transform_image(image.astype(np.float32) / 255, grey=True)
    np.testing.assert_allclose(got[..., 0], expected / 255, rtol=1e-5)


@pytest.mark.parametrize("amount", [1, 7, 0.3, 0.97])
def test_held_out_counts_and_partitions(amount):
    labels = np.random.default_rng(0).integers(0, 5, 40)
    for values in (None, labels):
        kept, held = held_out(40, values, amount, (1,), "validation")
        assert sorted([*kept, *held]) == list(range(40))
        wanted = amount if amount >= 1 else round(40 * amount)
        assert len(held) == wanted


def test_mnist_mini_is_a_stratified_piece_of_mnist():
    got = data.load("mnist-mini")
    assert (len(got.train), len(got.test), got.validation) == (6000, 1000, None)
    assert (got.name, got.image_shape, got.num_classes) == ("mnist-mini", (28, 28, 1), 10)
    assert got.train.levels == 256 and got.train.images.dtype == np.uint8
    # The digits of the whole MNIST, in thousandths: from the label files as published.
    train = np.array([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]) / 10
    test = np.array([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]) / 10
    assert np.all(np.abs(np.bincount(got.train.labels) - train) < 1)
    assert np.all(np.abs(np.bincount(got.test.labels) - test) < 1)
    assert len(np.unique(got.train.images.reshape(6000, -1), axis=0)) == 6000
    # What is drawn to begin with, as the files are fixed.
    assert got.train.labels[:8].tolist() == [1, 6, 9, 3, 7, 6, 6, 1]
    licence = pathlib.Path(data.__file__).parent / "mnist_mini" / "LICENSE.md"
    assert "CC BY-SA 3.0" in licence.read_text() and "LeCun" in licence.read_text()
    # Data and licence go into an installed package.
    assert '"keras_acn.data": ["mnist_mini/*"]' in (ROOT / "setup.py").read_text()


def test_mnist_mini_is_a_source_like_any_other():
    assert data.load("mnist-mini", limit=20, resize=14, validation=5).image_shape == (14, 14, 1)
    assert not needs_tensorflow("mnist-mini") and absolute_source("mnist-mini") == "mnist-mini"
    assert len(open_input("mnist-mini", "test", None, None)) == 1000
    with pytest.raises(UserError, match='Did you mean "mnist-mini"'):
        data.load("mnist-mimi")


def test_sources_are_described():
    rows = data.describe_sources()
    assert [name for name, _ in rows][:2] == ["mnist-mini", "digits"]
    assert {"idx:DIR", "npz:FILE", "npy:FILE", "images:DIR"} <= {name for name, _ in rows}
    assert all(len(row) == 2 and row[1] for row in rows)


def test_loading_needs_no_tensorflow(tmp_path):
    code = (
        "import sys; from keras_acn import data; data.load(limit=3, resize=4).train.arrays(); "
        "assert not {'tensorflow', 'keras', 'tensorflow_datasets'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "options,words",
    [
        ({"sorce": "digits"}, 'Did you mean "source"'),
        ({"binarise": "static"}, 'Did you mean "binarize"'),
        ({"binarize": "dynamical"}, 'Did you mean "dynamic"'),
        ({"threshold": 2}, "threshold must be"),
        ({"validation": -1}, "validation must be"),
        ({"validation": 1.0}, "validation must be"),
        ({"validation": "some"}, "validation must be"),
        ({"validation": True}, "validation must be"),
        ({"validation": float("nan")}, "validation must be"),
        ({"validation": 1437}, "leaves none to train on"),
        ({"limit": 1, "validation": 0.1}, "leaves none to train on"),
        ({"test": 10}, "has a test part of its own"),
        ({"test": [1]}, "test must be"),
        ({"limit": 0}, "limit must be at least 1"),
        ({"limit": 1.5}, "limit must be a whole number"),
        ({"resize": 0}, "resize must be"),
        ({"resize": (1, 2, 3)}, "resize must be"),
        ({"resize": "28"}, "resize must be"),
        ({"crop": 9}, "larger than an image of 8x8"),
        ({"crop": [4, 2.5]}, "crop must be"),
        ({"grey": "yes"}, "grey must be true or false"),
        ({"seed": -1}, "seed must be"),
        ({"seed": None}, "seed must be"),
        ({"data_dir": 3}, "data_dir must be a folder"),
        ({"source": None}, "must be a name"),
        ({"source": "  "}, "must be a name"),
        ({"source": "npz:"}, "names nothing after the colon"),
        ({"source": "ixd:folder"}, 'Did you mean "idx:folder"'),
        ({"source": "q:folder"}, "Unknown data source"),
    ],
)
def test_bad_options_are_told_in_a_sentence(options, words):
    with pytest.raises(UserError, match=words) as caught:
        data.load(**{"source": "digits"} | options)
    assert "\n" not in str(caught.value)
