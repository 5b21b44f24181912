"""Progress: its one shape, and the shapes and names of one version ago."""

import numpy as np
import pytest

from keras_acn import VAE
from keras_acn._base.progress import of_two, share_of, takes_tell


def test_the_name_of_one_version_ago_is_taken_with_a_warning():
    @takes_tell
    def work(steps, *, progress=None):
        progress(steps, steps)
        return steps

    told = []
    with pytest.warns(DeprecationWarning, match="`tell` of work is now called `progress`"):
        assert work(3, tell=lambda *done: told.append(done)) == 3
    assert work(2, progress=lambda *done: told.append(done)) == 2
    assert told == [(3, 3), (2, 2)]


def test_a_model_takes_the_old_name_too():
    model, told = VAE(image_shape=(4, 4, 1), latent_dim=2, encoder="mlp", decoder="mlp"), []
    images = np.zeros([4, 4, 4, 1], np.float32)
    with pytest.warns(DeprecationWarning, match="`tell` of image_nats"):
        model.image_nats(images, batch_size=2, tell=lambda *done: told.append(done))
    assert told == [(1, 2), (2, 2)]


def test_a_progress_with_a_name_is_still_called_with_it():
    told = []
    with pytest.warns(DeprecationWarning, match="called with two numbers"):
        progress = of_two(lambda name, done, total: told.append((name, done, total)), "work")
    progress(1, 2)
    assert told == [("work", 1, 2)]
    assert of_two(max, "work") is max and of_two(None, "work") is None


def test_shares_add_up_to_the_whole():
    told = []
    for part in range(2):
        share = share_of(lambda *done: told.append(done), part, 2)
        share(5, 10)
        share(10, 10)
    assert told == [(5, 20), (10, 20), (15, 20), (20, 20)]
    assert share_of(None, 0, 2) is None
