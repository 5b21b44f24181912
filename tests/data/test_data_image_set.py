"""The batches: index, order, resuming, shapes, scale."""

import numpy as np
import pytest
import tensorflow as tf

import keras_acn
from keras_acn._base.errors import UserError
from keras_acn.data import ImageSet
from keras_acn.evaluation.inputs import images_and_labels


def numbered(count, labels=True, **options):
    """Images whose pixels spell their own row number."""
    rows = np.arange(count)
    images = np.zeros((count, 2, 3, 1), np.uint8)
    images[:, 0, 0, 0], images[:, 1, 2, 0] = rows % 256, rows // 256
    return ImageSet(images, rows.astype(np.int32) if labels else None, levels=256, **options)


def row_of(image):
    return np.rint(image[:, 0, 0, 0] * 255 + 256 * 255 * image[:, 1, 2, 0]).astype(int)


def batches(*args, **kwargs):
    return list(args[0].dataset(*args[1:], **kwargs).as_numpy_iterator())


def same(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("count,batch_size", [(1, 1), (1, 4), (2, 1), (7, 3), (12, 4), (300, 64)])
def test_every_row_once_and_the_index_is_the_row(count, batch_size, shuffle):
    data = batches(numbered(count), batch_size, shuffle=shuffle)
    index = np.concatenate([b["index"] for b in data])
    assert sorted(index) == list(range(count))
    assert [len(b["index"]) for b in data[:-1]] == [batch_size] * (len(data) - 1)
    for b in data:
        np.testing.assert_array_equal(row_of(b["image"]), b["index"])
        np.testing.assert_array_equal(b["label"], b["index"])
        assert b["image"].dtype == np.float32
        assert b["index"].dtype == b["label"].dtype == np.int32


def test_unshuffled_is_in_order_and_equals_arrays():
    data = numbered(10)
    images, labels = data.arrays()
    got = batches(data, 4)
    np.testing.assert_array_equal(np.concatenate([b["image"] for b in got]), images)
    np.testing.assert_array_equal(np.concatenate([b["index"] for b in got]), np.arange(10))
    np.testing.assert_array_equal(labels, np.arange(10))
    np.testing.assert_array_equal(images, data.images.astype(np.float32) / np.float32(255))


def test_index_survives_the_users_own_shuffling_and_batching():
    data = numbered(300).dataset(32, shuffle=True, seed=5)
    data = data.unbatch().shuffle(100, seed=1).batch(7).prefetch(2)
    for b in data.as_numpy_iterator():
        np.testing.assert_array_equal(row_of(b["image"]), b["index"])


def test_order_is_a_function_of_seed_and_epoch():
    data = numbered(50)

    def order(seed, epoch):
        return tuple(batches(data, 50, shuffle=True, seed=seed, start_epoch=epoch)[0]["index"])

    orders = {(s, e): order(s, e) for s in range(3) for e in range(3)}
    assert len(set(orders.values())) == 9
    assert orders[1, 2] == order(1, 2)
    assert tuple(range(50)) not in orders.values()


def test_order_is_close_to_uniform():
    """Position by row over many epochs, against the chi-squared of independent uniforms."""
    count, epochs = 10, 2000
    seen = np.zeros((count, count))
    for b in numbered(count).dataset(count, shuffle=True, epochs=epochs).as_numpy_iterator():
        seen[np.arange(count), b["index"]] += 1
    np.testing.assert_allclose(seen / epochs, 1 / count, atol=0.05)


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("binarize", ["none", "static", "dynamic"])
@pytest.mark.parametrize("drop_remainder", [False, True])
def test_resuming_anywhere_yields_what_an_uninterrupted_run_yields(binarize, drop_remainder):
    rng = np.random.default_rng(0)
    data = ImageSet(rng.integers(0, 256, (22, 3, 3, 1), np.uint8), binarize=binarize)
    options = {"shuffle": True, "seed": 3, "drop_remainder": drop_remainder}
    whole = batches(data, 4, epochs=3, **options)
    steps = data.steps_per_epoch(4, drop_remainder)
    assert steps == (5 if drop_remainder else 6) and len(whole) == 3 * steps
    for epoch in range(3):
        for step in (0, 1, steps - 1):
            rest = batches(data, 4, start_epoch=epoch, start_step=step, epochs=3 - epoch, **options)
            same(rest, whole[epoch * steps + step :])
    same(batches(data, 4, start_epoch=1, **options), whole[steps : 2 * steps])


def test_cardinality_and_static_shapes():
    data = numbered(10, labels=False)
    dataset = data.dataset(4, epochs=3)
    assert len(dataset) == 9
    assert dataset.element_spec["image"].shape == tf.TensorShape([None, 2, 3, 1])
    assert set(dataset.element_spec) == {"image", "index"}
    dropped = data.dataset(4, drop_remainder=True)
    assert len(dropped) == 2
    assert dropped.element_spec["image"].shape == tf.TensorShape([4, 2, 3, 1])
    assert data.dataset(5).element_spec["index"].shape == tf.TensorShape([5])


@pytest.mark.parametrize(
    "levels,dtype,top", [(256, np.uint8, 255), (17, np.uint8, 16), (2, np.uint8, 1)]
)
def test_the_largest_level_is_one(levels, dtype, top):
    images = np.full((2, 1, 1, 1), top, dtype)
    data = ImageSet(images, levels=levels)
    assert data.levels == levels
    assert data.arrays()[0].max() == batches(data, 2)[0]["image"].max() == 1.0


def test_levels_are_inferred():
    assert ImageSet(np.array([0, 1], np.uint8).reshape(2, 1, 1, 1)).levels == 2
    assert ImageSet(np.array([0, 2], np.uint8).reshape(2, 1, 1, 1)).levels == 256
    floats = ImageSet(np.array([0, 0.3], np.float32).reshape(2, 1, 1, 1))
    assert floats.levels is None
    np.testing.assert_array_equal(floats.arrays()[0].ravel(), np.float32([0, 0.3]))
    binarized = ImageSet(np.ones((1, 1, 1, 1), np.float32), binarize="static")
    assert binarized.levels == 2
    assert "1 images of 1x1x1" in repr(binarized)


@pytest.mark.parametrize(
    "options,words",
    [
        ({"batch_size": 0}, "batch size must be at least 1"),
        ({"batch_size": 2.5}, "whole number"),
        ({"batch_size": True}, "whole number"),
        ({"batch_size": 8, "drop_remainder": True}, "larger than the 7 images"),
        ({"batch_size": 2, "start_step": 4}, "at most 3"),
        ({"batch_size": 2, "start_epoch": -1}, "start_epoch must be at least 0"),
        ({"batch_size": 2, "epochs": 0}, "epochs must be at least 1"),
        ({"batch_size": 2, "seed": -1}, "seed must be at least 0"),
        ({"batch_size": 2, "seed": 2**31}, "less than"),
        ({"batch_size": 2, "seed": "x"}, "whole number"),
    ],
)
def test_bad_options_are_told_in_a_sentence(options, words):
    with pytest.raises(UserError, match=words):
        numbered(7).dataset(**options)


@pytest.mark.parametrize("binarize", ["none", "threshold", "static", "dynamic"])
def test_a_set_split_in_two(binarize):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (22, 3, 3, 1), np.uint8), np.arange(22, dtype=np.int32)
    whole = ImageSet(images, labels, binarize=binarize, seed=(4, 1), class_names=map(str, labels))
    first, last = whole.split(0.25)
    assert (len(first), len(last)) == (16, 6)
    np.testing.assert_array_equal(np.concatenate([first.images, last.images]), images)
    assert np.shares_memory(first.images, images)
    drawn = whole.arrays()[0]
    for part, rows in ((first, slice(16)), (last, slice(16, None)), (whole.take([3, 5]), [3, 5])):
        assert (part.binarize, part.levels) == (binarize, whole.levels)
        assert part.class_names == whole.class_names and part.seed == (4, 1)
        np.testing.assert_array_equal(part.arrays()[0], drawn[rows])
        np.testing.assert_array_equal(part.arrays()[1], labels[rows])
        # The index is the row in the part, and the images are those that evaluation sees.
        for b in batches(part, 4):
            np.testing.assert_array_equal(b["image"], part.arrays()[0][b["index"]])
            np.testing.assert_array_equal(b["label"], labels[rows][b["index"]])
    assert len(whole.take(labels < 3)) == 3 and len(first.split(0.5)[1].arrays()[0]) == 8
    np.testing.assert_array_equal(first.split(0.5)[1].arrays()[0], drawn[8:16])


@pytest.mark.parametrize("share", [0, 1, -0.5, 1.5, float("nan"), "half", None, True, 0.01, 0.99])
def test_a_share_that_leaves_nothing_is_told(share):
    with pytest.raises(UserError, match="share"):
        numbered(7).split(share)
    for rows in ([], [7], 3, [0.5], slice(7, None)):
        with pytest.raises(UserError, match="images"):
            numbered(7).take(rows)


def test_keras_fit_crosses_epochs_on_one_iterator():
    import keras

    data = numbered(10)
    inputs = keras.Input((2, 3, 1))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(inputs)))
    model.compile(loss="mse", optimizer="sgd")
    dataset = data.dataset(4, shuffle=True, epochs=2)
    seen = model.fit(
        dataset.map(lambda b: (b["image"], tf.cast(b["index"], tf.float32)[:, None])),
        epochs=2,
        steps_per_epoch=data.steps_per_epoch(4),
        verbose=0,
    )
    assert len(seen.history["loss"]) == 2


def test_codes_and_evaluation_make_floats_of_the_rows_at_hand_alone(monkeypatch):
    images = ImageSet(np.random.default_rng(0).integers(0, 256, (40, 4, 4, 1), np.uint8))
    model = keras_acn.VAE((4, 4, 1), latent_dim=2, seed=0)
    codes = model.codes(images)
    np.testing.assert_array_equal(images.unit_rows()[3:5], images.arrays()[0][3:5])
    monkeypatch.setattr(ImageSet, "arrays", lambda self: pytest.fail("all images as floats"))
    np.testing.assert_array_equal(model.codes(images), codes)
    few, _ = images_and_labels(images, 7, 0, "test")
    assert few.shape == (7, 4, 4, 1) and few.dtype == np.float32
