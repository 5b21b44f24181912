"""Whatever Keras takes as data is taken, or refused in a sentence that is true."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from family import FAMILY, IMAGES, LABELS, made

from keras_acn import ACN, KNNCodebook, UserError
from keras_acn.data import from_arrays

ROWS = np.arange(24, dtype=np.int32)
BATCHES = [slice(start, start + 8) for start in (0, 8, 16)]


class Slices(keras.utils.PyDataset):
    """Batches of 8, as Keras's guide writes them."""

    def __init__(self, form="pairs", **kwargs):
        super().__init__(**kwargs)
        self.form, self.ended = form, 0

    def __len__(self):
        return 3

    def __getitem__(self, number):
        rows = BATCHES[number]
        return {
            "images": IMAGES[rows],
            "pairs": (IMAGES[rows], LABELS[rows]),
            "uint8": ((IMAGES[rows] * 255).round().astype(np.uint8), LABELS[rows]),
            "dicts": {"image": IMAGES[rows], "index": ROWS[rows], "label": LABELS[rows]},
        }[self.form]

    def on_epoch_end(self):
        self.ended += 1


def endless(form="pairs"):
    source = Slices(form)
    while True:
        for number in range(3):
            yield source[number]


def pairs():
    return tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8)


def datasets(form):
    return tf.data.Dataset.from_tensor_slices(
        {"image": IMAGES, "index": ROWS, "label": LABELS}
        if form == "dicts"
        else {"pairs": (IMAGES, LABELS), "images": IMAGES}[form]
    ).batch(8)


@pytest.fixture(scope="module", params=["vae", "acn", "vhe"])
def model(request):
    return made(request.param, fit=True)


# -- arrays in all the forms that Keras knows ------------------------------------------------

ARRAYS = {
    "a pair": lambda: (IMAGES, LABELS),
    "a list": lambda: [IMAGES, LABELS],
    "three": lambda: (IMAGES, LABELS, None),
    "lists of numbers": lambda: [IMAGES.tolist(), LABELS.tolist()],
    "a tensor": lambda: (tf.constant(IMAGES), tf.constant(LABELS)),
    "labels of pandas": lambda: (IMAGES, pytest.importorskip("pandas").Series(LABELS)),
    "no channels": lambda: (IMAGES[..., 0], LABELS[:, None]),
    "a dict": lambda: {"image": IMAGES, "label": LABELS},
    "a dict with its rows": lambda: {"image": IMAGES, "label": LABELS, "index": ROWS},
    "a list of images": lambda: (list(IMAGES), LABELS),
    "an ImageSet": lambda: from_arrays(IMAGES, LABELS),
    "a tuple of one ImageSet": lambda: (from_arrays(IMAGES, LABELS),),
}


@pytest.mark.fast(*(f"acn-{form}" for form in ARRAYS), "vae-a pair", "vhe-a list", "vhe-a dict")
@pytest.mark.slow_sample(every=4)
@pytest.mark.parametrize("form", ARRAYS)
def test_arrays(model, form):
    data = ARRAYS[form]()
    want = model.evaluate(IMAGES, LABELS, batch_size=8, verbose=0)
    assert model.evaluate(data, batch_size=8, verbose=0) == want
    np.testing.assert_array_equal(
        model.predict(data, batch_size=8, verbose=0), model.predict(IMAGES, batch_size=8, verbose=0)
    )


@pytest.mark.fast("a dict-vae")
@pytest.mark.slow_sample(every=2)
@pytest.mark.parametrize("name", ["vae", "acn"])
@pytest.mark.parametrize("form", ["a list", "a dict", "an ImageSet"])
def test_training_and_validation_on_arrays(name, form):
    losses = []
    for x, y, held in ((IMAGES, LABELS, (IMAGES, LABELS)), (ARRAYS[form](), None, None)):
        model = made(name)
        history = model.fit(
            x, y, validation_data=held or ARRAYS[form](), shuffle=False, verbose=0
        ).history
        losses.append((history["loss"], history["val_loss"]))
    assert losses[0] == losses[1]


@pytest.mark.fast("a list")
@pytest.mark.parametrize("form", ["a pair", "a list", "a dict", "an ImageSet"])
def test_validation_split(form):
    model = made("acn")
    history = model.fit(ARRAYS[form](), validation_split=0.25, verbose=0).history
    assert model.codebook.size == 18 and "val_loss" in history


def test_an_autoencoder_is_given_its_images_twice():
    """`fit(x, x)` is how Keras's own autoencoders are trained."""
    model = made("autoencoder")
    model.fit(IMAGES, IMAGES, validation_data=(IMAGES, IMAGES.copy()), verbose=0)
    with pytest.raises(UserError, match="other images than the first"):
        model.fit(IMAGES, 1 - IMAGES, verbose=0)


# -- batches made elsewhere ------------------------------------------------------------------

STREAMS = {
    "dataset of pairs": (lambda: datasets("pairs"), None),
    "dataset of dicts": (lambda: datasets("dicts"), None),
    "PyDataset": (Slices, None),
    "PyDataset with workers": (lambda: Slices(workers=2), None),
    "PyDataset of dicts": (lambda: Slices("dicts"), None),
    "endless generator": (endless, 3),
    "generator": (lambda: (Slices()[number] for number in range(3)), None),
    "list iterator": (lambda: iter([Slices()[number] for number in range(3)]), None),
}


@pytest.mark.fast(*(f"acn-{form}" for form in STREAMS), "vhe-PyDataset")
@pytest.mark.slow_sample(every=4)
@pytest.mark.parametrize("form", STREAMS)
def test_batches_are_evaluated(model, form):
    make, steps = STREAMS[form]
    want = model.evaluate(IMAGES, LABELS, batch_size=8, verbose=0)
    np.testing.assert_allclose(model.evaluate(make(), steps=steps, verbose=0), want, rtol=1e-6)
    np.testing.assert_array_equal(
        model.predict(make(), steps=steps, verbose=0),
        model.predict(IMAGES, batch_size=8, verbose=0),
    )
    if steps is None:
        np.testing.assert_array_equal(model.codes(make()), model.codes(IMAGES))
        nats = model.image_nats(make())
        want = model.image_nats(IMAGES, LABELS, batch_size=8)
        for key, values in want.items():
            np.testing.assert_allclose(nats[key], values, rtol=1e-5, atol=1e-6)


@pytest.mark.fast("acn-PyDataset")
@pytest.mark.slow_sample(every=5)
@pytest.mark.parametrize("form", STREAMS)
@pytest.mark.parametrize("name", ["vae", "acn"])
def test_batches_validate(name, form):
    make, steps = STREAMS[form]
    found = made(name).fit(
        IMAGES, epochs=2, validation_data=make(), validation_steps=steps, verbose=0
    )
    want = made(name).fit(
        IMAGES, epochs=2, validation_data=(IMAGES, LABELS), validation_batch_size=8, verbose=0
    )
    np.testing.assert_allclose(found.history["val_loss"], want.history["val_loss"], rtol=1e-6)


@pytest.mark.fast("endless generator", "PyDataset")
@pytest.mark.parametrize("form", STREAMS)
def test_batches_train_a_model_without_rows(form):
    make, steps = STREAMS[form]
    found = made("vae").fit(make(), steps_per_epoch=steps, shuffle=False, verbose=0).history
    want = made("vae").fit(IMAGES, batch_size=8, shuffle=False, verbose=0).history
    np.testing.assert_allclose(found["loss"], want["loss"], rtol=1e-6)


@pytest.mark.parametrize("form", ["images", "pairs", "uint8"])
def test_what_a_stream_may_yield(form):
    np.testing.assert_allclose(
        made("vae").predict(Slices(form), verbose=0),
        made("vae").predict(IMAGES, verbose=0),
        atol=0.01,
    )


@pytest.mark.fast("acn")
@pytest.mark.parametrize("name", ["acn", "vhe with pseudo-labels"])
def test_rows_that_matter_must_be_given(name):
    for data in (Slices(), endless(), iter([IMAGES]), pairs()):
        with pytest.raises(UserError, match="index_dataset"):
            made(name).fit(data, steps_per_epoch=3, verbose=0)
    model = made(name)
    history = model.fit(Slices("dicts"), epochs=2, shuffle=False, verbose=0).history
    want = made(name).fit(IMAGES, LABELS, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], want["loss"], rtol=1e-6)


def test_a_pydataset_has_its_epochs():
    data = Slices()
    made("vae").fit(data, epochs=3, verbose=0)
    assert data.ended == 3


def test_a_pydataset_is_shuffled_as_in_keras():
    seen = []

    class Watched(Slices):
        def __getitem__(self, number):
            seen.append(number)
            return super().__getitem__(number)

    made("vae").fit(Watched(), epochs=4, verbose=0)
    epochs = [tuple(seen[1:][i : i + 3]) for i in range(0, 12, 3)]
    assert all(sorted(epoch) == [0, 1, 2] for epoch in epochs) and len(set(epochs)) > 1


# -- data without an end ---------------------------------------------------------------------


def unknown(batches):
    """A dataset of batches that does not say how many it has."""
    return tf.data.Dataset.from_generator(
        batches,
        output_signature={
            "image": tf.TensorSpec([None, 4, 4, 1], tf.float32),
            "index": tf.TensorSpec([None], tf.int32),
            "label": tf.TensorSpec([None], tf.int32),
        },
    )


@pytest.mark.fast("acn")
@pytest.mark.parametrize("name", ["acn", "vhe", "vhe with pseudo-labels"])
def test_data_that_go_on_are_not_counted_for_ever(name, monkeypatch):
    monkeypatch.setattr("keras_acn.models.base.LEAST_COUNTED", 40)
    advice = "KNNCodebook" if name == "acn" else "arrays or an ImageSet"
    with pytest.raises(UserError, match=f"go on after 40 batches: .*{advice}"):
        made(name).fit(unknown(lambda: endless("dicts")), steps_per_epoch=3, verbose=0)
    # What ends is counted.
    model = made(name)
    model.fit(unknown(lambda: map(Slices("dicts").__getitem__, range(3))), verbose=0)
    assert model.codebook is None or model.codebook.size == 24


@pytest.mark.fast("acn")
@pytest.mark.slow_sample("vhe")
@pytest.mark.parametrize("name", FAMILY)
def test_validation_without_an_end(name):
    model = made(name)
    for data in (unknown(lambda: endless("dicts")), datasets("dicts").repeat(), endless()):
        history = model.fit(
            IMAGES, LABELS, validation_data=data, validation_steps=3, verbose=0
        ).history
        assert np.isfinite(history["val_loss"]).all()


@pytest.mark.slow
def test_an_endless_generator_with_rows_trains_an_acn_of_known_size():
    model = ACN((4, 4, 1), 2, encoder="mlp", decoder="mlp", codebook=KNNCodebook(size=24))
    model.compile()
    history = model.fit(endless("dicts"), epochs=2, steps_per_epoch=3, verbose=0).history
    assert history["codebook_drift"][0] > 0
    with pytest.raises(UserError, match=r"only once.*KNNCodebook\(size"):
        made("acn").fit(endless("dicts"), steps_per_epoch=3, verbose=0)


@pytest.mark.parametrize("call", ["fit", "evaluate", "predict", "codes", "image_nats", "validate"])
def test_no_end_and_no_steps(call):
    model, data = made("vae"), datasets("dicts").repeat()
    with pytest.raises(UserError, match="no end"):
        if call == "validate":
            model.fit(IMAGES, validation_data=data, verbose=0)
        else:
            getattr(model, call)(data)


def test_a_long_count_tells_of_itself(monkeypatch, capsys):
    monkeypatch.setattr("keras_acn.data.streams.PATIENCE", -1.0)
    made("acn").fit(unknown(lambda: map(Slices("dicts").__getitem__, range(3))), verbose=0)
    assert "Counting the data: 3 batches" in capsys.readouterr().err


def test_a_count_can_be_interrupted():
    def until_ctrl_c():
        yield Slices("dicts")[0]
        yield Slices("dicts")[0]
        raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, tf.errors.OpError)):
        made("acn").fit(unknown(until_ctrl_c), verbose=0)


def test_progress_over_data_of_unknown_number():
    seen = []
    data = unknown(lambda: map(Slices("dicts").__getitem__, range(3)))
    made("vae").image_nats(data, samples=2, progress=lambda *of: seen.append(of))
    assert seen == [(done, 6) for done in range(1, 7)]


# -- one batch -------------------------------------------------------------------------------


@pytest.mark.slow
def test_train_on_batch_is_a_step_of_fit():
    one, other = made("acn"), made("acn")
    one.fit(IMAGES, batch_size=24, shuffle=False, verbose=0)
    other.codebook.resize(24)
    logs = other.train_on_batch({"image": IMAGES, "index": ROWS}, return_dict=True)
    for a, b in zip(one.trainable_weights, other.trainable_weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(logs["loss"], one.history.history["loss"][0], rtol=1e-6)


@pytest.mark.fast("vae")
@pytest.mark.slow_sample("acn")
@pytest.mark.parametrize("name", FAMILY)
def test_one_batch(name):
    model = made(name, fit=True)
    data = (
        IMAGES if name in ("vae", "beta-vae", "autoencoder") else {"image": IMAGES, "index": ROWS}
    )
    logs = model.train_on_batch(data, LABELS, return_dict=True)
    assert list(logs)[0] == "loss" and np.isfinite(list(logs.values())).all()
    step = int(model.optimizer.iterations)
    assert np.isfinite(model.train_on_batch(data, LABELS)).all()
    assert model.optimizer.iterations == step + 1
    want = model.evaluate(IMAGES, LABELS, batch_size=24, verbose=0, return_dict=True)
    for key, value in model.test_on_batch(IMAGES, LABELS, return_dict=True).items():
        np.testing.assert_allclose(value, want[key], rtol=1e-5, atol=1e-6, err_msg=key)
    np.testing.assert_array_equal(
        model.predict_on_batch(IMAGES), model.predict(IMAGES, batch_size=24, verbose=0)
    )
    # Another compile has another optimizer.
    model.compile(keras.optimizers.SGD(0.0))
    before = [weight.numpy() for weight in model.trainable_weights]
    model.train_on_batch(data, LABELS)
    for weight, value in zip(model.trainable_weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


# -- what cannot be taken --------------------------------------------------------------------

SINGLE = "single image"
BAD = {
    "weights": (lambda m: m.fit((IMAGES, LABELS, np.ones(24))), "no sample weights"),
    "weights to validate": (
        lambda m: m.fit(IMAGES, validation_data=(IMAGES, LABELS, np.ones(24))),
        "no sample weights",
    ),
    "weights of a stream": (
        lambda m: m.evaluate(iter([(IMAGES, LABELS, np.ones(24))])),
        "no sample weights",
    ),
    "evaluate(sample_weight)": (
        lambda m: m.evaluate(IMAGES, sample_weight=np.ones(24)),
        r"no sample_weight: leave it out of evaluate",
    ),
    "train_on_batch(class_weight)": (
        lambda m: m.train_on_batch(IMAGES, class_weight={0: 1}),
        "no class_weight",
    ),
    "one image to predict": (lambda m: m.predict(IMAGES[0]), SINGLE),
    "one image to reconstruct": (lambda m: m.reconstruct(IMAGES[0]), rf"{SINGLE}.*x\[None\]"),
    "one image without channels": (lambda m: m.codes(IMAGES[0, :, :, 0]), SINGLE),
    "one image to fit": (lambda m: m.fit(IMAGES[0]), SINGLE),
    "flat images": (lambda m: m.fit(IMAGES.reshape(24, 16)), r"reshape\(x, \(-1, 4, 4, 1\)\)"),
    "a table": (
        lambda m: m.predict(pytest.importorskip("pandas").DataFrame(IMAGES.reshape(24, 16))),
        r"reshape\(x, \(-1, 4, 4, 1\)\)",
    ),
    "nothing": (lambda m: m.fit(None), "tf.data.Dataset"),
    "a name": (lambda m: m.fit("pics"), r"load\("),
    "labels twice": (lambda m: m.fit((IMAGES, LABELS), LABELS), "labels twice"),
    "labels beside batches": (lambda m: m.fit(pairs(), LABELS), "leave y out"),
    "an empty generator": (lambda m: m.fit(iter([])), "is empty"),
    "an empty generator to evaluate": (lambda m: m.evaluate(iter([])), "is empty"),
    "a dict without images": (lambda m: m.fit({"x": IMAGES}), 'no "image"'),
    "a dict in another order": (
        lambda m: m.fit({"image": IMAGES, "index": ROWS[::-1]}),
        "from_tensor_slices",
    ),
    "batches to split": (lambda m: m.fit(Slices(), validation_split=0.1), "validation_data"),
    "no batch size": (lambda m: m.fit(IMAGES, batch_size=0), "at least 1, not 0"),
    "no batch size to predict": (lambda m: m.predict(IMAGES, batch_size=0), "at least 1, not 0"),
    "images of other sizes": (
        lambda m: m.predict(iter([IMAGES, IMAGES[:, :3]])),
        "differ in shape",
    ),
    "a later batch of another shape": (
        lambda m: m.fit(iter([IMAGES, IMAGES[:, :3]]), verbose=0),
        "A later batch of the list_iterator has other parts",
    ),
    "a later batch of 0 to 255": (
        lambda m: m.fit(iter([IMAGES, IMAGES * 255]), verbose=0),
        "divide by 255",
    ),
    "a stream of 0 to 255": (lambda m: m.fit(iter([IMAGES * 255])), "divide by 255"),
    "a loss by place": (lambda m: m.compile("adam", "mse"), "leave 'mse' out"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_taken_is_one_sentence(case):
    act, sentence = BAD[case]
    with pytest.raises(UserError, match=sentence):
        act(made("vae"))


def test_batches_that_do_not_say_their_rows():
    model = made("acn")
    with pytest.raises(UserError, match='"index": rows'):
        model.train_on_batch(IMAGES)
    with pytest.raises(UserError, match="KNNCodebook"):
        model.train_on_batch({"image": IMAGES, "index": ROWS})
    model.fit(IMAGES, verbose=0)
    with pytest.raises(UserError, match="the rows 0 to 23"):
        model.train_on_batch({"image": IMAGES, "index": ROWS + 1})
    with pytest.raises(UserError, match="call fit on it first"):
        made("vhe").train_on_batch({"image": IMAGES, "index": ROWS}, LABELS)


def test_an_empty_list_of_metrics_is_no_metric():
    made("vae").compile("adam", loss=None, metrics=[])
