"""What features are good for, against brute force and closed forms."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance

from keras_acn._base.errors import UserError
from keras_acn.evaluation import (
    cluster_agreement,
    effective_rank,
    feature_quality,
    few_label_accuracy,
    knn_accuracies,
    knn_accuracy,
    linear_probe,
    whitened,
)
from keras_acn.evaluation.geometry import jackknife_error
from keras_acn.evaluation.representation import balanced_rows, compare_features


def blobs(count, classes=4, noise=0.6, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    return np.eye(classes)[labels] + noise * rng.normal(size=(count, classes)), labels


def test_neighbours_vote_as_they_do_by_brute_force():
    train, train_labels = blobs(150)
    test, test_labels = blobs(60, seed=1)
    own = np.full(60, -1)
    own[:5] = np.arange(10, 15)
    test[:5], test_labels[:5] = train[10:15], train_labels[10:15]
    found = knn_accuracies(train, train_labels, test, test_labels, (1, 5, 10), own_rows=own)
    distance = np.sum((test[:, None] - train[None]) ** 2, axis=2)
    distance[np.arange(5), own[:5]] = np.inf
    order = np.argsort(distance, axis=1)
    for k in (1, 5, 10):
        votes = [np.bincount(each[:k], minlength=4).argmax() for each in train_labels[order]]
        accuracy = np.mean(votes == test_labels)
        assert found[str(k)]["accuracy"] == pytest.approx(accuracy)
        error = np.sqrt(accuracy * (1 - accuracy) / 60)
        assert found[str(k)]["standard_error"] == pytest.approx(error)
    plain = knn_accuracies(train, train_labels, test, test_labels)
    assert plain["5"]["accuracy"] == knn_accuracy(train, train_labels, test, test_labels, k=5)


def test_a_number_of_neighbours_that_there_are_not_is_left_out():
    train, labels = blobs(6)
    assert list(knn_accuracies(train, labels, train, labels)) == ["1", "5"]
    own = np.arange(6)
    assert list(knn_accuracies(train, labels, train, labels, (5, 6), own_rows=own)) == ["5"]


def test_wide_features_are_searched_in_fewer_images():
    train, train_labels = blobs(80)
    wide = np.concatenate([train, np.zeros((80, 200))], axis=1)
    own = np.arange(80)
    found = knn_accuracies(wide, train_labels, wide, train_labels, (1,), own_rows=own, max_wide=50)
    assert found["1"]["train_images"] == 50
    # Each image's own row has moved with the choice, and is still kept from it.
    rows = np.sort(np.random.default_rng(0).permutation(80)[:50])
    distance = np.sum((train[:, None] - train[None, rows]) ** 2, axis=2)
    distance[own[:, None] == rows[None]] = np.inf
    expected = np.mean(train_labels[rows][distance.argmin(axis=1)] == train_labels)
    assert found["1"]["accuracy"] == pytest.approx(expected)
    narrow = knn_accuracies(train, train_labels, train, train_labels, (1,), max_wide=50)
    assert narrow["1"]["train_images"] == 80


def test_few_labels_are_drawn_evenly_from_the_classes():
    labels = np.repeat(np.arange(4), [50, 50, 50, 3])
    for seed in range(5):
        rows = balanced_rows(labels, 23, seed)
        assert len(set(rows)) == 23
        counts = np.bincount(labels[rows])
        assert counts[3] == 3 and set(counts[:3]) <= {6, 7}
    assert not np.array_equal(balanced_rows(labels, 23, 0), balanced_rows(labels, 23, 1))


def test_the_error_of_few_labels_takes_in_images_and_draws():
    (train, train_labels), (test, test_labels) = blobs(400), blobs(300, seed=1)
    parts = train, train_labels, test, test_labels
    found = few_label_accuracy(*parts, labels=12, draws=4, seed=7)
    each = []
    for draw in range(4):
        rows = balanced_rows(train_labels, 12, 7 + draw)
        each.append(
            linear_probe(train[rows], train_labels[rows], test, test_labels, seed=7).accuracy
        )
    mean = np.mean(each)
    assert len(set(each)) > 1 and found["accuracy"] == pytest.approx(mean)
    variance = mean * (1 - mean) / 300 + np.var(each, ddof=1) / 4
    assert found["standard_error"] == pytest.approx(np.sqrt(variance))
    once = few_label_accuracy(*parts, labels=400, draws=1)
    assert once["accuracy"] > found["accuracy"]
    with pytest.raises(UserError, match="400 labels, not 401"):
        few_label_accuracy(*parts, labels=401)


def test_clusters_that_are_classes_and_clusters_that_are_not():
    codes, labels = blobs(300, noise=0.05)
    found = cluster_agreement(codes, labels)
    assert found["adjusted_mutual_information"] == pytest.approx(1.0)
    assert found["standard_error"] == pytest.approx(0.0, abs=1e-9) and found["clusters"] == 4
    noise = np.random.default_rng(0).normal(size=(1000, 4))
    none = cluster_agreement(noise, np.arange(1000) % 4)
    assert abs(none["adjusted_mutual_information"]) < 0.02


def test_the_error_of_an_agreement_is_that_of_other_images():
    """The jackknife's error against the spread over sets of images drawn anew."""
    sets = [blobs(400, noise=0.35, seed=seed) for seed in range(40)]
    found = [cluster_agreement(*each, starts=2) for each in sets]
    spread = np.std([each["adjusted_mutual_information"] for each in found], ddof=1)
    told = np.sqrt(np.mean([each["standard_error"] ** 2 for each in found]))
    assert 0.6 < told / spread < 1.6


@pytest.mark.parametrize("shape", [(50, 7), (7, 50)])
def test_rank_is_that_of_the_singular_values(shape):
    features = np.random.default_rng(0).normal(size=shape) * np.linspace(0.1, 3, shape[1]) + 100.0
    values = np.linalg.svd(features - features.mean(axis=0), compute_uv=False)
    values = values[values > 1e-9]
    assert effective_rank(features) == pytest.approx(np.exp(stats.entropy(values)), rel=1e-9)


def test_rank_of_known_clouds():
    axes = np.concatenate([np.eye(6), -np.eye(6)])
    assert effective_rank(axes) == pytest.approx(6.0)
    assert effective_rank(axes @ np.ones((6, 3))) == pytest.approx(1.0)
    assert effective_rank(np.ones((5, 4))) == 0.0 and effective_rank(np.ones((1, 4))) == 0.0


def test_whitened_distances_are_mahalanobis():
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(3, 3)) * [[9.0], [0.1], [1.0]]
    train, test = rng.normal(size=(200, 3)) @ mix + 5, rng.normal(size=(20, 3)) @ mix + 5
    alike, test_alike = whitened(train, test)
    np.testing.assert_allclose(np.cov(alike.T), np.eye(3), atol=1e-9)
    inverse = np.linalg.inv(np.cov(train.T))
    for a, got in zip(test, test_alike, strict=True):
        want = [distance.mahalanobis(a, b, inverse) for b in train]
        np.testing.assert_allclose(np.linalg.norm(got - alike, axis=1), want, rtol=1e-8)


def test_whitened_neighbours_are_the_same_under_any_scale_and_turn():
    """As linear probes are; neighbours as they are are not."""
    train, train_labels = blobs(200)
    test, test_labels = blobs(80, seed=1)
    mix = np.random.default_rng(2).normal(size=(4, 4)) * [30.0, 1.0, 1.0, 0.01]
    found = [
        feature_quality(a, train_labels, b, test_labels)
        for a, b in ((train, test), (train @ mix - 7, test @ mix - 7))
    ]
    assert found[0]["whitened_neighbors"] == found[1]["whitened_neighbors"]
    assert found[0]["neighbors"] != found[1]["neighbors"]
    assert list(found[0]["whitened_neighbors"]) == ["1", "5", "10"]


def test_what_varies_along_no_axis_is_whitened_to_nothing():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(50, 2)) @ rng.normal(size=(2, 6)).astype(np.float32)
    assert whitened(flat, flat[:3])[1].shape == (3, 2)
    for alone in (np.ones((9, 4)), np.ones((1, 4))):
        a, b = whitened(alone, alone)
        assert not a.any() and not b.any() and len(a) == len(b) == len(alone)


def test_the_jackknife_of_a_mean_is_the_textbooks_error():
    x = np.random.default_rng(0).normal(size=40)
    error = jackknife_error(lambda rows: x[rows].mean(), 40, groups=40)
    assert error == pytest.approx(x.std(ddof=1) / np.sqrt(40))
    assert jackknife_error(lambda rows: 0.0, 1) is None


def test_everything_is_there_beside_components_and_pixels():
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(120, 2, 3, 1)), np.arange(120) % 3
    images[:, 0, 0, 0] += 3 * labels
    codes = images[:, 0, :2, 0]
    train, test = (codes[:90], images[:90], labels[:90]), (codes[90:], images[90:], labels[90:])
    told = []
    found = compare_features(train, test, progress=lambda *of: told.append(of))
    assert told == [(1, 3), (2, 3), (3, 3)] and list(found) == ["codes", "pca", "pixels"]
    for each in found.values():
        assert list(each["neighbors"]) == ["1", "5", "10"] and each["labels"] == {}
        assert set(each["clusters"]) >= {"adjusted_mutual_information", "standard_error"}
        assert each["effective_rank"]["standard_error"] > 0
        assert list(each["whitened_neighbors"]) == ["1", "5", "10"]
    assert found["codes"]["active_dimensions"]["value"] == 2
    # All components of six pixels are those pixels, turned.
    assert found["pca"]["neighbors"] == found["pixels"]["neighbors"]
    other = (images[:90, 1, :, 0], *train[1:]), (images[90:, 1, :, 0], *test[1:])
    second = compare_features(*other, of_images=found)
    assert second["pixels"] is found["pixels"] and second["codes"] != found["codes"]


def test_what_needs_no_labels_is_there_without():
    codes = np.random.default_rng(0).normal(size=(30, 2))
    found = feature_quality(codes, None, codes, None)
    assert found["neighbors"] == {} and found["labels"] == {} and found["clusters"] is None
    assert 1 < found["effective_rank"]["value"] <= 2
    unseen = feature_quality(codes, np.arange(30) % 2, codes, 5 + np.arange(30) % 2)
    assert unseen["neighbors"] == {} and unseen["clusters"]["clusters"] == 2


@pytest.mark.parametrize("count", [1, 2, 3])
def test_hardly_any_images(count):
    codes, labels = np.eye(3)[:count], np.arange(count)
    found = feature_quality(codes, labels, codes, labels)
    assert found["effective_rank"]["value"] <= 2 and found["clusters"] is None
