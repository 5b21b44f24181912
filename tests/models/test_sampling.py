"""What an ACN draws: from the mixture of all codes, and from the neighbourhood of an image."""

import numpy as np
import pytest

from keras_acn import ACN, UserError
from keras_acn.priors.codes_mixture import MixtureOfCodes

SHAPE = (4, 4, 1)
RNG = np.random.default_rng(0)
IMAGES = (RNG.random((30, *SHAPE)) < 0.4).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    made = ACN(
        SHAPE,
        2,
        encoder={"name": "mlp", "hidden": [8]},
        prior={"name": "mixture", "components": 2, "hidden": [8]},
        decoder={"name": "bernoulli_mlp", "hidden": [8]},
        codebook={"size": 30, "k": 3},
        seed=1,
    )
    made.recode(IMAGES)
    return made


@pytest.fixture
def contexts(model, monkeypatch):
    """The codes that the priors of samples are conditioned on, as they are drawn."""
    kept = []
    draw = model._sample_from
    monkeypatch.setattr(
        model, "_sample_from", lambda codes, *rest: kept.append(codes) or draw(codes, *rest)
    )
    return kept


def test_samples_are_of_the_mixture_of_codes(model):
    """Each pixel is on as often as under latents of `MixtureOfCodes`, drawn in NumPy."""
    count = 20_000
    drawn = model.sample(count, seed=3, sample=True).mean(axis=0)
    z = MixtureOfCodes(model.prior, model.codebook.codes.numpy()).sample(count, seed=4)
    mean = model.decode(z).mean().numpy().mean(axis=0)
    assert np.abs(drawn - mean).max() < 5 * np.sqrt(0.5 / count)


def test_every_code_is_drawn_as_often(model, contexts):
    model.sample(30_000, seed=5)
    distance = np.abs(contexts[0][:, None] - model.codebook.codes.numpy()[None]).max(axis=2)
    times = np.bincount(distance.argmin(axis=1), minlength=30)
    assert np.abs(times - 1000).max() < 5 * np.sqrt(1000)


def rows_of(model, codes):
    distance = np.abs(codes[:, None] - model.codebook.codes.numpy()[None]).max(axis=2)
    assert distance.min(axis=1).max() == 0
    return distance.argmin(axis=1)


@pytest.mark.parametrize("is_known", [False, True])
def test_new_images_are_of_the_nearest_codes(model, contexts, is_known):
    rows = np.arange(5, 15) if is_known else None
    drawn = model.sample_like(IMAGES[5:15], 200, rows=rows, seed=2, sample=True)
    assert drawn.shape == (10, 200, *SHAPE) and drawn.dtype == np.float32
    assert set(np.unique(drawn)) == {0.0, 1.0}
    picked = rows_of(model, contexts[0]).reshape(10, 200)
    codes = model.codebook.codes.numpy().astype(np.float64)
    distance = np.linalg.norm(codes[5:15, None] - codes[None], axis=2)
    if is_known:
        distance[np.arange(10), np.arange(5, 15)] = np.inf
    near = np.argsort(distance, axis=1)[:, :3]
    for each, allowed in zip(picked, near, strict=True):
        found, times = np.unique(each, return_counts=True)
        assert set(found) == set(allowed)
        assert np.abs(times - 200 / 3).max() < 5 * np.sqrt(200 / 3)


def test_the_same_seed_draws_the_same(model):
    one, again = (model.sample_like(IMAGES[:4], 3, seed=7, sample=True) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, model.sample_like(IMAGES[:4], 3, seed=8, sample=True))
    # Batches of another size draw other numbers, but not of other codes.
    assert model.sample_like(IMAGES[:1], k=1).shape == (1, 1, *SHAPE)


def test_bad_input(model):
    with pytest.raises(UserError, match="n must be at least 1"):
        model.sample_like(IMAGES, 0)
    with pytest.raises(UserError, match="k must be a whole number"):
        model.neighbors(IMAGES, k=2.9)
    with pytest.raises(UserError, match="30 codes, so k=31 is too many"):
        model.sample_like(IMAGES, k=31)
    with pytest.raises(UserError, match=r"rows takes the row of each of the 30 images"):
        model.sample_like(IMAGES, rows=[1, 2])
    with pytest.raises(UserError, match="rows names rows from 1 to 30"):
        model.sample_like(IMAGES, rows=np.arange(1, 31))
    with pytest.raises(UserError, match="call fit first"):
        ACN(SHAPE, 2).sample_like(IMAGES)
