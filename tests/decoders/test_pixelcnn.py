"""The gated PixelCNN: what each output sees, its normalisation, its place in Keras."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_decoders import make as small

from keras_acn._base.errors import UserError
from keras_acn.decoders.pixelcnn import GatedPixelCNN
from keras_acn.testing import check_part

FAMILIES = {
    "bernoulli": {"likelihood": "bernoulli"},
    "categorical": {"likelihood": "categorical"},
    "logistic": {"likelihood": {"name": "discretized_logistic_mixture", "components": 2}},
}
CASES = [(f, c) for f in FAMILIES for c in (1, 3)]


def random_images(n, image_shape, seed=0):
    levels = np.random.default_rng(seed).integers(0, 256, (n, *image_shape))
    return (levels / 255.0).astype("float32")


def receptive_field(decoder):
    """Brute force over the layers' definition: which pixels reach the output at (r, c)."""
    height, width, _ = decoder.image_shape
    pixels = list(itertools.product(range(height), range(width)))
    v_sees = h_sees = {p: {p} for p in pixels}
    for i in range(decoder.num_layers):
        size = decoder.first_kernel_size if i == 0 else decoder.kernel_size
        reach, now = size // 2, 0 if i == 0 else 1
        next_v, next_h = {}, {}
        for r, c in pixels:
            rows = [r + dr for dr in range(-reach, now)]
            columns = range(c - reach, c + reach + 1)
            near = [p for p in itertools.product(rows, columns) if p in v_sees]
            next_v[r, c] = set().union(*(v_sees[p] for p in near))
            left = [(r, c + dc) for dc in range(-reach, now) if c + dc >= 0]
            next_h[r, c] = next_v[r, c].union(*(h_sees[p] for p in left))
            if decoder.residual == "bottleneck" and i > 0:
                next_v[r, c] |= v_sees[r, c]
        v_sees, h_sees = next_v, next_h
    return h_sees


def jacobian_norms(decoder, image, z):
    """[H, W, blocks, H, W, C]: how strongly a block of parameters hangs on a channel."""
    height, width, channels = decoder.image_shape
    blocks = decoder.head.turns
    with tf.GradientTape() as tape:
        tape.watch(image)
        params = decoder.parameters(image, z)[0]
        params = tf.reshape(params, [height, width, blocks, -1])
        # A fixed random projection of a block is zero in its derivative by chance only.
        weights = tf.random.stateless_normal(params.shape[-1:], [1, 2])
        outputs = tf.reduce_sum(params * weights, axis=-1)  # [H, W, blocks]
    return np.abs(tape.jacobian(outputs, image)[:, :, :, 0].numpy())


@pytest.mark.fast(every=4)
@pytest.mark.slow_sample(every=3)
@pytest.mark.parametrize("residual", ["bottleneck", "horizontal"])
@pytest.mark.parametrize("family,channels", CASES)
def test_each_output_sees_exactly_the_earlier_pixels(family, channels, residual):
    shape = (6, 6, channels)
    decoder = small(shape, residual=residual, **FAMILIES[family])
    image = tf.constant(random_images(1, shape))
    jacobian = jacobian_norms(decoder, image, tf.random.stateless_normal([1, 3], [3, 4]))
    sees = receptive_field(decoder)
    pixels = list(itertools.product(range(6), range(6)))
    linked = channels > 1 and not decoder.likelihood.links_channels
    for (r, c), block in itertools.product(pixels, range(decoder.head.turns)):
        for other, channel in itertools.product(pixels, range(channels)):
            expected = other in sees[r, c]
            if other == (r, c):
                expected = linked and channel < block
            value = jacobian[r, c, block, other[0], other[1], channel]
            assert (value != 0) == expected, ((r, c), block, other, channel)
    for r, c in pixels:
        assert all(other < (r, c) for other in sees[r, c])


def test_no_blind_spot():
    """With enough layers the last pixel sees every earlier one."""
    decoder = small((6, 6, 1), layers=4)
    image = tf.constant(random_images(1, (6, 6, 1)))
    jacobian = jacobian_norms(decoder, image, tf.zeros([1, 3]))[5, 5, 0, :, :, 0]
    assert np.all((jacobian != 0).ravel() == (np.arange(36) < 35))


@pytest.mark.parametrize("conditioning", ["global", "spatial"])
def test_probabilities_of_all_binary_images_sum_to_one(conditioning):
    decoder = small((2, 3, 1), conditioning=conditioning)
    images = np.array(list(itertools.product([0, 1], repeat=6)), "float32")
    z = tf.random.stateless_normal([2, 3], [5, 6])
    log_probs = decoder(z).log_prob(images.reshape(64, 1, 2, 3, 1))
    assert log_probs.shape == (64, 2)
    np.testing.assert_allclose(np.exp(log_probs).sum(0), 1.0, rtol=1e-5)


def test_probabilities_of_all_binary_colour_images_sum_to_one():
    decoder = small((1, 2, 3), likelihood="bernoulli")
    images = np.array(list(itertools.product([0, 1], repeat=6)), "float32")
    log_probs = decoder(tf.ones([1, 3])).log_prob(images.reshape(64, 1, 2, 3))
    np.testing.assert_allclose(np.exp(log_probs).sum(), 1.0, rtol=1e-5)


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("family,channels", CASES)
def test_log_prob_is_the_sum_of_its_conditionals(family, channels):
    shape = (3, 4, channels)
    decoder = small(shape, **FAMILIES[family])
    image = random_images(2, shape)
    if decoder.likelihood.levels == 2:
        image = np.round(image)
    r = decoder(tf.random.stateless_normal([2, 3], [7, 8]))
    params = r.conditional(image).params
    total = 0.0
    for c in range(channels):
        pmf = decoder.likelihood.pmf(params, tf.constant(image[..., :c]), channels).numpy()
        index = np.rint(image[..., c] * (decoder.likelihood.levels - 1)).astype(int)
        chosen = np.take_along_axis(pmf, index[..., None], -1)
        total += np.log(chosen.astype("float64")).sum((1, 2, 3))
    np.testing.assert_allclose(r.log_prob(image), total, rtol=2e-5)


@pytest.mark.parametrize("conditioning", ["global", "spatial"])
def test_gradients_reach_z_and_every_weight(conditioning):
    decoder = small((6, 6, 1), conditioning=conditioning)
    image = np.round(random_images(2, (6, 6, 1)))
    z = tf.random.stateless_normal([2, 3], [9, 10])
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = -tf.reduce_mean(decoder(z).log_prob(image))
    gradients = tape.gradient(loss, [z, *(v.value for v in decoder.trainable_variables)])
    for gradient, variable in zip(gradients[1:], decoder.trainable_variables, strict=True):
        assert gradient is not None and np.any(gradient != 0), variable.path
    if conditioning == "global":
        paths = [variable.path for variable in decoder.trainable_variables]
        kernel = gradients[1 + paths.index(decoder.biases.dense.kernel.path)]
        gates = np.any(kernel != 0, axis=0)
        splits = np.cumsum(decoder.biases.widths)[:-1]
        assert all(np.any(gate) for gate in np.split(gates, splits))
    assert np.all(gradients[0] != 0)


def test_batches_of_z_and_images_broadcast():
    decoder = small((4, 4, 1))
    image = np.round(random_images(2, (4, 4, 1)))
    z = tf.random.stateless_normal([5, 2, 3], [1, 1])
    together = decoder(z).log_prob(image)
    assert together.shape == (5, 2)
    alone = np.stack([decoder(z[i]).log_prob(image) for i in range(5)])
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    assert decoder(z).batch_shape == (5, 2)
    assert decoder(z).event_shape == (4, 4, 1)


def test_dropout_only_while_training():
    decoder = small((4, 4, 1), dropout=0.5)
    image, z = np.round(random_images(2, (4, 4, 1))), tf.ones([2, 3])
    assert np.array_equal(decoder(z).log_prob(image), decoder(z).log_prob(image))
    train = decoder(z, training=True)
    assert not np.array_equal(train.log_prob(image), train.log_prob(image))


@pytest.mark.slow
def test_it_keeps_what_a_part_promises():
    # The head computes in float32, since a logit rounded to bfloat16 costs likelihood.
    check_part(small((4, 4, 1), conditioning="spatial", layers=2), wider=["head"])


def test_mixed_precision_gives_float32_parameters():
    decoder = small((4, 4, 1), dtype="mixed_bfloat16")
    reference = small((4, 4, 1))
    reference.set_weights(decoder.get_weights())
    image, z = np.round(random_images(2, (4, 4, 1))), tf.ones([2, 3])
    r = decoder(z)
    assert r.z.dtype == tf.float32 and r.conditional(image).params.dtype == tf.float32
    assert all(v.dtype == "float32" for v in decoder.trainable_variables)
    np.testing.assert_allclose(r.log_prob(image), reference(z).log_prob(image), rtol=0.02)


@keras.saving.register_keras_serializable("keras_acn_tests")
class Holder(keras.Model):
    """A model that holds a decoder, as the autoencoders do."""

    def __init__(self, decoder, **kwargs):
        super().__init__(**kwargs)
        self.decoder = decoder
        self.built = True

    def build(self, input_shape=None):
        self.built = True

    def call(self, z):
        return self.decoder(z)

    def get_config(self):
        decoder = keras.saving.serialize_keras_object(self.decoder)
        return {**super().get_config(), "decoder": decoder}

    @classmethod
    def from_config(cls, config):
        decoder = keras.saving.deserialize_keras_object(config.pop("decoder"))
        return cls(decoder=decoder, **config)


@pytest.mark.fast(every=4)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"conditioning": "spatial", "map_filters": 4, "dropout": 0.1},
        {"residual": "horizontal", **FAMILIES["logistic"]},
        {"image_shape": (5, 6, 3), "bottleneck_filters": 3, **FAMILIES["categorical"]},
    ],
)
def test_save_and_load_inside_another_model(options, tmp_path):
    shape = options.pop("image_shape", (5, 6, 1))
    decoder = small(shape, **options)
    twin = GatedPixelCNN.from_config(decoder.get_config())
    assert twin.get_config() == decoder.get_config()
    Holder(decoder).save(tmp_path / "holder.keras")
    loaded = keras.models.load_model(tmp_path / "holder.keras")
    image = np.round(random_images(2, shape))
    z = tf.random.stateless_normal([2, 3], [2, 2])
    np.testing.assert_array_equal(loaded(z).log_prob(image), decoder(z).log_prob(image))


def test_every_weight_exists_after_the_constructor():
    decoder = small((4, 4, 1))
    before = decoder.count_params()
    decoder(tf.ones([1, 3])).log_prob(np.zeros((1, 4, 4, 1), "float32"))
    assert decoder.built and before > 0 and decoder.count_params() == before


@pytest.mark.parametrize(
    "options,message",
    [
        ({"kernel_size": 4}, "odd"),
        ({"residual": "vertical"}, "residual"),
        ({"layers": 0}, "layer"),
        ({"conditioning": "locl"}, "conditioning"),
        ({"likelihood": "bernouli"}, 'Did you mean "bernoulli"'),
    ],
)
def test_bad_options_are_told(options, message):
    with pytest.raises(UserError, match=message):
        small((4, 4, 1), **options)
