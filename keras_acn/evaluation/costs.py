"""The costs of single images in nats: of an image given its latent, of a latent given a prior."""

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.evaluation.posteriors import in_batches


def reconstruction_nats(model, images, q, samples=1, seed=0, batch_size=128, tell=None):
    """Returns -log r(x|z) in nats, averaged over samples z ~ q(z|x): float64 `[N]`.

    Args:
      model: Any model whose `decoder(z)` returns a distribution over images.
      images: float32 `[N, H, W, C]`.
      q: Their `Posteriors`.
      samples: Samples of z for each image.
      seed: Integer seed of the samples.
      batch_size: Images at a time.
      tell: Optional callable `tell(done, total)`.
    """
    images = np.asarray(images, np.float32)
    log_prob = decoder_log_prob(model)
    total = np.zeros(len(images))
    for draw in range(samples):
        arrays = [images, q.sample(seed, draw)]
        total -= in_batches(log_prob, arrays, batch_size, share_of(tell, draw, samples))
    return total / samples


def decoder_log_prob(model):
    """Returns the compiled `(x [B, H, W, C], z [B, d]) -> log r(x|z) [B]`, in nats."""
    import tensorflow as tf

    def log_prob(x, z):
        return tf.cast(model.decoder(z).log_prob(x), tf.float32)

    return tf.function(log_prob, autograph=False)


def kl_to_prior(q, prior, samples=1, seed=0):
    """Returns KL(q || p) to an unconditional prior, in nats, float64 `[N]`.

    The entropy of q is in closed form and E_q[log p] an average over samples; to
    N(0, I) all of it is in closed form.

    Args:
      q: `Posteriors`.
      prior: Object with `log_prob(z [N, d]) -> [N]`.
      samples: Samples of z for each posterior.
      seed: Integer seed of the samples.
    """
    from keras_acn.evaluation.unconditional import StandardNormalPrior

    if isinstance(prior, StandardNormalPrior):
        mean, stddev = q.mean.astype(np.float64), q.stddev.astype(np.float64)
        return np.sum(0.5 * (mean**2 + stddev**2 - 1.0) - np.log(stddev), axis=1)
    log_prob = sum(
        np.asarray(prior.log_prob(q.sample(seed, draw)), np.float64) for draw in range(samples)
    )
    return -q.entropy_nats() - log_prob / samples


def kl_to_codes(q, table, index, samples=1, seed=0, batch_size=256, tell=None):
    """Returns KL(q || p(z|c_n)) in nats for the codes of `index`: float64 `[N, k]`.

    In closed form where p(z|c) is a Gaussian, otherwise by samples of z with the entropy
    of q in closed form.

    Args:
      q: `Posteriors`, N of them.
      table: A `keras_acn.priors.codes_mixture.PriorTable` over the codes.
      index: int `[N, k]`, rows of the table.
      samples: Samples of z for each posterior.
      seed: Integer seed of the samples.
      batch_size: Posteriors at a time.
      tell: Optional callable `tell(done, total)`.
    """
    index = np.asarray(index, np.int32)
    if table.components == 1:
        arrays = [q.mean, q.stddev, index]
        return in_batches(table.gaussian_kl, arrays, batch_size, tell).astype(np.float64)
    import tensorflow as tf

    compiled = tf.function(table.log_prob, autograph=False)
    log_prob = np.zeros(index.shape)
    for draw in range(samples):
        arrays = [q.sample(seed, draw), index]
        log_prob += in_batches(compiled, arrays, batch_size, share_of(tell, draw, samples))
    return -q.entropy_nats()[:, None] - log_prob / samples


def nearest_codes(query, codes=None, k=1):
    """Returns the rows of the `k` codes nearest to each query: int64 `[N, k]`, nearest first.

    Args:
      query: `[N, d]`.
      codes: `[M, d]` with M >= k, or `None` for the queries themselves, N > k: then no
        row is its own neighbour.
      k: Number of neighbours.

    Raises:
      UserError: If there are not that many codes.
    """
    from sklearn.neighbors import NearestNeighbors

    among_themselves = codes is None
    codes = query if among_themselves else codes
    wanted = k + 1 if among_themselves else k
    if wanted > len(codes):
        raise UserError(f"{len(codes)} codes do not have {k} neighbours each: give more images.")
    search = NearestNeighbors(n_neighbors=wanted, algorithm="brute").fit(codes)
    index = search.kneighbors(query, return_distance=False)
    if not among_themselves:
        return index
    # Among duplicates a row may come anywhere in its own list, or not at all.
    itself = index == np.arange(len(query))[:, None]
    itself[~itself.any(axis=1), -1] = True
    return index[~itself].reshape(len(query), k)


def share_of(tell, part, parts):
    """Returns `tell` for the `part`-th of `parts` equal passes over the data."""
    if tell is None:
        return None
    return lambda done, total: tell(part * total + done, parts * total)
