"""The cost of a latent: KL(q || p) in nats, in closed form or by sampling."""

from __future__ import annotations

import tensorflow_probability as tfp

tfd = tfp.distributions


def has_closed_form(q: tfd.Distribution, p: tfd.Distribution) -> bool:
    """Return whether KL(q || p) has a closed form here: both diagonal Gaussians."""
    return all(
        isinstance(each, tfd.Independent) and isinstance(each.distribution, tfd.Normal)
        for each in (q, p)
    )


def kl_nats(q: tfd.Distribution, p: tfd.Distribution, z=None):
    """Return KL(q || p) in nats, summed over the latent dimensions, `[B]`.

    Between two diagonal Gaussians it is TFP's closed form. Otherwise it is the
    estimate `-H(q) - log p(z)` with z drawn from q: unbiased, and the entropy H(q)
    is in closed form, which takes the noise of `log q(z)` out of the estimate.

    Args:
      q: The posterior, batch `[B]`, event `[d]`, with an entropy in closed form.
      p: The prior, of the same shapes.
      z: A sample of q, `[B, d]`, that the gradient may flow through. Only needed, and
        then required, where there is no closed form.

    Raises:
      ValueError: If there is no closed form and no `z`.

    Example:
      >>> q = tfd.Independent(tfd.Normal([[1.0, 1.0]], 1.0), 1)
      >>> p = tfd.Independent(tfd.Normal([[0.0, 0.0]], 1.0), 1)
      >>> print(kl_nats(q, p).numpy())  # half the squared distance
      [1.]
    """
    if has_closed_form(q, p):
        return tfd.kl_divergence(q, p)
    if z is None:
        raise ValueError("There is no closed form of this KL: pass z, a sample of q.")
    return -q.entropy() - p.log_prob(z)
