"""Opening saved models, whole and broken."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_acn import VAE, UserError, load_model


@pytest.fixture
def saved(tmp_path):
    model = VAE((4, 4, 1), 2, encoder="mlp", decoder={"name": "bernoulli_mlp", "hidden": [4]})
    model.compile()
    model.save(tmp_path / "vae.keras")
    return model, tmp_path / "vae.keras"


def test_load_model(saved):
    model, path = saved
    for a, b in zip(model.get_weights(), load_model(path).get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_kerass_own_load_model_after_the_usual_imports(saved):
    program = "import sys, keras, keras_acn; print(keras.saving.load_model(sys.argv[1]).latent_dim)"
    out = subprocess.run(
        [sys.executable, "-c", program, saved[1]], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "2"


def test_errors_name_the_fix(saved, tmp_path):
    with pytest.raises(UserError, match="no model file"):
        load_model(tmp_path / "none.keras")
    whole = saved[1].read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is damaged"):
        load_model(tmp_path / "cut.keras")
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.save(tmp_path / "other.keras")
    with pytest.raises(UserError, match="it holds a Sequential"):
        load_model(tmp_path / "other.keras")
