"""All of Keras's own callbacks, on every model of the family."""

import csv

import keras
import numpy as np
import pytest
from family import FAMILY, IMAGES, LABELS, MAKE, assert_same_weights, made

from keras_acn import VAE, UserError
from keras_acn.encoders import PosteriorEncoder

CALLBACKS = keras.callbacks


@pytest.fixture(scope="module")
def model(request):
    """A model that has a moving average, which `SwapEMAWeights` needs; each test trains it on."""
    keras.utils.set_random_seed(0)
    model = MAKE[request.param]()
    # Without graphs, as most of the time would be spent on tracing them.
    model.compile(keras.optimizers.Adam(1e-2, use_ema=True), run_eagerly=True)
    model.family_name = request.param
    return model


def train(model, *callbacks, epochs=2):
    return model.fit(
        IMAGES,
        LABELS,
        batch_size=12,
        epochs=epochs,
        validation_data=(IMAGES[:12], LABELS[:12]),
        callbacks=list(callbacks),
        verbose=0,
    )


def fresh(model):
    again = MAKE[model.family_name]()
    again.compile(keras.optimizers.Adam(1e-2, use_ema=True), run_eagerly=True)
    return again


def backup_and_restore(model, folder):
    class CutOff(CALLBACKS.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(model, CALLBACKS.BackupAndRestore(folder / "b"), CutOff())
    again = fresh(model)
    history = train(again, CALLBACKS.BackupAndRestore(folder / "b"))
    assert history.epoch == [1]


def csv_logger(model, folder):
    train(model, CALLBACKS.CSVLogger(folder / "log.csv"))
    with open(folder / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 and {"loss", "val_loss", "kl_nats"} <= rows[0].keys()


def early_stopping(model, folder):
    best = []

    class Keep(CALLBACKS.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                best.extend(weight.numpy() for weight in model.weights)

    # With `max` and a loss that falls, or one epoch's patience, the first epoch is the best.
    stop = CALLBACKS.EarlyStopping(
        "val_loss", baseline=-1e9, mode="max", patience=1, min_delta=1e9, restore_best_weights=True
    )
    history = train(model, Keep(), stop, epochs=4)
    assert len(history.epoch) < 4 and stop.best_epoch == 0
    for weight, value in zip(model.weights, best, strict=True):
        np.testing.assert_array_equal(weight, value, err_msg=weight.path)


def lambda_callback(model, folder):
    seen = []
    train(model, CALLBACKS.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs)))
    assert len(seen) == 2 and np.isfinite(seen[1]["val_loss"])


def learning_rate_scheduler(model, folder):
    train(model, CALLBACKS.LearningRateScheduler(lambda epoch, rate: 0.01 / (1 + epoch)))
    np.testing.assert_allclose(model.optimizer.learning_rate, 0.005)


def model_checkpoint(model, folder):
    train(
        model,
        CALLBACKS.ModelCheckpoint(folder / "{epoch}.keras", monitor="val_loss"),
        CALLBACKS.ModelCheckpoint(folder / "best.keras", save_best_only=True),
        CALLBACKS.ModelCheckpoint(folder / "{epoch}.weights.h5", save_weights_only=True),
        CALLBACKS.ModelCheckpoint(folder / "batch{batch}.keras", save_freq=2),
    )
    one = keras.saving.load_model(folder / "2.keras")
    assert (folder / "best.keras").exists() and len(list(folder.glob("batch*"))) >= 1
    again = fresh(model)
    again.load_weights(folder / "2.weights.h5")
    assert_same_weights(one, again)
    with pytest.raises(UserError, match="old HDF5"):
        train(model, CALLBACKS.ModelCheckpoint(folder / "a.h5"))


def orbax_checkpoint(model, folder):
    pytest.importorskip("orbax.checkpoint")
    train(model, CALLBACKS.OrbaxCheckpoint(str(folder / "orbax")))
    assert list((folder / "orbax").iterdir())


def progbar_logger(model, folder):
    train(model, CALLBACKS.ProgbarLogger())


def reduce_on_plateau(model, folder):
    model.optimizer.learning_rate = 0.01
    train(model, CALLBACKS.ReduceLROnPlateau("loss", patience=1, min_delta=1e9), epochs=3)
    assert float(model.optimizer.learning_rate) < 0.01


def remote_monitor(model, folder):
    pytest.importorskip("requests")
    with pytest.warns(UserWarning, match="RemoteMonitor"):
        train(model, CALLBACKS.RemoteMonitor("http://127.0.0.1:9"))


def swap_ema(model, folder):
    train(model, CALLBACKS.SwapEMAWeights())
    train(model, CALLBACKS.SwapEMAWeights(swap_on_epoch=True))
    assert np.isfinite(model.evaluate(IMAGES, LABELS, verbose=0)[0])


def tensorboard(model, folder):
    pytest.importorskip("tensorboard")
    train(
        model,
        CALLBACKS.TensorBoard(
            str(folder),
            histogram_freq=1,
            embeddings_freq=1,
            write_images=True,
            update_freq=1,
            profile_batch=0,
        ),
    )
    assert list((folder / "train").glob("events*")) and list(folder.glob("projector*"))


def terminate_on_nan(model, folder):
    train(model, CALLBACKS.TerminateOnNaN())


# What the bases and the two that `fit` makes by itself are for is in all the others.
EXERCISED = {
    "BackupAndRestore": backup_and_restore,
    "CSVLogger": csv_logger,
    "EarlyStopping": early_stopping,
    "LambdaCallback": lambda_callback,
    "LearningRateScheduler": learning_rate_scheduler,
    "ModelCheckpoint": model_checkpoint,
    "OrbaxCheckpoint": orbax_checkpoint,
    "ProgbarLogger": progbar_logger,
    "ReduceLROnPlateau": reduce_on_plateau,
    "RemoteMonitor": remote_monitor,
    "SwapEMAWeights": swap_ema,
    "TensorBoard": tensorboard,
    "TerminateOnNaN": terminate_on_nan,
}


# Whatever writes or restores weights meets each model's own; the others see names and numbers,
# which the family has in common.
OF_WEIGHTS = ("BackupAndRestore", "EarlyStopping", "ModelCheckpoint", "SwapEMAWeights")
PAIRS = [(m, c) for m in FAMILY for c in EXERCISED if m == "acn" or c in OF_WEIGHTS]


@pytest.mark.fast(*(f"acn-{name}" for name in EXERCISED), "vhe-ModelCheckpoint")
@pytest.mark.slow_sample(every=4)
@pytest.mark.parametrize(
    "model, name", PAIRS, indirect=["model"], ids=["-".join(pair) for pair in PAIRS]
)
def test_keras_own_callback(model, name, tmp_path):
    if not hasattr(CALLBACKS, name):
        pytest.skip(f"This Keras has no {name}.")
    EXERCISED[name](model, tmp_path)


def test_none_of_keras_callbacks_is_left_out():
    every = {name for name in dir(CALLBACKS) if name[0].isupper()}
    assert every - set(EXERCISED) == {"Callback", "CallbackList", "History"}


# -- optimizers, frozen parts and parts of other models --------------------------------------


@pytest.mark.fast("acn")
@pytest.mark.parametrize("name", ["acn", "vhe with pseudo-labels"])
def test_gradients_are_accumulated(name):
    """Two steps of 12 images without noise between them are one update."""
    optimizer = keras.optimizers.Adam(1e-2, gradient_accumulation_steps=2)
    model = made(name, optimizer=optimizer)
    before = [weight.numpy() for weight in model.encoder.weights]
    model.fit(IMAGES, batch_size=12, epochs=2, verbose=0)
    assert int(optimizer.iterations) == 2 and int(model.random_step.numpy()) == 4
    assert any((a != b.numpy()).any() for a, b in zip(before, model.encoder.weights, strict=True))


def changed(before, layer):
    return any((a != b.numpy()).any() for a, b in zip(before, layer.weights, strict=True))


@pytest.mark.slow
def test_frozen_encoder():
    model = made("acn", fit=True)
    encoder = [weight.numpy() for weight in model.encoder.weights]
    decoder = [weight.numpy() for weight in model.decoder.weights]
    model.encoder.trainable = False
    for call in (model.fit, model.train_on_batch):
        with pytest.raises(UserError, match=r"compile\(\) again"):
            call(IMAGES)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(IMAGES, verbose=0)
    assert not changed(encoder, model.encoder) and changed(decoder, model.decoder)
    model.encoder.trainable = True
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(IMAGES, verbose=0)
    assert changed(encoder, model.encoder)


@pytest.mark.fast("acn")
@pytest.mark.parametrize("name", ["acn", "vhe with pseudo-labels"])
def test_all_frozen(name):
    """Nothing is trained, and the codes of all data are written."""
    model = made(name)
    model.trainable = False
    model.compile()
    with pytest.warns(UserWarning, match="All weights are frozen"):
        model.fit(IMAGES, LABELS, verbose=0)
    if name == "acn":
        np.testing.assert_allclose(model.codebook.codes, model.codes(IMAGES), atol=1e-5)


@keras.saving.register_keras_serializable("test_callbacks")
class FromClassifier(PosteriorEncoder):
    """As docs/keras.md has it."""

    def __init__(self, image_shape, latent_dim=16, variance="unit", trunk=None, **kwargs):
        super().__init__(image_shape, latent_dim, variance, **kwargs)
        if isinstance(trunk, dict):
            trunk = keras.saving.deserialize_keras_object(trunk)
        self.trunk = trunk
        self.build_heads(trunk.output_shape[-1])

    def features(self, image, context=None, training=False):
        return self.trunk(image, training=training)

    def get_config(self):
        return {**super().get_config(), "trunk": keras.saving.serialize_keras_object(self.trunk)}


def test_an_encoder_taken_from_a_classifier(tmp_path):
    classifier = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(4, activation="relu"),
            keras.layers.Dense(3),
        ]
    )
    classifier.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    classifier.fit(IMAGES, LABELS, verbose=0)
    trunk = keras.Model(classifier.inputs, classifier.layers[-2].output)
    trunk.trainable = False
    kernel = classifier.layers[1].kernel.numpy()
    model = VAE((4, 4, 1), 2, encoder=FromClassifier((4, 4, 1), 2, "learned", trunk))
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(IMAGES, verbose=0)
    np.testing.assert_array_equal(kernel, classifier.layers[1].kernel)
    model.save(tmp_path / "a.keras")
    assert_same_weights(keras.saving.load_model(tmp_path / "a.keras"), model)


@pytest.mark.fast("acn", "vhe")
@pytest.mark.parametrize("name", FAMILY)
def test_a_model_inside_another(name, tmp_path):
    model, inputs = made(name), keras.Input((4, 4, 1))
    with pytest.raises(UserError, match=r"model.encoder.parameters\(x\)"):
        model(inputs)
    with pytest.raises(UserError, match=r"encoder.parameters\(x\)"):
        keras.Sequential([inputs, model])
    with pytest.raises(UserError, match=r"encoder.parameters\(x\)"):
        model.encoder(inputs)
    if name.startswith("vhe"):
        mean, _ = model.class_encoder.parameters(inputs)
    else:
        mean, _ = model.encoder.parameters(inputs)
    head = keras.Model(inputs, keras.layers.Dense(3)(mean))
    head.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    head.fit(IMAGES, LABELS, verbose=0)
    head.save(tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras")
    np.testing.assert_allclose(
        again.predict(IMAGES, verbose=0), head.predict(IMAGES, verbose=0), rtol=1e-5
    )


def test_keras_tuner(tmp_path):
    tuner_lib = pytest.importorskip("keras_tuner")

    def build(choice):
        model = MAKE["acn"]()
        model.compile(keras.optimizers.Adam(choice.Choice("rate", [1e-3, 1e-2])))
        return model

    tuner = tuner_lib.RandomSearch(
        build,
        objective=tuner_lib.Objective("val_loss", "min"),
        max_trials=2,
        directory=str(tmp_path),
        seed=0,
    )
    tuner.search(IMAGES, validation_data=IMAGES[:12], epochs=1, verbose=0)
    best = tuner.get_best_models()[0]
    assert best.codebook.size == 24 and np.isfinite(best.evaluate(IMAGES[:12], verbose=0)[0])
