"""Some of the classes of a data set."""

import numpy as np
import pytest

from keras_acn import data
from keras_acn._base.errors import UserError


def test_only_these_classes_with_their_labels():
    whole, some = data.load("digits"), data.load("digits", classes=[7, 2], validation=0.1)
    for name in ("train", "test", "validation"):
        assert set(getattr(some, name).labels) == {2, 7}
    assert len(some.train) + len(some.validation) == np.isin(whole.train.labels, [2, 7]).sum()
    rows = np.isin(whole.test.labels, [2, 7])
    np.testing.assert_array_equal(some.test.images, whole.test.images[rows])
    assert some.num_classes == 8
    assert set(data.load("digits", classes=3).train.labels) == {3}


def test_parts_without_any_of_them_are_left_out(tmp_path):
    images = np.arange(6, dtype=np.uint8)[:, None, None] * np.ones((6, 2, 2), np.uint8)
    np.savez(
        tmp_path / "a.npz",
        x_train=images,
        y_train=[0, 0, 1, 1, 2, 2],
        x_test=images,
        y_test=[3, 3, 4, 4, 1, 1],
    )
    source = f"npz:{tmp_path / 'a.npz'}"
    assert data.load(source, classes=[0, 2]).test is None
    assert len(data.load(source, classes=[1]).test) == 2
    with pytest.raises(UserError, match="training part .* has none of the classes 3, 4"):
        data.load(source, classes=[3, 4])


def test_errors_name_the_fix(tmp_path):
    for wrong in ([], "0", [-1], [1.5], [[1]]):
        with pytest.raises(UserError, match="classes"):
            data.load("digits", classes=wrong)
    with pytest.raises(UserError, match="no images of class 10: its classes are 0, 1"):
        data.load("digits", classes=[1, 10])
    np.save(tmp_path / "a.npy", np.zeros((4, 2, 2), np.uint8))
    with pytest.raises(UserError, match="has no labels to choose classes by"):
        data.load(f"npy:{tmp_path / 'a.npy'}", classes=[0])
