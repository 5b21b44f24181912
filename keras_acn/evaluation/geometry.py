"""The shape of a cloud of features: its clusters, its rank, and how sure one is of a figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_acn._base.checks import check_seed
from keras_acn.evaluation.probe import checked, flat_features

MAX_CLUSTERED = 10_000
# Groups of the jackknife.
GROUPS = 10


def cluster_agreement(
    features: ArrayLike, labels: ArrayLike, *, starts: int = 5, seed: int = 0
) -> dict[str, Any]:
    """Return how well the clusters of k-means agree with the classes, as a dict.

    k-means knows no label; it is run on the features as they are, with as many clusters as
    there are classes, on 10,000 images at most. `adjusted_mutual_information` (Vinh et al. 2010)
    is 1 where clusters are classes and 0 on average where they have nothing to do with each
    other. Its `standard_error` is over the images, with the clusters as they are.

    Args:
      features: `[N, ...]`.
      labels: int `[N]`, of at least two classes.
      starts: Starts of k-means; the tightest clusters count.
      seed: Integer seed.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_mutual_info_score
    from threadpoolctl import threadpool_limits

    features, labels = checked(features, labels, "clustered")
    rows = np.random.default_rng(check_seed(seed)).permutation(len(features))[:MAX_CLUSTERED]
    features, labels = features[rows], labels[rows]
    number = len(np.unique(labels))
    with threadpool_limits(1):  # The same sums in the same order, whatever the machine has.
        clusters = KMeans(number, n_init=starts, random_state=seed).fit_predict(features)

    def agreement(rows: np.ndarray) -> float:
        return float(adjusted_mutual_info_score(labels[rows], clusters[rows]))

    return {
        "adjusted_mutual_information": agreement(np.arange(len(rows))),
        "standard_error": jackknife_error(agreement, len(rows)),
        "clusters": number,
        "images": len(rows),
    }


def effective_rank(features: ArrayLike) -> float:
    """Return the effective rank of features: how many dimensions they fill, counted softly.

    The exponential of the entropy of the singular values of the centred features, scaled to sum
    to one (Roy and Vetterli 2007, "The effective rank"): d where all d dimensions vary alike and
    independently, and 1 where all features lie on a line. 0 where nothing varies.

    Args:
      features: `[N, ...]`.

    Example:
      >>> import numpy as np
      >>> round(effective_rank(np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]])), 3)
      1.0
    """
    features = flat_features(features, "given").astype(np.float64)
    centred = features - features.mean(axis=0)
    # The eigenvalues of the smaller of the two products are the squared singular values.
    product = centred @ centred.T if len(centred) < centred.shape[1] else centred.T @ centred
    squares = np.linalg.eigvalsh(product)
    # What rounding leaves of an eigenvalue of zero.
    squares = squares[squares > squares.max(initial=0.0) * 1e-12]
    if not len(squares):
        return 0.0
    share = np.sqrt(squares) / np.sqrt(squares).sum()
    return float(np.exp(-np.sum(share * np.log(share))))


def jackknife_error(
    statistic: Callable[[np.ndarray], float], count: int, groups: int = GROUPS
) -> float | None:
    """Return the standard error of a statistic of images by the delete-a-group jackknife.

    `sqrt((G - 1) / G sum_g (s_g - mean s)^2)`, with s_g the statistic without group g. `None`
    for fewer than two images.

    Args:
      statistic: Called with the rows that count, int `[n]`.
      count: Number of images, in an order that tells nothing.
      groups: Number of groups G.

    Example: of a mean, with groups of one, it is the textbook's.
      >>> import numpy as np
      >>> x = np.array([1.0, 2.0, 6.0])
      >>> round(jackknife_error(lambda rows: x[rows].mean(), 3), 6)
      1.527525
      >>> round(float(x.std(ddof=1)) / 3**0.5, 6)
      1.527525
    """
    groups = min(groups, count)
    if groups < 2:
        return None
    group = np.arange(count) % groups
    without = np.array([statistic(np.flatnonzero(group != g)) for g in range(groups)])
    return float(np.sqrt((groups - 1) / groups * np.sum((without - without.mean()) ** 2)))
