"""Arguments of a model's methods that make no sense: one sentence that names the argument."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from family import IMAGES, LABELS, made

import keras_acn
from keras_acn import (
    ACN,
    VHE,
    ConvDecoder,
    ConvEncoder,
    KNNCodebook,
    MLPDecoder,
    MLPEncoder,
    UserError,
    models,
)
from keras_acn.codebook import FaissSearch, greedy_tour
from keras_acn.priors import MixturePrior

SEEDS = [-(2**40), 2**31, 2.5, True, np.True_, "x", None, []]
NO_COUNTS = [-1, 2.5, float("nan"), True, "x", []]
NO_FLAGS = ["no", 2.5, 1, []]


@pytest.fixture(scope="module")
def model():
    return made("acn", fit=True)


@pytest.fixture(scope="module")
def vhe():
    return made("vhe", fit=True)


def check_refused(call, values, what):
    for value in values:
        with pytest.raises(UserError, match=f"(?i){what}.* must be .*[.]$"):
            call(value)


SEEDED = {
    "reconstruct": lambda m, seed: m.reconstruct(IMAGES, seed=seed),
    "daydream": lambda m, seed: m.daydream(IMAGES, 1, seed=seed),
    "sample": lambda m, seed: m.sample(2, seed=seed),
    "sample_like": lambda m, seed: m.sample_like(IMAGES, seed=seed),
    "a codebook": lambda m, seed: KNNCodebook(seed=seed),
    "faiss": lambda m, seed: FaissSearch(seed=seed),
    "a tour": lambda m, seed: greedy_tour(np.zeros([3, 2]), seed=seed),
}


@pytest.mark.parametrize("name", SEEDED)
def test_a_seed_is_a_whole_number(model, name):
    # TensorFlow cut a seed of 2**40 to 0, and what was drawn was that of another seed.
    check_refused(lambda seed: SEEDED[name](model, seed), SEEDS, "seed")


@pytest.mark.parametrize("name", ["sample_like", "a codebook", "faiss", "a tour"])
def test_seeds_of_numpy_are_not_negative(model, name):
    check_refused(lambda seed: SEEDED[name](model, seed), [-1], "seed")


def test_a_drawing_takes_every_seed_that_a_served_model_takes(model):
    drawn = [model.sample(2, seed=seed) for seed in (-(2**31), -1, 2**31 - 1)]
    assert len({each.tobytes() for each in drawn}) == 3


def test_a_seed_of_a_homoencoder(vhe):
    check_refused(lambda seed: vhe.generate_like(IMAGES[:2], 1, seed=seed), SEEDS, "seed")
    check_refused(
        lambda seed: vhe.code_lengths_given(IMAGES, [IMAGES], 1, seed=seed), SEEDS, "seed"
    )


COUNTED = {
    "The batch size": lambda m, n: m.codes(IMAGES, batch_size=n),
    "batch size": lambda m, n: m.sample(2, batch_size=n),
    "samples": lambda m, n: m.image_nats(IMAGES, samples=n),
    "steps": lambda m, n: m.evaluate(IMAGES, steps=n, verbose=0),
    "step": lambda m, n: m.predict(IMAGES, steps=n, verbose=0),
    "epochs": lambda m, n: m.fit(IMAGES, epochs=n, verbose=0),
    "initial_epoch": lambda m, n: m.fit(IMAGES, initial_epoch=n, verbose=0),
    "steps_per_epoch": lambda m, n: m.fit(IMAGES, steps_per_epoch=n, verbose=0),
    "validation_steps": lambda m, n: m.fit(
        IMAGES, validation_data=IMAGES, validation_steps=n, verbose=0
    ),
    "validation_freq": lambda m, n: m.fit(IMAGES, validation_freq=n, verbose=0),
    "batch": lambda m, n: m.fit(IMAGES, validation_data=IMAGES, validation_batch_size=n, verbose=0),
}


@pytest.mark.parametrize("name", COUNTED)
def test_a_number_of_times_is_a_whole_number(model, name):
    values = [*NO_COUNTS, *([] if name in ("epochs", "initial_epoch") else [0])]
    # Keras takes the epochs to validate after as a list, too.
    values = [value for value in values if value != [] or name != "validation_freq"]
    before = [np.array(weight) for weight in model.weights]
    check_refused(lambda value: COUNTED[name](model, value), values, name)
    for one, other in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(one, other)


FLAGS = {
    "sample": lambda m, flag: m.reconstruct(IMAGES, sample=flag),
    "sample of sample()": lambda m, flag: m.sample(2, sample=flag),
    "sample of a daydream": lambda m, flag: m.daydream(IMAGES, 1, sample=flag),
    "unique": lambda m, flag: KNNCodebook(unique=flag),
    "supervised": lambda m, flag: VHE((4, 4, 1), 2, supervised=flag),
    "skip_connections": lambda m, flag: MixturePrior(2, skip_connections=flag),
    "run_eagerly": lambda m, flag: made("vae").compile("adam", run_eagerly=flag),
    "verify": lambda m, flag: keras_acn.compress(IMAGES > 0.5, m, verify=flag),
    "keep_order": lambda m, flag: keras_acn.compress(IMAGES > 0.5, m, keep_order=flag),
    "embed_model": lambda m, flag: keras_acn.compress(IMAGES > 0.5, m, embed_model=flag),
    "grey": lambda m, flag: keras_acn.compress(IMAGES > 0.5, m, grey=flag),
    "codebook": lambda m, flag: m.export("exported", codebook=flag),
}


@pytest.mark.parametrize("name", FLAGS)
def test_a_text_is_not_true(model, name):
    check_refused(lambda flag: FLAGS[name](model, flag), NO_FLAGS, name.split()[0])


@pytest.mark.parametrize("optimizer", [None, 5, {}, [], keras.optimizers.Adam, "sdg"])
def test_what_is_no_optimizer(optimizer):
    with pytest.raises(UserError, match="optimizer must be a Keras|optimizer.*mean.*sgd"):
        made("vae").compile(optimizer)


@keras.saving.register_keras_serializable("tests")
class Mine(keras.optimizers.SGD):
    pass


@pytest.mark.parametrize(
    "optimizer",
    ["adam", "AdamW", "tests>Mine", Mine(), keras.saving.serialize_keras_object(Mine())],
    ids=["adam", "AdamW", "registered", "made", "config"],
)
def test_an_optimizer_in_any_form(optimizer):
    model = made("vae")
    model.compile(optimizer)
    assert isinstance(model.optimizer, keras.optimizers.Optimizer)
    model.fit(IMAGES, verbose=0)


ACTIVE = {
    "MLPEncoder": lambda name: MLPEncoder((4, 4, 1), 2, activation=name),
    "ConvEncoder": lambda name: ConvEncoder((4, 4, 1), 2, activation=name),
    "MLPDecoder": lambda name: MLPDecoder((4, 4, 1), 2, activation=name),
    "ConvDecoder": lambda name: ConvDecoder((4, 4, 1), 2, activation=name),
    "MixturePrior": lambda name: MixturePrior(2, activation=name),
}


@pytest.mark.parametrize("part", ACTIVE)
def test_what_is_no_activation(part):
    with pytest.raises(UserError, match="Unknown activation.*mean.*relu"):
        ACTIVE[part]("rellu")
    with pytest.raises(UserError, match="activation must be"):
        ACTIVE[part](5)
    for known in ("gelu", None, keras.activations.silu):
        ACTIVE[part](known)


@pytest.mark.parametrize("z", ["x", None, np.zeros(2), np.zeros([3, 5]), IMAGES, [[0], [0, 1]]])
def test_what_are_no_latents(model, z):
    with pytest.raises(UserError, match="Latents must be a float array"):
        model.decode(z)


def test_latents_of_any_kind(model):
    for z in ([[0, 1]], np.zeros([1, 2]), tf.zeros([1, 2]), tf.Variable(tf.zeros([1, 2]))):
        assert model.decode(z).mean().shape == (1, 4, 4, 1)
    # Who looks for the latents of an image goes down this slope.
    z = tf.Variable(tf.ones([1, 2]))
    with tf.GradientTape() as tape:
        nats = -model.decode(z).log_prob(IMAGES[:1])
    assert np.abs(tape.gradient(nats, z)).max() > 0


@pytest.mark.parametrize("path", [None, 5, "a\0b.keras", "no/folder/x.keras", "."])
def test_where_no_model_can_be_saved(model, tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="[.]$"):
        model.save(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [None, 5, "a\0b", "x" * 5000, "none.keras"])
def test_where_there_is_no_file(model, path):
    for read in (
        keras_acn.load_model,
        lambda path: keras_acn.decompress(path, model),
        lambda path: keras_acn.compress(IMAGES > 0.5, model, file=path or 5),
    ):
        if path == "none.keras" and read is not keras_acn.load_model:
            continue
        with pytest.raises(UserError, match="[.]$"):
            read(path)


@pytest.mark.parametrize("callbacks", [5, "early", [keras.callbacks.History]])
def test_what_are_no_callbacks(callbacks):
    with pytest.raises(UserError, match="callbacks must be a list of Keras callbacks"):
        made("vae").fit(IMAGES, callbacks=callbacks, verbose=0)


@pytest.mark.parametrize("pair", [(5, [1]), (None, None), ({0: 1}, [1]), ("01", [1, 2])])
def test_what_is_no_schedule(pair):
    with pytest.raises(UserError, match="steps and values are lists"):
        models.PiecewiseLinear(*pair)


@pytest.mark.parametrize("names", ["abc", 5, ["a", "b"], [1, 2, 3]])
def test_names_of_classes(names):
    with pytest.raises(UserError, match="class_names"):
        keras_acn.data.ImageSet(IMAGES, LABELS, class_names=names)


@pytest.mark.parametrize("start", ["x", [], 2.5, np.True_, 3, -1])
def test_where_no_tour_starts(start):
    with pytest.raises(UserError, match="start must be"):
        greedy_tour(np.zeros([3, 2]), start=start)


def test_classes_are_whole_numbers_or_texts(vhe):
    labels = np.array(["a", "b"])
    assert set(vhe.classify(IMAGES[:3], IMAGES[:2], labels, samples=1)) <= {"a", "b"}
    for wrong in ([0.5, 1.5], [None, 1], [1]):
        with pytest.raises(UserError, match="one label an example"):
            vhe.classify(IMAGES[:3], IMAGES[:2], wrong, samples=1)
    with pytest.raises(UserError, match="at least 1 set"):
        vhe.code_lengths_given(IMAGES, None)


def test_a_model_of_the_codebook_is_as_before(model):
    # Ints that NumPy made are ints.
    assert isinstance(ACN((4, 4, 1), np.int64(2), seed=np.int32(3)).seed, int)
    np.testing.assert_array_equal(model.sample(2, seed=np.int64(4)), model.sample(2, seed=4))
