"""The habits of a shell: ~, relative paths, names with spaces, closed streams, completion."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest

import keras_acn
import keras_acn.cli.presets as presets
from keras_acn import UserError, experiment
from keras_acn._base.errors import DataWarning
from keras_acn.cli import COMMANDS, main

TINY = ["--batch-size", "10", "--epochs", "1", "--no-figures"]
TINY += ["--set", "encoder.hidden=[8]", "--set", "decoder.hidden=[8]", "--set", "prior.hidden=[8]"]


@pytest.fixture
def images(tmp_path):
    """A folder to work in, with an array of images."""
    np.save(tmp_path / "some images.npy", np.random.default_rng(0).random((30, 6, 6, 1)))
    return tmp_path


@pytest.mark.slow
def test_a_tilde_is_the_home_folder_wherever_a_path_is_given(images, monkeypatch, capsys):
    monkeypatch.chdir(images)
    home = images / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    (images / "some images.npy").rename(home / "x.npy")
    assert main(["train", "digits", "--data=npy:~/x.npy", "--out=~/run", *TINY, "-q"]) == 0
    assert (home / "run" / "model.keras").exists() and not (images / "~").exists()
    assert main(["plot", "~/run", "--only", "samples", "--out=~/figures"]) == 0
    assert (home / "figures" / "samples.png").exists()
    assert main(["train", "--config=~/run/config.yaml", "--out=~/second", *TINY, "-q"]) == 0
    assert main(["train", "--resume=~/run", "--epochs=2", "-q", "--no-figures"]) == 0
    assert not (images / "~").exists()
    capsys.readouterr()
    # In Python too.
    assert experiment.open_run("~/run").history[-1]["epoch"] == 2
    with pytest.raises(UserError, match="holds a run already"):
        experiment.train(experiment.load_config("digits"), "~/run")
    assert len(keras_acn.load_data("~/x.npy", test=0).train) == 30


@pytest.mark.slow
def test_a_run_finds_its_data_from_any_folder(images, monkeypatch, capfd):
    monkeypatch.chdir(images)
    assert (
        main(["train", "digits", "--data", "npy:some images.npy", "--out", "run", *TINY, "-q"]) == 0
    )
    stored = experiment.open_run("run").config.data.source
    assert stored == f"npy:{images / 'some images.npy'}"
    elsewhere = images / "elsewhere"
    elsewhere.mkdir()
    # Another file of the same relative name is no trap.
    np.save(elsewhere / "some images.npy", np.zeros((30, 6, 6, 1)))
    monkeypatch.chdir(elsewhere)
    capfd.readouterr()
    assert main(["daydream", "../run", "--steps", "1", "--out", "dreams"]) == 0
    assert capfd.readouterr().err == ""
    # With the data named as they were typed the run goes on, from where they were typed.
    monkeypatch.chdir(images)
    again = ["--resume", "run", "--data", "npy:some images.npy", "--epochs", "2"]
    assert main(["train", *again, "-q", "--no-figures"]) == 0


@pytest.mark.slow
def test_other_data_under_the_same_name_are_noticed(images, monkeypatch, capfd):
    monkeypatch.chdir(images)
    assert (
        main(["train", "digits", "--data", "npy:some images.npy", "--out", "run", *TINY, "-q"]) == 0
    )
    noted = json.loads((images / "run" / "data.json").read_text())
    assert noted["parts"]["train"]["images"] == 27 and noted["image_shape"] == [6, 6, 1]
    changed = np.load("some images.npy")
    changed[3] = 0
    for array, words in (
        (changed, "the train part has other images or labels than it had"),
        (changed[:20], "the train part has 18 images, and had 27"),
    ):
        np.save("some images.npy", array)
        capfd.readouterr()
        assert main(["plot", "run", "--only", "samples", "--only", "loss", "--out", "drawn"]) == 0
        assert main(["daydream", "run", "--steps", "1", "--out", "drawn"]) == 0
        said = capfd.readouterr().err
        assert said.startswith("Note: The data of run are not those it was trained on")
        assert words in said and said.count("\n") == 1
        assert main(["train", "--resume", "run", "--epochs", "2", "-q"]) == 2
        said = capfd.readouterr().err
        assert "The run run cannot go on" in said and words in said


def test_printed_commands_can_be_pasted(images, monkeypatch, capfd):
    monkeypatch.chdir(images)
    name = "it's my run"
    assert main(["train", "digits", "--data", "npy:some images.npy", "--out", name, *TINY]) == 0
    out = capfd.readouterr().out
    printed = [line[11:] for line in out.splitlines() if " keras-acn " in line]
    assert [shlex.split(each) for each in printed] == [
        ["keras-acn", command, name] for command in ("evaluate", "plot", "daydream")
    ]
    assert main(["train", "--out", name]) == 2
    assert shlex.quote(name) in capfd.readouterr().err
    (images / name / "model.keras").unlink()
    shutil.rmtree(images / name / "checkpoints")
    assert main(["daydream", name]) == 2
    assert f"keras-acn train --resume {shlex.quote(name)}" in capfd.readouterr().err


PRESETS = [sys.executable, "-m", "keras_acn", "presets"]


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-", "2</dev/null"])
def test_closed_streams_are_no_reason_to_fail(closed, tmp_path):
    """The last of them is what a shell's script makes of 2>&-: a number that is read only."""
    for words, code in (([], 0), (["nope"], 2)):
        line = f"{shlex.join([*PRESETS, *words])} {closed}"
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        if "2" not in closed:
            assert done.stderr.startswith("Error: Unknown preset") if code else not done.stderr
        if ">&-" not in closed.replace("2>&-", "") and not code:
            assert "digits" in done.stdout


@pytest.mark.slow
def test_tensorflow_starts_with_standard_error_closed(tmp_path):
    words = ["daydream", "acn-digits", "--steps", "1", "--out", str(tmp_path / "out")]
    line = f"{shlex.join([*PRESETS[:-1], *words])} 2>&-"
    assert subprocess.run(["sh", "-c", line], capture_output=True).returncode == 0
    assert (tmp_path / "out" / "daydream.gif").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux")
def test_a_full_disk_behind_the_output_is_one_sentence():
    with open("/dev/full", "w") as full:
        done = subprocess.run(PRESETS, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "standard output cannot be written (no space left on device)" in done.stderr


def test_python_dash_m_and_other_encodings():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(PRESETS, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "beta-vae" in done.stdout
    named = [*PRESETS[:-1], "evaluate", b"caf\xe9"]
    done = subprocess.run(named, capture_output=True, env=environment)
    assert done.returncode == 2 and b"There is no model" in done.stderr


@pytest.mark.slow_sample("nonsense")
@pytest.mark.parametrize(
    "backend", ["nonsense", "module://matplotlib_inline.backend_inline", "qtagg"]
)
def test_no_window_is_needed_to_write_figures(backend, tmp_path):
    environment = {**os.environ, "MPLBACKEND": backend}
    words = ["plot", "acn-digits", "--only", "loss", "--out", str(tmp_path)]
    done = subprocess.run([*PRESETS[:-1], *words], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "loss.png").exists()


def test_a_path_without_its_kind_is_told_the_kind(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my pics").mkdir()
    (tmp_path / "digits28").mkdir()
    (tmp_path / "digits28" / "train-images-idx3-ubyte").touch()
    for typed, wanted in (
        ("./my pics", 'write "images:./my pics"'),
        ("my pics", 'write "images:my pics"'),
        (str(tmp_path / "my pics"), f'write "images:{tmp_path / "my pics"}"'),
        ("digits28", 'write "idx:digits28"'),
        ("./none", 'no file or folder "./none"'),
    ):
        assert main(["train", "--data", typed]) == 2
        said = capsys.readouterr().err
        assert wanted in said and "Did you mean" not in said
    with pytest.raises(UserError, match='write "images:my pics"'):
        keras_acn.load_data((tmp_path / "my pics").relative_to(tmp_path))
    np.save(tmp_path / "x.npy", np.zeros((12, 4, 4), np.uint8))
    assert len(keras_acn.load_data(tmp_path / "x.npy", test=0).train) == 12


def completed(line, monkeypatch, capsys):
    """The words that a shell offers at the end of a line."""
    words = line.split(" ")
    monkeypatch.setenv("_KERAS_ACN_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    with pytest.raises(SystemExit) as done:
        main([])
    assert done.value.code == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out.split()


@pytest.mark.parametrize(
    "line, wanted",
    [
        ("keras-acn ", {f"plain,{name}" for name in COMMANDS}),
        ("keras-acn dec", {"plain,decompress"}),
        ("keras-acn train blog", {"plain,blog-acn", "plain,blog-vae", "plain,blog-vhe"}),
        ("keras-acn presets vae", {"plain,vae-2d"}),
        ("keras-acn plot run --only daydream-", {"plain,daydream-grid", "plain,daydream-movie"}),
        ("keras-acn plot acn-d", {"dir,acn-d", "plain,acn-digits"}),
        ("keras-acn evaluate runs/", {"dir,runs/", "plain,runs/first"}),
        ("keras-acn evaluate runs/first --compare acn-d", {"dir,acn-d", "plain,acn-digits"}),
        ("keras-acn train --set training.early", {"plain,training.early_stopping="}),
        ("keras-acn sweep --grid model.be", {"plain,model.beta="}),
        ("keras-acn train --data im", {"plain,images:"}),
        ("keras-acn train --data images:pi", {"dir,pi"}),
        ("keras-acn train --config x", {"file,x"}),
        ("keras-acn evaluate run --split v", {"plain,validation"}),
        ("keras-acn trian --e", set()),
    ],
)
def test_a_shell_completes_words(line, wanted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "first").mkdir(parents=True)
    (tmp_path / "runs" / "first" / "config.yaml").touch()
    (tmp_path / "runs" / "empty").mkdir()
    assert set(completed(line, monkeypatch, capsys)) == wanted


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_documented_line_gives_a_script(shell):
    environment = {**os.environ, "_KERAS_ACN_COMPLETE": f"{shell}_source"}
    done = subprocess.run(PRESETS[:-1], capture_output=True, text=True, env=environment)
    assert "_keras_acn_completion" in done.stdout, done.stderr


def test_what_numpy_says_of_its_arithmetic_is_no_sentence(monkeypatch, capsys):
    def names():
        with np.errstate(all="warn"):
            np.float32(3e38) * np.float32(10), np.zeros(1) / 0
        warnings.warn("This is one.", DataWarning, stacklevel=1)
        return ["digits"]

    monkeypatch.setattr(presets.preset_lib, "preset_names", names)
    assert main(["presets"]) == 0
    assert capsys.readouterr().err == "Note: This is one.\n"
