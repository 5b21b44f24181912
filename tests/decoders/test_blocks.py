"""A decoder by blocks of pixels: the same exact likelihood, summed and sampled by brute force."""

import itertools

import numpy as np
import pytest
import small_decoders
import tensorflow as tf
from small_decoders import FAMILIES

from keras_acn._base.errors import UserError
from keras_acn.decoders.pixelcnn import GatedPixelCNN
from keras_acn.decoders.pixelcnn.blocks import from_blocks, to_blocks
from keras_acn.decoders.pixelcnn.head import JointHead, PixelHead


def make(image_shape, seed=0, **options):
    """A small decoder by blocks of pixels."""
    blocks = {"layers": 2, "first_kernel_size": 3, "output_hidden": None}
    blocks |= {"conditioning": "spatial", "map_filters": 4, "block": 2}
    return small_decoders.make(image_shape, seed, **blocks | options)


def all_binary_images(shape):
    bits = itertools.product([0, 1], repeat=int(np.prod(shape)))
    return np.array(list(bits), "float32").reshape(-1, *shape)


def test_blocks_hold_their_pixels_in_raster_order():
    image = np.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    grid = to_blocks(image, 2, np)
    assert grid.shape == (2, 2, 3, 12)
    for i, j in itertools.product(range(2), range(3)):
        patch = image[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        np.testing.assert_array_equal(grid[:, i, j], patch.reshape(2, 12))
    np.testing.assert_array_equal(to_blocks(tf.constant(image), 2), grid)
    np.testing.assert_array_equal(from_blocks(grid, 2, np), image)
    np.testing.assert_array_equal(from_blocks(tf.constant(grid), 2), image)


@pytest.mark.parametrize("conditioning", ["global", "spatial"])
def test_probabilities_of_all_images_of_two_blocks_sum_to_one(conditioning):
    decoder = make((2, 4, 1), conditioning=conditioning)
    assert isinstance(decoder.head, JointHead)
    images = all_binary_images((2, 4, 1))
    z = tf.random.stateless_normal([2, 3], [5, 6])
    log_probs = decoder(z).log_prob(images[:, None])
    assert log_probs.shape == (256, 2)
    np.testing.assert_allclose(np.exp(log_probs).sum(0), 1.0, rtol=1e-5)


def test_probabilities_of_colour_blocks_sum_to_one():
    """Twelve binary values are too many for one softmax, and go one after the other."""
    decoder = make((2, 2, 3), likelihood="bernoulli")
    assert isinstance(decoder.head, PixelHead) and decoder.head.turns == 12
    log_probs = decoder(tf.ones([1, 3])).log_prob(all_binary_images((2, 2, 3)))
    np.testing.assert_allclose(np.exp(log_probs).sum(), 1.0, rtol=1e-4)


def test_a_block_is_one_softmax_and_its_pixels_conditionals_multiply_to_it():
    """The logits of the pixels against marginals of the softmax, in float64 by brute force."""
    decoder = make((2, 4, 1), seed=2)
    images = all_binary_images((2, 4, 1))
    z = tf.repeat(tf.random.stateless_normal([1, 3], [1, 2]), 256, axis=0)
    logits = decoder.parameters(images, z).numpy().astype("float64")
    softmax = decoder.head.begin(decoder.features(images, z)).numpy().astype("float64")
    softmax = np.exp(softmax - softmax.max(-1, keepdims=True))
    softmax /= softmax.sum(-1, keepdims=True)  # [256, 1, 2, 16]
    total = np.zeros(256)
    for n, block in itertools.product(range(256), range(2)):
        values = images[n, :, 2 * block : 2 * block + 2, 0].ravel().astype(int)
        table = softmax[n, 0, block].reshape(2, 2, 2, 2)
        for i in range(4):
            rest = table[tuple(values[:i])].reshape(2, -1).sum(-1)
            odds = np.log(rest[1] / rest[0])
            row, column = divmod(i, 2)
            np.testing.assert_allclose(logits[n, row, 2 * block + column, 0], odds, atol=1e-4)
        total[n] += np.log(table[tuple(values)])
    np.testing.assert_allclose(decoder(z).log_prob(images), total, rtol=1e-5)


@pytest.mark.fast("bernoulli-1")
@pytest.mark.slow_sample("logistic-3")
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_each_output_sees_the_earlier_blocks_and_the_earlier_values_of_its_own(family, channels):
    shape = (4, 6, channels)
    decoder = make(shape, likelihood=FAMILIES[family], layers=4)
    image = np.random.default_rng(1).integers(0, 2, (1, *shape)).astype("float32")
    z = tf.random.stateless_normal([1, 3], [3, 4])
    head = decoder.head
    rows, columns, values = decoder.grid_shape
    grid = to_blocks(image, 2, np)

    def turns(grid):
        params = to_blocks(decoder.parameters(from_blocks(grid, 2, np), z), 2)
        return np.reshape(params, (rows * columns, head.turns, -1))

    before = turns(grid)
    for position, value in itertools.product(range(rows * columns), range(values)):
        changed = grid.copy()
        spot = changed[0, position // columns, position % columns]
        spot[value] = 1 - spot[value]
        moved = (turns(changed) != before).any(-1)
        # No earlier position, and in its own none that is decided with it or before it.
        assert not moved[:position].any()
        first = value // head.group + 1
        assert not moved[position, :first].any()
        assert moved[position, first:].all()
        if position + 1 < rows * columns:
            assert moved[position + 1 :].any()


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_step_pmfs_multiply_to_the_log_prob(family, channels):
    shape = (4, 4, channels)
    decoder = make(shape, likelihood=FAMILIES[family])
    levels = decoder.likelihood.levels
    index = np.random.default_rng(3).integers(0, levels, (4, *shape))
    image = (index / (levels - 1)).astype("float32")
    grid, index = to_blocks(image, 2, np), to_blocks(index, 2, np)
    z = tf.random.stateless_normal([4, 3], [5, 6])
    rows, columns, values = decoder.grid_shape
    state, known, total = decoder.steps.init_state(z), tf.zeros([4, values]), 0.0
    for position, (r, c) in enumerate(itertools.product(range(rows), range(columns))):
        features, state = decoder.steps.step(state, position, known)
        known = tf.constant(grid[:, r, c])
        for value in range(values):
            pmf = decoder.steps.pmf(features, known[:, :value]).numpy()
            assert pmf.shape == (4, levels)
            total += np.log(pmf[np.arange(4), index[:, r, c, value]].astype("float64"))
    np.testing.assert_allclose(total, decoder(z).log_prob(image), rtol=2e-5)


def test_sampling_frequencies_are_the_probabilities():
    decoder = make((2, 4, 1), seed=3)
    z = tf.random.stateless_normal([1, 3], [7, 8])
    images = all_binary_images((2, 4, 1))
    expected = np.exp(decoder(z).log_prob(images)).ravel()
    n = 40_000
    samples = decoder(z).sample(n, seed=1).numpy().reshape(n, 8)
    index = (samples @ (2 ** np.arange(7, -1, -1))).astype(int)
    found = np.bincount(index, minlength=256) / n
    # Five standard deviations of a frequency, each of 256.
    assert np.all(np.abs(found - expected) < 5 * np.sqrt(expected / n) + 1e-4)
    assert expected.max() > 3 / 256


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_samples_are_images_and_the_seed_decides(family, channels):
    decoder = make((4, 6, channels), likelihood=FAMILIES[family])
    r = decoder(tf.random.stateless_normal([2, 3], [7, 8]))
    first = r.sample(seed=5)
    assert first.shape == (2, 4, 6, channels)
    top = decoder.likelihood.levels - 1
    np.testing.assert_allclose(first * top, np.rint(first * top), atol=1e-4)
    np.testing.assert_array_equal(first, r.sample(seed=5))
    assert np.isfinite(r.log_prob(first)).all()


@pytest.mark.parametrize("block,shape", [(2, (8, 8, 1)), (4, (8, 8, 1)), (3, (6, 9, 1))])
def test_every_side_of_a_block_trains_and_comes_back(block, shape, tmp_path):
    decoder = make(shape, block=block)
    image = np.random.default_rng(2).integers(0, 2, (2, *shape)).astype("float32")
    z = tf.random.stateless_normal([2, 3], [9, 10])
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(decoder(z).log_prob(image))
    variables = [v.value for v in decoder.trainable_variables]
    for gradient, variable in zip(tape.gradient(loss, variables), variables, strict=True):
        assert gradient is not None and np.isfinite(gradient).all(), variable.name
    again = GatedPixelCNN.from_config(decoder.get_config())
    assert again.block == block
    decoder.save_weights(tmp_path / "decoder.weights.h5")
    again.load_weights(tmp_path / "decoder.weights.h5")
    np.testing.assert_array_equal(again(z).log_prob(image), decoder(z).log_prob(image))


def test_a_side_that_does_not_fit_names_those_that_do():
    with pytest.raises(UserError, match=r"block=3 does not divide images of 28 x 28 .* 1, 2, 4"):
        GatedPixelCNN((28, 28, 1), block=3)
    for wrong in (0, -2, 1.5, True, "2"):
        with pytest.raises(UserError, match="block must be .*at least 1"):
            GatedPixelCNN((28, 28, 1), block=wrong)
    with pytest.raises(UserError, match="height, width, channels"):
        GatedPixelCNN((8, 8))


@pytest.mark.parametrize("block", [1, 2])
def test_a_context_stands_in_for_the_positions_before(block):
    decoder = make((4, 4, 1), block=block)
    rng = np.random.default_rng(0)
    image, other = (rng.integers(0, 2, (2, 3, 4, 4, 1))).astype("float32")
    z = rng.normal(size=(3, decoder.latent_dim)).astype("float32")
    as_it_is = decoder.parameters(image, z).numpy()
    np.testing.assert_array_equal(decoder.parameters(image, z, context=image), as_it_is)
    # Where it is hidden, a pixel depends on z and on its own block's earlier pixels alone.
    hidden = np.full_like(image, 0.5)
    blind = decoder.parameters(image, z, context=hidden).numpy()
    assert np.abs(blind - as_it_is).max() > 1e-3
    first = (slice(None), slice(None, None, block), slice(None, None, block))
    alike = decoder.parameters(other, z, context=hidden).numpy()
    np.testing.assert_allclose(alike[first], blind[first], atol=1e-6)
    if block > 1:
        changed = np.abs(alike - blind).reshape(3, -1).max()
        assert changed > 1e-3
