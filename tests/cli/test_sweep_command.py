"""keras-acn sweep: the lines, the table, the figures, and going on."""

import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from keras_acn.cli import main
from keras_acn.experiment.sweep import table

TINY = ["--set", "data.limit=60", "--set", "encoder.hidden=[8]", "--set", "decoder.hidden=[8]"]
TINY += ["--set", "model.name=VAE", "--set", "encoder.variance=learned", "--batch-size", "20"]
TINY += ["--set", "training.kl_warmup_epochs=0"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """`(folder, arguments)` of a sweep of four runs."""
    out = tmp_path_factory.mktemp("sweeps") / "sweep"
    arguments = ["sweep", "digits", *TINY, "--grid", "latent_dim=2,3", "--grid", "beta=0,2"]
    arguments += ["--epochs", "2", "--out", str(out)]
    assert main([*arguments, "-q"]) == 0
    return out, arguments


def test_a_table_and_figures(swept):
    out, _ = swept
    written = pd.read_csv(out / "sweep.csv")
    assert written[["latent_dim", "beta"]].values.tolist() == [[2, 0], [2, 2], [3, 0], [3, 2]]
    np.testing.assert_allclose(
        written["loss"],
        written["reconstruction_nats"] + written["beta"] * written["kl_nats"],
        rtol=1e-5,
    )
    # There is no validation split, and nobody should choose a run by the test split.
    assert "test_total_nats" in written and not [c for c in written if c.startswith("val_")]
    names = ["loss", "nats-beta", "nats-latent_dim", "reconstructions", "samples"]
    assert sorted(path.stem for path in (out / "figures").iterdir()) == names
    for path in (out / "figures").iterdir():
        pixels = np.asarray(Image.open(path).convert("L"))
        assert min(pixels.shape) > 100 and pixels.std() > 1


def test_the_rows_of_the_picture_are_the_runs(swept, monkeypatch):
    from keras_acn.experiment import open_run
    from keras_acn.figures import sweep

    out, _ = swept
    seen = {}
    for name in ("comparison", "rows"):
        monkeypatch.setattr(sweep.plots, name, lambda *a, name=name, **k: seen.update({name: a}))
    sweep._pictures(out, table(out), ["latent_dim", "beta"], seed=0)
    originals, rebuilt = seen["comparison"]
    assert list(rebuilt) == [f"latent_dim = {d}, beta = {b}" for d in (2, 3) for b in (0, 2)]
    model = open_run(out / "latent_dim=3,beta=2").model
    np.testing.assert_allclose(
        rebuilt["latent_dim = 3, beta = 2"], model.reconstruct(originals), atol=1e-6
    )
    np.testing.assert_allclose(
        seen["rows"][0]["latent_dim = 3, beta = 2"], model.sample(10, seed=0), atol=1e-6
    )


def test_a_second_call_says_what_is_done_and_prints_the_table(swept, capsys):
    out, arguments = swept
    assert main([*arguments, "--no-figures"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("done before") == 4 and "[1/4] latent_dim=2,beta=0  total" in printed
    header = next(line for line in printed.splitlines() if line.strip().startswith("latent_dim"))
    assert header.split() == ["latent_dim", "beta", "total", "reconstruction", "KL", "held", "out"]
    first = printed.splitlines()[printed.splitlines().index(header) + 1].split()
    expected = table(out)[0]
    assert first[:3] == ["2", "0", f"{expected['total_nats']:.2f}"]


def test_a_notebook_draws_and_prints_what_the_command_does(swept, tmp_path, capsys):
    from keras_acn import experiment, figures

    out, arguments = swept
    for path in figures.save(figures.draw_sweep(out), tmp_path):
        assert path.read_bytes() == (out / "figures" / path.name).read_bytes()
    assert len(list(tmp_path.iterdir())) == len(list((out / "figures").iterdir()))
    assert main([*arguments, "--no-figures"]) == 0
    printed = capsys.readouterr().out
    options = [word for flag, word in zip(TINY[::2], TINY[1::2], strict=True) if flag == "--set"]
    overrides = [*options, "training.batch_size=20", "training.epochs=2"]
    grid = {"latent_dim": [2, 3], "beta": [0, 2]}
    planned = experiment.sweep.plan("digits", grid, overrides=overrides)
    lines = experiment.SweepLines(planned)
    rows = experiment.sweep.run(planned, out, **lines.hooks())
    print(experiment.sweep_summary(out, rows))
    assert capsys.readouterr().out == printed


def test_a_run_that_begins_leaves_no_line_open_where_output_is_piped(swept, capsys):
    from keras_acn import experiment

    out, _ = swept
    planned = experiment.sweep.plan("digits", {"latent_dim": [2], "beta": [0]})
    (point,) = planned.points
    hooks = experiment.SweepLines(planned).hooks()
    hooks["on_begin"](point, out / point.name)
    print("Note: of the data.")  # goes to the same pipe with 2>&1
    hooks["on_end"](point, experiment.open_run(out / point.name), True)
    begun, note, ended = capsys.readouterr().out.splitlines()
    assert begun.startswith("[1/1] latent_dim=2,beta=0") and note == "Note: of the data."
    assert ended.startswith("[1/1] latent_dim=2,beta=0  total ") and ended.endswith(" s")


def test_plot_draws_a_sweeps_figures_again(swept, tmp_path, capsys):
    out, _ = swept
    assert main(["plot", str(out), "--out", str(tmp_path / "again")]) == 0
    drawn, before = (
        sorted(f.name for f in d.iterdir()) for d in (tmp_path / "again", out / "figures")
    )
    assert drawn == before
    for arguments in (["--only", "loss"], ["--dims", "0", "1"], ["--compare", str(out)]):
        assert main(["plot", str(out), *arguments]) == 2
        assert "name the run's folder" in capsys.readouterr().err
    (tmp_path / "begun").mkdir()
    shutil.copy(out / "sweep.yaml", tmp_path / "begun")
    assert main(["plot", str(tmp_path / "begun")]) == 2
    assert "has no finished run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Missing option '--grid'"),
        (["--grid", "bta=1"], 'Did you mean "beta"'),
        (["--grid", "hidden=[1]"], "may be decoder.hidden or encoder.hidden"),
        (["--grid", "beta"], "is no row of a grid"),
        (["--grid", "beta=0,x"], 'model.beta must be a number, not "x"'),
        (["--grid", "beta=1", "--grid", "encoder=mlp,con"], "The run beta=1,encoder=con cannot"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["sweep", "digits", *TINY, *arguments, "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said and not out.exists()


@pytest.mark.slow
def test_ctrl_c_saves_and_the_same_command_goes_on(tmp_path, capsys):
    out = tmp_path / "sweep"
    arguments = ["sweep", "digits", *TINY, "--grid", "beta=0,1", "--epochs", "30", "--no-figures"]
    code = "import sys; from keras_acn.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 120
    while not (out / "beta=0" / "history.csv").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert f"the same command and --out {out}" in said and "Traceback" not in said
    assert len(table(out)) == 1 and not table(out)[0]["finished"]
    assert main([*arguments, "--out", str(out), "-q"]) == 0
    assert [(row["beta"], row["epochs"]) for row in table(out)] == [(0, 30), (1, 30)]


@pytest.mark.slow
def test_a_folder_of_its_own_by_default(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["sweep", "digits", *TINY, "--grid", "beta=1", "--epochs", "1", "-q"]
    assert main([*arguments, "--no-figures"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("sweep-digits-")
    assert capsys.readouterr().out.strip() == f"runs/{folder.name}"
    assert (folder / "beta=1" / "model.keras").exists()
