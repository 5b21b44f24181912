"""training.precision=auto: half precision where it is faster, and the config says which it was."""

import pytest

from keras_acn.experiment import build, load_config, precision
from keras_acn.experiment.presets import preset_names
from keras_acn.experiment.run import train


@pytest.fixture
def config():
    return load_config("paper-mnist-small", overrides=["training.precision=auto"])


def processor(monkeypatch, float32, bfloat16):
    monkeypatch.setattr(
        precision, "seconds", lambda dtype: {"float32": float32, "bfloat16": bfloat16}[dtype.name]
    )


@pytest.mark.parametrize(
    "float32, bfloat16, chosen",
    [(3.0, 1.0, "mixed_bfloat16"), (1.0, 5.0, "float32"), (1.1, 1.0, "float32")],
)
def test_what_is_clearly_faster_is_chosen(config, monkeypatch, float32, bfloat16, chosen):
    processor(monkeypatch, float32, bfloat16)
    settled, sentence = precision.chosen(config)
    assert settled.training.precision == chosen
    assert chosen in sentence and f"{float32 / bfloat16:.2g} times" in sentence
    assert precision.chosen(settled) == (settled, None)


def test_workers_agree_whatever_their_processors_are(config, monkeypatch):
    processor(monkeypatch, 9.0, 1.0)
    assert precision.chosen(config, alone=False)[0].training.precision == "float32"


def test_networks_without_convolutions_stay_in_float32(monkeypatch):
    processor(monkeypatch, 9.0, 1.0)
    config = load_config("digits", overrides=["training.precision=auto"])
    assert precision.chosen(config)[0].training.precision == "float32"


def test_a_model_is_built_in_the_precision_that_was_found(config, monkeypatch):
    processor(monkeypatch, 9.0, 1.0)
    model = build.build_model(config, (28, 28, 1), num_images=200)
    assert model.encoder.dtype_policy.name == "mixed_bfloat16"


def test_a_convolution_is_really_timed():
    import tensorflow as tf

    assert 0 < precision.seconds(tf.float32, repeats=1) < 60


def test_no_preset_asks_for_what_only_some_processors_have():
    for name in preset_names():
        assert load_config(name).training.precision in ("float32", "auto"), name


@pytest.mark.slow
def test_a_run_keeps_what_was_chosen_and_goes_on_with_it(monkeypatch, tmp_path):
    processor(monkeypatch, 9.0, 1.0)
    few = ["training.epochs=1", "training.steps_per_epoch=2", "encoder.name=conv"]
    config = load_config("digits", overrides=[*few, "training.precision=auto"])
    run = train(config, tmp_path / "run")
    assert "precision: mixed_bfloat16" in (run.folder / "config.yaml").read_text()
    processor(monkeypatch, 1.0, 9.0)
    more = load_config(file=run.folder / "config.yaml", overrides=["training.epochs=2"])
    again = train(more, resume=run.folder)
    assert again.model.encoder.dtype_policy.name == "mixed_bfloat16"
