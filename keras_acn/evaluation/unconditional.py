"""Unconditional priors p(z), fitted on what a model has learned from its training data."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_acn._base import lazy
from keras_acn._base.checks import check_seed
from keras_acn._base.errors import UserError
from keras_acn._base.progress import Progress, takes_tell
from keras_acn.evaluation.costs import Posteriors

codes_mixture = lazy.module("keras_acn.priors.codes_mixture")
priors_room = lazy.module("keras_acn.priors")
costs = lazy.module("keras_acn.evaluation.costs")

# More components are tried only while there are this many times d + 1 images for each.
POINTS_PER_DIMENSION = 4
# More terms of the mixture of codes are summed until leaving out the rest costs less than this,
# measured on so many images.
TRUNCATION_NATS, TRUNCATION_IMAGES = 0.01, 64
# Latents that a model's own prior is asked about at a time.
OWN_PRIOR_BATCH = 1024


class StandardNormalPrior:
    """N(0, I), the prior that a plain VAE is trained with.

    Example:
      >>> import numpy as np
      >>> from keras_acn.evaluation.unconditional import StandardNormalPrior
      >>> StandardNormalPrior().log_prob(np.zeros([1, 2])).round(4).tolist()
      [-1.8379]
    """

    name = "standard_normal"

    def log_prob(self, z: np.ndarray) -> np.ndarray:
        """Return log p(z) in nats, float64 `[B]`, of z `[B, d]`."""
        z = np.asarray(z, np.float64)
        return -0.5 * np.sum(z**2 + np.log(2.0 * np.pi), axis=1)


class OwnPrior:
    """The prior that a model was trained with, where it is the same for every image.

    Args:
      prior: The model's prior, from codes `[B, d]` to p(z), batch `[B]` and event `[d]`.

    Example:
      >>> import numpy as np
      >>> from keras_acn.priors import LearnedMixture
      >>> OwnPrior(LearnedMixture(latent_dim=2, components=3)).log_prob(np.zeros([4, 2])).shape
      (4,)
    """

    name = "own_prior"

    def __init__(self, prior: Any):
        self.prior = prior

    def log_prob(self, z: np.ndarray) -> np.ndarray:
        """Return log p(z) in nats, float64 `[B]`, of z `[B, d]`."""

        def log_prob(z):
            return self.prior(z).log_prob(z)

        z = np.asarray(z, np.float32)
        return costs.by_rows(log_prob, z, batch_size=OWN_PRIOR_BATCH).astype(np.float64)


class GaussianMixturePrior:
    """A mixture of full-covariance Gaussians, fitted by maximum likelihood.

    Attributes:
      components: Number of components.
      tried: Dict from each number of components that was tried to its mean log density
        in nats on the held-out part.

    Args:
      mixture: A fitted `sklearn.mixture.GaussianMixture`.
      tried: See above.

    Example:
      >>> import numpy as np
      >>> from keras_acn.evaluation import Posteriors, fit_gaussian_mixture
      >>> codes = np.random.default_rng(0).normal(size=[200, 2]).astype(np.float32)
      >>> prior = fit_gaussian_mixture(Posteriors(codes, np.ones_like(codes)), components=(1,))
      >>> prior.components, prior.log_prob(codes).shape
      (1, (200,))
    """

    name = "gaussian_mixture"

    def __init__(self, mixture: Any, tried: dict[int, float] | None = None):
        self.mixture = mixture
        self.components = int(mixture.n_components)
        self.tried = dict(tried or {})

    def log_prob(self, z: np.ndarray) -> np.ndarray:
        """Return log p(z) in nats, float64 `[B]`, of z `[B, d]`."""
        return self.mixture.score_samples(np.asarray(z, np.float64))


@takes_tell
def fit_gaussian_mixture(
    posteriors: Posteriors,
    components: Sequence[int] = (1, 5, 10, 20, 40, 80),
    *,
    max_points: int = 20_000,
    max_points_refit: int = 60_000,
    max_iter: int = 40,
    seed: int = 0,
    progress: Progress | None = None,
) -> GaussianMixturePrior:
    """Return the `GaussianMixturePrior` fitted to samples of the training posteriors.

    What an unconditional prior has to code is z ~ q(z|x), so that is what it is fitted
    to: codes with posterior noise. The number of components is the one that does best
    on a held-out tenth of the images; trying stops when more of them do worse. The work
    is bounded by numbers, not by a clock, so that the same seed gives the same prior.

    Args:
      posteriors: `Posteriors` of the training images.
      components: Numbers of components to try, ascending.
      max_points: Samples used to choose among them.
      max_points_refit: Samples used for the final fit, started from the chosen one.
      max_iter: Iterations of expectation maximisation in each fit.
      seed: Integer seed of the noise, the split and the fits.
      progress: Called with the fits that are done, and how many there are at most.

    Raises:
      UserError: If there are no posteriors.
    """
    if not len(posteriors):
        raise UserError("A prior cannot be fitted to no codes: give training images.")
    seed = check_seed(seed)
    count, dim = posteriors.mean.shape
    rows = np.random.default_rng(seed).permutation(count)
    held = rows[: count // 10]
    kept = rows[count // 10 :]
    points = _noisy_codes(posteriors[kept], max_points, seed)
    test = _noisy_codes(posteriors[held], max_points // 4, seed + 1) if len(held) else points

    tried, best = {}, None
    for done, number in enumerate(components):
        # Samples of one code are no substitute for codes: what counts is how many images.
        if best is not None and number * POINTS_PER_DIMENSION * (dim + 1) > len(kept):
            break
        mixture = _fit(points, number, max_iter, seed)
        tried[number] = float(mixture.score(test))
        if progress is not None:
            progress(done + 1, len(components) + 1)
        if best is not None and tried[number] <= tried[best.n_components]:
            break
        best = mixture
    if best is None:
        raise UserError("A mixture needs numbers of components to try: give at least one.")
    final = _fit(
        _noisy_codes(posteriors, max_points_refit, seed + 2),
        best.n_components,
        max_iter,
        seed,
        start=best,
    )
    if progress is not None:
        progress(len(components) + 1, len(components) + 1)
    return GaussianMixturePrior(final, tried)


def unconditional_priors(
    model: Any,
    trained: Posteriors,
    tested: Posteriors,
    *,
    nearest: int | None = 512,
    mixture_of_codes: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], dict[str, dict]]:
    """Return the unconditional priors of a model by name, and a description of each fitted one.

    The Gaussian mixture for every model, the mixture of codes for an associative one, and for any
    other the prior that it was trained with: N(0, I) or a learned one, such as a `VampPrior`.

    Args:
      model: The model.
      trained: `Posteriors` of the training images, which the priors are made of.
      tested: `Posteriors` of the images to be coded, which only say how many terms of the
        mixture of codes are needed.
      nearest: Terms of it that are summed for each z, more if leaving out the rest costs over
        0.01 nats; `None` for all.
      mixture_of_codes: Whether it may be among them.
      seed: Integer seed.
      progress: As for `fit_gaussian_mixture`.
    """
    fitted = fit_gaussian_mixture(trained, seed=seed, progress=progress)
    tried = {str(number): density for number, density in fitted.tried.items()}
    words = {"components": fitted.components, "held_out_log_density_nats": tried}
    priors, described = {"gaussian_mixture": fitted}, {"gaussian_mixture": words}
    if model.codebook is None:
        own = model.prior
        if not _is_learned(own):
            return {"standard_normal": StandardNormalPrior(), **priors}, described
        words = {"prior": type(own).__name__, "components": getattr(own, "components", None)}
        return {"own_prior": OwnPrior(own), **priors}, {"own_prior": words, **described}
    if not mixture_of_codes:
        return priors, described

    mixture = codes_mixture.MixtureOfCodes(model.prior, trained.mean, nearest=nearest)
    z = tested.sample(seed)[:TRUNCATION_IMAGES]
    lost = float(np.mean(mixture.truncation_nats(z)))
    while lost > TRUNCATION_NATS and mixture.nearest is not None:
        mixture = mixture.with_nearest(2 * mixture.nearest)
        lost = float(np.mean(mixture.truncation_nats(z)))
    described["mixture_of_codes"] = {
        "codes": mixture.num_codes,
        "nearest": mixture.nearest,
        "truncation_nats": lost,
    }
    return {**priors, "mixture_of_codes": mixture}, described


def _is_learned(prior: Any) -> bool:
    """Return whether a prior is the same for every image, and not N(0, I)."""
    is_part = isinstance(prior, priors_room.Prior) and not prior.is_conditional
    return is_part and not isinstance(prior, priors_room.StandardNormal)


def _noisy_codes(posteriors, max_points, seed):
    """Return samples of q, `[n, d]`: few images give several each, many one of some."""
    count = len(posteriors)
    if count > max_points:
        chosen = np.random.default_rng(seed).choice(count, max_points, replace=False)
        return posteriors[chosen].sample(seed).astype(np.float64)
    draws = int(np.clip(max_points // count, 1, max(1, 4000 // count) + 3))
    return np.concatenate([posteriors.sample(seed, draw) for draw in range(draws)]).astype(
        np.float64
    )


def _fit(points, number, max_iter, seed, start=None):
    """Return a fitted `GaussianMixture`, whether or not it has converged."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    given = {}
    if start is not None:
        given = {
            "weights_init": start.weights_,
            "means_init": start.means_,
            "precisions_init": start.precisions_,
        }
    # A full covariance of d dimensions must stay invertible when the codes do not fill them.
    ridge = max(1e-6, 1e-4 * float(np.mean(np.var(points, axis=0))))
    mixture = GaussianMixture(
        number,
        covariance_type="full",
        reg_covar=ridge,
        max_iter=max_iter,
        random_state=seed,
        **given,
    )
    # Its matrices are d by d: threads wait for each other ten times longer than they work.
    with warnings.catch_warnings(), threadpool_limits(1):
        # An unconverged fit is a valid prior, only not the best one.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(points)
