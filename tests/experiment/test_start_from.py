"""`training.start_from`: a new run that begins with the weights of a trained model."""

import json
import shutil

import numpy as np
import pytest

from keras_acn._base.errors import UserError
from keras_acn.cli import main
from keras_acn.experiment import build, load_config, open_run, run_summary
from keras_acn.experiment.run import legs, take_weights, train

TINY = [
    "data.limit=60",
    "encoder={name: mlp, hidden: [8]}",
    "prior={hidden: [8]}",
    "decoder={name: mlp, hidden: [8]}",
    "model.latent_dim=3",
    "training.batch_size=30",
    "training.kl_warmup_epochs=0",
    "training.epochs=1",
]


def config(*more):
    return load_config("digits", overrides=[*TINY, *more])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(config("seed=3"), tmp_path_factory.mktemp("start") / "run")


@pytest.mark.slow
def test_a_step_of_no_size_leaves_the_weights_of_the_other(trained, tmp_path):
    still = config(f"training.start_from={trained.path}", "training.learning_rate=1e-30", "seed=8")
    run = train(still, tmp_path / "run")
    for part in ("encoder", "prior", "decoder"):
        for ours, theirs in zip(
            getattr(run.model, part).get_weights(),
            getattr(trained.model, part).get_weights(),
            strict=True,
        ):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert open_run(run.path).config.training.start_from == str(trained.path)


@pytest.mark.slow
def test_the_epochs_before_are_told(trained, tmp_path):
    second = train(
        config(f"training.start_from={trained.path}", "training.epochs=2"), tmp_path / "second"
    )
    assert second.metrics["epochs"] == 2 and second.metrics["legs"] == [1, 2]
    assert "2 epochs in" in run_summary(second)
    assert "after 1 of the model it began with" in run_summary(second)
    # A model file on its own may have had any training.
    shutil.copy(second.folder / "model.keras", tmp_path / "alone.keras")
    third = train(config(f"training.start_from={tmp_path / 'alone.keras'}"), tmp_path / "third")
    assert third.metrics["legs"] == [None, 1]
    assert legs(open_run(tmp_path / "third")) == [None, 1]
    # Where the best epoch was kept, the next training began with that one.
    path = second.folder / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "epoch_of_the_model": 1}))
    assert legs(open_run(second.folder)) == [1, 1]
    # Of a run cut short, only the history tells.
    path.unlink()
    assert legs(open_run(second.folder)) == [1, 2]
    # A first training has none before.
    assert "legs" not in trained.metrics and "after" not in run_summary(trained)
    assert legs(open_run("acn-mnist")) == open_run("acn-mnist").metrics["legs"]


def test_codes_come_along_where_there_are_as_many(trained):
    other = type(trained.model).from_config(trained.model.get_config())
    take_weights(other, trained.path)
    np.testing.assert_array_equal(other.codebook.codes, trained.model.codebook.codes)


@pytest.mark.parametrize(
    "change, what",
    [("encoder={name: mlp, hidden: [9]}", "encoder"), ("model.latent_dim=4", "encoder")],
)
def test_other_parts_are_refused_in_a_sentence(change, what, trained, tmp_path):
    with pytest.raises(UserError, match=f"The {what} of .* is of another kind or size"):
        train(config(f"training.start_from={trained.path}", change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_some_parts_of_another_kind_of_model(trained):
    changed = ["model.name=VAE", "codebook=null", "prior=null"]
    vae = build.build_model(config(*changed, "seed=9"), (8, 8, 1), 60)
    decoder = vae.decoder.get_weights()
    take_weights(vae, trained.path, parts=["encoder"])
    for ours, theirs in zip(
        vae.encoder.get_weights(), trained.model.encoder.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    for ours, before in zip(vae.decoder.get_weights(), decoder, strict=True):
        np.testing.assert_array_equal(ours, before)
    with pytest.raises(UserError, match="The prior .* in training.start_parts"):
        take_weights(vae, trained.path)
    with pytest.raises(UserError, match="give --start-from MODEL as well"):
        config("training.start_parts=[encoder]")


@pytest.mark.slow
def test_the_command_takes_it_and_refuses_it_beside_resume(trained, tmp_path, capsys):
    sets = [word for setting in TINY for word in ("--set", setting)]
    out = tmp_path / "run"
    command = ["train", "digits", *sets, "--out", str(out), "--no-figures", "-q"]
    assert main([*command, "--start-from", str(trained.path)]) == 0
    assert open_run(out).config.training.start_from == str(trained.path)
    assert main(["train", "--resume", str(out), "--start-from", str(trained.path)]) == 2
    assert "leave out --start-from" in capsys.readouterr().err
    assert main([*command[:-3], str(tmp_path / "b"), "--start-from", "nothing"]) == 2
    assert 'There is no model "nothing"' in capsys.readouterr().err


def test_parts_that_are_frozen_stay_as_they_were(trained, tmp_path):
    still = ["training.frozen=[encoder,prior]", "training.epochs=2"]
    begun = config(f"training.start_from={trained.path}", *still, "training.learning_rate=0.1")
    run = train(begun, tmp_path / "run")
    for part, same in (("encoder", True), ("prior", True), ("decoder", False)):
        pairs = zip(
            getattr(run.model, part).get_weights(),
            getattr(trained.model, part).get_weights(),
            strict=True,
        )
        assert all(np.array_equal(ours, theirs) for ours, theirs in pairs) == same, part
    # So they do when the run goes on.
    assert main(["train", "--resume", str(run.path), "--epochs", "3", "--no-figures"]) == 0
    for ours, theirs in zip(
        open_run(run.path).model.encoder.get_weights(),
        trained.model.encoder.get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_part_that_is_not_there_cannot_be_frozen(tmp_path):
    with pytest.raises(UserError, match="class_encoder of a model ACN, which has encoder, prior"):
        train(config("training.frozen=[class_encoder]"), tmp_path / "run")
    with pytest.raises(UserError, match="training.frozen"):
        config("training.frozen=[everything]")
