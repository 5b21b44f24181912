"""The homoencoder: its loss term by term, its sets D, and its life as a Keras model."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special

import keras_acn
from keras_acn import VHE, UserError
from keras_acn.codebook import class_lists
from keras_acn.data.batches import Batches

RNG = np.random.default_rng(0)
IMAGES = (RNG.random((7, 4, 4, 1)) < 0.4).astype(np.float32)
LABELS = np.array([0, 1, 0, 2, 1, 0, 0])  # sizes 4, 2, 1
MLP = {"name": "mlp", "hidden": [8]}
PARTS = {
    "encoder": MLP,
    "class_encoder": MLP,
    "prior": {
        "name": "mixture",
        "components": 1,
        "hidden": [8],
        "activation": "relu",
        "skip_connections": False,
    },
    "decoder": {"name": "bernoulli_mlp", "hidden": [8]},
}
COSTS = ["loss", "reconstruction_nats", "kl_nats", "total_nats", "bits_per_dim"]
COSTS += ["kl_z_nats", "kl_c_nats"]
GRADIENTS = ["gradient_share_z", "gradient_share_c", "gradient_ratio"]


def small(**kwargs):
    return VHE((4, 4, 1), 3, **{"class_dim": 2, "seed": 1, **PARTS, **kwargs})


def compiled(optimizer=None, **kwargs):
    keras.utils.set_random_seed(0)
    model = small(**kwargs)
    model.compile(optimizer or keras.optimizers.SGD(1e-2))
    return model


def dense(layer, x):
    kernel, bias = layer.get_weights()
    return x @ kernel.astype(np.float64) + bias


def posterior(encoder, x):
    hidden = np.maximum(dense(encoder.hidden_layers[0], x), 0)
    return dense(encoder.mean_head, hidden), dense(encoder.scale_head, hidden)


def gaussian_kl(u_q, s_q, u_p, s_p):
    """The post's: p.s - q.s - 1/2 + (exp(2 q.s) + (q.u - p.u)^2) / (2 exp(2 p.s))."""
    each = s_p - s_q - 0.5 + (np.exp(2 * s_q) + (u_q - u_p) ** 2) / (2 * np.exp(2 * s_p))
    return each.sum(-1)


def numpy_costs(model, x, sets, sizes, c, z):
    """The three terms for each image, in float64: all of the loss, written out."""
    x = x.reshape(len(x), -1).astype(np.float64)
    kl_z, kl_c, reconstruction = [], [], []
    for n, members in enumerate(sets):
        u, s = posterior(model.class_encoder, members.reshape(len(members), -1).astype(np.float64))
        kl_c.append(gaussian_kl(u.mean(0), s.mean(0), 0.0, 0.0) / sizes[n])
        u_q, s_q = posterior(model.encoder, np.concatenate([x[n], c[n]])[None])
        hidden = np.maximum(dense(model.prior.hidden_layers[0], c[n][None]), 0)
        out = dense(model.prior.output_layer, hidden).reshape(1, model.latent_dim, 2)
        kl_z.append(gaussian_kl(u_q, s_q, out[..., 0], out[..., 1])[0])
        latent = np.concatenate([c[n], z[n]])[None]
        hidden = np.maximum(dense(model.decoder.hidden_layers[0], latent), 0)
        logits = dense(model.decoder.output_layer, hidden)[0]
        log_prob = x[n] * special.log_expit(logits) + (1 - x[n]) * special.log_expit(-logits)
        reconstruction.append(-log_prob.sum())
    return np.array(reconstruction), np.array(kl_z), np.array(kl_c)


def training_batch(model, labels=LABELS, seed=(1, 5)):
    """A batch of all images, the sets drawn for it, and what the step made of it."""
    images = keras_acn.data.from_arrays(IMAGES, labels)
    model._begin_fit(Batches.of(images))
    batch = {"image": tf.constant(IMAGES), "index": tf.range(len(IMAGES))}
    seed = tf.constant(seed)
    members, valid, size = model.draw_sets(batch, seed, True)
    costs, latents = model._costs_and_latents(batch, seed, True)
    return batch, (members.numpy(), valid.numpy(), size.numpy()), costs, latents


def test_the_loss_is_numpys_term_by_term():
    model = small(set_size=(1, 3))
    _, (members, valid, size), costs, latents = training_batch(model)
    np.testing.assert_array_equal(size, np.bincount(LABELS)[LABELS])
    sets = [members[n][valid[n]] for n in range(len(IMAGES))]
    c, z = (np.asarray(each, np.float64) for each in (latents.c, latents.z))
    reconstruction, kl_z, kl_c = numpy_costs(model, IMAGES, sets, size, c, z)
    np.testing.assert_allclose(costs["reconstruction_nats"], reconstruction, rtol=1e-5)
    np.testing.assert_allclose(costs["kl_z_nats"], kl_z, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(costs["kl_c_nats"], kl_c, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(costs["kl_nats"], kl_z + kl_c, rtol=1e-4, atol=1e-6)


def test_with_singletons_it_is_the_hierarchical_vae():
    """D = {x} and |X_x| = 1: -log r(x|c,z) + KL(q(z|c,x) || p(z|c)) + KL(q(c|x) || p(c))."""
    model = small()
    _, (members, valid, size), costs, latents = training_batch(model, np.arange(7))
    assert (size == 1).all() and (valid.sum(1) == 1).all()
    np.testing.assert_array_equal(members[valid], IMAGES)
    c, z = (np.asarray(each, np.float64) for each in (latents.c, latents.z))
    terms = numpy_costs(model, IMAGES, list(IMAGES[:, None]), np.ones(7), c, z)
    total = costs["reconstruction_nats"] + costs["kl_nats"]
    np.testing.assert_allclose(total, sum(terms), rtol=1e-5)


@pytest.mark.slow
def test_the_samples_are_of_their_posteriors():
    """c and z are mean plus standard deviation times N(0, 1) noise, over many seeds."""
    model = small()
    noise = []
    for step in range(30):
        _, _, _, latents = training_batch(model, seed=(3, step))
        for q, x in ((latents.class_posterior, latents.c), (latents.posterior, latents.z)):
            noise.append(((x - q.mean()) / q.stddev()).numpy().ravel())
    noise = np.concatenate(noise)
    # Four standard errors of 30 * 7 * 5 draws.
    assert abs(noise.mean()) < 0.124 and abs(noise.std() - 1) < 0.088


def test_gradient_shares_are_total_derivatives():
    """Against central differences of the loss in c (through z as well) and in z."""
    model = small(seed=1)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    batch, (members, valid, size), _, latents = training_batch(model, seed=(1, 0))
    eps = ((latents.z - latents.posterior.mean()) / latents.posterior.stddev()).numpy()
    c, z = (np.asarray(each, np.float64) for each in (latents.c, latents.z))
    sets = [members[n][valid[n]] for n in range(len(IMAGES))]

    def loss(n, c_n, z_n=None):
        x = np.concatenate([IMAGES[n].ravel(), c_n])[None].astype(np.float64)
        u, s = posterior(model.encoder, x)
        z_n = (u + np.exp(s) * eps[n])[0] if z_n is None else z_n
        one = slice(n, n + 1)
        terms = numpy_costs(model, IMAGES[one], sets[one], size[one], c_n[None], z_n[None])
        return sum(term[0] for term in terms)

    def numeric(function, at):
        steps = 1e-5 * np.eye(len(at))
        return np.array([(function(at + h) - function(at - h)) / 2e-5 for h in steps])

    of_c = sum(np.linalg.norm(numeric(lambda v, n=n: loss(n, v), c[n])) for n in range(7))
    of_z = sum(np.linalg.norm(numeric(lambda v, n=n: loss(n, c[n], v), z[n])) for n in range(7))
    logs = model.train_step(batch)
    np.testing.assert_allclose(logs["gradient_share_z"], of_z / (of_z + of_c), rtol=1e-3)
    np.testing.assert_allclose(logs["gradient_share_c"], of_c / (of_z + of_c), rtol=1e-3)
    np.testing.assert_allclose(logs["gradient_ratio"], of_z / of_c, rtol=1e-3)


def test_fit_logs_costs_and_gradients():
    model = compiled()
    history = model.fit(
        IMAGES, LABELS, epochs=3, batch_size=3, validation_data=(IMAGES, LABELS), verbose=0
    ).history
    assert {*COSTS, *GRADIENTS, *(f"val_{name}" for name in COSTS)} == set(history)
    for name in ("", "val_"):
        parts = np.add(history[f"{name}kl_z_nats"], history[f"{name}kl_c_nats"])
        np.testing.assert_allclose(history[f"{name}kl_nats"], parts, rtol=1e-5)
    np.testing.assert_allclose(
        np.add(history["gradient_share_z"], history["gradient_share_c"]), 1, rtol=1e-6
    )


@pytest.mark.full
def test_every_way_to_give_the_same_data():
    image_set = keras_acn.data.from_arrays(IMAGES, LABELS)
    batches = image_set.dataset(3)
    ways = [(IMAGES, LABELS), (image_set, None), (batches, None), (batches.map(dict), None)]
    results = []
    for x, y in ways:
        model = compiled()
        batch_size = None if isinstance(x, tf.data.Dataset) else 3
        model.fit(x, y, batch_size=batch_size, shuffle=False, verbose=0)
        costs = model.evaluate(x, y, batch_size=batch_size, verbose=0)
        results.append((model.get_weights(), costs))
    for weights, costs in results[1:]:
        assert costs == results[0][1]
        for a, b in zip(results[0][0], weights, strict=True):
            np.testing.assert_array_equal(a, b)


def test_evaluation_draws_from_the_class_of_the_data_evaluated():
    model = compiled(set_size=2)
    dataset = model._evaluation_batches((IMAGES, LABELS), batch_size=4).dataset
    seen = set()
    for batch in dataset:
        for n, row in enumerate(batch["index"].numpy()):
            valid = batch["valid"][n].numpy()
            for member in batch["members"][n].numpy()[valid]:
                others = np.flatnonzero((LABELS == LABELS[row]) & (np.arange(7) != row))
                others = others if len(others) else [row]
                assert any((member == IMAGES[o]).all() for o in others)
            assert valid.sum() == min(2, max(1, np.sum(LABELS == LABELS[row]) - 1))
            assert batch["class_size"][n] == np.sum(LABELS == LABELS[row])
            seen.add(int(row))
    assert seen == set(range(7))


def test_dynamic_images_in_d_are_drawn_anew():
    grey = keras_acn.data.from_arrays(np.full((6, 4, 4, 1), 0.5, np.float32), binarize="dynamic")
    grey.labels = np.zeros(6, np.int32)
    model = small()
    model._begin_fit(Batches.of(grey))
    batch = {"index": tf.range(6)}
    one, other = (model.draw_sets(batch, tf.constant([1, s]), True)[0].numpy() for s in (1, 2))
    assert set(np.unique(one)) == {0, 1} and (one != other).any()


@pytest.mark.slow
def test_it_learns_what_a_class_shares():
    """Classes that differ in one half of the image: c carries it, and its cost is shared."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 50)
    patterns = rng.random((4, 4, 2, 1)) < 0.5
    own = rng.random((200, 4, 2, 1)) < 0.5
    images = np.concatenate([patterns[labels], own], axis=2).astype(np.float32)
    keras.utils.set_random_seed(0)
    parts = {**PARTS, "encoder": {"name": "mlp", "hidden": [32]}}
    parts["class_encoder"] = {"name": "mlp", "hidden": [32]}
    parts["decoder"] = {"name": "bernoulli_mlp", "hidden": [32]}
    model = VHE((4, 4, 1), 2, class_dim=2, **parts)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(images, labels, epochs=40, batch_size=50, verbose=0)
    costs = model.evaluate(images, labels, verbose=0, return_dict=True)
    # The own half is 8 fair bits: 5.5 nats. Four classes cost c 1.4 nats, shared by 50.
    assert costs["total_nats"] < 6.5 and costs["kl_c_nats"] < 0.3
    new = model.generate_like(images[labels == 2][:3], n=20, seed=1)
    np.testing.assert_allclose(new[:, :, :2].mean(0), patterns[2], atol=0.2)
    queries = np.concatenate([images[labels == k][10:15] for k in range(4)])
    examples = np.concatenate([images[labels == k][:1] for k in range(4)])
    names = np.array([7, 3, 5, 9])
    found = model.classify(queries, examples, names, samples=4)
    assert (found == np.repeat(names, 5)).mean() > 0.9


def test_code_lengths_given_are_the_importance_estimate():
    """With one set, S samples and the sampled c and z, against NumPy in float64."""
    model = small()
    nats = model.code_lengths_given(IMAGES[:4], [IMAGES[4:6], IMAGES[6:]], samples=3, seed=5)
    assert nats.shape == (4, 2)
    again = model.code_lengths_given(IMAGES[:4], [IMAGES[4:6], IMAGES[6:]], samples=3, seed=5)
    np.testing.assert_array_equal(nats, again)
    total = np.full((4, 2), -np.inf)
    for draw in range(3):
        key = int(np.random.SeedSequence([5, draw]).generate_state(1)[0]) // 2
        seed = tf.constant([key, 0], tf.int32)
        noise_c = tf.random.stateless_normal([4, 1, 2], tf.random.fold_in(seed, 5)).numpy()[:, 0]
        noise_z = tf.random.stateless_normal([4, 1, 3], tf.random.fold_in(seed, 0)).numpy()[:, 0]
        for w, members in enumerate((IMAGES[4:6], IMAGES[6:])):
            u, s = posterior(model.class_encoder, members.reshape(len(members), -1))
            c = u.mean(0) + np.exp(s.mean(0)) * noise_c
            x = np.concatenate([IMAGES[:4].reshape(4, -1), c], axis=1)
            u_q, s_q = posterior(model.encoder, x)
            z = u_q + np.exp(s_q) * noise_z
            hidden = np.maximum(dense(model.prior.hidden_layers[0], c), 0)
            out = dense(model.prior.output_layer, hidden).reshape(4, 3, 2)
            u_p, s_p = out[..., 0], out[..., 1]
            log_p = (-0.5 * ((z - u_p) / np.exp(s_p)) ** 2 - s_p).sum(1)
            log_q = (-0.5 * noise_z**2 - s_q).sum(1)
            hidden = np.maximum(dense(model.decoder.hidden_layers[0], np.c_[c, z]), 0)
            logits = dense(model.decoder.output_layer, hidden)
            flat = IMAGES[:4].reshape(4, -1)
            log_r = flat * special.log_expit(logits) + (1 - flat) * special.log_expit(-logits)
            total[:, w] = np.logaddexp(total[:, w], log_r.sum(1) + log_p - log_q)
    np.testing.assert_allclose(nats, np.log(3) - total, rtol=1e-4)


def test_use_of_a_model():
    model = compiled()
    model.fit(IMAGES, LABELS, verbose=0)
    assert model.codes(IMAGES).shape == (7, 5)
    assert model.encode(IMAGES).event_shape == (3,)
    assert model.encode_class(IMAGES[:2]).event_shape == (2,)
    np.testing.assert_allclose(
        model.codes(IMAGES)[:, 2:], model.encode(IMAGES).mean(), rtol=1e-4, atol=1e-6
    )
    want = model.decode(model.codes(IMAGES)).mean()
    np.testing.assert_allclose(model.reconstruct(IMAGES), want, atol=1e-5)
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), want, atol=1e-5)
    np.testing.assert_allclose(model(IMAGES).mean(), want, atol=1e-5)
    assert model.daydream(IMAGES[:2], steps=2).shape == (3, 2, 4, 4, 1)
    for draw in (model.sample, lambda n, seed: model.generate_like(IMAGES[:2], n, seed)):
        one = draw(5, seed=1)
        assert one.shape == (5, 4, 4, 1)
        np.testing.assert_array_equal(one, draw(5, seed=1))
        assert (one != draw(5, seed=2)).any()


def test_image_nats_are_the_metrics_image_by_image():
    model = compiled()
    costs = model.evaluate(IMAGES, LABELS, batch_size=4, verbose=0, return_dict=True)
    each = model.image_nats(IMAGES, LABELS, batch_size=4)
    for name in ("reconstruction_nats", "kl_nats", "kl_z_nats", "kl_c_nats"):
        assert each[name].shape == (7,)
        assert each[name].mean() == pytest.approx(costs[name], rel=1e-5)
    many = model.image_nats(IMAGES, LABELS, samples=50, batch_size=4)["reconstruction_nats"]
    assert np.abs(many - each["reconstruction_nats"]).max() > 0


@pytest.mark.fast("False")
@pytest.mark.parametrize("supervised", [True, False])
def test_save_and_load(tmp_path, supervised):
    model = compiled(supervised=supervised, pseudo_labels={"clusters": 2})
    model.fit(IMAGES, LABELS, verbose=0)
    model.save(tmp_path / "vhe.keras")
    loaded = keras_acn.load_model(tmp_path / "vhe.keras")
    assert loaded.get_config() == model.get_config()
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert loaded.evaluate(IMAGES, LABELS, verbose=0) == model.evaluate(IMAGES, LABELS, verbose=0)
    # Training goes on alike: the random stream and the optimizer are in the file.
    histories = [m.fit(IMAGES, LABELS, verbose=0).history for m in (model, loaded)]
    assert histories[0] == histories[1]


@pytest.mark.slow_sample("True")
@pytest.mark.parametrize("supervised", [True, False])
def test_xla(supervised):
    model = small(supervised=supervised, pseudo_labels={"clusters": 2})
    model.compile("adam", jit_compile=True)
    history = model.fit(IMAGES, LABELS, verbose=0, batch_size=4, epochs=2).history
    assert np.isfinite(history["loss"]).all() and np.isfinite(history["gradient_ratio"]).all()


@pytest.mark.slow
def test_other_parts():
    """Conv encoders, a PixelCNN and a mixture; an unconditional prior."""
    conv = {"name": "conv", "filters": [4], "convolutions": 1, "dense": 8, "variance": "learned"}
    others = {
        "encoder": conv,
        "class_encoder": conv,
        "prior": {"name": "mixture", "components": 2, "hidden": [8]},
        "decoder": {"name": "pixelcnn", "layers": 2, "filters": 4},
    }
    for parts in (others, {"prior": "normal"}):
        model = compiled(**parts)
        history = model.fit(IMAGES, LABELS, verbose=0, batch_size=4).history
        assert np.isfinite(history["loss"]).all()
        assert model.sample(2).shape == (2, 4, 4, 1)


def test_bad_inputs():
    model = compiled()
    with pytest.raises(UserError, match="give labels"):
        model.fit(IMAGES)
    with pytest.raises(UserError, match="give labels"):
        model.evaluate(IMAGES)
    endless = keras_acn.data.from_arrays(IMAGES, LABELS).dataset(3).map(dict).repeat()
    with pytest.raises(UserError, match="without an end"):
        model.fit(endless, steps_per_epoch=2)
    gaps = keras_acn.data.from_arrays(IMAGES, LABELS).dataset(3).skip(1)
    with pytest.raises(UserError, match="leave gaps"):
        model.fit(gaps)
    for size in (0, (3, 2), (1, 2, 3), 1.5, True):
        with pytest.raises(UserError, match="set_size"):
            small(set_size=size)
    with pytest.raises(UserError, match="class_dim"):
        small(class_dim=0)
    with pytest.raises(UserError, match="latent_dim 3, but the model needs 5"):
        small(decoder=keras_acn.BernoulliMLP((4, 4, 1), 3))
    with pytest.raises(UserError, match="context_dim 0, but the model needs 2"):
        small(encoder=keras_acn.MLPEncoder((4, 4, 1), 3))
    with pytest.raises(UserError, match="one label an example"):
        model.classify(IMAGES, IMAGES[:3], [1, 2])
    with pytest.raises(UserError, match="samples must be at least 1"):
        model.code_lengths_given(IMAGES, [IMAGES[:1]], samples=0)
    with pytest.raises(UserError, match="n must be at least 1"):
        model.generate_like(IMAGES, n=0)
    unsupervised = compiled(supervised=False, pseudo_labels={"clusters": 2})
    with pytest.raises(UserError, match="no pseudo-labels yet|is empty"):
        unsupervised.evaluate(IMAGES)
    with pytest.raises(UserError, match="cannot fall into 10 clusters"):
        compiled(supervised=False).fit(IMAGES)


def test_class_lists():
    lists = class_lists(np.array([5, 2, 5, 9, 2, 5]))
    np.testing.assert_array_equal(lists.label, [1, 0, 1, 2, 0, 1])
    np.testing.assert_array_equal(lists.count, [2, 3, 1])
    for row in range(6):
        label = lists.label[row]
        assert lists.order[lists.start[label] + lists.rank[row]] == row
