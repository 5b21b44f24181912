"""The exports that come with the package load, and give the recorded answers."""

import pathlib

import numpy as np
import pytest
from served_process import Served

from keras_acn.experiment import load_config
from keras_acn.models import pretrained_folders
from keras_acn.serving import card, warmup
from keras_acn.serving.export import versions

FOLDERS = pretrained_folders()


def latest(name):
    return FOLDERS[name] / str(versions(FOLDERS[name])[-1])


def test_there_are_two():
    assert {"acn-digits", "acn-mnist"} <= set(FOLDERS)
    for name in ("acn-digits", "acn-mnist"):
        path = latest(name)
        for file in ("model_card.md", "config.yaml", "tf_serving_warmup_requests"):
            assert (path / "assets.extra" / file).is_file()
        sizes = [each.stat().st_size for each in path.rglob("*") if each.is_file()]
        assert max(sizes) < 10_000_000 and sum(sizes) < 10_000_000


@pytest.mark.fast("acn-digits")
@pytest.mark.parametrize("name", FOLDERS)
def test_recorded_answers(name):
    if not versions(FOLDERS[name]):
        pytest.skip(f"{name} comes as a Keras model only")
    path = latest(name)
    served = Served(path)
    stored = warmup.read_recorded(pathlib.Path(path, "assets.extra", warmup.RECORDED))
    assert set(stored) == {n for n in served.signatures if not n.startswith("__")}
    for signature, (inputs, outputs) in stored.items():
        # What comes after the file is decoded is one function with the signature's twin.
        if signature.endswith("_png") and signature != "encode_png":
            continue
        answers = served(signature, inputs)
        assert set(answers) == set(outputs)
        for key, want in outputs.items():
            got = answers[key]
            assert got.shape == want.shape and got.dtype == want.dtype
            scale = max(1.0, np.abs(want).max())
            close = np.isclose(got, want, rtol=0, atol=1e-4 * scale)
            rows = close.reshape(len(close), -1).all(axis=1)
            # Another processor adds in another order: a neighbour at the same distance may
            # change places, and one pixel that falls otherwise changes those drawn after it.
            drawn = "seed" in inputs or key in ("index", "code")
            assert rows.all() if not drawn else rows.mean() >= 0.75, (signature, key)


def test_the_card_tells_what_it_is():
    told = (latest("acn-mnist") / "assets.extra" / "model_card.md").read_text()
    assert "28 x 28 x 1" in told and "bits/dim" in told and "50000 codes, k = 5" in told
    assert "binarized by one fixed draw" in told
    assert "101 epochs in 2 trainings (43 + 58), each begun with" in told


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({}, "20 epochs"),
        ({"epochs": 12, "epoch_of_the_model": 12}, "12 epochs"),
        ({"epochs": 12, "epoch_of_the_model": 7}, "12 epochs, of which epoch 7 was kept"),
        (
            {"epochs": 2, "legs": [30, 2]},
            "32 epochs in 2 trainings (30 + 2), each begun with the weights of the last",
        ),
        (
            {"epochs": 2, "legs": [None, 2]},
            "at least 2 epochs in 2 trainings (unknown + 2), each begun with the weights of the "
            "last",
        ),
    ],
)
def test_the_card_tells_how_long_it_was_trained(metrics, words):
    config = load_config("digits", overrides=["training.epochs=20"])
    assert card._epochs(config, metrics) == words
