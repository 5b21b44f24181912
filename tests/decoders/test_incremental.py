"""Cached steps against the parallel pass, and samples against exact probabilities."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from small_decoders import FAMILIES, make

from keras_acn.decoders.pixelcnn.blocks import from_blocks, to_blocks


def stepwise_parameters(decoder, image, z):
    """Parameters at every position from cached steps over the pixels of `image`."""
    height, width, values = decoder.grid_shape
    grid = to_blocks(image, decoder.block, np)
    steps, state = decoder.steps, decoder.steps.init_state(z)
    step = tf.function(steps.step)
    known = tf.zeros([len(image), values])
    out = []
    for position in range(height * width):
        features, state = step(state, tf.constant(position), known)
        known = tf.constant(grid[:, position // width, position % width])
        starts = range(0, values, decoder.head.group)
        parts = [steps.parameters(features, known[:, :start]) for start in starts]
        out.append(tf.concat(parts, axis=-1))
    params = np.reshape(np.stack(out, axis=1), (len(image), height, width, -1))
    return from_blocks(params, decoder.block, np)


@pytest.mark.fast(
    "bottleneck-global-bernoulli-1",
    "bottleneck-global-logistic-3",
    "horizontal-spatial-categorical-1",
    "horizontal-spatial-bernoulli-3",
    "blocks-bernoulli-1",
    "blocks-logistic-3",
)
@pytest.mark.slow_sample(every=4)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "options",
    [
        {"residual": "bottleneck", "conditioning": "global"},
        {"residual": "horizontal", "conditioning": "spatial", "kernel_size": 5},
        {"conditioning": "spatial", "block": 2},
    ],
    ids=["bottleneck-global", "horizontal-spatial", "blocks"],
)
def test_cached_steps_agree_with_the_parallel_pass(family, channels, options):
    """At every position, within 1e-5 of the parameters' size (float32)."""
    shape = (6, 4 if "block" in options else 5, channels)
    decoder = make(shape, likelihood=FAMILIES[family], **options)
    image = np.random.default_rng(1).uniform(size=(3, *shape)).astype("float32")
    z = tf.random.stateless_normal([3, 3], [1, 2])
    parallel = decoder(z).conditional(image).params.numpy()
    cached = stepwise_parameters(decoder, image, z)
    np.testing.assert_allclose(cached, parallel, atol=1e-5 * np.abs(parallel).max())
    # Not a vacuous agreement: the parameters differ from pixel to pixel.
    side = decoder.block
    assert np.abs(parallel[:, side:] - parallel[:, :-side]).max() > 0.01


@pytest.mark.slow
def test_cached_steps_agree_at_full_size():
    decoder = make((28, 28, 1), layers=6, filters=32, kernel_size=5, first_kernel_size=7)
    image = np.random.default_rng(2).integers(0, 2, (2, 28, 28, 1)).astype("float32")
    z = tf.random.stateless_normal([2, 3], [3, 4])
    parallel = decoder(z).conditional(image).params.numpy()
    cached = stepwise_parameters(decoder, image, z)
    np.testing.assert_allclose(cached, parallel, atol=1e-5 * np.abs(parallel).max())


@pytest.mark.slow
def test_cached_steps_in_mixed_precision():
    """bfloat16 has three digits; samples are drawn all the same."""
    decoder = make((4, 5, 1), dtype="mixed_bfloat16")
    image = np.random.default_rng(2).integers(0, 2, (2, 4, 5, 1)).astype("float32")
    z = tf.random.stateless_normal([2, 3], [3, 4])
    parallel = decoder(z).conditional(image).params.numpy()
    cached = stepwise_parameters(decoder, image, z)
    np.testing.assert_allclose(cached, parallel, atol=0.02 * np.abs(parallel).max())
    assert set(np.unique(decoder(z).sample(seed=1))) == {0.0, 1.0}


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_step_pmfs_multiply_to_the_log_prob(family, channels):
    """What a codec does: pmf of each channel, given the pixels and channels before it."""
    shape = (2, 3, channels)
    decoder = make(shape, likelihood=FAMILIES[family])
    levels = decoder.likelihood.levels
    index = np.random.default_rng(3).integers(0, levels, (4, *shape))
    image = (index / (levels - 1)).astype("float32")
    z = tf.random.stateless_normal([4, 3], [5, 6])
    state, pixel, total = decoder.steps.init_state(z), tf.zeros([4, channels]), 0.0
    for position, (r, c) in enumerate(itertools.product(range(2), range(3))):
        features, state = decoder.steps.step(state, position, pixel)
        pixel = tf.constant(image[:, r, c])
        for channel in range(channels):
            pmf = decoder.steps.pmf(features, pixel[:, :channel]).numpy()
            assert pmf.shape == (4, levels)
            total += np.log(pmf[np.arange(4), index[:, r, c, channel]].astype("float64"))
    np.testing.assert_allclose(total, decoder(z).log_prob(image), rtol=2e-5)


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_samples_do_not_depend_on_how_they_are_run(family, channels):
    shape = (3, 4, channels)
    decoder = make(shape, likelihood=FAMILIES[family])
    z = tf.random.stateless_normal([2, 3], [7, 8])
    r = decoder(z)
    first = r.sample(seed=5)
    assert first.shape == (2, *shape) and first.dtype == tf.float32
    top = decoder.likelihood.levels - 1
    np.testing.assert_allclose(first * top, np.rint(first * top), atol=1e-4)
    np.testing.assert_array_equal(first, r.sample(seed=tf.constant([0, 5])))
    assert not np.array_equal(first, r.sample(seed=6))


@pytest.mark.slow
def test_compiled_sample_is_the_same():
    decoder = make((3, 4, 1))
    z = tf.random.stateless_normal([8, 3], [7, 8])
    plain = decoder.steps.sample(z, tf.constant([0, 5]))
    compiled = decoder.steps.sample(z, tf.constant([0, 5]), jit_compile=True)
    np.testing.assert_array_equal(plain, compiled)


@pytest.mark.fast(every=2)
@pytest.mark.parametrize("conditioning", ["global", "spatial"])
def test_sampling_inside_a_graph_of_unknown_batch_size(conditioning):
    decoder = make((3, 4, 1), conditioning=conditioning)
    z = tf.random.stateless_normal([5, 3], [1, 1])

    @tf.function(input_signature=[tf.TensorSpec([None, 3])])
    def sample(z):
        return decoder(z).sample(seed=tf.constant([0, 5]))

    np.testing.assert_array_equal(sample(z), decoder(z).sample(seed=5))


def test_sample_shapes():
    decoder = make((3, 4, 1))
    r = decoder(tf.random.stateless_normal([2, 5, 3], [1, 1]))
    assert r.sample(seed=1).shape == (2, 5, 3, 4, 1)
    assert r.sample((7, 2), seed=1).shape == (7, 2, 2, 5, 3, 4, 1)


def test_every_latent_conditions_its_own_image():
    """Sampled images are likelier under their own z than under the others'."""
    decoder = make((6, 6, 1))
    for kernel in (decoder.biases.dense.kernel, decoder.head.output_layers[0].kernel):
        kernel.assign(5.0 * kernel)
    z = tf.random.stateless_normal([8, 3], [2, 2])
    images = decoder(z).sample(200, seed=3)  # [200, 8, H, W, C]
    table = np.stack([decoder(tf.broadcast_to(z[i], [8, 3])).log_prob(images) for i in range(8)])
    own = table.mean(1).argmax(0)
    assert np.array_equal(own, np.arange(8))


def test_sampling_frequencies_are_the_exact_probabilities():
    """All 64 images of a 2x3 grid: 20,000 samples, five standard errors each."""
    n = 20_000
    decoder = make((2, 3, 1), seed=4)
    z = tf.random.stateless_normal([1, 3], [4, 4])
    images = np.array(list(itertools.product([0, 1], repeat=6)), "float32")
    exact = np.exp(decoder(z).log_prob(images.reshape(64, 1, 2, 3, 1)))[:, 0]
    samples = decoder(tf.broadcast_to(z, [n, 3])).sample(seed=6).numpy().reshape(n, 6)
    code = (samples @ 2.0 ** np.arange(5, -1, -1)).astype(int)
    found = np.bincount(code, minlength=64) / n
    np.testing.assert_array_less(np.abs(found - exact), 5 * np.sqrt(exact / n) + 1 / n)


@pytest.mark.fast(every=2)
@pytest.mark.parametrize("family", ["categorical", "logistic"])
def test_sampled_colours_follow_the_chain_of_pmfs(family):
    """One RGB pixel: each channel's frequencies in eight bins, given those before it."""
    n = 20_000
    decoder = make((1, 1, 3), likelihood=FAMILIES[family])
    z = tf.zeros([n, 3])
    samples = decoder(z).sample(seed=7)
    features, _ = decoder.steps.step(decoder.steps.init_state(z), 0, tf.zeros([n, 3]))
    for c in range(3):
        pmf = decoder.steps.pmf(features, samples[:, 0, 0, :c]).numpy()
        expected = pmf.reshape(n, 8, 32).sum(-1).mean(0)
        level = np.rint(samples[:, 0, 0, c] * 255).astype(int)
        found = np.bincount(level // 32, minlength=8) / n
        np.testing.assert_array_less(np.abs(found - expected), 5 * np.sqrt(expected / n) + 1 / n)


def test_new_weights_are_seen_by_the_sampler():
    decoder = make((3, 4, 1))
    z = tf.zeros([4, 3])
    decoder(z).sample(seed=1)
    bias = decoder.head.output_layers[0].bias
    bias.assign([30.0])
    assert np.all(decoder(z).sample(seed=1) == 1)
    bias.assign([-30.0])
    assert np.all(decoder(z).sample(seed=1) == 0)
