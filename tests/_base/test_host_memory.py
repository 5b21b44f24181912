"""Tensors that share the memory of arrays."""

import gc

import numpy as np
import pytest
import tensorflow as tf

from keras_acn import data
from keras_acn._base.host_memory import aligned_empty, host_tensor


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_tensor_lies_where_its_array_lies_and_keeps_it(dtype):
    array = aligned_empty((1000, 7, 3, 1), dtype)
    array[:] = np.arange(21).reshape(1, 7, 3, 1)
    tensor = host_tensor(array)
    address = array.ctypes.data
    assert np.asarray(tensor).ctypes.data == address
    expected = array.copy()
    del array
    gc.collect()
    other = [aligned_empty((1000, 7, 3, 1), dtype) for _ in range(8)]
    for each in other:
        each[:] = 77
    np.testing.assert_array_equal(tf.gather(tensor, tf.range(1000)).numpy(), expected)


@pytest.mark.parametrize(
    "array",
    [
        aligned_empty((4, 2), np.uint8)[1:],
        np.asfortranarray(np.ones([3, 4], np.float32)),
        np.broadcast_to(np.uint8(3), (5, 2)),
        np.zeros([0, 3], np.float32),
    ],
    ids=["off the line", "columns first", "read-only", "empty"],
)
def test_other_arrays_are_copied(array):
    tensor = host_tensor(array)
    np.testing.assert_array_equal(tensor.numpy(), array)
    if array.size and array.flags.writeable:
        before = tensor.numpy().copy()
        array += 1
        np.testing.assert_array_equal(tensor.numpy(), before)


@pytest.mark.parametrize("binarize", ["none", "threshold", "static", "dynamic"])
def test_images_that_are_changed_later_do_not_change_the_batches(binarize):
    images = aligned_empty((16, 2, 2, 1), np.uint8)
    images[:] = 255
    batches = data.from_arrays(images, binarize=binarize).dataset(4)
    first = next(iter(batches))["image"].numpy()
    images[:] = 0
    np.testing.assert_array_equal(next(iter(batches))["image"].numpy(), first)


def test_binarized_images_are_held_once():
    images = data.from_arrays(np.full([64, 4, 4, 1], 99, np.uint8), binarize="static")
    images.dataset(8)
    held = images._tensors["fixed"]
    assert np.shares_memory(np.asarray(held), images.unit_rows().array)
