"""The commands, end to end on a tiny run."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from keras_acn.cli import COMMANDS, main
from keras_acn.experiment import open_run
from keras_acn.experiment.presets import preset_names

TINY = ["--set", "data.limit=60", "--set", "encoder.hidden=[8]", "--set", "decoder.hidden=[8]"]
TINY += ["--set", "prior.hidden=[8]", "--batch-size", "20"]
HEAVY = {"tensorflow", "keras", "numpy", "pandas", "pydantic", "yaml", "matplotlib", "sklearn"}


def run(*arguments):
    code = "import sys; from keras_acn.cli import main; sys.exit(main())"
    return [sys.executable, "-c", code, *(str(argument) for argument in arguments)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of a run with its figures."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert main(["train", "digits", *TINY, "--epochs", "2", "--out", str(folder), "-q"]) == 0
    return folder


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_loads_nothing_heavy(command):
    arguments = ["--help"] if command is None else [command, "--help"]
    code = (
        "import sys; from keras_acn.cli import main; code = main(sys.argv[1:]);"
        f"print('HEAVY', sorted({HEAVY!r} & set(sys.modules))); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert "HEAVY []" in done.stdout and "Usage: keras-acn" in done.stdout
    assert done.stderr == ""
    if command is None:
        assert all(name in done.stdout for name in COMMANDS)


def test_help_answers_at_once():
    best = float("inf")
    for _ in range(3):
        began = time.monotonic()
        subprocess.run(run("--help"), capture_output=True, check=True)
        best = min(best, time.monotonic() - began)
    # 0.1 s on an idle machine.
    assert best < 0.5


def test_version_presets_and_datasets(capsys):
    from keras_acn import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"keras-acn {__version__}\n"
    assert main(["presets"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in preset_names())
    for arguments in (["presets", "blog-acn"], ["presets", "--show", "blog-acn"]):
        assert main(arguments) == 0
        assert "latent_dim: 20" in capsys.readouterr().out
    assert main(["datasets"]) == 0
    listed = capsys.readouterr().out
    assert all(word in listed for word in ("digits", "mnist", "idx:DIR", "npz:FILE", "images:DIR"))
    assert main([]) == 0
    assert "Usage: keras-acn" in capsys.readouterr().out


def test_train_prints_a_line_an_epoch_and_a_table(tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["train", "digits", *TINY, "--epochs", "2", "--out", str(out), "--no-figures"]
    assert main([*arguments, "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert "epoch 1/2  total" in printed and "epoch 2/2  total" in printed
    metrics = json.loads((out / "metrics.json").read_text())
    for split in ("train", "test"):
        row = next(line for line in printed.splitlines() if line.startswith(split))
        shown = [float(cell) for cell in row.split()[1:]]
        names = ("total_nats", "reconstruction_nats", "kl_nats", "bits_per_dim")
        np.testing.assert_allclose(shown, [metrics[split][n] for n in names], atol=6e-3)
    assert f"keras-acn evaluate {out}" in printed
    assert "60 codes" in printed and f"{metrics['parameters']:,} parameters" in printed
    assert metrics["seed"] == 3
    assert not (out / "figures").exists()

    # A finished run is left alone, and goes on for more epochs.
    assert main(["train", "--resume", str(out)]) == 0
    assert "is finished, after 2 epochs" in capsys.readouterr().out
    assert main(["train", "--resume", str(out), "--epochs", "3", "-q", "--no-figures"]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert [row["epoch"] for row in open_run(out).history] == [1, 2, 3]


@pytest.mark.slow
def test_train_writes_to_a_folder_of_its_own_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["train", "digits", *TINY, "--epochs", "1", "-q", "--no-figures"]) == 0
    folders = sorted((tmp_path / "runs").iterdir())
    assert len(folders) == 2
    assert all(f.name.startswith("digits-") and (f / "model.keras").exists() for f in folders)


def test_the_figures_are_drawn(trained, tmp_path, capsys):
    names = ["codes", "codes-images", "daydream", "daydream-grid", "loss", "loss-log-log"]
    names += ["many-from-one-code", "neighbors", "reconstructions", "samples", "traversal"]
    drawn = sorted(path.stem for path in (trained / "figures").glob("*.png"))
    assert drawn == names
    assert [path.name for path in (trained / "figures").glob("*.gif")] == ["daydream-movie.gif"]
    for path in (trained / "figures").glob("*.png"):
        pixels = np.asarray(Image.open(path).convert("L"))
        assert min(pixels.shape) > 50 and pixels.std() > 1
    elsewhere = tmp_path / "elsewhere"
    assert main(["plot", str(trained), "--out", str(elsewhere), "--seed", "1"]) == 0
    # The command has the time for t-SNE that the end of a training has not.
    assert sorted(path.stem for path in elsewhere.glob("*.png")) == sorted([*names, "codes-tsne"])
    assert str(elsewhere / "loss.png") in capsys.readouterr().out


@pytest.mark.parametrize("how", ["--sample", "--means"])
def test_a_daydream_is_a_gif_and_a_strip(how, trained, tmp_path):
    arguments = ["daydream", str(trained), how, "--steps", "5", "--images", "2", "--seed", "4"]
    frames = []
    for out in (tmp_path / "one", tmp_path / "two"):
        assert main([*arguments, "--out", str(out)]) == 0
        frames.append((out / "daydream.gif").read_bytes())
        assert np.asarray(Image.open(out / "daydream.png").convert("L")).std() > 1
    assert frames[0] == frames[1]
    assert Image.open(tmp_path / "one" / "daydream.gif").n_frames == 6


def test_evaluate_as_a_table_and_as_json(trained, capsys):
    arguments = ["evaluate", str(trained), "--limit", "40", "--iwae-samples", "2"]
    assert main(arguments) == 0
    table = capsys.readouterr().out
    assert "ACN" in table and "reconstruction" in table and "ordered" in table
    assert main([*arguments, "--json", "--no-probes"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["name"] == "ACN" and report["probes"] is None
    assert np.isfinite(report["code_length"]["costs"]["ordered_nats"]["nats"])


def test_a_model_file_alone_needs_its_data_named(trained, tmp_path, capsys):
    import shutil

    lone = tmp_path / "lone.keras"
    shutil.copy(trained / "model.keras", lone)
    assert main(["daydream", str(lone), "--out", str(tmp_path / "dreams")]) == 2
    assert "name the data with --data" in capsys.readouterr().err
    arguments = ["daydream", str(lone), "--steps", "1", "--out", str(tmp_path / "dreams")]
    assert main([*arguments, "--data", "digits"]) == 0


def _as_in_a_terminal():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.slow_sample("SIGTERM-143")
@pytest.mark.parametrize("name, code", [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_saves_and_resuming_gives_the_same_run(name, code, tmp_path, capsys):
    arguments = ["train", "digits", *TINY, "--epochs", "40", "--no-figures"]
    arguments += ["--set", "codebook.unique=true"]
    out = tmp_path / "interrupted"
    # SIGINT is ignored by what a shell starts in the background, SIGHUP under nohup; a run
    # goes on where they are, so they are not here.
    process = subprocess.Popen(
        run(*arguments, "--out", out),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_as_in_a_terminal,
    )
    deadline = time.monotonic() + 120
    while not (out / "history.csv").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert f"keras-acn train --resume {shlex.quote(str(out))}" in said and "Traceback" not in said
    assert 1 <= len(open_run(out).history) < 40 and (out / "model.keras").exists()
    assert main(["train", "--resume", str(out), "-q", "--no-figures"]) == 0
    assert main([*arguments, "--out", str(tmp_path / "reference"), "-q"]) == 0
    rows, expected = (
        [{k: v for k, v in row.items() if k != "seconds"} for row in open_run(folder).history]
        for folder in (out, tmp_path / "reference")
    )
    assert rows == expected and len(rows) == 40


@pytest.mark.parametrize("own, expected", [(None, "3"), ("0", "0")])
def test_what_tensorflow_logs_of_its_start_is_hidden_unless_asked_for(own, expected, monkeypatch):
    # On a processor without AVX-512 oneDNN logs an "error" in the middle of ordinary commands.
    if own is None:
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    else:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", own)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert main(["presets"]) == 0
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == expected


@pytest.mark.slow
def test_the_start_is_silent_and_no_back_end_of_the_users_matters(trained, tmp_path):
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    arguments = ["daydream", trained, "--steps", "1", "--out", tmp_path]
    done = subprocess.run(run(*arguments), capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.split() == [
        str(tmp_path / name) for name in ("daydream.gif", "daydream.png", "daydream-grid.png")
    ]
