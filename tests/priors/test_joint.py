"""Mixtures over the whole latent: a learned one, and the VampPrior, against NumPy in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

import keras_acn
from keras_acn import LearnedMixture, UserError, VampPrior
from keras_acn.encoders import MLPEncoder
from keras_acn.testing import check_part

SHAPE, DIM = (4, 4, 1), 3
RNG = np.random.default_rng(0)
IMAGES = (RNG.random((40, *SHAPE)) < 0.4).astype(np.float32)
MLP = {"name": "mlp", "hidden": [8], "variance": "learned"}
DECODER = {"name": "bernoulli_mlp", "hidden": [8]}
PRIORS = {
    "learned_mixture": {"name": "learned_mixture", "components": 5},
    "vamp": {"name": "vamp", "components": 5},
}


def vae(prior, **options):
    given = {"encoder": MLP, "decoder": DECODER, "seed": 2, **options}
    return keras_acn.VAE(SHAPE, DIM, prior=prior, **given)


def log_mixture(z, log_weight, mean, stddev):
    """log sum_k w_k N(z | mean_k, stddev_k^2), float64 `[B]`."""
    each = stats.norm.logpdf(z[:, None].astype(np.float64), mean, stddev).sum(axis=-1)
    return special.logsumexp(log_weight + each, axis=1)


def dense(layer, x):
    kernel, bias = layer.get_weights()
    return x @ kernel.astype(np.float64) + bias


def test_the_learned_mixture_in_float64():
    prior = LearnedMixture(DIM, components=5)
    logits, mean, log_stddev = RNG.normal(size=5), RNG.normal(size=(5, 3)), RNG.normal(size=(5, 3))
    prior.set_weights([logits, mean, log_stddev])
    z = RNG.normal(size=(7, DIM)).astype(np.float32)
    p = prior(np.zeros((7, DIM), np.float32))
    assert (p.batch_shape, p.event_shape) == ((7,), (DIM,))
    want = log_mixture(z, special.log_softmax(logits), mean, np.exp(log_stddev))
    np.testing.assert_allclose(p.log_prob(z), want, rtol=1e-4)


def test_the_vamp_prior_is_the_mixture_of_the_pseudo_inputs_posteriors():
    model = vae(PRIORS["vamp"])
    raw, _ = model.prior.get_weights()
    assert raw.shape == (5, *SHAPE)
    u = special.expit(raw.astype(np.float64)).reshape(5, -1)
    np.testing.assert_allclose(np.reshape(model.prior.pseudo_inputs, (5, -1)), u, rtol=1e-5)
    hidden = np.maximum(dense(model.encoder.hidden_layers[0], u), 0)
    mean = dense(model.encoder.mean_head, hidden)
    stddev = np.exp(dense(model.encoder.scale_head, hidden))
    z = RNG.normal(size=(7, DIM)).astype(np.float32)
    want = log_mixture(z, np.full(5, -np.log(5)), mean, stddev)
    p = model.prior(np.zeros((7, DIM), np.float32))
    np.testing.assert_allclose(p.log_prob(z), want, rtol=1e-4)


@pytest.mark.parametrize("name", PRIORS)
def test_the_loss_is_that_under_the_prior(name):
    model = vae(PRIORS[name])
    _, kl = model.nats(tf.constant(IMAGES), None, tf.constant([1, 2]))
    q = model.encode(IMAGES)
    noise = tf.random.stateless_normal([40, DIM], tf.random.fold_in([1, 2], 0))
    z = (q.mean() + q.stddev() * noise).numpy()
    parameters = [np.asarray(each, np.float64) for each in model.prior.mixture()]
    want = -np.asarray(q.entropy()) - log_mixture(z, *parameters)
    np.testing.assert_allclose(kl, want, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", PRIORS)
def test_samples_are_those_of_the_mixture(name):
    prior = vae(PRIORS[name]).prior
    weight, mean, stddev = (np.asarray(each, np.float64) for each in prior.mixture())
    weight = np.exp(weight)[:, None]
    z = prior(np.zeros((20_000, DIM), np.float32)).sample(seed=[3, 4]).numpy()
    want = (weight * mean).sum(axis=0)
    variance = (weight * (stddev**2 + mean**2)).sum(axis=0) - want**2
    assert np.abs(z.mean(axis=0) - want).max() < 5 * np.sqrt(variance.max() / 20_000)
    np.testing.assert_allclose(z.var(axis=0), variance, rtol=0.06)


@pytest.mark.fast(every=3)
@pytest.mark.parametrize(
    "make",
    [
        lambda: LearnedMixture(DIM, components=4),
        lambda: LearnedMixture(DIM, components=1),
        lambda: VampPrior(SHAPE, DIM, components=4),
    ],
    ids=["learned", "one", "vamp"],
)
def test_it_keeps_what_a_part_promises(make):
    check_part(make)


@pytest.mark.fast("learned_mixture-float32")
@pytest.mark.slow_sample(every=3)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", PRIORS)
def test_a_vae_with_it_trains_in_every_precision_and_travels(tmp_path, name, policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = vae(PRIORS[name])
        model.compile(keras.optimizers.Adam(0.01))
    finally:
        keras.config.set_dtype_policy("float32")
    history = model.fit(IMAGES, epochs=12, batch_size=10, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    # The encoder's weights are not the prior's too.
    assert len(model.weights) == len({id(weight) for weight in model.weights})
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    one, other = (m.evaluate(IMAGES, verbose=0, return_dict=True) for m in (model, again))
    assert one == other
    np.testing.assert_array_equal(model.sample(4, seed=1), again.sample(4, seed=1))
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(model.sample(4, seed=1), clone.sample(4, seed=1))


@pytest.mark.slow_sample(every=2)
@pytest.mark.parametrize("name", PRIORS)
def test_xla_compiles_it(name):
    model = vae(PRIORS[name])
    model.compile(keras.optimizers.Adam(0.01), jit_compile=True)
    losses = model.fit(IMAGES, epochs=12, batch_size=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_pseudo_inputs_begin_as_training_images_and_are_learned():
    model = vae({"name": "vamp", "components": 60})
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(IMAGES, epochs=1, verbose=0)
    begun = np.asarray(model.prior.pseudo_inputs)
    # More than there are images: each is there, some twice and a little different.
    found = [np.abs(IMAGES - u).max(axis=(1, 2, 3)).argmin() for u in begun]
    assert set(found) == set(range(40))
    assert np.abs(begun - IMAGES[found]).max() < 0.03
    assert len(np.unique(begun, axis=0)) == 60
    model.compile(keras.optimizers.Adam(0.05))
    model.fit(IMAGES, epochs=3, verbose=0)
    moved = np.asarray(model.prior.pseudo_inputs)
    assert np.abs(moved - begun).max() > 1e-3
    # A training that goes on goes on from what was learned.
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(IMAGES, epochs=1, verbose=0)
    np.testing.assert_array_equal(model.prior.pseudo_inputs, moved)
    # So does another model that was given its weights, whatever images it sees.
    other = vae({"name": "vamp", "components": 60})
    other.prior.set_weights(model.prior.get_weights())
    other.compile(keras.optimizers.SGD(0.0))
    other.fit(1 - IMAGES, epochs=1, verbose=0)
    np.testing.assert_array_equal(other.prior.pseudo_inputs, moved)


def test_of_batches_without_end_the_pseudo_inputs_begin_as_they_were_drawn():
    model = vae(PRIORS["vamp"])
    before = model.prior.get_weights()[0]
    model.compile(keras.optimizers.SGD(0.0))
    batches = keras_acn.data.index_dataset(tf.data.Dataset.from_tensor_slices(IMAGES))
    model.fit(batches.batch(8).repeat(), steps_per_epoch=2, epochs=1, verbose=0)
    np.testing.assert_array_equal(model.prior.get_weights()[0], before)
    assert model.prior.begun.numpy() == 1


def test_pseudo_inputs_that_were_given_are_kept():
    model = vae(PRIORS["vamp"])
    model.prior.start_from(np.full((1, *SHAPE), 0.25))
    before = model.prior.get_weights()[0]
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(IMAGES, epochs=1, verbose=0)
    np.testing.assert_array_equal(model.prior.get_weights()[0], before)
    np.testing.assert_allclose(model.prior.pseudo_inputs, 0.26, atol=0.02)


@pytest.mark.slow
def test_it_learns_what_a_standard_normal_cannot():
    """Codes in two far clusters: the prior's own density finds them."""
    prior = LearnedMixture(1, components=4)
    prior.mean.assign([[-2.0], [-1.0], [1.0], [2.0]])
    z = np.concatenate([RNG.normal(-6, 0.2, 200), RNG.normal(6, 0.2, 200)])[:, None]
    optimizer = keras.optimizers.Adam(0.05)
    for _ in range(300):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(prior(z).log_prob(np.float32(z)))
        weights = prior.trainable_weights
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
    entropy = np.log(2) + 0.5 * np.log(2 * np.pi * np.e * 0.04)
    assert float(loss) == pytest.approx(entropy, abs=0.1)


def test_errors_name_the_fix():
    with pytest.raises(UserError, match="components must be at least 1"):
        LearnedMixture(3, components=0)
    with pytest.raises(UserError, match="image_shape"):
        VampPrior((4, 4), 3)
    prior = VampPrior(SHAPE, DIM)
    with pytest.raises(UserError, match=r"give it to a model, as VAE\(prior=...\)"):
        prior(np.zeros((1, DIM), np.float32))
    with pytest.raises(UserError, match=r"Pseudo-inputs are images of shape \(4, 4, 1\)"):
        prior.start_from(np.zeros((2, 3, 3, 1)))
    first = keras_acn.VAE(SHAPE, DIM, encoder=MLP, decoder=DECODER, prior=prior)
    prior.attach(first.encoder)
    with pytest.raises(UserError, match="give each model a VampPrior of its own"):
        prior.attach(MLPEncoder(SHAPE, DIM, hidden=[8]))
    with pytest.raises(UserError, match="that of a VHE reads a class code too"):
        keras_acn.VHE(SHAPE, DIM, prior="vamp")
    for name in PRIORS:
        with pytest.raises(UserError, match="reads no code, so that an ACN would have nothing"):
            keras_acn.ACN(SHAPE, DIM, prior=name)
