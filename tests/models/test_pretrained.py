"""The models that come with the package: they open by name, from a checkout and a wheel."""

import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest

from keras_acn import UserError, load_pretrained
from keras_acn._base import shipped
from keras_acn.codec import archive
from keras_acn.experiment import open_run
from keras_acn.models import pretrained_folders

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.fast("acn-digits", "acn-mnist")
@pytest.mark.parametrize("name", pretrained_folders())
def test_opens_and_generates(name):
    model = load_pretrained(name)
    image = model.sample(2, seed=0)
    assert image.shape == (2, *model.image_shape)
    assert set(np.unique(image)) <= {0, 1} or image.min() >= 0
    distance, index = model.neighbors(image, k=3)
    assert np.isfinite(distance).all() and (index >= 0).all()
    assert np.isfinite(model.evaluate(image, verbose=0)).all()


def test_files_of_each_are_there_and_small():
    folders = pretrained_folders()
    assert "acn-mnist" in folders
    for folder in folders.values():
        for name in ("model.keras", "config.yaml", "metrics.json", "history.csv"):
            assert (folder / name).is_file(), folder
        assert (folder / "model.keras").stat().st_size < 10_000_000


def test_an_unknown_name():
    with pytest.raises(UserError, match='Did you mean "acn-mnist"'):
        load_pretrained("acn-mnits")


def test_weights_that_a_wheel_only_describes_are_said_where_they_are(tmp_path, monkeypatch):
    (tmp_path / "keras_acn" / "saved_models" / "acn-large").mkdir(parents=True)
    (tmp_path / "keras_acn" / "saved_models" / "acn-large" / "config.yaml").touch()
    monkeypatch.setattr(shipped, "PACKAGE", tmp_path / "keras_acn")
    header = types.SimpleNamespace(model_name="acn-large")
    for opens in (load_pretrained, open_run, lambda name: archive.named_model(header, "a.acn")):
        with pytest.raises(UserError, match="saved_models/acn-large out of a checkout"):
            opens("acn-large")
    assert pretrained_folders() == {}


@pytest.mark.slow
def test_a_built_package_brings_them(tmp_path):
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build", "--build-base", tmp_path / "base"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (library,) = (tmp_path / "base").glob("lib*")
    program = "from keras_acn import models; print(sorted(models.pretrained_folders().items()))"
    out = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(library), "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert str(library) in out and "acn-mnist" in out
