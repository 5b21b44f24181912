"""`code_stddev`: codes whose dimensions all have one deviation over the data."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_acn
from keras_acn import ConvEncoder, MLPEncoder, UserError, codec
from keras_acn.encoders.base import CODE_EPSILON
from keras_acn.testing import check_part

RNG = np.random.default_rng(0)
IMAGES = (RNG.random((64, 8, 8, 1)) < RNG.random((64, 1, 1, 1))).astype(np.float32)
MAKERS = {
    "mlp": lambda **kw: MLPEncoder((8, 8, 1), 4, hidden=(16, 12), **kw),
    "conv": lambda **kw: ConvEncoder((8, 8, 1), 4, filters=(8,), dense=16, **kw),
}


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


def raw_codes(encoder, images=IMAGES):
    """What the encoder's last layer gives, in float64."""
    kernel, bias = map(np.float64, encoder.mean_head.get_weights())
    return np.float64(encoder.features(images)) @ kernel + bias


def test_a_batch_is_standardized_in_training(make):
    encoder = make(code_stddev=2.5)
    raw = raw_codes(encoder)
    want = 2.5 * (raw - raw.mean(0)) / np.sqrt(raw.var(0) + CODE_EPSILON)
    code = encoder(IMAGES, training=True).mean().numpy()
    np.testing.assert_allclose(code, want, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(code.std(0), 2.5, rtol=0.02)
    # The noise is what it would be without.
    noise = encoder(IMAGES, training=True).stddev().numpy()
    np.testing.assert_array_equal(noise, encoder(IMAGES).stddev())


def test_outside_training_an_image_s_code_depends_on_no_other(make):
    encoder = make(code_stddev=2.5)
    mean, variance = RNG.normal(size=4), RNG.random(4) + 0.5
    encoder.code_norm.set_weights([mean, variance])
    raw = raw_codes(encoder)
    want = 2.5 * (raw - mean) / np.sqrt(variance + CODE_EPSILON)
    np.testing.assert_allclose(encoder(IMAGES).mean(), want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(encoder(IMAGES[:1]).mean(), want[:1], rtol=1e-4, atol=1e-5)


def test_without_it_nothing_is_as_if_it_were_there(make):
    encoder = make()
    assert encoder.code_norm is None and encoder.get_config()["code_stddev"] is None
    assert make(code_stddev=None).count_params() == encoder.count_params()
    assert len(make(code_stddev=1.0).trainable_weights) == len(encoder.trainable_weights)


def test_it_keeps_what_a_part_promises():
    check_part(MAKERS["mlp"](code_stddev=2, variance="learned"), wider=["code_norm"])


@pytest.mark.parametrize("value", [0, -1, "2", True, float("nan"), [1, 2]], ids=str)
def test_errors_name_the_fix(value):
    with pytest.raises(UserError, match="code_stddev must be a number above zero"):
        MAKERS["mlp"](code_stddev=value)


def test_a_lone_image_is_no_fault():
    """The last batch of an epoch may be one image, whose deviation is none."""
    encoder = MAKERS["mlp"](code_stddev=2)
    with tf.GradientTape() as tape:
        code = encoder(IMAGES[:1], training=True).mean()
        loss = tf.reduce_sum(code**2)
    gradients = tape.gradient(loss, encoder.trainable_weights)
    known = [g for g in gradients if g is not None]  # the deviation's head has none
    assert len(known) >= 4 and all(np.isfinite(g).all() for g in known) and not np.any(code)


def acn(**kwargs):
    keras.utils.set_random_seed(0)
    model = keras_acn.ACN(
        (8, 8, 1),
        latent_dim=4,
        encoder={"name": "mlp", "hidden": [16], "variance": "unit", "code_stddev": 2},
        decoder={"name": "mlp", "hidden": [16]},
        prior={"hidden": [8]},
        **kwargs,
    )
    model.compile(keras.optimizers.Adam(1e-2))
    return model


@pytest.fixture(scope="module")
def trained():
    model = acn()
    # The running averages are those of the weights once these hardly change any more.
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, 400)))
    model.fit(IMAGES, batch_size=32, epochs=300, verbose=0)
    return model


def test_the_codes_of_the_data_have_it(trained):
    codes = trained.encoder(IMAGES).mean().numpy()
    np.testing.assert_allclose(codes.std(0), 2, rtol=0.1)
    np.testing.assert_allclose(codes.mean(0), 0, atol=0.3)


def test_it_comes_back_from_a_file(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    back = keras_acn.load_model(tmp_path / "model.keras")
    assert back.encoder.code_stddev == 2
    np.testing.assert_array_equal(back.encoder(IMAGES).mean(), trained.encoder(IMAGES).mean())


@pytest.mark.parametrize("bits", [None, 16, 8])
def test_images_are_compressed_with_it(trained, bits):
    images = IMAGES.astype(np.uint8)
    embedded = {} if bits is None else {"embed_model": True, "weight_bits": bits}
    made = codec.compress(images, trained, **embedded)
    back = codec.decompress(made, trained if bits is None else None)
    np.testing.assert_array_equal(back > 0, images > 0)


def test_pseudo_inputs_are_no_sample_of_the_data():
    """The statistics are those of images: a VampPrior's pseudo-inputs leave them alone."""
    model = keras_acn.VAE(
        (8, 8, 1),
        latent_dim=4,
        encoder={"name": "mlp", "hidden": [16], "code_stddev": 2},
        decoder={"name": "mlp", "hidden": [16]},
        prior={"name": "vamp", "components": 5},
    )
    before = model.encoder.code_norm.get_weights()
    model.prior.mixture(training=True)
    for ours, theirs in zip(model.encoder.code_norm.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    model.compile()
    model.fit(IMAGES, epochs=1, verbose=0)
    assert np.any(model.encoder.code_norm.get_weights()[0] != before[0])


def test_its_value_tells_one_model_from_another():
    one, other = (
        keras_acn.VAE((8, 8, 1), latent_dim=4, encoder=MAKERS["mlp"](code_stddev=each))
        for each in (1, 2)
    )
    other.set_weights(one.get_weights())
    assert codec.fingerprint(one) != codec.fingerprint(other)


def test_at_the_end_of_a_run_it_is_exact():
    """Whatever the running averages are by then."""
    model = acn()
    model.fit(IMAGES, batch_size=32, epochs=1, verbose=0)
    assert np.abs(model.encoder(IMAGES).mean().numpy().std(0) - 2).max() > 0.2
    model.settle(IMAGES)
    codes = model.encoder(IMAGES).mean().numpy()
    np.testing.assert_allclose(codes.std(0), 2, rtol=1e-3)
    np.testing.assert_allclose(codes.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(model.codebook.codes, codes, atol=1e-5)
    # A frozen encoder keeps its own.
    model.encoder.trainable = False
    before = model.encoder.code_norm.get_weights()
    model.settle(1 - IMAGES)
    for ours, theirs in zip(model.encoder.code_norm.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_averaged_weights_go_with_averaged_statistics(tmp_path):
    from keras_acn.experiment import load_config, open_run, train

    settings = [
        "data.limit=200",
        "data.validation=50",
        "encoder={name: mlp, hidden: [8], code_stddev: 2}",
        "decoder={name: mlp, hidden: [8]}",
        "prior={hidden: [8]}",
        "training.ema=0.9",
        "training.epochs=10",
        "training.batch_size=50",
        "training.learning_rate=1e-2",
    ]
    run = train(load_config("digits", overrides=settings), tmp_path / "run")
    model = open_run(run.path).model
    codes = np.asarray(model.codes(run.data.train))
    np.testing.assert_allclose(codes.std(0), 2, rtol=1e-2)
    # What was measured on the way is of the same size as what is measured now.
    now = model.evaluate(run.data.validation.dataset(50), return_dict=True, verbose=0)
    assert run.history[-1]["val_total_nats"] == pytest.approx(now["total_nats"], rel=0.1)
