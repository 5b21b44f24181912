"""What all codebooks share, and the order of their weights in files that exist."""

import io
import zipfile

import h5py
import numpy as np

from keras_acn import KNNCodebook, load_pretrained
from keras_acn.models import pretrained_folders


def test_the_weights_of_a_codebook_keep_their_order():
    """Files written before other codebooks existed must open as they did."""
    names = [w.name for w in KNNCodebook(size=4, latent_dim=2).weights]
    assert names == ["codes", "used", "health"]
    with zipfile.ZipFile(pretrained_folders()["acn-mnist"] / "model.keras") as archive:
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            codes, used, health = (file[f"codebook/vars/{i}"][...] for i in range(3))
    codebook = load_pretrained("acn-mnist").codebook
    np.testing.assert_array_equal(codebook.codes.numpy(), codes)
    np.testing.assert_array_equal(codebook.used.numpy(), used)
    np.testing.assert_array_equal(codebook.health.numpy(), health)
