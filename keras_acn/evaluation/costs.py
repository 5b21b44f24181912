"""The costs of single images in nats: of an image given its latent, of a latent given a prior.

Everything here is a function of the `Posteriors` q(z|x) of a whole data set, worked out once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_acn._base import lazy
from keras_acn._base.batches import in_batches
from keras_acn._base.checks import check_count
from keras_acn._base.errors import UserError
from keras_acn._base.progress import Progress, share_of, takes_tell
from keras_acn.data.image_set import UnitRows
from keras_acn.evaluation.inputs import images_and_labels

tf = lazy.module("tensorflow")
unconditional = lazy.module("keras_acn.evaluation.unconditional")

LOG_2PI = float(np.log(2.0 * np.pi))


@dataclasses.dataclass(frozen=True)
class Posteriors:
    """The diagonal Gaussians q(z|x) of N images.

    Attributes:
      mean: float32 `[N, d]`, the codes c(x).
      stddev: float32 `[N, d]`.

    Example:
      >>> import numpy as np
      >>> from keras_acn.evaluation import Posteriors
      >>> q = Posteriors(np.zeros([3, 2], np.float32), np.ones([3, 2], np.float32))
      >>> q.sample(seed=0).shape, q.entropy_nats().round(4).tolist()
      ((3, 2), [2.8379, 2.8379, 2.8379])
    """

    mean: np.ndarray
    stddev: np.ndarray

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def latent_dim(self) -> int:
        """d."""
        return self.mean.shape[1]

    def __getitem__(self, rows: Any) -> Posteriors:
        """Return the posteriors of `rows`, a slice or an array of them."""
        return Posteriors(self.mean[rows], self.stddev[rows])

    def sample(self, seed: int, draw: int = 0) -> np.ndarray:
        """Return z ~ q(z|x), float32 `[N, d]`: the same for the same `(seed, draw)`."""
        key = [check_count(seed, "The seed"), check_count(draw, "draw")]
        noise = np.random.default_rng(key).standard_normal(self.mean.shape)
        return (self.mean + self.stddev * noise).astype(np.float32)

    def entropy_nats(self) -> np.ndarray:
        """Return H(q) in nats, float64 `[N]`: `sum_d log(stddev) + (1 + log 2 pi) / 2`."""
        stddev = self.stddev.astype(np.float64)
        return np.sum(np.log(stddev) + 0.5 * (1.0 + LOG_2PI), axis=1)

    def log_prob(self, z: np.ndarray) -> np.ndarray:
        """Return log q(z|x) in nats, float64 `[N]`, of one z `[N, d]` for each image."""
        stddev = self.stddev.astype(np.float64)
        scaled = (z.astype(np.float64) - self.mean) / stddev
        return -np.sum(0.5 * scaled**2 + np.log(stddev) + 0.5 * LOG_2PI, axis=1)


@takes_tell
def encode_images(
    model: Any,
    images: np.ndarray | UnitRows,
    batch_size: int = 256,
    *,
    progress: Progress | None = None,
) -> Posteriors:
    """Return the `Posteriors` of images under the encoder of a model.

    Args:
      model: Any model whose `encoder(x)` returns a diagonal Gaussian.
      images: `[N, H, W, C]`, floats in [0, 1] or uint8.
      batch_size: Images at a time.
      progress: Called with the images that are done, and N.

    Raises:
      UserError: If there are no images, or a code is not a finite number.
    """
    if not len(images):
        raise UserError("There is nothing to evaluate: the data has no images.")

    def encode(x):
        q = model.encoder(x)
        return tf.cast(q.mean(), tf.float32), tf.cast(q.stddev(), tf.float32)

    rows = images if isinstance(images, UnitRows) else as_floats(images)
    q = Posteriors(*by_rows(encode, rows, batch_size=batch_size, progress=progress))
    if not (np.isfinite(q.mean).all() and np.isfinite(q.stddev).all()):
        raise UserError(
            "The model's codes hold NaN or infinity, so nothing can be measured: its training went "
            "astray. Train it again, with a lower learning rate or with clipped gradients."
        )
    return q


@takes_tell
def reconstruction_nats(
    model: Any,
    images: np.ndarray,
    q: Posteriors,
    samples: int = 1,
    seed: int = 0,
    batch_size: int = 128,
    *,
    progress: Progress | None = None,
) -> np.ndarray:
    """Return -log r(x|z) in nats, averaged over samples z ~ q(z|x): float64 `[N]`.

    Args:
      model: Any model whose `decoder(z)` returns a distribution over images.
      images: `[N, H, W, C]`, floats in [0, 1] or uint8.
      q: Their `Posteriors`.
      samples: Samples of z for each image, at least 1.
      seed: Integer seed of the samples.
      batch_size: Images at a time.
      progress: Called with the images that are done, all samples together, and their number.
    """
    images, log_prob = as_floats(images), decoder_log_prob(model)
    total = np.zeros(len(images))
    for draw in range(samples):
        total -= by_rows(
            log_prob,
            images,
            q.sample(seed, draw),
            batch_size=batch_size,
            progress=share_of(progress, draw, samples),
        )
    return total / samples


def decoder_log_prob(model: Any) -> Callable:
    """Return the compiled `(x [B, H, W, C], z [B, d]) -> log r(x|z) [B]`, in nats."""

    def log_prob(x, z):
        return tf.cast(model.decoder(z).log_prob(x), tf.float32)

    return tf.function(log_prob, autograph=False)


def kl_to_prior(q: Posteriors, prior: Any, samples: int = 1, seed: int = 0) -> np.ndarray:
    """Return KL(q || p) to an unconditional prior, in nats, float64 `[N]`.

    The entropy of q is in closed form and E_q[log p] an average over samples; to
    N(0, I) all of it is in closed form.

    Args:
      q: `Posteriors`.
      prior: Object with `log_prob(z [N, d]) -> [N]`.
      samples: Samples of z for each posterior, at least 1.
      seed: Integer seed of the samples.
    """
    if isinstance(prior, unconditional.StandardNormalPrior):
        mean, stddev = q.mean.astype(np.float64), q.stddev.astype(np.float64)
        return np.sum(0.5 * (mean**2 + stddev**2 - 1.0) - np.log(stddev), axis=1)
    log_prob = sum(
        np.asarray(prior.log_prob(q.sample(seed, draw)), np.float64) for draw in range(samples)
    )
    return -q.entropy_nats() - log_prob / samples


@takes_tell
def kl_to_codes(
    q: Posteriors,
    table: Any,
    index: np.ndarray,
    samples: int = 1,
    seed: int = 0,
    batch_size: int = 256,
    *,
    progress: Progress | None = None,
) -> np.ndarray:
    """Return KL(q || p(z|c_n)) in nats for the codes of `index`: float64 `[N, k]`.

    In closed form where p(z|c) is a Gaussian, otherwise by samples of z with the entropy
    of q in closed form.

    Args:
      q: `Posteriors`, N of them.
      table: A `keras_acn.priors.codes_mixture.PriorTable` over the codes.
      index: int `[N, k]`, rows of the table.
      samples: Samples of z for each posterior, at least 1.
      seed: Integer seed of the samples.
      batch_size: Posteriors at a time.
      progress: Called with the posteriors that are done, all samples together, and their number.
    """
    index = np.asarray(index, np.int32)
    if table.components == 1:
        arrays = q.mean, q.stddev, index
        kl = by_rows(table.gaussian_kl, *arrays, batch_size=batch_size, progress=progress)
        return kl.astype(np.float64)
    compiled = tf.function(table.log_prob, autograph=False)
    log_prob = np.zeros(index.shape)
    for draw in range(samples):
        log_prob += by_rows(
            compiled,
            q.sample(seed, draw),
            index,
            batch_size=batch_size,
            progress=share_of(progress, draw, samples),
        )
    return -q.entropy_nats()[:, None] - log_prob / samples


def as_floats(images: Any) -> np.ndarray:
    """Return images as the models take them, float32 `[N, H, W, C]`; bytes are scaled."""
    images = np.asarray(images)
    if images.dtype.kind in "iu":
        return images_and_labels(images, None, 0, "given")[0]
    return images.astype(np.float32, copy=False)


def by_rows(
    function: Callable,
    *arrays: np.ndarray | UnitRows,
    batch_size: int,
    progress: Progress | None = None,
) -> Any:
    """Return `function(*arrays)`, worked out in batches of one shape.

    One graph then serves all, and the result of a row does not depend on how many there are.
    """
    count = len(arrays[0])
    size = min(check_count(batch_size, "The batch size", 1), count)
    # A single batch is done before a graph of it would be made.
    if count > size and not isinstance(function, tf.types.experimental.PolymorphicFunction):
        function = tf.function(function, autograph=False)
    return in_batches(function, *arrays, size=size, fill=True, progress=progress)
