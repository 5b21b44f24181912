"""The importance-weighted bound: a tighter estimate of log p(x) than the ELBO."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from keras_acn._base.checks import check_count, check_seed
from keras_acn._base.progress import Progress, share_of, takes_tell
from keras_acn.evaluation.costs import as_floats, by_rows, decoder_log_prob, encode_images

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

    Example:
      >>> import numpy as np
      >>> from keras_acn.evaluation import ImportanceBound
      >>> bound = ImportanceBound(np.array([-80.0]), np.array([-82.0]), np.array([3.5]), 16)
      >>> bound.summary()["nats"], bound.summary()["negative_elbo_nats"]
      (80.0, 82.0)
    """

    log_likelihood_nats: np.ndarray
    elbo_nats: np.ndarray
    effective_samples: np.ndarray
    samples: int

    def summary(self) -> dict[str, Any]:
        """Return a JSON-able dict; costs are negated bounds, so upper bounds in nats."""
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


@takes_tell
def importance_weighted_bound(
    model: Any,
    images: np.ndarray,
    prior: Any,
    *,
    samples: int = 16,
    seed: int = 0,
    batch_size: int = 128,
    progress: Progress | None = None,
) -> ImportanceBound:
    """Return the `ImportanceBound` of log p(x) under an unconditional prior.

    `log (1/S) sum_s r(x|z_s) p(z_s) / q(z_s|x)` with z_s ~ q(z|x): Burda et al. 2016
    (arXiv 1509.00519), equation 8. Its expectation rises with S towards log p(x). The
    log-sum-exp runs over the samples as they come, so memory does not grow with S.

    Args:
      model: A model with an `encoder` and a `decoder`.
      images: `[N, H, W, C]`, N >= 1, floats in [0, 1] or uint8.
      prior: Object with `log_prob(z [N, d]) -> [N]`. Nothing in it may come from `images`.
      samples: S, at least 1. With 1 it is the ELBO.
      seed: Integer seed of the samples.
      batch_size: Images at a time.
      progress: Called with the images that are done, all samples together, and their number.

    Raises:
      UserError: If there are no images or `samples` is less than 1.
    """
    check_count(samples, "samples", 1)
    seed = check_seed(seed)
    images = as_floats(images)
    q = encode_images(model, images, batch_size)
    log_image = decoder_log_prob(model)
    total = np.full(len(q), -np.inf)
    squares = np.full(len(q), -np.inf)
    elbo = np.zeros(len(q))
    for draw in range(samples):
        z = q.sample(seed + _STREAM, draw)
        told = share_of(progress, draw, samples)
        weight = by_rows(log_image, images, z, batch_size=batch_size, progress=told)
        weight = (
            weight.astype(np.float64) + np.asarray(prior.log_prob(z), np.float64) - q.log_prob(z)
        )
        total = np.logaddexp(total, weight)
        squares = np.logaddexp(squares, 2.0 * weight)
        elbo += weight
    return ImportanceBound(
        log_likelihood_nats=total - math.log(samples),
        elbo_nats=elbo / samples,
        effective_samples=np.exp(2.0 * total - squares),
        samples=int(samples),
    )
