"""What codes are good for, beside principal components and pixels, each figure with its error.

Nearest neighbours, linear classifiers from few labels, clusters, and how many dimensions are in
use. The accuracies are of labels that were not trained on. Everything is bounded by numbers of
images, not by a clock, so that the same seed gives the same figures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_acn._base.checks import check_count, check_seed
from keras_acn._base.errors import UserError
from keras_acn._base.progress import Progress
from keras_acn.evaluation.code_length import nearest_codes
from keras_acn.evaluation.geometry import cluster_agreement, effective_rank, jackknife_error
from keras_acn.evaluation.probe import (
    OF_WIDE,
    accuracy_error,
    active_dimensions,
    can_be_classified,
    checked,
    checked_parts,
    flat_features,
    linear_probe,
    majority,
    principal_components,
)

NEIGHBORS = (1, 5, 10)
# Labels of the linear probes, and how often each number of them is drawn anew.
DRAWS = {100: 5, 1_000: 3, 10_000: 2}
# Features of so many numbers are wide, such as pixels: they are searched in at most so many images.
WIDE, MAX_WIDE_IMAGES = 128, 10_000
# The work of a rank is images x dimensions^2, and there are at least so many images in it.
RANK_WORK, MIN_RANK_IMAGES, MAX_RANK_IMAGES = 2e9, 1_000, 10_000


def compare_features(
    train: tuple[np.ndarray, np.ndarray, np.ndarray | None],
    test: tuple[np.ndarray, np.ndarray, np.ndarray | None],
    *,
    of_images: dict[str, Any] | None = None,
    own_rows: np.ndarray | None = None,
    components: int = 16,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return what codes, principal components and pixels are good for, as a JSON-able dict.

    Under `codes`, `pca` and `pixels` there are what `feature_quality` returns for each.

    Args:
      train: `(codes [N, d], images [N, H, W, C], labels [N] or None)`.
      test: Those of the test images.
      of_images: What this function returned for another model on the same images: `pca` and
        `pixels` are then not worked out again.
      own_rows: As for `knn_accuracies`.
      components: Principal components, at most what the images have.
      seed: Integer seed.
      progress: Called with the features that are done, and 3.
    """
    (codes, images, labels), (test_codes, test_images, test_labels) = train, test
    found = {name: of_images[name] for name in ("pca", "pixels") if of_images is not None}
    features = {"codes": (codes, test_codes)}
    if of_images is None:
        features["pca"] = principal_components(images, test_images, components, seed)
        features["pixels"] = (images, test_images)
    for done, (name, (fit, measured)) in enumerate(features.items(), start=1):
        found[name] = feature_quality(
            fit, labels, measured, test_labels, own_rows=own_rows, seed=seed
        )
        if progress is not None:
            progress(done, len(features))
    return {name: found[name] for name in ("codes", "pca", "pixels")}


def feature_quality(
    train: np.ndarray,
    train_labels: np.ndarray | None,
    test: np.ndarray,
    test_labels: np.ndarray | None,
    *,
    own_rows: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return what features are good for, as a JSON-able dict; every part names its error.

    * `neighbors`: dict from k to the accuracy of the k nearest training features. Wide features,
      such as pixels, are searched among 10,000 training images at most.
    * `whitened_neighbors`: the same after `whitened`; empty for wide features.
    * `labels`: dict from a number of labels to the accuracy of linear classifiers trained on no
      more than those.
    * `clusters`: the agreement of k-means with the classes.
    * `effective_rank`, `active_dimensions`: how many dimensions the features use.

    The first four are empty or `None` without labels that can be learned from.

    Args:
      train: `[N, ...]`, features of the training images; flattened.
      train_labels: int `[N]`, or `None`.
      test: `[M, ...]`, features of the test images.
      test_labels: int `[M]`, or `None`.
      own_rows: As for `knn_accuracies`.
      seed: Integer seed.

    Example:
      >>> import numpy as np
      >>> from keras_acn.evaluation import feature_quality
      >>> labels = np.arange(60) % 3
      >>> codes = np.eye(3)[labels] + np.random.default_rng(0).normal(size=(60, 3)) / 10
      >>> found = feature_quality(codes, labels, codes, labels)
      >>> found["neighbors"]["5"]["accuracy"], found["clusters"]["adjusted_mutual_information"]
      (1.0, 1.0)
    """
    if test_labels is None:
        test = flat_features(test, "test")
    else:
        test, test_labels = checked(test, test_labels, "test")
    # Without labels nothing is asked of them, and they may be many.
    if train_labels is not None:
        train, train_labels = checked(train, train_labels, "training")
    neighbors: dict[str, dict] = {}
    whitened_neighbors: dict[str, dict] = {}
    few: dict[str, dict] = {}
    clusters = None
    if test_labels is not None and 2 <= len(np.unique(test_labels)) < len(test):
        clusters = cluster_agreement(test, test_labels, seed=seed)
    if (
        train_labels is not None
        and test_labels is not None
        and can_be_classified(train_labels, test_labels)
    ):
        parts = train, train_labels, test, test_labels
        neighbors = knn_accuracies(*parts, own_rows=own_rows, seed=seed)
        if train.shape[1] <= WIDE:
            alike, test_alike = whitened(train, test)
            whitened_neighbors = knn_accuracies(
                alike, train_labels, test_alike, test_labels, own_rows=own_rows, seed=seed
            )
        few = {
            str(count): few_label_accuracy(*parts, labels=count, draws=draws, seed=seed)
            for count, draws in DRAWS.items()
            if count <= len(train)
        }
    return {
        "neighbors": neighbors,
        "whitened_neighbors": whitened_neighbors,
        "labels": few,
        "clusters": clusters,
        "effective_rank": _over_images(effective_rank, test, seed),
        "active_dimensions": _over_images(active_dimensions, test, seed),
    }


def whitened(train: ArrayLike, test: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return features in which every direction counts alike in a distance.

    They are turned to their principal axes and divided by the standard deviations there, so
    that the covariance of the training features becomes the identity, and a distance
    Mahalanobis's. No scale of a dimension matters then: of codes of unit noise, those dimensions
    in which clusters lie tens of deviations apart outweigh all others as they are.

    Args:
      train: `[N, ...]`, which mean and covariance are those of; flattened.
      test: `[M, ...]`.

    Returns:
      float64 `[N, r]` and `[M, r]`; r counts the axes along which the training features vary.

    Example:
      >>> import numpy as np
      >>> from keras_acn.evaluation import whitened
      >>> features = np.random.default_rng(0).normal(size=(500, 2)) * [9.0, 0.1]
      >>> np.cov(whitened(features, features)[0].T).round(6).tolist()
      [[1.0, 0.0], [0.0, 1.0]]
    """
    fitted, measured = (
        flat_features(each, part).astype(np.float64)
        for each, part in ((train, "training"), (test, "test"))
    )
    nothing = np.zeros((len(fitted), 1)), np.zeros((len(measured), 1))
    if len(fitted) < 2:
        return nothing
    variance, axes = np.linalg.eigh(np.atleast_2d(np.cov(fitted.T)))
    # What rounding to float32 leaves along an axis that nothing varies along is no feature.
    kept = variance > variance[-1] * len(variance) * (10 * np.finfo(np.float32).eps) ** 2
    if not kept.any():
        return nothing
    axes, mean = axes[:, kept] / np.sqrt(variance[kept]), fitted.mean(axis=0)
    return (fitted - mean) @ axes, (measured - mean) @ axes


def knn_accuracies(
    train: ArrayLike,
    train_labels: ArrayLike,
    test: ArrayLike,
    test_labels: ArrayLike,
    ks: Sequence[int] = NEIGHBORS,
    *,
    own_rows: np.ndarray | None = None,
    max_wide: int = MAX_WIDE_IMAGES,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Return the accuracies of majority votes of the nearest features, a dict by `str(k)`.

    Each is a dict of `accuracy` in [0, 1], its `standard_error` over the test images, and
    `train_images`, how many were searched. Of equal votes the smaller label wins. A k of more
    neighbours than there are is left out.

    Args:
      train: `[N, ...]`, features of the training images, not standardised.
      train_labels: int `[N]`.
      test: `[M, ...]`.
      test_labels: int `[M]`.
      ks: Numbers of neighbours.
      own_rows: int `[M]`, the row of `train` that is each test image itself and has no vote,
        -1 where none is. `None` if none is.
      max_wide: Features of more than 128 numbers are searched in at most so many training
        images, drawn from `seed`.
      seed: Integer seed.

    Raises:
      UserError: If features and labels differ in number.
    """
    train, train_labels, test, test_labels = checked_parts(train, train_labels, test, test_labels)
    if train.shape[1] > WIDE and len(train) > max_wide:
        rows = np.sort(np.random.default_rng(check_seed(seed)).permutation(len(train))[:max_wide])
        train, train_labels = train[rows], train_labels[rows]
        if own_rows is not None:
            place = np.searchsorted(rows, own_rows).clip(max=len(rows) - 1)
            own_rows = np.where(rows[place] == own_rows, place, -1)
    has_own = own_rows is not None and bool((np.asarray(own_rows) >= 0).any())
    ks = [check_count(k, "k", 1) for k in ks if k <= len(train) - has_own]
    if not ks:
        return {}
    near = nearest_codes(test, train, max(ks), own=own_rows)
    found = {}
    for k in sorted(ks):
        accuracy = float(np.mean(majority(train_labels[near[:, :k]]) == test_labels))
        found[str(k)] = {
            "accuracy": accuracy,
            "standard_error": accuracy_error(accuracy, len(test)),
            "train_images": len(train),
        }
    return found


def few_label_accuracy(
    train: ArrayLike,
    train_labels: ArrayLike,
    test: ArrayLike,
    test_labels: ArrayLike,
    *,
    labels: int,
    draws: int = 5,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the accuracy of `linear_probe` on so many labels, as many of each class as there are.

    The mean over draws of the labels, as a dict of `accuracy` in [0, 1], `standard_error` and
    `draws`. The error takes in both the test images and, with more than one draw, which labels
    were drawn: `sqrt(p (1 - p) / M + s^2 / R)` with s the standard deviation between R draws.
    Standardisation and the strength of the regularisation are found on those labels alone.

    Args:
      train: `[N, ...]`, features of the training images.
      train_labels: int `[N]`.
      test: `[M, ...]`.
      test_labels: int `[M]`.
      labels: Labels to train on, at most N.
      draws: How often they are drawn.
      seed: Integer seed.

    Raises:
      UserError: If features and labels differ in number, there are fewer labels than asked
        for, or only one class.
    """
    train, train_labels, test, test_labels = checked_parts(train, train_labels, test, test_labels)
    labels = check_count(labels, "The number of labels", 2)
    if labels > len(train):
        raise UserError(f"There are {len(train)} labels, not {labels}: ask for fewer.")
    options = OF_WIDE if train.shape[1] > WIDE else {}
    accuracies = []
    for draw in range(check_count(draws, "draws", 1)):
        rows = balanced_rows(train_labels, labels, check_seed(seed) + draw)
        result = linear_probe(
            train[rows], train_labels[rows], test, test_labels, seed=seed, **options
        )
        accuracies.append(result.accuracy)
    mean = float(np.mean(accuracies))
    error = accuracy_error(mean, len(test))
    if draws > 1:
        error = math.hypot(error, float(np.std(accuracies, ddof=1)) / math.sqrt(draws))
    return {"accuracy": mean, "standard_error": error, "draws": int(draws)}


def balanced_rows(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return `count` rows drawn so that the classes are as equal in number as they can be.

    Args:
      labels: int `[N]`.
      count: How many, at most N.
      seed: Integer seed.

    Example:
      >>> import numpy as np
      >>> labels = np.array([0, 0, 0, 0, 0, 0, 1, 2])
      >>> sorted(labels[balanced_rows(labels, 4, seed=0)].tolist())[:3]
      [0, 0, 1]
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    turn = np.empty(len(labels), np.int64)  # which of its class an image is
    for label in np.unique(labels):
        places = np.flatnonzero(labels[shuffled] == label)
        turn[places] = np.arange(len(places))
    return shuffled[np.argsort(turn, kind="stable")[:count]]


def _over_images(statistic, features, seed):
    """Return a statistic of features with its error, a dict."""
    most = int(np.clip(RANK_WORK / features.shape[1] ** 2, MIN_RANK_IMAGES, MAX_RANK_IMAGES))
    features = features[np.random.default_rng(seed).permutation(len(features))[:most]]
    return {
        "value": statistic(features),
        "standard_error": jackknife_error(lambda rows: statistic(features[rows]), len(features)),
        "images": len(features),
    }
