import keras
import numpy as np
import pytest

from keras_acn import VAE, load_model
from keras_acn._base.errors import UserError
from keras_acn.experiment import load_config
from keras_acn.experiment.build import build_model
from keras_acn.models import PiecewiseLinear


def test_it_goes_through_its_points_as_numpys_interpolation():
    steps, values = [3, 10, 11, 40], [0.2, 2.0, 0.5, 1.0]
    schedule = PiecewiseLinear(steps, values)
    at = np.concatenate([np.arange(60), [2.5, 10.5, 1e6]])
    found = [float(schedule(step)) for step in at]
    np.testing.assert_allclose(found, np.interp(at, steps, values), rtol=1e-6)


@pytest.mark.parametrize(
    "steps, values",
    [([], []), ([0, 1], [1]), ([0, 0], [1, 2]), ([5, 2], [1, 2]), ([-1, 2], [1, 2])],
)
def test_what_is_no_schedule_is_refused(steps, values):
    with pytest.raises(UserError, match="schedule"):
        PiecewiseLinear(steps, values)


def test_a_model_weighs_its_kl_by_it_and_is_saved_with_it(tmp_path):
    images = np.random.default_rng(0).random((8, 4, 4, 1), np.float32)
    model = VAE((4, 4, 1), 2, encoder="mlp", decoder="mlp", beta=PiecewiseLinear([0, 2], [0.5, 4]))
    model.compile(keras.optimizers.Adam(1e-3))
    for step in range(4):
        logs = model.fit(images, batch_size=8, verbose=0).history
        beta = np.interp(step, [0, 2], [0.5, 4])
        expected = logs["reconstruction_nats"][0] + beta * logs["kl_nats"][0]
        np.testing.assert_allclose(logs["loss"][0], expected, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    assert float(load_model(tmp_path / "model.keras").beta(1)) == 2.25


def test_a_config_gives_it_in_epochs():
    overrides = ["training.kl_schedule=[[0, 0.1], [2, 3], [4, 1]]", "training.kl_warmup_epochs=0"]
    config = load_config("digits", overrides=[*overrides, "model.beta=2", "training.batch_size=10"])
    beta = build_model(config, (8, 8, 1), 100).beta
    assert [float(beta(step)) for step in (0, 20, 30, 40, 99)] == pytest.approx([0.2, 6, 4, 2, 2])


@pytest.mark.parametrize(
    "value, fix",
    [
        ("[[0, 1]]", "kl_warmup_epochs=0"),
        ("[[2, 1], [1, 1]]", "rise"),
        ("[[0, 1], [0, 2]]", "rise"),
        ("[0, 1]", "kl_schedule"),
        ("[]", "kl_schedule"),
        ("[[0, -1]]", "kl_schedule"),
    ],
)
def test_a_config_that_makes_no_sense_is_one_sentence(value, fix):
    rest = [] if value == "[[0, 1]]" else ["training.kl_warmup_epochs=0"]
    with pytest.raises(UserError, match=fix):
        load_config("digits", overrides=[f"training.kl_schedule={value}", *rest])
