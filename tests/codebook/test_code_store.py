"""What all codebooks share: what Keras saves, loads, copies and walks of them."""

import copy
import io
import pickle
import zipfile

import h5py
import keras
import numpy as np
import pytest

from keras_acn import ACN, VHE, KNNCodebook, load_pretrained
from keras_acn.models import pretrained_folders

IMAGES = np.random.default_rng(0).random((40, 4, 4, 1)).astype(np.float32)
MLP = {"name": "mlp", "hidden": [8]}


def acn(**codebook):
    return ACN(
        (4, 4, 1),
        2,
        encoder=MLP,
        decoder={"name": "bernoulli_mlp", "hidden": [8]},
        prior={"name": "mixture", "hidden": [8]},
        codebook=codebook,
    )


def vhe():
    return VHE(
        (4, 4, 1),
        2,
        encoder=MLP,
        class_encoder=MLP,
        decoder={"name": "bernoulli_mlp", "hidden": [8]},
        supervised=False,
        pseudo_labels={"clusters": 3},
    )


MAKE = {
    "acn": acn,
    "acn with a graph": lambda: acn(search={"name": "graph", "exact_below": 0}),
    "acn, unique": lambda: acn(unique=True),
    "vhe with pseudo-labels": vhe,
}


@pytest.fixture(params=MAKE)
def make(request):
    def made(fit=True):
        keras.utils.set_random_seed(0)
        model = MAKE[request.param]()
        model.compile(keras.optimizers.Adam(1e-2))
        if fit:
            model.fit(IMAGES, epochs=2, batch_size=16, verbose=0)
        return model

    return made


def store_of(model):
    return model.codebook if isinstance(model, ACN) else model.pseudo_labels


def same_weights(one, other):
    assert len(one.weights) == len(other.weights)
    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)


def test_the_weights_of_a_codebook_keep_their_order():
    """Files written before other codebooks existed must open as they did."""
    names = [w.name for w in KNNCodebook(size=4, latent_dim=2).weights]
    assert names == ["codes", "used", "health"]
    with zipfile.ZipFile(pretrained_folders()["acn-digits"] / "model.keras") as archive:
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            codes, used, health = (file[f"codebook/vars/{i}"][...] for i in range(3))
    codebook = load_pretrained("acn-digits").codebook
    np.testing.assert_array_equal(codebook.codes.numpy(), codes)
    np.testing.assert_array_equal(codebook.used.numpy(), used)
    np.testing.assert_array_equal(codebook.health.numpy(), health)


@pytest.mark.fast("acn")
def test_nothing_that_keras_walks_leads_back_to_the_model(make):
    """Loading weights once went round in circles until Python gave up."""
    model = make()
    store, seen = store_of(model), set()
    assert store.model is model, "a callback has the model"

    def walk(thing, path):
        assert not isinstance(thing, keras.Model), f"{path} leads back to the model"
        if id(thing) in seen:
            return
        seen.add(id(thing))
        if isinstance(thing, (list, tuple)):
            for i, each in enumerate(thing):
                walk(each, f"{path}[{i}]")
        elif isinstance(thing, dict):
            for key, each in thing.items():
                walk(each, f"{path}[{key!r}]")
        elif isinstance(thing, keras.layers.Layer):
            for name in dir(thing):
                if not name.startswith("__"):
                    walk(getattr(thing, name, None), f"{path}.{name}")

    walk(store, "store")


@pytest.mark.fast(every=4)
@pytest.mark.parametrize("fitted", [False, True])
def test_weights_before_a_training(make, tmp_path, fitted):
    model, path = make(fit=False), tmp_path / "a.weights.h5"
    model.save_weights(path)
    for each in (model, make(fit=False)):
        each.load_weights(path)
        same_weights(each, model)
        assert store_of(each).size is None
    if fitted:
        with pytest.raises(ValueError, match="holds the codes of 40 data, which the file does not"):
            make().load_weights(path)


@pytest.mark.fast("acn")
@pytest.mark.slow_sample(every=3)
def test_weights_after_a_training(make, tmp_path):
    model, path = make(), tmp_path / "a.weights.h5"
    model.save_weights(path)
    kept = [weight.numpy() for weight in model.weights]
    model.fit(IMAGES, epochs=1, verbose=0)
    model.load_weights(path)
    for weight, value in zip(model.weights, kept, strict=True):
        np.testing.assert_array_equal(weight, value)
    # A model that has seen no data takes its number of codes from the file.
    fresh = make(fit=False)
    fresh.load_weights(path)
    same_weights(fresh, model)
    for each in (model, fresh):
        each.fit(IMAGES, epochs=3, initial_epoch=2, batch_size=16, verbose=0)
    same_weights(fresh, model)


@pytest.mark.slow_sample("acn")
def test_weights_of_other_data(make, tmp_path):
    make().save_weights(tmp_path / "a.weights.h5")
    other = make(fit=False)
    other.fit(IMAGES[:30], verbose=0)
    with pytest.raises(ValueError, match="holds the codes of 30 data, which the file does not"):
        other.load_weights(tmp_path / "a.weights.h5")


def test_a_codebook_alone_takes_its_size_from_a_file():
    book, again, store = KNNCodebook(size=7, latent_dim=3), KNNCodebook(latent_dim=3, seed=1), {}
    book.save_own_variables(store)
    again.load_own_variables(store)
    assert again.size == 7
    same_weights(again, book)


@pytest.mark.slow_sample("acn")
def test_a_training_that_was_cut_off_is_taken_up_by_keras(make, tmp_path):
    class CutOff(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    model = make(fit=False)
    with pytest.raises(KeyboardInterrupt):
        model.fit(IMAGES, epochs=4, verbose=0, callbacks=[backup(), CutOff()])
    again, begun = make(fit=False), []

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            begun.append((epoch, store_of(again).codes.numpy()))

    history = again.fit(IMAGES, epochs=4, verbose=0, callbacks=[backup(), Watch()])
    assert history.epoch == [epoch for epoch, _ in begun] == [2, 3]
    np.testing.assert_array_equal(begun[0][1], store_of(model).codes)


@pytest.mark.slow_sample("acn")
def test_copies(make):
    model = make()
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        same_weights(copied, model)
        assert store_of(copied).model is None
        copied.fit(IMAGES, verbose=0)
        assert store_of(copied).model is copied and store_of(model).model is model
    store = store_of(model)
    for copied in (copy.deepcopy(store), pickle.loads(pickle.dumps(store))):
        same_weights(copied, store)
    cloned = keras.models.clone_model(model)
    assert [w.shape for w in cloned.weights] == [w.shape for w in model.weights]
    assert cloned.get_config() == model.get_config()
