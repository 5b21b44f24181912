"""What Keras and TensorFlow let one set for a whole process does not leak into the models."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_acn import ACN, VAE, VHE

IMAGES = np.random.default_rng(0).random((24, 8, 4, 1)).astype(np.float32)
LABELS = np.arange(24, dtype=np.int32) % 3
CONV = {"name": "conv", "filters": [4]}
PARTS = {"encoder": CONV, "decoder": {"name": "bernoulli_conv", "filters": [4]}}
PRIOR = {"name": "mixture", "hidden": [4], "components": 1}

MAKE = {
    "vae": lambda: VAE((8, 4, 1), 2, **PARTS),
    "vae, mlp": lambda: VAE((8, 4, 1), 2, encoder={"name": "mlp", "hidden": [4]}),
    "pixelcnn": lambda: VAE(
        (8, 4, 1),
        2,
        encoder=CONV,
        decoder={"name": "pixelcnn", "filters": 4, "layers": 2, "conditioning": "spatial"},
    ),
    "acn": lambda: ACN((8, 4, 1), 2, prior=PRIOR, codebook={"unique": True}, **PARTS),
    "acn, graph": lambda: ACN(
        (8, 4, 1), 2, prior=PRIOR, codebook={"search": {"name": "graph", "exact_below": 0}}, **PARTS
    ),
    "vhe": lambda: VHE((8, 4, 1), 2, class_encoder=CONV, prior=PRIOR, **PARTS),
    "vhe with pseudo-labels": lambda: VHE(
        (8, 4, 1),
        2,
        class_encoder=CONV,
        prior=PRIOR,
        supervised=False,
        pseudo_labels={"clusters": 3},
        **PARTS,
    ),
}


def figures(name):
    """Return what a model of that name comes to, all of its parts having been used."""
    model = MAKE[name]()
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(IMAGES, LABELS, batch_size=12, validation_data=(IMAGES, LABELS), verbose=0)
    model.reconstruct(IMAGES[:2], seed=1)
    model.sample(2)
    model.daydream(IMAGES[:2], steps=1)
    return model, model.evaluate(IMAGES, LABELS, verbose=0)


@pytest.fixture(scope="module")
def plain():
    """The figures under the usual settings."""
    known = {}

    def of(name):
        if name not in known:
            # A test asks for them while a setting of its own is on.
            config = keras.config
            own = config.image_data_format(), config.floatx(), config.dtype_policy()
            config.set_image_data_format("channels_last")
            config.set_floatx("float32")
            config.set_dtype_policy("float32")
            try:
                known[name] = figures(name)[1]
            finally:
                config.set_image_data_format(own[0])
                config.set_floatx(own[1])
                config.set_dtype_policy(own[2])
        return known[name]

    return of


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.fixture
def float64():
    policy = keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy(policy)


@pytest.fixture
def check_numerics():
    tf.debugging.enable_check_numerics()
    yield
    tf.debugging.disable_check_numerics()


@pytest.mark.fast("acn")
@pytest.mark.slow_sample("vhe")
@pytest.mark.parametrize("name", MAKE)
def test_channels_first(name, plain, channels_first):
    """Images are `[H, W, C]` all the same, and the networks those of any other process."""
    np.testing.assert_allclose(figures(name)[1], plain(name), rtol=1e-4)


@pytest.mark.fast("vae, mlp")
@pytest.mark.slow_sample("acn")
@pytest.mark.parametrize("name", MAKE)
def test_float64(name, plain, float64, tmp_path):
    model, found = figures(name)
    assert model.encoder.weights[0].dtype == "float64"
    assert model.codes(IMAGES).dtype == np.float32
    # Initial weights are drawn in float64 and so are others.
    np.testing.assert_allclose(found[0], plain(name)[0], rtol=0.05)
    for values in model.image_nats(IMAGES, LABELS).values():
        assert np.isfinite(values).all()
    if name.startswith("vhe"):
        model.classify(IMAGES[:2], IMAGES, LABELS, samples=2)
    model.save(tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras")
    assert again.evaluate(IMAGES, LABELS, verbose=0) == found


@pytest.mark.slow_sample("acn")
@pytest.mark.parametrize("name", MAKE)
def test_the_hunt_for_nan(name, plain, check_numerics):
    """The masks of a search are infinite, which is no fault."""
    model, found = figures(name)
    np.testing.assert_allclose(found, plain(name), rtol=1e-4)
    if name == "acn":
        # What is one is found: the hunt is on.
        with pytest.raises(tf.errors.InvalidArgumentError, match="NaN|Inf|nan|inf"):
            model.encoder(tf.fill([2, 8, 4, 1], np.float32(np.nan)))
