"""The neighbours of images: the nearest codes, however many are asked for, from few graphs."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from keras_acn import ACN, UserError

IMAGES = np.random.default_rng(0).random((50, 4, 4, 1), dtype=np.float32)


@pytest.fixture(scope="module")
def model():
    model = ACN((4, 4, 1), 3, encoder={"name": "mlp", "hidden": [8]}, decoder="mlp")
    model.compile("adam")
    model.fit(IMAGES, epochs=1, verbose=0)
    return model


def graphs(model):
    by_key = model._graphs.by_key
    return [each for key, each in by_key.items() if str(key).find("neighbors") >= 0]


@pytest.mark.slow
def test_every_k_by_few_graphs(model):
    codes = model.codes(IMAGES[:7])
    wanted = np.sort(cdist(codes, np.asarray(model.codebook.codes)), axis=1)
    for k in (*range(1, 51), 3, 50, 17):
        distance, index = model.neighbors(IMAGES[:7], k=k)
        assert distance.shape == index.shape == (7, k)
        np.testing.assert_allclose(distance, wanted[:, :k], atol=1e-4)
        assert all(len(set(row)) == k for row in index)
    # 1, 2, 4, ... 32 and all.
    assert len(graphs(model)) == 7
    for k in (33, 40, 49, 50):
        assert model.sample_like(IMAGES[:2], 3, k=k, rows=[0, 1]).shape == (2, 3, 4, 4, 1)
    assert len(graphs(model)) == 8
    assert sum(each.experimental_get_tracing_count() for each in graphs(model)) == 8
    with pytest.raises(UserError, match="k=51 is too many"):
        model.neighbors(IMAGES[:7], k=51)
