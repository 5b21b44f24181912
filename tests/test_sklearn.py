"""`keras_acn.sklearn`: what scikit-learn's users do with a transformer."""

import copy
import pickle
import sys

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import keras_acn
from keras_acn import KNNCodebook, MLPEncoder, UserError
from keras_acn._base.errors import DataWarning
from keras_acn.sklearn import ACNTransformer, VAETransformer

SMALL = {
    "encoder": {"name": "mlp", "hidden": [8]},
    "decoder": {"name": "mlp", "hidden": [8]},
    "epochs": 1,
    "random_state": 0,
}
PRIOR = {"name": "mixture", "hidden": [8], "components": 2}
BOTH = pytest.mark.parametrize("name", ["acn", "vae"])


def rows(count=40, features=16, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (count, features)).astype("uint8")


def small(name, **options):
    if name == "vae":
        return VAETransformer(**{"latent_dim": 2, **SMALL, **options})
    options = {"prior": PRIOR, "n_neighbors": 3, **options}
    return ACNTransformer(**{"latent_dim": 2, **SMALL, **options})


@pytest.fixture(scope="module")
def fitted():
    X = rows()
    return {name: small(name, image_shape=(4, 4, 1)).fit(X) for name in ("acn", "vae")}


def test_scikit_learn_is_not_shadowed():
    assert sys.modules["sklearn"] is sklearn and sklearn.__version__[0].isdigit()
    assert keras_acn.sklearn is sys.modules["keras_acn.sklearn"] is not sklearn
    assert keras_acn.sklearn.BaseEstimator is sklearn.base.BaseEstimator


@BOTH
def test_codes_are_the_models_and_rows_do_not_depend_on_each_other(fitted, name):
    transformer, X = fitted[name], rows(seed=1)
    Z = transformer.transform(X)
    assert Z.dtype == np.float32 and Z.shape == (40, 2)
    assert np.allclose(Z, transformer.model_.codes(X.reshape(-1, 4, 4, 1)), atol=1e-6)
    for method in (transformer.transform, transformer.score_samples):
        order = np.random.default_rng(0).permutation(40)
        assert np.array_equal(method(X)[order], method(X[order]))
        assert np.array_equal(method(X)[:1], method(X[:1]))


@BOTH
def test_score_is_minus_the_nats_of_the_model(fitted, name):
    transformer, X = fitted[name], rows(seed=2)
    nats = transformer.model_.image_nats(X.reshape(-1, 4, 4, 1), samples=40)
    expected = -(nats["reconstruction_nats"] + nats["kl_nats"])
    score = transformer.score_samples(X)
    # One sample an image here, 40 there.
    error = np.std(score - expected) / np.sqrt(len(X))
    assert abs(transformer.score(X) - expected.mean()) < 4 * error < 1
    assert transformer.score(X) == pytest.approx(score.mean())


def test_training_rows_are_not_their_own_neighbours(fitted):
    transformer, X = fitted["acn"], rows()
    codes = transformer.codes_
    apart = np.linalg.norm(codes[:, None] - codes, axis=-1)
    np.fill_diagonal(apart, np.inf)
    distance, index = transformer.kneighbors()
    assert index.shape == (40, 3) and index.dtype == np.int64
    assert np.allclose(distance, np.sort(apart, axis=1)[:, :3], atol=1e-5)
    assert np.array_equal(transformer.kneighbors(X, 1, return_distance=False)[:, 0], np.arange(40))
    # So do the nats of training rows leave the own code out, wherever they stand.
    nats = transformer.model_.image_nats(X.reshape(-1, 4, 4, 1), samples=40, exclude_self=True)
    expected = -(nats["reconstruction_nats"] + nats["kl_nats"])
    score = transformer.score_samples(X[::-1])[::-1]
    assert abs(np.mean(score - expected)) < 4 * np.std(score - expected) / np.sqrt(40)
    assert np.array_equal(transformer._rows_of(transformer._images(X[[7, 3]])), [7, 3])
    # So it makes no difference to a row where its own code is.
    stored = transformer.model_.codebook.codes
    try:
        for row in range(10):
            stored.assign(codes + 100 * (np.arange(40) == row)[:, None])
            assert transformer.score_samples(X[row : row + 1])[0] == score[row]
    finally:
        stored.assign(codes)


def test_the_vae_has_neighbours_too(fitted):
    transformer = fitted["vae"]
    codes = transformer.codes_
    apart = np.linalg.norm(codes[:, None] - codes, axis=-1)
    np.fill_diagonal(apart, np.inf)
    distance, _ = transformer.kneighbors()
    assert np.allclose(distance, np.sort(apart, axis=1)[:, :5], atol=1e-5)
    with pytest.raises(UserError, match="39 training rows to find, so n_neighbors=40"):
        transformer.kneighbors(n_neighbors=40)


@BOTH
def test_pickles_copies_and_clones(fitted, name):
    transformer, X = fitted[name], rows(seed=3)
    way = copy.deepcopy if name == "vae" else lambda each: pickle.loads(pickle.dumps(each))
    again = way(transformer)
    assert np.array_equal(again.transform(X), transformer.transform(X))
    assert again.score(X) == transformer.score(X)
    new = clone(transformer)
    assert not hasattr(new, "model_") and new.get_params() == transformer.get_params()


@BOTH
def test_names_and_pandas(fitted, name):
    transformer = copy.copy(fitted[name]).set_output(transform="pandas")
    table = transformer.transform(rows())
    assert list(table.columns) == list(transformer.get_feature_names_out())
    assert table.columns[1] == f"{name}transformer1"
    back = transformer.inverse_transform(table)
    assert back.shape == (40, 16) and back.dtype == np.float32
    # Neighbours are numbers of rows, whatever transform returns.
    assert isinstance(transformer.kneighbors(rows())[0], np.ndarray)


def test_the_range_of_pixels():
    def found(X, given="auto"):
        return VAETransformer(pixel_range=given)._range(np.asarray(X))

    assert found([[0, 1]]) == found([[0.2, 0.9]]) == found([[True, False]]) == ((0.0, 1.0), False)
    # 0 to 255 means white is 255, whatever the brightest pixel is.
    assert found(np.array([[0, 100]], "uint8")) == found([[0, 100]]) == ((0.0, 255.0), False)
    assert found([[0.0, 16.0]]) == ((0.0, 16.0), True)
    assert found([[-1.5, 2.5]]) == ((-1.5, 2.5), True)
    assert found([[3.0, 3.0]]) == ((3.0, 4.0), True)
    assert found([[0.0, 12.0]], (0, 16)) == ((0.0, 16.0), False)
    for wrong in ((1, 0), 5, "unit", (0, float("inf")), (0, 1, 2)):
        with pytest.raises(UserError, match="pixel_range must be"):
            found([[0.5]], wrong)


@pytest.mark.slow
def test_units_go_in_and_come_back():
    X = 255 * rows()
    grey = small("vae", epochs=30, learning_rate=0.01, image_shape=(4, 4, 1))
    grey = grey.fit(np.tile(X[:4], (10, 1)))
    assert grey.pixel_range_ == (0.0, 255.0)
    assert type(grey.model_.decoder.likelihood).__name__ == "Bernoulli"
    back = grey.inverse_transform(grey.transform(X[:4]))
    assert 0 <= back.min() and 100 < back.max() <= 255
    assert np.abs(back - X[:4]).mean() < np.abs(back.mean() - X[:4]).mean()


def test_rows_of_other_units_are_refused(fitted):
    with pytest.raises(UserError, match=r"from 0 to 255, and pixel_range is \(0, 1\): give rows"):
        fitted["vae"].transform(255 * rows())


@pytest.mark.slow
def test_a_learned_range_says_what_it_cuts_off():
    X = np.random.default_rng(0).normal(size=(20, 3))
    transformer = small("vae").fit(X)
    assert transformer.image_shape_ == (1, 3, 1)
    assert type(transformer.model_.decoder.likelihood).__name__ == "DiscretizedLogisticMixture"
    with pytest.warns(DataWarning, match="3 of 60 are cut off at its ends. Give pixel_range"):
        X[4] = 100
        transformer.transform(X)


@pytest.mark.parametrize(
    "options, X, sentence",
    [
        ({"image_shape": (4, 5, 1)}, rows(), r"16 features does not fold .* \(4, 5, 1\)"),
        ({}, rows().reshape(-1, 4, 4), r"reshape\(len\(X\), -1\), and image_shape=\(4, 4, 1\)"),
        ({}, rows(1), "n_samples=1"),
        ({"n_neighbors": 40}, rows(), "give more data, or .* a smaller k"),
        ({"latent_dim": 0}, rows(), "latent_dim must be at least 1"),
        ({"epochs": 0}, rows(), "epochs must be at least 1"),
        ({"random_state": -1}, rows(), "random_state must be at least 0"),
        (
            {"decoder": "bernoulli_mlp", "likelihood": "categorical"},
            rows(),
            "a likelihood of its own",
        ),
        ({"likelihood": "bernouli"}, rows(), 'Did you mean "bernoulli"'),
    ],
)
def test_what_cannot_be_trained_on(options, X, sentence):
    with pytest.raises(ValueError, match=sentence):
        small("acn", **options).fit(X)


def test_parts_that_are_given_stay_as_they_are():
    encoder = MLPEncoder((1, 16, 1), 2, hidden=[8])
    codebook = KNNCodebook(k=2)
    before = encoder.get_weights()
    transformer = small("acn", encoder=encoder, codebook=codebook, n_neighbors=None)
    params = transformer.get_params()
    transformer.fit(rows())
    assert transformer.get_params() == params and transformer.encoder is encoder
    assert all(map(np.array_equal, before, encoder.get_weights()))
    assert not codebook.built and transformer.model_.codebook.k == 2
    assert small("acn", codebook=codebook, n_neighbors=4)._codebook().k == 4
    assert small("acn", codebook={"unique": True}, n_neighbors=4)._codebook() == {
        "name": "KNNCodebook",
        "unique": True,
        "k": 4,
    }


@pytest.mark.slow
def test_in_a_pipeline_and_a_grid():
    X = np.random.default_rng(0).normal(size=(40, 6))
    pipeline = make_pipeline(StandardScaler(), small("acn"))
    grid = {"acntransformer__latent_dim": [1, 3], "acntransformer__n_neighbors": [2]}
    search = GridSearchCV(pipeline, grid, cv=2, return_train_score=True, error_score="raise")
    with pytest.warns(DataWarning, match="are cut off"):
        search.fit(X)
    assert np.all(search.cv_results_["mean_test_score"] < 0)
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()
    best = search.best_estimator_
    assert best.transform(X).shape == (40, search.best_params_["acntransformer__latent_dim"])
    assert best.inverse_transform(best.transform(X)).shape == X.shape
    assert search.score(X) == best.score(X)


@pytest.mark.slow
def test_a_decoder_without_a_mean_draws():
    pixelcnn = {"name": "pixelcnn", "layers": 1, "filters": 4}
    transformer = small("vae", image_shape=(4, 4, 1), decoder=pixelcnn).fit(rows())
    Z = transformer.transform(rows()[:3])
    drawn = transformer.inverse_transform(Z)
    assert set(np.unique(drawn)) <= {0, 1}
    assert np.array_equal(drawn[:1], transformer.inverse_transform(Z[:1]))


# Checks of scikit-learn that a transformer of this package does not pass, each with the reason.
EXCEPTIONS: dict[str, str] = {}


@pytest.mark.slow
@BOTH
def test_scikit_learns_own_checks(name):
    found = check_estimator(small(name), expected_failed_checks=EXCEPTIONS, on_skip=None)
    assert len(found) > 40
    others = {each["check_name"] for each in found if each["status"] != "passed"}
    # Arrays of other libraries are not taken, and the tag says so.
    assert others <= {"check_array_api_input", "check_dataframe_column_names_consistency"}
