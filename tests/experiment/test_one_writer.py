"""One process at a time writes a run or a sweep; one that is killed leaves what goes on."""

import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from keras_acn import experiment
from keras_acn._base.atomic import temporary_beside
from keras_acn._base.errors import UserError
from keras_acn._base.lock import LOCK, FolderInUse, FolderLock, holder
from keras_acn.cli import main
from keras_acn.experiment import grid, sweep
from keras_acn.experiment.folder import new_folder

TINY = ["data.limit=40", "encoder.hidden=[4]", "decoder.hidden=[4]", "model.latent_dim=2"]
TINY += ["training.batch_size=20", "training.epochs=1"]
HOLDS = """
import sys, time
from keras_acn._base.lock import FolderLock
with FolderLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def config(*overrides):
    return experiment.load_config("digits", overrides=[*TINY, *overrides])


@pytest.fixture
def held(tmp_path):
    """A folder that another process holds, and that process."""
    folder = tmp_path / "held"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield folder, process
    process.kill()
    process.wait()


def test_a_lock_says_who_and_dies_with_its_process(held):
    folder, process = held
    with pytest.raises(FolderInUse, match=f"by process {process.pid} on .*: wait"):
        FolderLock(folder).__enter__()
    assert f"process {process.pid} " in holder(folder)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / LOCK).exists() and holder(folder) is None
    with FolderLock(folder):
        assert f"process {os.getpid()} " in holder(folder)
        with pytest.raises(FolderInUse):
            FolderLock(folder).__enter__()
    assert not (folder / LOCK).exists()


def test_a_folder_in_use_is_told_before_anything_is_loaded(held, capsys):
    folder, process = held
    began = ["--set", "data.source=idx:/nowhere"]
    for command in ("train", "sweep"):
        grid = ["--grid", "beta=1,2"] if command == "sweep" else began
        assert main([command, "digits", *grid, "--out", str(folder)]) == 2
        assert f"being written by process {process.pid}" in capsys.readouterr().err
    (folder / "config.yaml").write_text(config().to_yaml())
    for arguments in (["--out", str(folder)], ["--resume", str(folder)]):
        assert main(["train", *arguments]) == 2
        assert f"being written by process {process.pid}" in capsys.readouterr().err
    with pytest.raises(UserError, match="being written by"):
        experiment.train(resume=folder)
    # Who only reads goes on.
    assert experiment.open_run(folder).history == []


def test_two_trainings_of_one_folder_do_not_mix(tmp_path):
    """The second sees an unused folder, and by the time it has its data it is used."""
    from keras_acn.experiment import build

    out, build_model = tmp_path / "run", build.build_model
    begun = []

    def meanwhile(*arguments):
        if not begun:
            begun.append(experiment.train)
            experiment.train(config("seed=4"), out)
        return build_model(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "build_model", meanwhile)
        with pytest.raises(UserError, match="holds a run already"):
            experiment.train(config("seed=3"), out)
    run = experiment.open_run(out)
    assert run.config.seed == 4 and run.model.seed == 4


def test_what_a_kill_leaves_of_a_new_folder_counts_for_nothing(tmp_path):
    out = tmp_path / "run"
    (out / "checkpoints").mkdir(parents=True)
    (out / LOCK).touch()
    (out / ".config.7fffffff-00000000-0123456789ab.tmp.yaml").touch()
    (out / ".probe.0123456789ab.tmp").touch()
    assert new_folder(out, config()) == out
    planned = experiment.sweep.plan("digits", ["beta=1"], overrides=TINY)
    assert experiment.sweep.find_runs(out, planned)
    (out / "checkpoints" / "last.npz").touch()
    for use in (
        lambda: new_folder(out, config()),
        lambda: experiment.sweep.find_runs(out, planned),
    ):
        with pytest.raises(UserError, match="is not empty"):
            use()


@pytest.mark.slow
def test_what_a_kill_at_the_very_end_of_a_run_leaves_is_cleared(tmp_path, monkeypatch):
    """Going on trains nothing there, and cleans up all the same; a sweep likewise."""
    planned = grid.plan("digits", {"seed": [1]}, overrides=TINY)
    sweep.run(planned, tmp_path / "sweep")
    run = tmp_path / "sweep" / planned.points[0].name
    before = {each.name for each in run.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 99_999_999)  # no process has so high a number
        half = temporary_beside(run / "metrics.json")
    for go_on in (
        lambda: experiment.train(resume=run),
        lambda: main(["train", "--resume", str(run)]),
        lambda: sweep.run(planned, tmp_path / "sweep"),
    ):
        (run / LOCK).write_text("process 1 on a machine")
        half.touch()
        go_on()
        assert {each.name for each in run.iterdir()} == before


@pytest.mark.slow
def test_a_run_makes_no_temporary_folder_elsewhere(tmp_path, monkeypatch):
    make, made = tempfile.mkdtemp, []

    def remember(*arguments, **options):
        made.append(make(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", remember)
    experiment.train(config(), tmp_path / "run")
    assert made and all(each.startswith(str(tmp_path / "run")) for each in made)


def test_the_lock_waits_for_who_only_asks(tmp_path):
    import fcntl
    import threading

    (tmp_path / LOCK).touch()
    descriptor = os.open(tmp_path / LOCK, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    threading.Thread(target=lambda: (time.sleep(0.2), os.close(descriptor))).start()
    with FolderLock(tmp_path):
        pass


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    """A folder from elsewhere may hold one, to a file that must not be written over."""
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(mine)
    with pytest.raises(UserError, match="cannot be written to"), FolderLock(tmp_path / "run"):
        pass
    assert mine.read_text() == "mine"
