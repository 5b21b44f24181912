"""Runs begun, and models saved, by earlier versions go on in this one to the same figures."""

import json
import pathlib
import shutil

import numpy as np
import pytest

import keras_acn
from keras_acn.cli import main
from keras_acn.experiment import open_run, train
from keras_acn.serving.warmup import RECORDED as RECORDED_FILE
from keras_acn.serving.warmup import read_recorded

GOLDEN = pathlib.Path(__file__).parent / "golden_runs"
RECORDED = json.loads((GOLDEN / "recorded.json").read_text())
BEGUN = sorted(path.name for path in (GOLDEN / "begun").iterdir())
MODELS = sorted(path.stem for path in GOLDEN.glob("*.keras"))
EVALUATE = ["--samples", "2", "--iwae-samples", "2", "--iwae-images", "32", "--json"]
FEW_SHOT = ["--few-shot", "--ways", "3", "--episodes", "20", "--samples", "2", "--json"]


def leaves(value, path=""):
    """The values of nested dicts and lists, by where they are."""
    if isinstance(value, (dict, list)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from leaves(inner, f"{path}/{key}")
    else:
        yield path, value


def assert_same(found, recorded, rel):
    """What was recorded is there still; there may be more beside it."""
    found = dict(leaves(found))
    for path, value in leaves(recorded):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            assert found[path] == pytest.approx(value, rel=rel, abs=1e-7), path
        else:
            assert found[path] == value, path


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """`resumed(name)`: the folder of a run that was begun long ago and ended now."""
    ended = {}

    def get(name):
        if name not in ended:
            folder = tmp_path_factory.mktemp("runs") / name
            shutil.copytree(GOLDEN / "begun" / name, folder)
            train(resume=folder)
            ended[name] = folder
        return ended[name]

    return get


def test_they_are_there():
    assert {"acn", "acn-graph", "vhe"} <= set(BEGUN)
    assert {"acn", "autoencoder", "vae", "vhe"} <= set(MODELS)
    assert set(MODELS) | set(BEGUN) == set(RECORDED["runs"])


@pytest.mark.parametrize("name", BEGUN)
def test_a_run_that_was_begun_opens_as_it_is(name):
    run = open_run(GOLDEN / "begun" / name)
    assert not run.finished and [row["epoch"] for row in run.history] == [1, 2]
    assert_same(run.history, RECORDED["runs"][name]["history"][:2], rel=1e-12)
    images = np.load(GOLDEN / "images.npy")
    assert np.isfinite(run.model.image_nats(images)["reconstruction_nats"]).all()


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("name", BEGUN)
def test_a_run_that_was_begun_ends_as_one_that_was_not_interrupted(name, resumed):
    run, recorded = open_run(resumed(name)), RECORDED["runs"][name]
    assert run.finished and len(run.history) == len(recorded["history"]) == 4
    assert_same(run.history, recorded["history"], rel=1e-6)
    assert_same(run.metrics, recorded["metrics"], rel=1e-6)


@pytest.mark.fast(every=4)
@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [(name, "evaluate", EVALUATE) for name in BEGUN] + [("vhe", "few_shot", FEW_SHOT)],
)
def test_its_evaluation_is_the_recorded_one(name, kind, options, resumed, capsys):
    folder = resumed(name)
    capsys.readouterr()
    assert main(["evaluate", str(folder), *options]) == 0
    assert_same(json.loads(capsys.readouterr().out), RECORDED["runs"][name][kind], rel=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_says_what_it_said(name):
    model, images = keras_acn.load_model(GOLDEN / f"{name}.keras"), np.load(GOLDEN / "images.npy")
    recorded = {key: np.array(value) for key, value in RECORDED["models"][name].items()}
    q, nats = model.encode(images), model.image_nats(images)
    found = {
        "mean": q.mean(),
        "stddev": q.stddev(),
        "codes": model.codes(images),
        "reconstructions": model.reconstruct(images)[:2],
        "samples": model.sample(2, seed=1, sample=False),
        **{f"image_nats/{key}": value for key, value in nats.items()},
    }
    if "neighbors" in recorded:
        found["neighbors"] = model.neighbors(images)[1]
    assert found.keys() == recorded.keys()
    for key, value in recorded.items():
        np.testing.assert_allclose(
            np.reshape(found[key], value.shape), value, rtol=1e-5, atol=1e-6, err_msg=key
        )


@pytest.mark.fast("acn")
@pytest.mark.parametrize("name", ["acn", "vhe"])
def test_a_resumed_run_ends_with_the_model_that_was_saved(name, resumed):
    """Weights, codes, and what the optimizer has summed up."""
    old = keras_acn.load_model(GOLDEN / f"{name}.keras")
    new = open_run(resumed(name)).model
    pairs = zip(
        [*old.variables, *old.optimizer.variables],
        [*new.variables, *new.optimizer.variables],
        strict=True,
    )
    for was, now in pairs:
        assert was.dtype == now.dtype and was.shape == now.shape
        np.testing.assert_allclose(was.numpy(), now.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.fast(every=2)
@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.npz")))
def test_an_export_answers_as_one_did(name, tmp_path):
    """The export of a model that was saved long ago, against the answers of its export then."""
    export = keras_acn.load_model(GOLDEN / f"{name}.keras").export(tmp_path / name)
    found = read_recorded(export.path / "assets.extra" / RECORDED_FILE)
    recorded = read_recorded(GOLDEN / f"{name}.npz")
    assert found.keys() == recorded.keys()
    for signature, (inputs, outputs) in recorded.items():
        assert found[signature][0].keys() == inputs.keys()
        for key, value in inputs.items():
            if value.dtype != object:
                np.testing.assert_allclose(found[signature][0][key], value, rtol=1e-5, atol=1e-6)
        answers = found[signature][1]
        assert answers.keys() == outputs.keys()
        for key, value in outputs.items():
            assert answers[key].dtype == value.dtype and answers[key].shape == value.shape
            np.testing.assert_allclose(
                answers[key], value, rtol=1e-5, atol=1e-6, err_msg=f"{signature}/{key}"
            )
