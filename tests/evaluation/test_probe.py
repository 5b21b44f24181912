"""Probes on features whose accuracy is known beforehand."""

import numpy as np
import pytest

from keras_acn import evaluation
from keras_acn._base.errors import UserError
from keras_acn.evaluation import probe
from keras_acn.evaluation.inputs import some_rows
from keras_acn.evaluation.probe import active_dimensions, knn_accuracy, linear_probe, pca_probe


def labels(count, classes=4, seed=0):
    return np.random.default_rng(seed).integers(classes, size=count)


def test_codes_that_are_the_labels_score_one():
    train, test = labels(400), labels(200, seed=1)
    codes, test_codes = np.eye(4)[train], np.eye(4)[test]
    assert linear_probe(codes, train, test_codes, test).accuracy == 1.0
    assert pca_probe(codes, train, test_codes, test, components=3).accuracy == 1.0
    assert knn_accuracy(codes, train, test_codes, test) == 1.0


def test_noise_scores_about_chance():
    rng = np.random.default_rng(0)
    train, test = labels(2000), labels(2000, seed=1)
    codes, test_codes = rng.normal(size=(2000, 6)), rng.normal(size=(2000, 6))
    # Four standard deviations of a fair guess among four classes over 2000 images.
    tolerance = 4 * np.sqrt(0.25 * 0.75 / 2000)
    assert abs(linear_probe(codes, train, test_codes, test).accuracy - 0.25) < tolerance
    assert abs(knn_accuracy(codes, train, test_codes, test) - 0.25) < tolerance


def test_linear_is_linear_and_neighbors_are_not():
    """Rings: no hyperplane separates them, neighbours do."""
    rng = np.random.default_rng(0)

    def rings(count):
        label = rng.integers(2, size=count)
        angle = rng.uniform(0, 2 * np.pi, count)
        radius = 1 + label
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), label

    (train, train_labels), (test, test_labels) = rings(1000), rings(500)
    assert linear_probe(train, train_labels, test, test_labels).accuracy < 0.65
    assert knn_accuracy(train, train_labels, test, test_labels) == 1.0


def test_scale_and_offset_of_the_features_do_not_matter():
    rng = np.random.default_rng(0)
    train, test = labels(300), labels(300, seed=1)
    codes = np.eye(4)[train] + rng.normal(size=(300, 4))
    test_codes = np.eye(4)[test] + rng.normal(size=(300, 4))
    scale, offset = np.array([1e3, 1e-3, 1.0, 10.0]), np.array([5.0, -1e3, 0.0, 1.0])
    plain = linear_probe(codes, train, test_codes, test)
    scaled = linear_probe(codes * scale + offset, train, test_codes * scale + offset, test)
    assert 0.4 < plain.accuracy < 1.0
    assert scaled.accuracy == pytest.approx(plain.accuracy, abs=0.01)


def test_regularization_is_chosen_on_training_data():
    """Many useless features, few images: strong regularisation must be found."""
    rng = np.random.default_rng(0)
    train, test = labels(1000, 2), labels(2000, 2, seed=1)
    codes, test_codes = rng.normal(size=(1000, 400)), rng.normal(size=(2000, 400))
    codes[:, 0] += 2 * train
    test_codes[:, 0] += 2 * test
    chosen = linear_probe(codes, train, test_codes, test)
    weak = linear_probe(codes, train, test_codes, test, strengths=(1000.0,))
    assert chosen.inverse_regularization < 1.0
    assert chosen.accuracy > weak.accuracy + 0.02


def test_training_images_can_be_capped():
    train, test = labels(500), labels(100, seed=1)
    result = linear_probe(np.eye(4)[train], train, np.eye(4)[test], test, max_train=50)
    assert result.train_images == 50 and result.accuracy == 1.0
    unfinished = linear_probe(
        np.random.default_rng(0).normal(size=(500, 9)), train, np.zeros((100, 9)), test, max_iter=1
    )
    assert not unfinished.converged


def test_images_are_flattened():
    train = labels(60)
    images = np.eye(4)[train].reshape(60, 2, 2, 1)
    assert linear_probe(images, train, images, train).accuracy == 1.0


def test_active_dimensions():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(5000, 4)) * np.sqrt([1.0, 0.02, 0.005, 0.0]) + 7.0
    assert active_dimensions(codes) == 2
    assert active_dimensions(codes, threshold=0.5) == 1
    assert active_dimensions(codes[:1]) == 0


def test_very_few_images():
    codes, two = np.array([[0.0], [1.0]]), np.array([0, 1])
    assert linear_probe(codes, two, codes, two).accuracy == 1.0
    assert knn_accuracy(codes[:1], two[:1], codes, two, k=5) == 0.5


def test_bad_input():
    codes, two = np.zeros((2, 1)), np.array([0, 1])
    with pytest.raises(UserError, match="one label for each of the training"):
        linear_probe(codes, two[:1], codes, two)
    with pytest.raises(UserError, match="one label for each of the test"):
        knn_accuracy(codes, two, codes[:0], two[:0])
    with pytest.raises(UserError, match="2 classes"):
        linear_probe(codes, np.zeros(2), codes, two)


def test_components_of_very_many_images_are_those_of_a_part(monkeypatch):
    monkeypatch.setattr(probe, "MOST_FITTED", 50)
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(230, 3, 4)) * np.arange(1, 5), rng.normal(size=(70, 3, 4))
    found = probe.principal_components(train, test, 3, seed=4)
    rows = some_rows(230, 50, 4)
    part = train[rows].reshape(50, 12)
    _, _, directions = np.linalg.svd(part - part.mean(axis=0))
    for images, got in zip((train, test), found, strict=True):
        want = (images.reshape(-1, 12) - part.mean(axis=0)) @ directions[:3].T
        np.testing.assert_allclose(np.abs(got), np.abs(want), atol=1e-9)


CODES, CLASSES = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
ASK = {
    "linear_probe": evaluation.linear_probe,
    "pca_probe": lambda *parts: evaluation.pca_probe(*parts, components=2),
    "knn_accuracy": evaluation.knn_accuracy,
    "feature_quality": evaluation.feature_quality,
}


@pytest.mark.parametrize("ask", ASK)
def test_features_and_labels_that_make_no_sense(ask):
    def refused(sentence, codes=CODES, classes=CLASSES, test=CODES):
        with pytest.raises(UserError, match=sentence):
            ASK[ask](codes, classes, test, CLASSES)

    for wrong in (np.where(CODES > 2, np.nan, CODES), CODES / 0.0):
        refused("of the training data are not finite", wrong)
        refused("of the test data are not finite", test=wrong)
    for wrong in (None, 5, "x", [["a"]] * 40, [[1], [1, 2]] * 20, CODES * 1j):
        refused("training data must be an array of numbers", wrong)
    refused("have 3 features and the test data 2", test=CODES[:, :2])
    for wrong in (CLASSES + 0.5, [None] * 40, np.where(CLASSES > 0, np.nan, 1.0)):
        refused("labels of the training data must be whole numbers or texts", classes=wrong)
    refused("one label for each", classes=CLASSES[:, None])
    # As some readers give them.
    for same in (CLASSES.astype(float), CLASSES.astype(str)):
        ASK[ask](CODES, same, CODES, same)


def test_options_of_probes_that_make_no_sense():
    parts = CODES, CLASSES, CODES, CLASSES
    for options in (
        {"max_train": -1},
        {"max_train": 0},
        {"max_select": True},
        {"max_iter": "x"},
        {"strengths": [-1]},
        {"strengths": [None]},
    ):
        (name,) = options
        with pytest.raises(UserError, match=f"{name}.* must be"):
            evaluation.linear_probe(*parts, **options)
    for k in (0, None, 2.5, float("inf"), True):
        with pytest.raises(UserError, match="k must be"):
            evaluation.knn_accuracy(*parts, k=k)
    for wrong in (CODES * np.nan, [], None):
        with pytest.raises(UserError, match="features of the given data"):
            evaluation.active_dimensions(wrong)
        with pytest.raises(UserError, match="features of the given data"):
            evaluation.effective_rank(wrong)
    with pytest.raises(UserError, match="threshold must be"):
        evaluation.active_dimensions(CODES, float("nan"))
