"""Codes of any length brought down to the two axes of a page."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from keras_acn._base.errors import UserError, unknown_name
from keras_acn.plots.arrays import as_codes

METHODS = ("auto", "pca", "tsne")


@dataclasses.dataclass(frozen=True)
class PCA:
    """The first two principal components of a set of codes.

    Attributes:
      mean: [d].
      axes: Orthonormal columns, [d, 2].
      shares: The share of the variance along each, [2].

    Example:
      >>> import numpy as np
      >>> from keras_acn.plots.projection import fit_pca
      >>> codes = np.array([[0.0, 0.0, 1.0], [2.0, 0.0, 1.0], [4.0, 1.0, 1.0]])
      >>> fit_pca(codes)(codes).shape
      (3, 2)
    """

    mean: np.ndarray
    axes: np.ndarray
    shares: np.ndarray

    def __call__(self, codes):
        return (codes - self.mean) @ self.axes  # [N, 2]


def fit_pca(codes: np.ndarray) -> PCA:
    """Return the `PCA` of codes [N, d], each axis signed so that its largest entry is > 0."""
    mean = codes.mean(axis=0)
    covariance = (codes - mean).T @ (codes - mean) / len(codes)  # [d, d]
    variances, vectors = np.linalg.eigh(covariance)
    order = np.argsort(variances)[::-1][:2]
    axes = vectors[:, order]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    total = variances.sum()
    return PCA(mean, axes, variances[order] / total if total > 0 else np.zeros(2))


def project(
    codes: ArrayLike, method: str = "auto", seed: int = 0
) -> tuple[np.ndarray, tuple[str, str]]:
    """Bring codes down to two dimensions.

    Args:
      codes: [N, d]. Two-dimensional codes are returned as they are.
      method: `"pca"`, `"tsne"` (scikit-learn's, seeded), or `"auto"`, which is PCA.
      seed: Seed of t-SNE.

    Returns:
      `(points [N, 2], (x axis name, y axis name))`.

    Raises:
      UserError: For an unknown method, bad codes, or fewer than 5 codes with t-SNE.
    """
    codes = as_codes(codes)
    if method not in METHODS:
        raise unknown_name("projection method", method, METHODS)
    if codes.shape[1] == 2:
        return codes, ("z[0]", "z[1]")
    if method == "tsne":
        if len(codes) < 5:
            raise UserError(f"t-SNE needs at least 5 codes, not {len(codes)}: use PCA.")
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits

        perplexity = min(30.0, (len(codes) - 1) / 3)
        fitted = TSNE(perplexity=perplexity, init="pca", random_state=seed)
        # One thread: the same picture on every machine, and on a busy one no waiting of threads
        # for one another, which can take a thousand times as long as the work.
        with threadpool_limits(1):
            points = fitted.fit_transform(codes.astype(np.float32))
        return points, ("t-SNE 1", "t-SNE 2")
    pca = fit_pca(codes)
    return pca(codes), pca_axis_names(pca)


def pca_axis_names(pca):
    """Return names that tell the share of the variance."""
    return tuple(f"PC {i + 1} ({100 * s:.0f} % of variance)" for i, s in enumerate(pca.shares))
