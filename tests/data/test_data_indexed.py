"""Indices for plain arrays and for the user's own datasets."""

import numpy as np
import pytest
import tensorflow as tf

from keras_acn._base.errors import UserError
from keras_acn.data import check_batch_spec, from_arrays, index_dataset

GREY = np.arange(6 * 2 * 3, dtype=np.uint8).reshape(6, 2, 3)


@pytest.mark.parametrize(
    "images,expected",
    [
        (GREY, GREY[..., None] / 255),
        (GREY[..., None], GREY[..., None] / 255),
        (GREY / 255, GREY[..., None] / 255),
        ((GREY / 255).astype(np.float16), (GREY / 255).astype(np.float16)[..., None]),
        (GREY > 9, (GREY > 9)[..., None]),
        ((GREY > 9).astype(np.uint8), (GREY > 9)[..., None]),
        (np.stack([GREY] * 3, -1), np.stack([GREY] * 3, -1) / 255),
        ((GREY / 255).tolist(), GREY[..., None] / 255),
        (np.full((2, 2, 2), 1 + 1e-7), np.ones((2, 2, 2, 1))),
    ],
)
def test_arrays_become_images_from_zero_to_one(images, expected):
    data = from_arrays(images, np.arange(len(images)))
    got, labels = data.arrays()
    assert got.dtype == np.float32 and got.min() >= 0 and got.max() <= 1
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    np.testing.assert_array_equal(labels, np.arange(len(images)))
    assert labels.dtype == np.int32


NAN = np.where(GREY == 5, np.nan, GREY / 255)


@pytest.mark.parametrize(
    "images,labels,words",
    [
        (GREY.astype(np.float32), None, "divide by 255"),
        (GREY / 127.5 - 1, None, r"\(x \+ 1\) / 2"),
        (GREY * -40.0, None, "scale them"),
        (NAN, None, "NaN"),
        (np.where(GREY == 5, np.inf, GREY / 255), None, "scale them"),
        (GREY.astype(np.int64), None, r'astype\("uint8"\)'),
        (GREY.astype(complex), None, "complex128"),
        (np.array(["a", "b"]).reshape(2, 1, 1), None, "astype"),
        (GREY.reshape(6, 6), None, "reshape the flattened"),
        (np.uint8(3), None, "one axis for the images"),
        (GREY[None, None], None, r"not \[1, 1, 6, 2, 3\]"),
        (GREY[:0], None, "empty"),
        (GREY[:, :0], None, "no pixels"),
        (np.zeros((2, 3, 28, 28), np.uint8), None, "moveaxis"),
        (np.zeros((2, 28, 28, 5), np.uint8), None, "5 channels"),
        ([GREY[0], GREY[0, :1]], None, "same size"),
        (None, None, "do not form one array of numbers"),
        (GREY, [0, 1], "number 2 but the images 6"),
        (GREY, np.zeros((6, 10), int), "one integer an image"),
        (GREY, np.zeros(6), r'astype\("int32"\)'),
        (GREY, np.arange(6) - 1, "number the classes from 0"),
        (GREY, [[0], [0, 1]], "do not form one array"),
    ],
)
def test_bad_arrays_are_told_in_a_sentence(images, labels, words):
    with pytest.raises(UserError, match=words) as caught:
        from_arrays(images, labels)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def single(with_label=True):
    values = {"image": GREY[..., None], "label": np.arange(6)}
    if not with_label:
        del values["label"]
    return tf.data.Dataset.from_tensor_slices(values)


def as_tuples(element):
    return element["image"], element["label"]


@pytest.mark.parametrize(
    "dataset",
    [
        single(),
        single(False),
        single().map(as_tuples),
        single().map(lambda e: e["image"]),
        single().map(lambda e: e["image"][..., 0]),
        single().map(lambda e: tf.cast(e["image"], tf.float64) / 255),
        single().batch(4),
        single().batch(4).map(as_tuples),
        single().batch(4).map(lambda e: e["image"]),
    ],
)
def test_rows_are_counted_before_shuffling(dataset):
    tf.random.set_seed(1)
    indexed = index_dataset(dataset)
    if indexed.element_spec["image"].shape.rank == 4:
        indexed = indexed.shuffle(2, seed=1).unbatch()
    shuffled = indexed.shuffle(6, seed=0).batch(4)
    check_batch_spec(shuffled.element_spec, (2, 3, 1))
    for _ in range(2):
        seen = []
        for b in shuffled.as_numpy_iterator():
            assert b["index"].dtype == np.int32 and b["image"].dtype == np.float32
            np.testing.assert_allclose(b["image"], GREY[b["index"], ..., None] / 255, rtol=1e-6)
            if "label" in b:
                np.testing.assert_array_equal(b["label"], b["index"])
            seen += list(b["index"])
        assert sorted(seen) == list(range(6)) and seen != list(range(6))


def test_an_index_of_ones_own_is_kept():
    dataset = single().map(lambda e: {**e, "index": tf.cast(e["label"], tf.int32) + 7})
    assert index_dataset(dataset) is dataset


def shuffled(dataset):
    # The order also follows the global seed, which other tests set: by some of them two passes
    # begin alike, and the shuffling cannot be seen.
    tf.random.set_seed(1)
    return dataset.shuffle(6, seed=0)


def ragged_images():
    return tf.data.Dataset.from_generator(
        lambda: iter([1]), output_signature=tf.TensorSpec(None, tf.uint8)
    )


@pytest.mark.parametrize(
    "make,words",
    [
        (lambda: GREY, "from_arrays"),
        (lambda: single().take(0), "empty"),
        (lambda: single().repeat(), "before repeat"),
        (lambda: shuffled(single()), "before shuffling"),
        (lambda: single().map(lambda e: {"x": e["image"]}), 'no "image"'),
        (lambda: single().map(lambda e: (e["image"], 1, 2)), "tuples of 3"),
        (lambda: single().map(lambda e: e["label"]), "have the shape"),
        (ragged_images, "have the shape"),
        (lambda: single().map(lambda e: tf.cast(e["image"], tf.int32)), "int32"),
        (lambda: single().map(lambda e: tf.cast(e["image"], tf.float32)), "divide by 255"),
        (lambda: single().map(lambda e: tf.cast(e["image"], tf.float32) * np.nan), "NaN"),
        (lambda: single().batch(2).batch(2), "have the shape"),
    ],
)
def test_bad_datasets_are_told_in_a_sentence(make, words):
    with pytest.raises(UserError, match=words):
        index_dataset(make())


SPEC = {
    "image": tf.TensorSpec([None, 2, 3, 1], tf.float32),
    "index": tf.TensorSpec([None], tf.int32),
    "label": tf.TensorSpec([None], tf.int64),
}


def without(key):
    return {k: v for k, v in SPEC.items() if k != key}


@pytest.mark.parametrize(
    "spec,words",
    [
        (without("index"), r"keras_acn\.data\.index_dataset"),
        ((SPEC["image"], SPEC["label"]), r"keras_acn\.data\.index_dataset"),
        (SPEC["image"], r"keras_acn\.data\.index_dataset"),
        (without("image"), 'no "image"'),
        ({**SPEC, "image": tf.TensorSpec([2, 3, 1], tf.float32)}, r"\.batch\("),
        ({**SPEC, "image": tf.TensorSpec([None, 6], tf.float32)}, "B, H, W, C"),
        ({**SPEC, "image": tf.TensorSpec([None, 2, 3, 1], tf.uint8)}, "uint8"),
        ({**SPEC, "image": tf.TensorSpec([None, 4, 3, 1], tf.float32)}, r"\[2, 3, 1\]"),
        ({**SPEC, "index": tf.TensorSpec([None], tf.float32)}, '"index" is float32'),
        ({**SPEC, "index": tf.TensorSpec([], tf.int32)}, "one an image"),
        ({**SPEC, "label": tf.TensorSpec([None, 10], tf.int32)}, '"label" has the shape'),
    ],
)
def test_a_wrong_spec_is_told_in_a_sentence(spec, words):
    with pytest.raises(UserError, match=words):
        check_batch_spec(spec, (2, 3, 1))


def test_good_specs_pass():
    assert check_batch_spec(SPEC) is None
    assert check_batch_spec(without("label"), (2, 3, 1)) is None
    assert check_batch_spec({**SPEC, "image": tf.TensorSpec(None, tf.float32)}) is None
    assert check_batch_spec(from_arrays(GREY).dataset(2).element_spec, (2, 3, 1)) is None
