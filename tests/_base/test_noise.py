"""Noise: the same numbers for a row, whoever draws them."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from keras_acn._base.errors import UserError
from keras_acn._base.noise import Noise, RowNoise
from keras_acn.decoders import GatedPixelCNN, MLPDecoder
from keras_acn.distribute import exchange

tfd = tfp.distributions


def distributions(rows):
    """One of each kind that the models sample, for as many rows."""
    z = tf.random.stateless_normal([rows, 3], [1, 2])
    pixelcnn = GatedPixelCNN((4, 4, 1), latent_dim=3, layers=2, filters=4, block=2)
    return {
        "posterior": tfd.Independent(tfd.Normal(z, tf.exp(z)), 1),
        "mixture": tfd.Independent(
            tfd.MixtureSameFamily(
                tfd.Categorical(logits=tf.stack([z, -z], -1)),
                tfd.Normal(tf.stack([z, z + 5], -1), 0.1),
            ),
            1,
        ),
        "images": MLPDecoder((4, 4, 1), latent_dim=3, hidden=[8])(z),
        "autoregressive": pixelcnn(z),
    }


@pytest.mark.parametrize("kind", ["posterior", "mixture", "images", "autoregressive"])
def test_a_row_draws_what_it_draws_alone(kind):
    seeds = tf.constant([5, 9, 5, 2**31 - 1])
    together = distributions(4)[kind]
    rows = RowNoise(seeds).stream(3).sample(together).numpy()
    for row, seed in enumerate(seeds.numpy()):
        alone = Noise(int(seed)).stream(3).sample(together[row : row + 1])
        np.testing.assert_allclose(rows[row], alone[0], rtol=1e-6)
    assert not np.array_equal(rows[0], rows[1])


def test_streams_and_seeds_differ():
    like = tf.zeros([1000])
    noise = Noise([3, 4])
    drawn = [noise, noise.stream(0), noise.stream(1), Noise([3, 5]), Noise(3)]
    values = [each.uniform(like).numpy() for each in drawn]
    for i, one in enumerate(values):
        for other in values[:i]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.15
    np.testing.assert_array_equal(values[1], Noise([3, 4]).stream(0).uniform(like))
    np.testing.assert_array_equal(Noise(3).seed, [3, 0])
    assert Noise.of(noise) is noise


def test_numbers_have_their_distribution():
    like = tf.zeros([20_000])
    normal = Noise(1).normal(like, [2]).numpy()
    assert normal.shape == (20_000, 2)
    np.testing.assert_allclose(normal.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(normal.std(0), 1, atol=0.03)
    uniform = RowNoise(tf.range(2000)).uniform(like[:2000], [3]).numpy()
    assert uniform.shape == (2000, 3) and 0 <= uniform.min() <= uniform.max() < 1
    np.testing.assert_allclose(uniform.mean(0), 0.5, atol=0.03)


def test_a_posterior_is_sampled_as_tensorflow_probability_does():
    q = distributions(5)["posterior"]
    np.testing.assert_array_equal(Noise([7, 8]).sample(q), q.sample(seed=[7, 8]))


def test_one_replica_has_the_noise_of_the_whole_batch():
    assert type(exchange.noise([1, 2])) is Noise
    assert exchange.noise([1, 2]).whole() is not None


def test_a_noise_does_for_a_seed_where_one_seed_does():
    noise = Noise([3, 4])
    for draw in (
        lambda seed: tf.random.stateless_normal([5], seed),
        lambda seed: tfd.Normal(tf.zeros([5]), 1.0).sample(seed=seed),
        lambda seed: tf.random.stateless_normal([5], tf.constant([1, 0]) + seed),
        lambda seed: tf.random.stateless_normal([5], [seed[0], seed[1] + 1]),
        tf.function(lambda seed: tf.random.stateless_uniform([5], tf.random.fold_in(seed, 1))),
    ):
        np.testing.assert_array_equal(draw(noise), draw(tf.constant([3, 4])))


@pytest.mark.parametrize("noise", [RowNoise(tf.constant([1, 2])), exchange.ReplicaNoise([3, 4])])
def test_rows_and_replicas_have_no_one_seed(noise):
    for use in (
        lambda: tf.random.stateless_normal([2], noise),
        lambda: tfd.Normal(0.0, 1.0).sample(seed=noise),
        lambda: noise[0],
    ):
        with pytest.raises(UserError, match="draw by noise.uniform"):
            use()
