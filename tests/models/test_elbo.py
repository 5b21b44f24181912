"""The loss, term by term, against NumPy in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from keras_acn import ACN, VAE, KNNCodebook
from keras_acn._base.errors import UserError
from keras_acn.priors.codes_mixture import MixtureOfCodes

RNG = np.random.default_rng(0)
IMAGES = (RNG.random((6, 4, 4, 1)) < 0.4).astype(np.float32)
MLP = {"name": "mlp", "hidden": [8]}
BETA = 0.5


def dense(layer, x):
    kernel, bias = layer.get_weights()
    return x @ kernel.astype(np.float64) + bias


def posterior(encoder, images):
    x = images.reshape(len(images), -1).astype(np.float64)
    x = np.maximum(dense(encoder.hidden_layers[0], x), 0)
    mean = dense(encoder.mean_head, x)
    if encoder.scale_head is None:
        return mean, np.ones_like(mean)
    return mean, np.exp(dense(encoder.scale_head, x))


def reconstruction(decoder, z, images):
    logits = dense(decoder.output_layer, np.maximum(dense(decoder.hidden_layers[0], z), 0))
    x = images.reshape(len(images), -1)
    return -(x * special.log_expit(logits) + (1 - x) * special.log_expit(-logits)).sum(1)


def log_mixture(prior, code, z):
    x = dense(prior.output_layer, np.tanh(dense(prior.hidden_layers[0], code)))
    x = x.reshape(len(code), prior.latent_dim, 3, prior.components)
    log_weight = special.log_softmax(x[:, :, 0], axis=-1)
    log_density = stats.norm.logpdf(z[..., None], x[:, :, 1], np.exp(x[:, :, 2]))
    return special.logsumexp(log_weight + log_density, axis=-1).sum(1)


def recorded_sample(model, monkeypatch):
    """Makes the decoder keep the z it is called with."""
    kept = []
    call = model.decoder.parameters
    monkeypatch.setattr(
        model.decoder, "parameters", lambda z, training=False: kept.append(z) or call(z)
    )
    return kept


def test_vae_terms(monkeypatch):
    model = VAE((4, 4, 1), 3, encoder=MLP, decoder={"name": "bernoulli_mlp", "hidden": [8]})
    kept = recorded_sample(model, monkeypatch)
    nats, kl = model.nats(tf.constant(IMAGES), tf.range(6), tf.constant([1, 2]))
    z = kept[0].numpy().astype(np.float64)
    mean, stddev = posterior(model.encoder, IMAGES)
    want_kl = (0.5 * (stddev**2 + mean**2 - 1) - np.log(stddev)).sum(1)
    np.testing.assert_allclose(kl, want_kl, rtol=1e-4)
    np.testing.assert_allclose(nats, reconstruction(model.decoder, z, IMAGES), rtol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_acn_terms(monkeypatch, training):
    model = ACN(
        (4, 4, 1),
        3,
        encoder={**MLP, "variance": "unit"},
        prior={"name": "mixture", "components": 4, "hidden": [8], "skip_connections": False},
        decoder={"name": "bernoulli_mlp", "hidden": [8]},
        codebook={"size": 6, "k": 1},
    )
    kept = recorded_sample(model, monkeypatch)
    rows = tf.range(6) if training else None
    nats, kl = model.nats(tf.constant(IMAGES), rows, tf.constant([1, 2]), training)
    z = kept[0].numpy().astype(np.float64)
    code, _ = posterior(model.encoder, IMAGES)
    codebook = model.codebook.codes.numpy().astype(np.float64)
    if training:
        np.testing.assert_allclose(codebook, code, rtol=1e-4, atol=1e-6)
    distance = np.linalg.norm(code[:, None] - codebook[None], axis=2)
    if training:
        np.fill_diagonal(distance, np.inf)
    neighbor = codebook[distance.argmin(1)]
    entropy = 3 * 0.5 * np.log(2 * np.pi * np.e)
    np.testing.assert_allclose(kl, -entropy - log_mixture(model.prior, neighbor, z), rtol=1e-4)
    np.testing.assert_allclose(nats, reconstruction(model.decoder, z, IMAGES), rtol=1e-5)


def mixture_acn(k, components=4, size=6, **options):
    return ACN(
        (4, 4, 1),
        3,
        encoder={**MLP, "variance": "unit"},
        prior={
            "name": "mixture",
            "components": components,
            "hidden": [8],
            "skip_connections": False,
        },
        decoder={"name": "bernoulli_mlp", "hidden": [8]},
        codebook={"size": size, "k": k},
        objective="mixture",
        **options,
    )


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("k", [2, 5])
def test_the_mixture_objective_is_the_mixture_of_the_nearest_codes(monkeypatch, training, k):
    """With k = N - 1 it is the sum over all codes but one's own, by brute force."""
    model = mixture_acn(k)
    kept = recorded_sample(model, monkeypatch)
    rows = tf.range(6)
    if not training:
        model.recode(IMAGES)
    _, kl = model.nats(tf.constant(IMAGES), rows, tf.constant([1, 2]), training)
    z = kept[-1].numpy().astype(np.float64)
    code, _ = posterior(model.encoder, IMAGES)
    want = []
    for b in range(6):
        others = np.delete(np.arange(6), b)
        distance = np.linalg.norm(code[others] - code[b], axis=1)
        near = others[np.argsort(distance)[:k]]
        each = log_mixture(model.prior, code[near], np.tile(z[b], (k, 1)))
        entropy = 3 * 0.5 * np.log(2 * np.pi * np.e)
        want.append(-entropy - (special.logsumexp(each) - np.log(6)))
    np.testing.assert_allclose(kl, want, rtol=1e-4)


def test_the_mixture_objective_is_the_mixture_of_codes_for_images_not_trained_on(monkeypatch):
    model = mixture_acn(6)
    kept = recorded_sample(model, monkeypatch)
    _, kl = model.nats(tf.constant(IMAGES), None, tf.constant([1, 2]))
    mixture = MixtureOfCodes(model.prior, model.codebook.codes.numpy(), nearest=None)
    want = -3 * 0.5 * np.log(2 * np.pi * np.e) - np.asarray(mixture.log_prob(kept[0]))
    np.testing.assert_allclose(kl, want, rtol=1e-4)
    fewer = mixture_acn(2, seed=0)
    fewer.set_weights(model.get_weights())
    # Terms that are left out only make it dearer.
    assert np.all(fewer.nats(tf.constant(IMAGES), None, tf.constant([1, 2]))[1] >= kl - 1e-4)


def test_a_datum_without_a_neighbour_has_a_finite_mixture_and_gradient(monkeypatch):
    model = mixture_acn(2)
    kept = recorded_sample(model, monkeypatch)
    model.recode(IMAGES)
    codes = model.codebook.codes.numpy()
    codes[1:] = np.nan  # which are nobody's neighbours
    model.codebook.codes.assign(codes)
    with tf.GradientTape() as tape:
        _, kl = model.nats(tf.constant(IMAGES[:1]), tf.constant([0]), tf.constant([1, 2]))
    # The zero code stands in for all neighbours, once.
    z = kept[-1].numpy().astype(np.float64)
    log_p = log_mixture(model.prior, np.zeros((1, 3), np.float32), z) - np.log(6)
    np.testing.assert_allclose(kl, -3 * 0.5 * np.log(2 * np.pi * np.e) - log_p, rtol=1e-4)
    for gradient in tape.gradient(kl, model.prior.trainable_weights):
        assert np.isfinite(gradient).all()


@pytest.mark.fast(every=4)
@pytest.mark.parametrize("components", [1, 4])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_mixture_objective_trains_and_travels(tmp_path, components, jit_compile):
    images = (np.random.default_rng(1).random((40, 4, 4, 1)) < 0.4).astype(np.float32)
    model = mixture_acn(5, components, size=40)
    model.compile(keras.optimizers.Adam(0.01), jit_compile=jit_compile)
    history = model.fit(images, epochs=8, batch_size=10, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert set(history) >= {"codebook_distance", "codebook_drift", "codebook_used"}
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.objective == "mixture"
    options = {"exclude_self": True, "verbose": 0, "return_dict": True}
    assert again.evaluate(images, **options) == model.evaluate(images, **options)


def test_objectives_that_there_are_not():
    with pytest.raises(UserError, match='Unknown objective "mixtur".*Did you mean "mixture"'):
        ACN((4, 4, 1), 3, objective="mixtur")
    with pytest.raises(UserError, match="leave unique=True out"):
        ACN((4, 4, 1), 3, codebook={"unique": True}, objective="mixture")
    with pytest.raises(UserError, match='StandardNormal reads none: choose prior="mixture"'):
        ACN((4, 4, 1), 3, prior="normal", objective="mixture")
    assert ACN((4, 4, 1), 3).objective == "pick"


def test_the_posts_acn_has_the_closed_form_of_its_derivation():
    """D_KL = log(s_p / s_q) + (s_q^2 + (u_q - u_p)^2) / (2 s_p^2) - 1/2."""
    model = ACN(
        (4, 4, 1),
        3,
        encoder=MLP,
        prior={
            "name": "mixture",
            "components": 1,
            "hidden": [8],
            "activation": "relu",
            "skip_connections": False,
        },
        decoder={"name": "bernoulli_mlp", "hidden": [8]},
        codebook={"size": 6, "k": 1},
    )
    _, kl = model.nats(tf.constant(IMAGES), None, tf.constant([1, 2]))
    u_q, s_q = posterior(model.encoder, IMAGES)
    codebook = model.codebook.codes.numpy().astype(np.float64)
    neighbor = codebook[np.linalg.norm(u_q[:, None] - codebook[None], axis=2).argmin(1)]
    hidden = np.maximum(dense(model.prior.hidden_layers[0], neighbor), 0)
    out = dense(model.prior.output_layer, hidden).reshape(6, 3, 2)
    u_p, s_p = out[..., 0], np.exp(out[..., 1])
    want = (np.log(s_p / s_q) + (s_q**2 + (u_q - u_p) ** 2) / (2 * s_p**2) - 0.5).sum(1)
    np.testing.assert_allclose(kl, want, rtol=1e-4)


def test_a_training_step_is_sgd_on_the_mean_loss():
    """Weights move by learning rate times the gradient of mean(reconstruction + beta KL)."""
    model = VAE((4, 4, 1), 3, encoder=MLP, decoder={"name": "bernoulli_mlp"}, beta=BETA, seed=4)
    model.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
    before = [w.numpy() for w in model.trainable_weights]
    with tf.GradientTape() as tape:
        nats, kl = model.nats(tf.constant(IMAGES), tf.range(6), tf.constant([4, 0]), True)
        loss = tf.reduce_mean(nats + BETA * kl)
    gradients = tape.gradient(loss, model.trainable_weights)
    logs = model.train_step({"image": tf.constant(IMAGES), "index": tf.range(6)})
    for old, gradient, new in zip(before, gradients, model.trainable_weights, strict=True):
        np.testing.assert_allclose(new.numpy(), old - 0.01 * gradient, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(logs["loss"], loss, rtol=1e-5)
    total = np.mean(nats + kl)
    np.testing.assert_allclose(logs["total_nats"], total, rtol=1e-5)
    np.testing.assert_allclose(logs["reconstruction_nats"], np.mean(nats), rtol=1e-5)
    np.testing.assert_allclose(logs["kl_nats"], np.mean(kl), rtol=1e-5)
    np.testing.assert_allclose(logs["bits_per_dim"], total / np.log(2) / 16, rtol=1e-5)


def test_metrics_are_means_over_images_not_over_batches():
    model = VAE((4, 4, 1), 3, encoder=MLP, decoder={"name": "bernoulli_mlp"})
    model.compile()
    uneven = model.evaluate(IMAGES, batch_size=4, verbose=0, return_dict=True)
    parts = [
        model.nats(tf.constant(IMAGES[i:j]), tf.range(i, j), tf.constant([model.seed ^ 0x7E57, i]))[
            0
        ]
        for i, j in ((0, 4), (4, 6))
    ]
    np.testing.assert_allclose(
        uneven["reconstruction_nats"], np.mean(np.concatenate(parts)), rtol=1e-5
    )


def test_warm_up_follows_the_optimizer_steps():
    beta = keras.optimizers.schedules.PolynomialDecay(0.0, 4, 1.0)
    model = VAE((4, 4, 1), 3, encoder=MLP, decoder={"name": "bernoulli_mlp"}, beta=beta)
    assert [float(model.beta_at(step)) for step in (0, 2, 4, 9)] == [0, 0.5, 1, 1]
    again = VAE.from_config(model.get_config())
    assert float(again.beta_at(1)) == 0.25


def test_evaluating_the_training_data_without_excluding_oneself_is_a_leak():
    model = ACN(
        (4, 4, 1),
        3,
        encoder={**MLP, "variance": "unit"},
        decoder={"name": "bernoulli_mlp"},
        codebook=KNNCodebook(k=1),
    )
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(IMAGES, epochs=1, verbose=0)
    leak = model.codebook(model.encode(IMAGES).mean()).index
    np.testing.assert_array_equal(leak, np.arange(6))
    honest = model.evaluate(IMAGES, exclude_self=True, verbose=0, return_dict=True)["kl_nats"]
    leaked = model.evaluate(IMAGES, verbose=0, return_dict=True)["kl_nats"]
    assert honest != leaked
    again = model.evaluate(IMAGES, exclude_self=True, verbose=0, return_dict=True)["kl_nats"]
    assert again == honest
