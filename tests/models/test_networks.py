"""Keras models of the user's own as encoder, prior and decoder, whatever they return."""

import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from family import IMAGES, LABELS, assert_same_weights

import keras_acn
from keras_acn import ACN, VAE, UserError
from keras_acn.decoders import NetworkDecoder
from keras_acn.testing import check_part

tfd = tfp.distributions
layers = keras.layers


def encoder(kind):
    x = keras.Input((4, 4, 1))
    h = layers.Dense(6, activation="relu")(layers.Flatten()(x * 2 - 1))
    mean = layers.Dense(2)(h)
    if kind == "tensor":
        return keras.Model(x, mean)
    if kind == "pair":
        return keras.Model(x, [mean, layers.Dense(2, activation="softplus")(h)])
    if kind == "unbuilt":
        return keras.Sequential([layers.Flatten(), layers.Dense(2)])
    return OwnPosterior()


@keras.saving.register_keras_serializable("test_networks")
class OwnPosterior(keras.Model):
    """Built at its first call, like most of those that users write."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.flatten, self.dense = layers.Flatten(), layers.Dense(4)

    def call(self, x, training=False):
        mean, raw = tf.split(self.dense(self.flatten(x)), 2, axis=-1)
        return tfd.Independent(tfd.Normal(mean, tf.nn.softplus(raw)), 1)


@keras.saving.register_keras_serializable("test_networks")
class OwnImages(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(16)

    def call(self, z, training=False):
        mean = tf.reshape(self.dense(z), [-1, 4, 4, 1])
        return tfd.Independent(tfd.Normal(mean, 0.1), 3)


@keras.saving.register_keras_serializable("test_networks")
class OwnPrior(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(2)

    def call(self, code, training=False):
        return tfd.Independent(tfd.Normal(self.dense(code), 1.0), 1)


DECODERS = {
    "logits": lambda: keras.Sequential([layers.Dense(16), layers.Reshape((4, 4, 1))]),
    "flat logits": lambda: keras.Sequential([keras.Input((2,)), layers.Dense(16)]),
    "a layer": lambda: layers.Dense(16),
    "a distribution": OwnImages,
}
PRIORS = {
    "tensor": lambda: layers.Dense(2),
    "pair": lambda: _pair_prior(),
    "a distribution": OwnPrior,
}


def _pair_prior():
    c = keras.Input((2,))
    return keras.Model(c, (layers.Dense(2)(c), layers.Dense(2, activation="softplus")(c)))


@pytest.mark.fast("pair-pair-flat logits")
@pytest.mark.slow_sample(every=6)
@pytest.mark.parametrize("images", DECODERS)
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("posterior", ["tensor", "pair", "unbuilt", "a distribution"])
def test_they_train_and_travel(posterior, prior, images, tmp_path):
    keras.utils.set_random_seed(0)
    model = ACN(
        (4, 4, 1), 2, encoder=encoder(posterior), prior=PRIORS[prior](), decoder=DECODERS[images]()
    )
    model.compile(keras.optimizers.Adam(1e-2))
    before = [weight.numpy() for weight in model.trainable_weights]
    model.fit(IMAGES, LABELS, batch_size=8, verbose=0)
    moved = [np.any(a != b.numpy()) for a, b in zip(before, model.trainable_weights, strict=True)]
    assert len(moved) >= 6 and all(moved)
    model.save(tmp_path / "a.keras")
    again = keras_acn.load_model(tmp_path / "a.keras")
    assert_same_weights(again, model)
    np.testing.assert_allclose(again.codes(IMAGES), model.codes(IMAGES), rtol=1e-6)
    want = model.evaluate(IMAGES, batch_size=8, verbose=0)
    np.testing.assert_allclose(again.evaluate(IMAGES, batch_size=8, verbose=0), want, rtol=1e-6)


SIZES = {"image_shape": (4, 4, 1), "latent_dim": 2}
PARTS = {
    "encoder": ("mlp", {"name": "mlp", "hidden": [4]}, lambda: encoder("pair")),
    "prior": ("mixture", {"name": "mixture", "hidden": [4]}, PRIORS["pair"]),
    "decoder": ("mlp", {"name": "mlp", "hidden": [4]}, DECODERS["logits"]),
    "codebook": ("KNNCodebook", {"k": 2}, lambda: keras_acn.KNNCodebook(k=2, search=OwnSearch())),
}


@keras.saving.register_keras_serializable("test_networks")
class OwnSearch(keras_acn.codebook.ExactSearch):
    """A search of a user's, who begins with one of the package."""


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_named_configured_or_ones_own(part):
    """What the README says of encoder, prior, decoder and codebook."""
    name, config, own = PARTS[part]
    small = {"encoder": {"name": "mlp", "hidden": [4]}, "decoder": {"name": "mlp", "hidden": [4]}}
    found = []
    for given in (name, config, own()):
        model = ACN(**SIZES, **{**small, "prior": {"hidden": [4]}, part: given})
        found.append(getattr(model, part))
        again = ACN.from_config(model.get_config())
        assert type(getattr(again, part)) is type(found[-1])
    assert type(found[0]) is type(found[1])
    if part == "codebook":
        assert isinstance(found[2].search_strategy, OwnSearch) and found[1].k == found[2].k == 2
    else:
        assert found[1].hidden == (4,) or list(found[1].hidden) == [4]
        assert found[2].network is not None and type(found[2]) is not type(found[1])


def test_a_likelihood_may_be_named_where_the_number_of_parameters_should_not_decide():
    network = keras.Sequential([layers.Dense(16), layers.Reshape((4, 4, 1))])
    decoder = NetworkDecoder(network, (4, 4, 1), 2, likelihood="continuous_bernoulli")
    image = np.random.default_rng(0).random((3, 4, 4, 1)).astype(np.float32)
    z = np.ones((3, 2), np.float32)
    want = tfd.Independent(tfd.ContinuousBernoulli(logits=network(z)), 3).log_prob(image)
    np.testing.assert_allclose(decoder(z).log_prob(image), want, rtol=1e-4)
    again = NetworkDecoder.from_config(decoder.get_config())
    assert type(again.likelihood) is type(decoder.likelihood)


def test_a_network_keeps_the_precision_it_was_given_with(tmp_path):
    half = keras.Sequential([layers.Flatten(), layers.Dense(2, dtype="mixed_bfloat16")])
    model = VAE((4, 4, 1), 2, encoder=half, decoder=layers.Dense(16))
    assert model.encoder.network.layers[-1].compute_dtype == "bfloat16"
    assert model.encode(IMAGES[:3]).mean().dtype == "float32"
    model.save(tmp_path / "a.keras")
    again = keras_acn.load_model(tmp_path / "a.keras")
    assert again.encoder.network.layers[-1].compute_dtype == "bfloat16"
    assert again.decoder.network.compute_dtype == "float32"


def test_a_class_that_nobody_registered_is_told():
    class Unknown(keras.layers.Layer):
        def call(self, x):
            return layers.Flatten()(x)[:, :2]

    with tempfile.TemporaryDirectory() as folder, pytest.raises(UserError, match="regist"):
        model = VAE((4, 4, 1), 2, encoder=Unknown(), decoder="mlp")
        model.save(f"{folder}/a.keras")
        keras_acn.load_model(f"{folder}/a.keras")


@pytest.mark.parametrize("kind", ["tensor", "pair", "a distribution"])
def test_the_posterior_is_what_the_network_says(kind):
    network = encoder(kind)
    model = VAE((4, 4, 1), 2, encoder=network, decoder="mlp")
    found = network(IMAGES[:3])
    q = model.encode(IMAGES[:3])
    if kind == "tensor":
        mean, stddev = found, np.ones((3, 2))
    elif kind == "pair":
        mean, stddev = found
    else:
        mean, stddev = found.mean(), found.stddev()
    np.testing.assert_allclose(q.mean(), mean, rtol=1e-6)
    np.testing.assert_allclose(q.stddev(), stddev, rtol=1e-6)
    np.testing.assert_allclose(model.encoder.parameters(IMAGES[:3])[1], stddev, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "per_pixel", "family"),
    [
        ((4, 4, 1), 1, "Bernoulli()"),
        ((4, 4, 3), 3, "Bernoulli()"),
        ((4, 4, 1), 256, "Categorical256()"),
        ((4, 4, 1), 15, "DiscretizedLogisticMixture(components=5)"),
        ((4, 4, 3), 20, "DiscretizedLogisticMixture(components=2)"),
    ],
)
def test_the_family_follows_from_the_number_of_parameters(shape, per_pixel, family):
    network = keras.Sequential([layers.Dense(16 * per_pixel), layers.Reshape((4, 4, per_pixel))])
    decoder = NetworkDecoder(network, shape, latent_dim=2)
    assert repr(decoder.likelihood) == family
    z = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    image = np.random.default_rng(1).integers(0, 2, (3, *shape)).astype(np.float32)
    want = decoder.likelihood.distribution(network(z), shape).log_prob(image)
    np.testing.assert_allclose(decoder(z).log_prob(image), want, rtol=1e-6)


def test_a_frozen_network_stays_frozen(tmp_path):
    """An encoder taken from a classifier, of which nothing is trained further."""
    network = encoder("tensor")
    network.trainable = False
    model = VAE((4, 4, 1), 2, encoder=network, decoder="mlp")
    model.compile(keras.optimizers.Adam(1e-2))
    model.save(tmp_path / "a.keras")
    for each in (model, keras_acn.load_model(tmp_path / "a.keras")):
        before = [weight.numpy() for weight in each.encoder.weights]
        each.fit(IMAGES, batch_size=8, verbose=0)
        for a, b in zip(before, each.encoder.weights, strict=True):
            np.testing.assert_array_equal(a, b)


def test_images_are_compressed_by_them():
    pytest.importorskip("constriction")
    keras.utils.set_random_seed(0)
    model = ACN(
        (4, 4, 1), 2, encoder=encoder("pair"), prior=layers.Dense(2), decoder=layers.Dense(16)
    )
    model.compile()
    model.fit(IMAGES.round(), batch_size=8, verbose=0)
    images = IMAGES.round().astype(np.uint8)
    data = keras_acn.compress(images, model)
    np.testing.assert_array_equal(keras_acn.decompress(data, model), images)


@pytest.mark.slow
def test_they_are_exported(tmp_path):
    model = VAE((4, 4, 1), 2, encoder=encoder("pair"), decoder=DECODERS["logits"]())
    model.compile()
    model.fit(IMAGES, batch_size=8, verbose=0)
    served = tf.saved_model.load(str(model.export(tmp_path / "served").path))
    found = served.signatures["encode"](image=tf.constant(IMAGES[:3]))["mean"]
    np.testing.assert_allclose(found, model.codes(IMAGES[:3]), rtol=1e-5)


@pytest.mark.slow
def test_they_keep_what_parts_promise():
    # A network has the precision that its owner made it with.
    for make in (
        lambda: keras_acn.encoders.NetworkEncoder(encoder("pair"), (4, 4, 1), 2),
        lambda: NetworkDecoder(layers.Dense(16), (4, 4, 1), 2),
        lambda: keras_acn.priors.NetworkPrior(_pair_prior(), 2),
    ):
        check_part(make, policies=())


WRONG = {
    "too many numbers": (dict(encoder=layers.Dense(3)), r"cannot take|\(4, 4, 3\) numbers"),
    "another code": (
        dict(encoder=keras.Sequential([layers.Flatten(), layers.Dense(5)])),
        r"\(5,\) numbers an image, but the code has 2: end it with Dense\(2\)",
    ),
    "other images": (
        dict(encoder=keras.Sequential([keras.Input((9, 9, 1)), layers.Flatten(), layers.Dense(2)])),
        r"encoder's network \(Sequential\) cannot take \[batch, 4, 4, 1\]",
    ),
    "no logits": (dict(decoder=layers.Dense(17)), r"return \(4, 4, P\), P being 1"),
    "a prior of another size": (dict(prior=layers.Dense(3)), "mean of 2 numbers"),
    "a number": (dict(encoder=3), "a Keras model, a name or a dict"),
    "a function": (dict(decoder=lambda z: z), "not function"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_one_sentence(case):
    options, words = WRONG[case]
    with pytest.raises(UserError, match=words):
        ACN((4, 4, 1), 2, **options)


@keras.saving.register_keras_serializable("test_networks")
class Correlated(OwnPosterior):
    def call(self, x, training=False):
        mean = self.dense(self.flatten(x))[:, :2]
        return tfd.MultivariateNormalTriL(mean, tf.constant([[1.0, 0.0], [0.5, 1.0]]))


def test_a_posterior_of_dependent_latents_is_not_compressed_by():
    pytest.importorskip("constriction")
    model = VAE((4, 4, 1), 2, encoder=Correlated(), decoder=layers.Dense(16))
    with pytest.raises(UserError, match="latents are independent Gaussians"):
        keras_acn.compress(IMAGES.round().astype(np.uint8), model)
