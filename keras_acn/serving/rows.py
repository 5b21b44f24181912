"""Randomness by the row: each row has its own seed, and draws what it would draw alone.

A server joins the requests of several clients into one batch, and cuts large ones into
pieces. So a row's noise must not depend on what else is in its batch. Here row b with the
seed s gets exactly the noise that a batch of that row alone gets in Python from the
stateless seed `[s, 0]`, which is what `model.daydream(image, seed=s)` and the other methods
pass down. Only the noise is drawn row by row; the networks see the whole batch.
"""

import tensorflow as tf

from keras_acn.codebook.assign import pick_uniform
from keras_acn.decoders.families.distribution import ImageDistribution
from keras_acn.decoders.pixelcnn.distribution import AutoregressiveImage


def stateless(seed, stream=None):
    """Returns the int32 `[2]` stateless seed of one row, or of one stream of its numbers.

    Args:
      seed: int32 scalar.
      stream: Which of the numbers that the row needs, as in `tf.random.fold_in`.
    """
    seed = tf.stack([seed, tf.zeros_like(seed)])
    return seed if stream is None else tf.random.fold_in(seed, stream)


def uniform(shape, seed, stream):
    """Returns uniform numbers in [0, 1): float32 `[B, *shape]`.

    Args:
      shape: Shape of a row's numbers, a list of ints.
      seed: int32 `[B]`.
      stream: Which stream of each row's.
    """
    return tf.map_fn(
        lambda s: tf.random.stateless_uniform(shape, stateless(s, stream)),
        seed,
        fn_output_signature=tf.TensorSpec(shape, tf.float32),
    )


def sample(distribution, seed, stream):
    """Returns one sample for each row: `[B, *event]`.

    Args:
      distribution: A `tfd.Distribution` with batch `[B]`.
      seed: int32 `[B]`.
      stream: Which stream of each row's numbers.
    """
    if isinstance(distribution, AutoregressiveImage):
        return _sample_pixel_by_pixel(distribution, seed, stream)
    if isinstance(distribution, ImageDistribution):
        likelihood, params = distribution.likelihood, distribution.params  # [B, H, W, P]
        channels = distribution.channels
        noise = uniform([*params.shape[1:3], likelihood.noise_size(channels)], seed, stream)
        return likelihood.sample(params, channels, noise)

    def sample_row(row):
        index, s = row
        return distribution[index : index + 1].sample(seed=stateless(s, stream))[0]

    event = distribution.event_shape
    return tf.map_fn(
        sample_row,
        (tf.range(tf.size(seed)), seed),
        fn_output_signature=tf.TensorSpec(event, distribution.dtype),
    )


def _sample_pixel_by_pixel(distribution, seed, stream):
    height, width, channels = distribution.event_shape
    noise = uniform([height, width, distribution.likelihood.noise_size(channels)], seed, stream)
    return distribution.sample_from(tf.transpose(noise, [1, 2, 0, 3]))  # from [H, W, B, n]


def pick(index, seed, stream):
    """Returns one of the rows `index` `[B, k]` of each, as `pick_uniform` does: int32 `[B]`."""
    return tf.map_fn(
        lambda row: pick_uniform(row[0][None], stateless(row[1], stream))[0],
        (index, seed),
        fn_output_signature=tf.TensorSpec([], tf.int32),
    )
