"""The posteriors q(z|x) of a whole data set, and how to run it through a model."""

import dataclasses

import numpy as np

from keras_acn._base.errors import UserError

LOG_2PI = float(np.log(2.0 * np.pi))


@dataclasses.dataclass(frozen=True)
class Posteriors:
    """The diagonal Gaussians q(z|x) of N images.

    Attributes:
      mean: float32 `[N, d]`, the codes c(x).
      stddev: float32 `[N, d]`.
    """

    mean: np.ndarray
    stddev: np.ndarray

    def __len__(self):
        return len(self.mean)

    @property
    def latent_dim(self):
        return self.mean.shape[1]

    def __getitem__(self, rows):
        """Returns the posteriors of `rows`, a slice or an array of them."""
        return Posteriors(self.mean[rows], self.stddev[rows])

    def sample(self, seed, draw=0):
        """Returns z ~ q(z|x), float32 `[N, d]`: the same for the same `(seed, draw)`."""
        noise = np.random.default_rng([seed, draw]).standard_normal(self.mean.shape)
        return (self.mean + self.stddev * noise).astype(np.float32)

    def entropy_nats(self):
        """Returns H(q) in nats, float64 `[N]`: `sum_d log(stddev) + (1 + log 2 pi) / 2`."""
        stddev = self.stddev.astype(np.float64)
        return np.sum(np.log(stddev) + 0.5 * (1.0 + LOG_2PI), axis=1)

    def log_prob(self, z):
        """Returns log q(z|x) in nats, float64 `[N]`, of one z `[N, d]` for each image."""
        stddev = self.stddev.astype(np.float64)
        scaled = (z.astype(np.float64) - self.mean) / stddev
        return -np.sum(0.5 * scaled**2 + np.log(stddev) + 0.5 * LOG_2PI, axis=1)


def in_batches(function, arrays, batch_size, tell=None):
    """Returns `function(*arrays)` worked out in batches of one shape.

    The last batch is filled up by repeating its last row, so that one graph serves all
    and the result of a row does not depend on how many there are.

    Args:
      function: Takes tensors `[B, ...]`, returns a tensor `[B, ...]` or a tuple of them.
        Compiled here if there are several batches; a `tf.function` is taken as it is.
      arrays: NumPy arrays `[N, ...]` of the same N >= 1.
      batch_size: B.
      tell: Optional callable `tell(done, total)`, called after each batch.

    Returns:
      A NumPy array `[N, ...]`, or a tuple of them.
    """
    import tensorflow as tf

    count = len(arrays[0])
    size = min(int(batch_size), count)
    if count > size and not hasattr(function, "get_concrete_function"):
        function = tf.function(function, autograph=False)
    parts = []
    for start in range(0, count, size):
        stop = min(start + size, count)
        rows = np.minimum(np.arange(start, start + size), stop - 1)
        result = function(*(tf.constant(each[rows]) for each in arrays))
        is_tuple = isinstance(result, tuple)
        parts.append([np.asarray(r)[: stop - start] for r in (result if is_tuple else (result,))])
        if tell is not None:
            tell(stop, count)
    joined = tuple(np.concatenate(each) for each in zip(*parts, strict=True))
    return joined if is_tuple else joined[0]


def encode_images(model, images, batch_size=256, tell=None):
    """Returns the `Posteriors` of `images` under the encoder of `model`.

    Args:
      model: Any model whose `encoder(x)` returns a diagonal Gaussian.
      images: float32 `[N, H, W, C]` in [0, 1].
      batch_size: Images at a time.
      tell: Optional callable `tell(done, total)`.

    Raises:
      UserError: If there are no images.
    """
    import tensorflow as tf

    if not len(images):
        raise UserError("There is nothing to evaluate: the data has no images.")

    def encode(x):
        q = model.encoder(x)
        return tf.cast(q.mean(), tf.float32), tf.cast(q.stddev(), tf.float32)

    return Posteriors(*in_batches(encode, [np.asarray(images, np.float32)], batch_size, tell))


def is_homoencoder(model):
    """Returns whether `model` codes a datum given a set of others of its class, as a VHE does."""
    return getattr(model, "class_encoder", None) is not None


def is_deterministic(model):
    """Returns whether the latents of `model` are points, as an autoencoder's are."""
    return bool(getattr(model, "is_deterministic", False))


def is_associative(model):
    """Returns whether `model` codes a datum given another's code, as an ACN does."""
    conditional = getattr(model.prior, "is_conditional", True)
    return bool(conditional) and getattr(model, "codebook", None) is not None
