"""What the codes know about the labels: simple classifiers trained on top of them."""

import dataclasses

import numpy as np

from keras_acn._base.errors import UserError

# Burda et al. 2016 (arXiv 1509.00519), section 5: a latent dimension is active if its
# posterior mean varies over the data by more than this.
ACTIVE_VARIANCE = 0.01

# On fewer numbers than this, threads wait for each other longer than they work.
SMALL = 2_000_000

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)


@dataclasses.dataclass(frozen=True)
class ProbeResult:
    """The accuracy of one classifier.

    Attributes:
      accuracy: Share of the test labels it names, in [0, 1].
      inverse_regularization: The C that the held-out part of the training data chose.
      train_images: Images it was trained on in the end.
      converged: Whether the optimizer reached its tolerance.
    """

    accuracy: float
    inverse_regularization: float
    train_images: int
    converged: bool


def linear_probe(
    train,
    train_labels,
    test,
    test_labels,
    *,
    strengths=STRENGTHS,
    max_train=None,
    max_select=10_000,
    max_iter=500,
    seed=0,
):
    """Returns the `ProbeResult` of multinomial logistic regression on standardised features.

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
    train, train_labels = _checked(train, train_labels, "training")
    test, test_labels = _checked(test, test_labels, "test")
    if len(np.unique(train_labels)) < 2:
        raise UserError("A linear probe needs training data of at least 2 classes.")
    rows = np.random.default_rng(seed).permutation(len(train))
    rows = rows if max_train is None else rows[:max_train]
    chosen = _choose_strength(train, train_labels, rows[:max_select], strengths, max_iter)
    model, converged = _fit(train[rows], train_labels[rows], chosen, max_iter)
    accuracy = float(model.score(test, test_labels))
    return ProbeResult(accuracy, float(chosen), len(rows), converged)


def pca_probe(train, train_labels, test, test_labels, *, components=16, seed=0, **options):
    """Returns the `ProbeResult` of `linear_probe` on principal components of the features.

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
    from sklearn.decomposition import PCA

    train, train_labels = _checked(train, train_labels, "training")
    test, test_labels = _checked(test, test_labels, "test")
    pca = PCA(min(components, *train.shape), random_state=seed).fit(train)
    return linear_probe(
        pca.transform(train), train_labels, pca.transform(test), test_labels, seed=seed, **options
    )


def knn_accuracy(train, train_labels, test, test_labels, k=5):
    """Returns the accuracy in [0, 1] of a majority vote of the `k` nearest training codes.

    Args:
      train: `[N, ...]`, codes of the training data, not standardised.
      train_labels: int `[N]`.
      test: `[M, ...]`.
      test_labels: int `[M]`.
      k: Number of neighbours; N if there are fewer.

    Raises:
      UserError: If codes and labels differ in number.
    """
    from sklearn.neighbors import KNeighborsClassifier

    train, train_labels = _checked(train, train_labels, "training")
    test, test_labels = _checked(test, test_labels, "test")
    model = KNeighborsClassifier(min(k, len(train)), algorithm="brute").fit(train, train_labels)
    return float(model.score(test, test_labels))


def active_dimensions(codes, threshold=ACTIVE_VARIANCE):
    """Returns how many latent dimensions vary over the data by more than `threshold`.

    Args:
      codes: `[N, d]`, posterior means.
      threshold: Variance of the posterior mean; 0.01 in Burda et al. 2016 (arXiv
        1509.00519).
    """
    return int(np.sum(np.var(np.asarray(codes, np.float64), axis=0) > threshold))


def _checked(features, labels, part):
    features, labels = np.asarray(features), np.asarray(labels)
    if not len(features) or len(features) != len(labels):
        raise UserError(
            f"A probe needs one label for each of the {part} data, not {len(labels)} labels "
            f"for {len(features)}."
        )
    return features.reshape(len(features), -1), labels


def _choose_strength(features, labels, rows, strengths, max_iter):
    """Returns the C that does best on the last fifth of `rows`."""
    fit, held = np.split(rows, [len(rows) - len(rows) // 5])
    if len(strengths) == 1 or not len(held) or len(np.unique(labels[fit])) < 2:
        return 1.0 if 1.0 in strengths else strengths[0]
    scores = [
        _fit(features[fit], labels[fit], c, max_iter)[0].score(features[held], labels[held])
        for c in sorted(strengths)
    ]
    return sorted(strengths)[int(np.argmax(scores))]


def _fit(features, labels, strength, max_iter):
    """Returns `(pipeline, converged)`."""
    import warnings

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
