"""Runs that MLflow or Weights & Biases keep as well, without a network."""

import importlib.util
import json
import time

import numpy as np
import pytest

from keras_acn import experiment
from keras_acn.cli import main

TINY = ["data.limit=60", "encoder.hidden=[8]", "prior.hidden=[8]", "decoder.hidden=[8]"]
TINY += ["training.batch_size=20", "training.kl_warmup_epochs=0"]


def config(logger, epochs):
    settings = [*TINY, f"training.loggers=[{logger}]", f"training.epochs={epochs}"]
    return experiment.load_config("digits", overrides=settings)


def test_a_logger_that_is_missing_is_told_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    command = ["train", "digits", "--out", str(tmp_path / "run"), "--set"]
    assert main([*command, "training.loggers=[mlflow]"]) == 2
    assert 'pip install "keras-acn[mlflow]"' in capsys.readouterr().err
    assert main([*command, "training.loggers=[mlflo]"]) == 2
    assert "mlflow" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_mlflow_keeps_a_run_and_goes_on_with_it(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    try:
        run = experiment.train(config("mlflow", 2), tmp_path / "run")
        again = experiment.train(config("mlflow", 3), resume=run.folder)
        (kept,) = mlflow.search_runs(output_format="list")
        client = mlflow.MlflowClient()
        told = client.get_metric_history(kept.info.run_id, "total_nats")
    finally:
        mlflow.set_tracking_uri(before)
    assert kept.info.status == "FINISHED" and kept.info.run_name == "run"
    assert kept.data.params["model.name"] == "ACN" and kept.data.params["seed"] == "0"
    np.testing.assert_allclose(
        [each.value for each in told], [row["total_nats"] for row in again.history], rtol=1e-6
    )
    assert "test_total_nats" in kept.data.metrics


def test_weights_and_biases_keeps_a_run_offline_and_goes_on_with_it(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    for name, value in {"MODE": "offline", "DIR": str(tmp_path), "SILENT": "true"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    run = experiment.train(config("wandb", 2), tmp_path / "run")
    (kept,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    name = json.loads((run.folder / "loggers.json").read_text())["wandb"]
    assert kept.name == f"run-{name}.wandb"
    written = kept.read_bytes()
    for word in (b"epoch/total_nats", b"epoch/test_total_nats", b"model.latent_dim"):
        assert word in written
    # Resumed, it is the same run there: another folder of it, as there is nobody to ask offline.
    time.sleep(1.1)  # such folders are called after the second
    experiment.train(config("wandb", 3), resume=run.folder)
    segments = sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert [each.name for each in segments] == [kept.name, kept.name]
    assert json.loads((run.folder / "loggers.json").read_text())["wandb"] == name
    assert b"epoch/total_nats" in segments[1].read_bytes()
