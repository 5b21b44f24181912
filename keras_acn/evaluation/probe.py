"""What the codes know about the labels: simple classifiers trained on top of them."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_acn._base.checks import check_count, check_number, check_optional, check_seed
from keras_acn._base.errors import UserError
from keras_acn._base.progress import Progress
from keras_acn.evaluation.code_length import nearest_codes
from keras_acn.evaluation.inputs import some_rows

# Burda et al. 2016 (arXiv 1509.00519), section 5: a latent dimension is active if its
# posterior mean varies over the data by more than this.
ACTIVE_VARIANCE = 0.01

# On fewer numbers than this, threads wait for each other longer than they work.
SMALL = 2_000_000

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
# Principal components are fitted to so many images at most, and images looked at so many at a time.
MOST_FITTED = 100_000
# Features are looked through so many rows at a time.
PIECE = 10_000
# Of hundreds of features, such as pixels, which make the one slow fit: they want strong
# regularisation, and C is chosen on fewer images.
OF_WIDE: dict[str, Any] = {"strengths": STRENGTHS[:3], "max_select": 5000, "max_iter": 200}


@dataclasses.dataclass(frozen=True)
class ProbeResult:
    """The accuracy of one classifier.

    Attributes:
      accuracy: Share of the test labels it names, in [0, 1].
      inverse_regularization: The C that the held-out part of the training data chose.
      train_images: Images it was trained on in the end.
      converged: Whether the optimizer reached its tolerance.
      standard_error: That of the accuracy, over the test images.

    Example:
      >>> import numpy as np
      >>> from keras_acn.evaluation import linear_probe
      >>> labels = np.arange(40) % 2
      >>> codes = np.stack([labels, 1 - labels], axis=1)
      >>> linear_probe(codes, labels, codes, labels).accuracy
      1.0
    """

    accuracy: float
    inverse_regularization: float
    train_images: int
    converged: bool
    standard_error: float | None = None


def linear_probe(
    train: ArrayLike,
    train_labels: ArrayLike,
    test: ArrayLike,
    test_labels: ArrayLike,
    *,
    strengths: Sequence[float] = STRENGTHS,
    max_train: int | None = None,
    max_select: int = 10_000,
    max_iter: int = 500,
    seed: int = 0,
) -> ProbeResult:
    """Return the `ProbeResult` of multinomial logistic regression on standardised features.

    The inverse regularisation C is the one of `strengths` with the best accuracy on a
    held-out fifth of the training data, the smaller of equals; the classifier is then
    trained again on all of it. The test data are looked at once.

    Args:
      train: `[N, ...]`, features of the training data; flattened.
      train_labels: int `[N]`.
      test: `[M, ...]`, features of the test data.
      test_labels: int `[M]`.
      strengths: The Cs to choose from.
      max_train: Train on at most this many, drawn from `seed`; `None` for all.
      max_select: Choose C on at most this many.
      max_iter: Iterations of the optimizer (L-BFGS).
      seed: Integer seed of the draws.

    Raises:
      UserError: If features and labels differ in number, or there is only one class.
    """
    train, train_labels, test, test_labels = checked_parts(train, train_labels, test, test_labels)
    max_train = check_optional(max_train, "max_train")
    max_select = check_count(max_select, "max_select", 1)
    max_iter = check_count(max_iter, "max_iter", 1)
    strengths = [
        check_number(each, "Each of strengths", "a number above zero", lambda number: number > 0)
        for each in strengths
    ]
    if len(np.unique(train_labels)) < 2:
        raise UserError("A linear probe needs training data of at least 2 classes.")
    rows = np.random.default_rng(check_seed(seed)).permutation(len(train))
    rows = rows if max_train is None else rows[:max_train]
    chosen = _choose_strength(train, train_labels, rows[:max_select], strengths, max_iter)
    model, converged = _fit(train[rows], train_labels[rows], chosen, max_iter)
    accuracy = float(model.score(test, test_labels))
    error = accuracy_error(accuracy, len(test))
    return ProbeResult(accuracy, float(chosen), len(rows), converged, error)


def pca_probe(
    train: ArrayLike,
    train_labels: ArrayLike,
    test: ArrayLike,
    test_labels: ArrayLike,
    *,
    components: int = 16,
    seed: int = 0,
    **options,
) -> ProbeResult:
    """Return the `ProbeResult` of `linear_probe` on principal components of the features.

    Args:
      train: `[N, ...]`, features of the training data, which the components are fitted to.
      train_labels: int `[N]`.
      test: `[M, ...]`.
      test_labels: int `[M]`.
      components: Number of components, at most what the data have.
      seed: Integer seed.
      **options: Further options of `linear_probe`.

    Raises:
      UserError: As `linear_probe`.
    """
    train, train_labels, test, test_labels = checked_parts(train, train_labels, test, test_labels)
    train, test = principal_components(train, test, components, seed)
    return linear_probe(train, train_labels, test, test_labels, seed=seed, **options)


def principal_components(
    train: np.ndarray, test: np.ndarray, components: int = 16, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the principal components `[N, k]` and `[M, k]` of features, fitted to the first.

    Args:
      train: `[N, ...]`; flattened. Of more than 100,000, so many are drawn to fit them to.
      test: `[M, ...]`.
      components: Number k of components, at most what the training data have.
      seed: Integer seed.
    """
    from sklearn.decomposition import PCA

    if len(train) < 2:  # Nothing varies.
        return np.zeros((len(train), 1)), np.zeros((len(test), 1))
    all_fit = len(train) <= MOST_FITTED
    fitted = np.asarray(train) if all_fit else train[some_rows(len(train), MOST_FITTED, seed)]
    fitted = fitted.reshape(len(fitted), -1)
    with np.errstate(invalid="ignore"):  # the shares of a variance of zero
        pca = PCA(min(components, *fitted.shape), random_state=check_seed(seed)).fit(fitted)
    del fitted

    def transformed(features):
        parts = (features[at : at + MOST_FITTED] for at in range(0, len(features), MOST_FITTED))
        return np.concatenate([pca.transform(part.reshape(len(part), -1)) for part in parts])

    return transformed(train), transformed(test)


def knn_accuracy(
    train: ArrayLike,
    train_labels: ArrayLike,
    test: ArrayLike,
    test_labels: ArrayLike,
    k: int = 5,
    *,
    own_rows: np.ndarray | None = None,
) -> float:
    """Return the accuracy in [0, 1] of a majority vote of the `k` nearest training codes.

    Args:
      train: `[N, ...]`, codes of the training data, not standardised.
      train_labels: int `[N]`.
      test: `[M, ...]`.
      test_labels: int `[M]`.
      k: Number of neighbours; as many as there are if there are fewer.
      own_rows: int `[M]`, the row of `train` that is each test datum itself and has no vote,
        -1 where none is. `None` if none is.

    Raises:
      UserError: If codes and labels differ in number.
    """
    train, train_labels, test, test_labels = checked_parts(train, train_labels, test, test_labels)
    k = check_count(k, "k", 1)
    near = nearest_codes(test, train, min(k, len(train) - (own_rows is not None)), own=own_rows)
    return float(np.mean(majority(train_labels[near]) == test_labels))


def majority(labels: np.ndarray) -> np.ndarray:
    """Return the most frequent label of each row of `[N, k]`, the smallest of equals."""
    classes, places = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(labels), len(classes)), np.int32)
    np.add.at(counts, (np.arange(len(labels))[:, None], places.reshape(labels.shape)), 1)
    return classes[counts.argmax(axis=1)]


def table_3(
    train: tuple[np.ndarray, np.ndarray, np.ndarray | None],
    test: tuple[np.ndarray, np.ndarray, np.ndarray | None],
    *,
    of_images: dict | None = None,
    own_rows: np.ndarray | None = None,
    max_train: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any] | None:
    """Return the accuracies of table 3 of the ACN paper and of nearest neighbours, as a dict.

    `codes`, `pca` and `pixels` are those of linear probes, `knn_accuracy` that of
    `knn_neighbors` nearest codes. `None` without labels of at least two classes, and where
    the test images are of classes that the training images have none of.

    Args:
      train: `(codes [N, d], images [N, H, W, C], labels [N] or None)`.
      test: Those of the test images.
      of_images: What this function returned for another model on the same images: `pca` and
        `pixels` are then not worked out again.
      own_rows: As for `knn_accuracy`.
      max_train: Train each probe on at most this many.
      seed: Integer seed.
      progress: Called with the probes that are done, and 4.
    """
    (codes, images, labels), (test_codes, test_images, test_labels) = train, test
    if labels is None or test_labels is None or not can_be_classified(labels, test_labels):
        return None
    tell = progress or (lambda done, total: None)
    options: dict[str, Any] = {"max_train": max_train, "seed": seed}
    if of_images is None:
        parts = images, labels, test_images, test_labels
        pca = pca_probe(*parts, **options)
        tell(1, 4)
        pixels = linear_probe(*parts, **{**OF_WIDE, **options})
        of_images = {"pca": dataclasses.asdict(pca), "pixels": dataclasses.asdict(pixels)}
    tell(2, 4)
    parts = codes, labels, test_codes, test_labels
    linear = linear_probe(*parts, **options)
    tell(3, 4)
    neighbors = min(5, len(codes) - (own_rows is not None))
    accuracy = knn_accuracy(*parts, k=neighbors, own_rows=own_rows)
    tell(4, 4)
    return {
        "codes": dataclasses.asdict(linear),
        "pca": of_images["pca"],
        "pixels": of_images["pixels"],
        "knn_neighbors": neighbors,
        "knn_accuracy": accuracy,
        "knn_standard_error": accuracy_error(accuracy, len(test_codes)),
    }


def accuracy_error(accuracy: float, count: int) -> float:
    """Return the standard error of an accuracy on `count` images: `sqrt(p (1 - p) / count)`."""
    return math.sqrt(accuracy * (1.0 - accuracy) / count)


def active_dimensions(codes: ArrayLike, threshold: float = ACTIVE_VARIANCE) -> int:
    """Return how many latent dimensions vary over the data by more than `threshold`.

    Args:
      codes: `[N, d]`, posterior means.
      threshold: Variance of the posterior mean; 0.01 in Burda et al. 2016 (arXiv
        1509.00519).

    Example:
      >>> import numpy as np
      >>> from keras_acn.evaluation import active_dimensions
      >>> active_dimensions(np.array([[0.0, 1.0], [2.0, 1.0]]))
      1
    """
    threshold = check_number(threshold, "threshold", "zero or more", lambda number: number >= 0)
    codes = flat_features(codes, "given").astype(np.float64)
    return int(np.sum(np.var(codes, axis=0) > threshold))


def can_be_classified(train_labels: np.ndarray, test_labels: np.ndarray) -> bool:
    """Return whether a classifier can be trained on labels and tested.

    There must be at least two classes, and no test image of a class without training images.
    """
    return len(np.unique(train_labels)) > 1 and bool(np.isin(test_labels, train_labels).all())


def checked(features: ArrayLike, labels: ArrayLike, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return features as `[N, d]`, and their labels.

    Raises:
      UserError: If the features are no finite numbers, the labels no whole numbers or texts, or
        they differ in number.
    """
    labels = np.asarray(labels)
    features = flat_features(features, part) if labels.size else np.zeros([0, 1])
    if labels.shape != (len(features),) or not labels.size:
        raise UserError(
            f"A probe needs one label for each of the {part} data, not labels of shape "
            f"{labels.shape} for {len(features)}."
        )
    return features, _class_labels(labels, part)


def _class_labels(labels, part):
    """Return labels as whole numbers, which some have as floats, or texts, pandas' objects."""
    if labels.dtype.kind == "O" and all(isinstance(each, str) for each in labels):
        return labels.astype(str)
    if labels.dtype.kind == "f" and (np.isfinite(labels) & (labels == np.round(labels))).all():
        return labels.astype(np.int64)
    if labels.dtype.kind not in "biuUS":
        raise UserError(f"The labels of the {part} data must be whole numbers or texts.")
    return labels


def flat_features(features: ArrayLike, part: str) -> np.ndarray:
    """Return features of the data of a part as `[N, d]`.

    Raises:
      UserError: If there are none, or they are no finite numbers.
    """
    try:
        features = np.asarray(features)
    except ValueError:
        features = np.array(None)
    if features.dtype.kind not in "biuf" or not features.ndim or not features.size:
        raise UserError(f"The features of the {part} data must be an array of numbers [N, ...].")
    # A piece at a time, as a million images have room for no second array of their size.
    pieces = (features[start : start + PIECE] for start in range(0, len(features), PIECE))
    if features.dtype.kind == "f" and not all(np.isfinite(piece).all() for piece in pieces):
        raise UserError(f"The features of the {part} data are not finite: leave NaN and inf out.")
    return features.reshape(len(features), -1)


def checked_parts(
    train: ArrayLike, train_labels: ArrayLike, test: ArrayLike, test_labels: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return both parts as `checked` does; a `UserError`, too, where their widths differ."""
    train, train_labels = checked(train, train_labels, "training")
    test, test_labels = checked(test, test_labels, "test")
    if train.shape[1] != test.shape[1]:
        raise UserError(
            f"The training data have {train.shape[1]} features and the test data "
            f"{test.shape[1]}: give both the same."
        )
    return train, train_labels, test, test_labels


def _choose_strength(features, labels, rows, strengths, max_iter):
    """Return the C that does best on the last fifth of `rows`."""
    fit, held = np.split(rows, [len(rows) - len(rows) // 5])
    if len(strengths) == 1 or not len(held) or len(np.unique(labels[fit])) < 2:
        return 1.0 if 1.0 in strengths else strengths[0]
    scores = [
        _fit(features[fit], labels[fit], c, max_iter)[0].score(features[held], labels[held])
        for c in sorted(strengths)
    ]
    return sorted(strengths)[int(np.argmax(scores))]


def _fit(features, labels, strength, max_iter):
    """Return `(pipeline, converged)`."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=max_iter))
    threads = 1 if features.size < SMALL else None
    with warnings.catch_warnings(), threadpool_limits(threads):
        # Told to the caller as `converged` instead.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, labels)
    return model, bool(np.all(model[-1].n_iter_ < max_iter))
