"""The importance-weighted bound: a tighter estimate of log p(x) than the ELBO."""

import dataclasses
import math

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.evaluation.costs import decoder_log_prob, share_of
from keras_acn.evaluation.posteriors import encode_images, in_batches

# Kept apart from the seeds of the code lengths, so that the two estimates are independent.
_STREAM = 7_919


@dataclasses.dataclass
class ImportanceBound:
    """Lower bounds of log p(x) for N images, in nats.

    Attributes:
      log_likelihood_nats: float64 `[N]`, the importance-weighted bound.
      elbo_nats: float64 `[N]`, the ELBO from the same samples: never above the former.
      effective_samples: float64 `[N]`, `(sum w)^2 / sum w^2`: near 1 says that one
        sample carries all the weight and that more of them would still raise the bound.
      samples: Samples S of each image.
    """

    log_likelihood_nats: np.ndarray
    elbo_nats: np.ndarray
    effective_samples: np.ndarray
    samples: int

    def summary(self):
        """Returns a JSON-able dict; costs are negated bounds, so upper bounds in nats."""
        count = len(self.log_likelihood_nats)
        error = None
        if count > 1:
            error = float(np.std(self.log_likelihood_nats, ddof=1) / math.sqrt(count))
        return {
            "images": count,
            "samples": self.samples,
            "nats": -float(np.mean(self.log_likelihood_nats)),
            "standard_error": error,
            "negative_elbo_nats": -float(np.mean(self.elbo_nats)),
            "effective_samples": float(np.mean(self.effective_samples)),
        }


def importance_weighted_bound(
    model, images, prior, *, samples=16, seed=0, batch_size=128, tell=None
):
    """Returns the `ImportanceBound` of log p(x) under an unconditional prior.

    `log (1/S) sum_s r(x|z_s) p(z_s) / q(z_s|x)` with z_s ~ q(z|x): Burda et al. 2016
    (arXiv 1509.00519), equation 8. Its expectation rises with S towards log p(x). The
    log-sum-exp runs over the samples as they come, so memory does not grow with S.

    Args:
      model: A model with an `encoder` and a `decoder`.
      images: float32 `[N, H, W, C]` in [0, 1], N >= 1.
      prior: Object with `log_prob(z [N, d]) -> [N]`.
      samples: S, at least 1. With 1 it is the ELBO.
      seed: Integer seed of the samples.
      batch_size: Images at a time.
      tell: Optional callable `tell(done, total)`.

    Raises:
      UserError: If there are no images or `samples` is less than 1.
    """
    if samples < 1:
        raise UserError(f"The importance-weighted bound needs at least 1 sample, not {samples}.")
    images = np.asarray(images, np.float32)
    q = encode_images(model, images, batch_size)
    log_image = decoder_log_prob(model)
    total = np.full(len(q), -np.inf)
    squares = np.full(len(q), -np.inf)
    elbo = np.zeros(len(q))
    for draw in range(samples):
        z = q.sample(seed + _STREAM, draw)
        told = share_of(tell, draw, samples)
        weight = in_batches(log_image, [images, z], batch_size, told).astype(np.float64)
        weight = weight + np.asarray(prior.log_prob(z), np.float64) - q.log_prob(z)
        total = np.logaddexp(total, weight)
        squares = np.logaddexp(squares, 2.0 * weight)
        elbo += weight
    return ImportanceBound(
        log_likelihood_nats=total - math.log(samples),
        elbo_nats=elbo / samples,
        effective_samples=np.exp(2.0 * total - squares),
        samples=int(samples),
    )
