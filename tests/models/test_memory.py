"""A codebook grows, shrinks and begins anew, and the networks stay as they are."""

import keras
import numpy as np
import pytest
from family import IMAGES, LABELS, MLP, PARTS, PRIOR, assert_same_weights, made

from keras_acn import ACN, UserError
from keras_acn.codebook.search import ExactSearch

MORE = np.random.default_rng(1).random((40, 4, 4, 1)).astype(np.float32)
ALL = np.concatenate([IMAGES, MORE])


def networks(model):
    return [weight.numpy() for weight in model.trainable_weights]


def assert_same_networks(before, model):
    for value, weight in zip(before, model.trainable_weights, strict=True):
        np.testing.assert_array_equal(value, weight)


def acn(**codebook):
    model = ACN((4, 4, 1), 2, encoder=MLP, decoder=PARTS["decoder"], prior=PRIOR, codebook=codebook)
    model.compile("sgd")
    model.fit(IMAGES, verbose=0)
    return model


SEARCHES = {
    "an instance, unique": {"search": ExactSearch(), "unique": True},
    "graph": {"search": {"name": "graph", "exact_below": 0}},
}


@pytest.mark.slow
@pytest.mark.parametrize("search", SEARCHES)
def test_grow_search_train_shrink_and_begin_anew(search, tmp_path):
    model = acn(**SEARCHES[search])
    model.recode(IMAGES)
    book, names = model.codebook, [w.name for w in model.codebook.weights]
    before, codes = networks(model), book.codes.numpy()
    model.evaluate(IMAGES, exclude_self=True, verbose=0)

    rows = model.memorize(MORE)
    np.testing.assert_array_equal(rows, np.arange(24, 64))
    assert_same_networks(before, model)
    assert model.codebook is book and book.size == 64
    assert [w.name for w in book.weights] == names
    np.testing.assert_array_equal(book.codes.numpy()[:24], codes)
    np.testing.assert_array_equal(book.codes.numpy()[24:], model.codes(MORE))
    distance, found = model.neighbors(MORE[:5], k=1)
    np.testing.assert_array_equal(found[:, 0], rows[:5])
    np.testing.assert_allclose(distance, 0, atol=1e-3)
    assert np.isfinite(model.evaluate(ALL, exclude_self=True, verbose=0)[0])

    # A training goes on with all data, and the optimizer's state with it.
    step = int(model.optimizer.iterations)
    history = model.fit(ALL, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all() and history["codebook_drift"][-1] > 0
    assert model.optimizer.iterations == step + 4
    model.save(tmp_path / "a.keras")
    assert_same_weights(keras.saving.load_model(tmp_path / "a.keras"), model)

    before, codes = networks(model), book.codes.numpy()
    model.forget(np.arange(10, 40))
    assert_same_networks(before, model)
    np.testing.assert_array_equal(book.codes, np.delete(codes, np.arange(10, 40), axis=0))
    model.fit(np.delete(ALL, np.arange(10, 40), axis=0), verbose=0)
    model.forget(np.arange(34) % 2 == 0)
    assert book.size == 17

    before = networks(model)
    model.forget()
    assert_same_networks(before, model)
    assert book.size is None and not book.weights and not book.built
    with pytest.raises(UserError, match="call fit first"):
        model.neighbors(IMAGES)
    model.fit(MORE[:30], verbose=0)
    assert book.size == 30
    model.forget()
    model.load_weights(_weights_of(tmp_path, acn(**SEARCHES[search])))
    assert book.size == 24


def _weights_of(folder, model):
    model.save_weights(folder / "a.weights.h5")
    return folder / "a.weights.h5"


@pytest.mark.slow
def test_memorizing_begins_with_nothing():
    """A codebook of a model that was never trained, batch by batch, as a collection grows."""
    model = made("acn")
    for start in range(0, 24, 8):
        model.memorize(IMAGES[start : start + 8])
    once = made("acn")
    once.memorize(IMAGES)
    np.testing.assert_allclose(once.codebook.codes, model.codebook.codes, rtol=1e-5, atol=1e-6)
    assert model.neighbors(IMAGES[20:21], k=1)[1] == 20


@pytest.mark.slow
def test_a_grown_codebook_is_the_one_of_a_fresh_model():
    """The same training, begun on all data and after growing."""
    grown, fresh = made("acn"), made("acn")
    grown.memorize(IMAGES[:10])
    grown.memorize(IMAGES[10:])
    fresh.memorize(IMAGES)
    grown.recode(IMAGES)
    fresh.recode(IMAGES)
    for model in (grown, fresh):
        model.fit(IMAGES, batch_size=8, epochs=2, verbose=0)
    assert_same_weights(grown, fresh)


@pytest.mark.slow
def test_pseudo_labels_grow_and_shrink():
    model = made("vhe with pseudo-labels", fit=True)
    labels, before = model.pseudo_labels, networks(model)
    codes, passes = labels.codes.numpy(), int(labels.passes.numpy())
    rows = model.memorize(MORE)
    np.testing.assert_array_equal(rows, np.arange(24, 64))
    np.testing.assert_array_equal(labels.codes.numpy()[:24], codes)
    # Each datum is in the cluster that its code is nearest to, and the lists say the same.
    np.testing.assert_array_equal(labels.labels, labels.nearest(labels.codes.numpy()))
    np.testing.assert_array_equal(np.bincount(labels.labels, minlength=3), labels.lists.count)
    assert labels.passes.numpy() == passes
    assert_same_networks(before, model)
    model.fit(ALL, verbose=0)
    model.forget(range(24, 64))
    assert labels.size == 24
    with pytest.raises(UserError, match="cannot fall into 3 clusters"):
        model.forget(range(22))
    assert labels.size == 24 and labels.built
    model.fit(IMAGES, LABELS, verbose=0)
    model.forget()
    model.fit(MORE[:30], verbose=0)
    assert labels.size == 30 and labels.passes.numpy() == 1


def test_fit_on_other_data_says_which_call_is_due():
    model = made("acn", fit=True)
    with pytest.raises(UserError, match=r"24 codes .* 64 images.*40 new .*memorize.*forget\(\)"):
        model.fit(ALL, verbose=0)
    with pytest.raises(UserError, match=r"forget\(rows\).*forget\(\)"):
        model.fit(IMAGES[:20], verbose=0)
    with pytest.raises(UserError, match="call fit first"):
        made("acn").forget([1])


@pytest.mark.parametrize(
    "rows,sentence",
    [
        (range(24), "No row would be left"),
        ([24], "the rows 0 to 23"),
        ([-1], "the rows 0 to 23"),
        ([0.5], "row numbers"),
        (np.ones(3, bool), "one a row"),
    ],
)
def test_rows_that_cannot_be_forgotten(rows, sentence):
    model = made("acn")
    model.memorize(IMAGES)
    with pytest.raises(UserError, match=sentence):
        model.forget(rows)
    assert model.codebook.size == 24


def test_models_that_remember_no_single_data():
    with pytest.raises(UserError, match="classes from the labels"):
        made("vhe").memorize(IMAGES)
    assert not hasattr(made("vae"), "memorize")
