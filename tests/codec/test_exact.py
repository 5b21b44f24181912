import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from codec_models import noise, small_model
from scipy.special import logsumexp

from keras_acn._base.errors import UserError
from keras_acn.codec.float64 import exact_copy
from keras_acn.codec.networks import Networks, most_lanes
from keras_acn.codec.numpy_pixelcnn import NumpyPixelCNN, in_numpy
from keras_acn.codec.pixels import PixelByPixel
from keras_acn.codec.priors import CodeIndex
from keras_acn.decoders import GatedPixelCNN


@pytest.mark.fast("mlp-float32", "conv-mixed_bfloat16", "pixelcnn-float32")
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("decoder", ["mlp", "conv", "pixelcnn"])
def test_a_copy_computes_in_float64_with_the_same_weights(decoder, policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = small_model(decoder)
    finally:
        keras.config.set_dtype_policy("float32")
    copies = [exact_copy(part) for part in (model.encoder, model.prior, model.decoder)]
    assert {w.dtype for copy in copies for w in copy.weights} == {"float64"}
    assert keras.config.dtype_policy().name == keras.config.floatx() == "float32"
    image = noise(3).astype(np.float32)
    q = copies[0](tf.constant(image))
    assert q.mean().dtype == tf.float64
    tolerance = 1e-5 if policy == "float32" else 0.05
    np.testing.assert_allclose(q.mean(), model.encoder(image).mean(), atol=tolerance)
    _, mean, stddev = copies[1].parameters(q.mean())
    assert mean.dtype == stddev.dtype == tf.float64
    z = tf.cast(q.mean(), tf.float64)
    if decoder == "pixelcnn":
        params = copies[2].parameters(tf.constant(image), z)
        expected = model.decoder.parameters(tf.constant(image), tf.cast(z, tf.float32))
    else:
        params, expected = copies[2].parameters(z), model.decoder.parameters(tf.cast(z, tf.float32))
    assert params.dtype == tf.float64
    np.testing.assert_allclose(params, expected, atol=tolerance)


def test_no_other_thread_sees_a_copy_being_made():
    part, seen, done = small_model("pixelcnn").decoder, set(), threading.Event()

    def watch():
        while not done.is_set():
            seen.add((keras.config.floatx(), keras.config.dtype_policy().name))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        # The thread that copies sees nothing either, once it is done or has failed.
        for _ in range(5):
            exact_copy(part)
    finally:
        done.set()
        watcher.join()
    assert seen == {("float32", "float32")}
    assert keras.config.dtype_policy().name == keras.config.floatx() == "float32"


def test_a_part_that_says_nothing_of_precision_is_copied_in_float64():
    @keras.saving.register_keras_serializable("mine")
    class Plain(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = keras.layers.Dense(3)
            self.dense.build((None, 2))
            self.scale = self.add_weight(name="scale", shape=(3,), initializer="ones")
            self.built = True

        def call(self, x):
            return self.dense(x) * self.scale

    part = Plain()
    copy = exact_copy(part)
    assert {weight.dtype for weight in copy.weights} == {"float64"}
    for one, other in zip(part.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(one.astype("float64"), other)


def test_a_part_that_cannot_be_copied_is_told():
    class Odd(keras.layers.Layer):
        def __init__(self, needed):
            super().__init__()

    with pytest.raises(UserError, match="Odd cannot be copied in float64"):
        exact_copy(Odd(1))


@pytest.mark.fast(
    "pixelcnn-5-1-bernoulli",
    "pixelcnn-5-3-logistic",
    "blocks-4-1-categorical",
    "blocks-4-3-bernoulli",
)
@pytest.mark.slow_sample(every=4)
@pytest.mark.parametrize("family", ["bernoulli", "logistic", "categorical"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("decoder,width", [("pixelcnn", 5), ("blocks", 4)])
def test_the_parallel_pass_and_the_steps_agree_to_1e_12(decoder, width, family, channels):
    shape = (6, width, channels)
    model = small_model(decoder, family, shape)
    networks = Networks(model, lanes=4)
    levels = noise(3, shape, model.decoder.likelihood.levels)
    z = np.random.default_rng(0).normal(size=(3, 4))
    steps = PixelByPixel(networks).stepwise_parameters(z, levels)
    ((_, params),) = networks.parameters(z, levels)
    assert np.abs(params - steps).max() < 1e-12
    rounded = networks.pixels.rounded
    np.testing.assert_array_equal(rounded(params), rounded(steps))
    # TensorFlow, which evaluates decoders that are not this package's, is the oracle.
    assert networks.pixelcnn is not None
    networks.pixelcnn = None
    ((_, oracle),) = networks.parameters(z, levels)
    assert np.abs(params - oracle).max() < 1e-12
    assert np.abs(PixelByPixel(networks).stepwise_parameters(z, levels) - oracle).max() < 1e-12


@pytest.mark.parametrize(
    "options",
    [
        {"conditioning": "global"},
        {"residual": "horizontal", "kernel_size": 5},
        {"layers": 1, "first_kernel_size": 5, "block": 1},
        {"bottleneck_filters": 3, "output_hidden": 7, "block": 4},
    ],
)
def test_numpy_evaluates_every_option_of_a_pixelcnn(options):
    options = {"layers": 3, "filters": 6, "kernel_size": 3, "block": 2, **options}
    options.setdefault("conditioning", "spatial")
    decoder = GatedPixelCNN((8, 4, 1), 4, dtype="float64", **options)
    rng = np.random.default_rng(0)
    # Biases that begin as zeros would hide where they are left out.
    decoder.set_weights([rng.normal(0, 0.5, w.shape) for w in decoder.get_weights()])
    x, z = noise(9, (8, 4, 1)).astype(np.float32), rng.normal(size=(9, 4))
    network = NumpyPixelCNN(decoder)
    network._pass = 4  # several passes, the last of which is not full
    found = network.parameters(z, x)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, decoder.parameters(x, z), rtol=0, atol=1e-12)


def test_a_decoder_by_blocks_has_room_for_as_many_lanes_more():
    one, four = small_model("pixelcnn", shape=(6, 4, 1)), small_model("blocks", shape=(6, 4, 1))
    assert most_lanes(four, 2**20) // most_lanes(one, 2**20) == 4
    assert most_lanes(small_model(), 2**20) is None


def test_decoders_that_are_not_ours_are_left_to_tensorflow():
    class Mine(GatedPixelCNN):
        pass

    assert in_numpy(GatedPixelCNN((4, 4, 1), 2, layers=2, filters=4))
    assert not in_numpy(Mine((4, 4, 1), 2, layers=2, filters=4))
    # Nor does it follow every option of ours.
    grey = {"likelihood": "discretized_logistic_mixture", "layers": 2, "filters": 4}
    assert in_numpy(GatedPixelCNN((4, 4, 1), 2, **grey))
    assert not in_numpy(GatedPixelCNN((4, 4, 1), 2, prediction="linear", **grey))


def test_doubtful_parameters_are_taken_from_the_steps(monkeypatch):
    model = small_model("pixelcnn")
    coder = PixelByPixel(Networks(model, lanes=2))
    edge = (np.arange(4) + 0.5) / coder.networks.pixels.rounding
    assert coder._is_doubtful(edge + 1e-12)
    assert not coder._is_doubtful(edge + 1e-6)


def test_results_do_not_depend_on_the_lanes():
    levels = noise(11)
    few, many = Networks(small_model(), 2), Networks(small_model(), 7)
    for one, other in zip(few.encode(levels), many.encode(levels), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13)


@pytest.mark.parametrize("nearest", [5, 200, 300])
def test_the_index_finds_the_codes_that_matter(nearest):
    # With other weights two scores may lie nearer than what they are rounded to.
    model = small_model(codes=300, seed=2)
    networks = Networks(model, lanes=8)
    codes = np.asarray(model.codebook.codes)
    index = CodeIndex(networks, codes, nearest)
    z = np.random.default_rng(1).normal(size=(70, 4))
    rows, probabilities = index.candidates(z)
    assert all(len(set(row)) == nearest for row in rows.tolist())
    # By SciPy in float64: every log p(z|c_n), and the Gaussians of the same moments.
    log_weight, mean, stddev = networks.given(codes.astype(float))
    each = log_weight - np.log(stddev) - 0.5 * ((z[:, None, :, None] - mean) / stddev) ** 2
    nats = logsumexp(each, axis=-1).sum(axis=-1)  # [70, 300]
    chosen = np.take_along_axis(nats, rows, axis=1)
    expected = np.exp(chosen - logsumexp(chosen, axis=1, keepdims=True))
    np.testing.assert_allclose(probabilities, expected, atol=3e-3)
    weight = np.exp(log_weight)
    centre = np.sum(weight * mean, -1)
    variance = np.sum(weight * (stddev**2 + (mean - centre[..., None]) ** 2), -1)
    score = -0.5 * np.sum((z[:, None] - centre) ** 2 / variance + np.log(variance), -1)
    best = np.sort(np.argsort(-score, axis=1)[:, :nearest], axis=1)
    np.testing.assert_array_equal(np.sort(rows, axis=1), best)


def test_equal_codes_are_ranked_by_their_rows():
    model = small_model()
    index = CodeIndex(Networks(model, lanes=2), np.ones((50, 4)), 20)
    rows, _ = index.candidates(np.zeros((3, 4)))
    np.testing.assert_array_equal(np.sort(rows, axis=1), [np.sort(rows[0])] * 3)
    assert index.candidates(np.zeros((5, 4)))[0].tolist() == [rows[0].tolist()] * 5


def test_the_index_keeps_the_priors():
    model = small_model()
    networks = Networks(model, lanes=4)
    codes = np.asarray(model.codebook.codes)
    prior = CodeIndex(networks, codes, 10).prior([3, 0])
    log_weight, mean, stddev = networks.given(codes[[3, 0]].astype(float))
    np.testing.assert_allclose(prior.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(prior.stddev, stddev, rtol=1e-6)
    shift = prior.log_weight - log_weight
    np.testing.assert_allclose(shift, shift[..., :1] + np.zeros(3), atol=1e-5)
