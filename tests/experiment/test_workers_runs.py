"""keras-acn train on several workers: start, Ctrl-C, a lost worker, resuming, bad input."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_acn import cli
from keras_acn._base import errors
from keras_acn.experiment import checkpoint, load_config, open_run
from keras_acn.experiment.cluster import tf_config
from keras_acn.experiment.folder import new_folder

EPOCHS = 12
TINY = [
    "encoder={name: mlp, hidden: [8]}",
    "decoder={name: bernoulli_mlp, hidden: [8]}",
    "prior={name: mixture, components: 1, hidden: [8]}",
    "model.latent_dim=3",
    "codebook.unique=true",
    "data.limit=400",
    "training.schedule=constant",
    "training.batch_size=30",
    "training.keep_best=false",
]
PROGRAM = "import sys; from keras_acn.cli import main; sys.exit(main())"
SECONDS = 300
# 168 steps of float32 sums in another order, in which a pick or two may come out differently.
CLOSE = {"rtol": 1e-3, "atol": 1e-3}


def options(epochs):
    return ["digits", *(word for each in TINY for word in ("--set", each)), "--epochs", str(epochs)]


def start(*args, **environ):
    environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", **environ}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "train", *args],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process, seconds=SECONDS):
    try:
        out, err = process.communicate(timeout=seconds)
        return process.returncode, out, err
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(path, process):
    deadline = time.monotonic() + SECONDS
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(process):
    """Returns the process ids of a launcher's workers by their rank."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as stat:
                parent = int(stat.read().rpartition(")")[2].split()[1])
            if parent != process.pid:
                continue
            with open(f"/proc/{entry}/environ") as environ:
                variables = dict(v.split("=", 1) for v in environ.read().split("\0") if "=" in v)
        except OSError:
            continue
        found[json.loads(variables["TF_CONFIG"])["task"]["index"]] = int(entry)
    return found


def rows(folder):
    """Returns the history without what depends on the clock."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in open_run(folder).history]


def assert_same_end(folder, reference):
    """Asserts that a run went as the one of one worker, up to rounding that has grown."""
    mine, other = rows(folder), rows(reference)
    assert [row["epoch"] for row in mine] == [row["epoch"] for row in other]
    for one, its in zip(mine, other, strict=True):
        assert one.keys() == its.keys()
        for name in one:
            np.testing.assert_allclose(one[name], its[name], **CLOSE, err_msg=name)
    mine, other = open_run(folder).metrics, open_run(reference).metrics
    assert mine["finished"] and "workers" not in mine
    for split in ("train", "test"):
        for name, value in other[split].items():
            np.testing.assert_allclose(mine[split][name], value, **CLOSE, err_msg=name)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The run of one worker, from the first epoch to the last."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    assert cli.main(["train", *options(EPOCHS), "--no-figures", "--out", str(folder)]) == 0
    return folder


@pytest.mark.slow
def test_sigterm_saves_a_run_of_workers_too(tmp_path):
    """Slurm, Kubernetes and `timeout` send it some time before they kill."""
    folder = tmp_path / "run"
    process = start(*options(40), "--no-figures", "--out", str(folder), "--workers", "2")
    wait_for(folder / "checkpoints" / "last.npz", process)
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process)
    assert code == 143, err
    assert f"Go on with: keras-acn train --resume {folder}" in err
    assert open_run(folder).metrics["workers"] == 2 and not open_run(folder).finished


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_run_survives_ctrl_c_and_a_killed_worker(reference, tmp_path):
    folder = tmp_path / "run"
    last = folder / "checkpoints" / "last.npz"

    # Two workers, and Ctrl-C somewhere in the first epochs.
    args = [*options(EPOCHS), "--no-figures", "--out", str(folder)]
    process = start(*args, "--workers", "2")
    wait_for(last, process)
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130, err
    assert err.strip().splitlines()[-1] == (
        f"Stopped and saved. Go on with: keras-acn train --resume {folder}"
    )
    assert open_run(folder).metrics["workers"] == 2
    assert not list(folder.glob("**/*.tmp*"))

    # Two again, and one of them is killed at a random moment.
    progress = checkpoint.read(last)[0]
    written = last.stat().st_mtime_ns
    process = start("--resume", str(folder), "--workers", "2", "--no-figures")
    deadline = time.monotonic() + SECONDS
    while last.stat().st_mtime_ns == written:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(random.uniform(0, 0.5))
    began = time.monotonic()
    os.kill(children(process)[1], signal.SIGKILL)
    code, _, err = finish(process)
    assert code == 1
    assert time.monotonic() - began < 60
    assert err.strip().splitlines() == [
        f"Error: Worker 1 of 2 was ended by signal 9, so training stopped (its log is {folder}/"
        f"workers/worker-1.log): go on from the last checkpoint with keras-acn train --resume "
        f"{folder}, with as many --workers as you like."
    ]
    assert not children(process)
    assert EPOCHS > checkpoint.read(last)[0].epoch > progress.epoch

    # One alone finishes the run.
    assert cli.main(["train", "--resume", str(folder), "--no-figures"]) == 0
    assert_same_end(folder, reference)


@pytest.mark.slow
def test_another_number_of_workers_goes_on(reference, tmp_path, capsys):
    folder = tmp_path / "run"
    assert cli.main(["train", *options(2), "--no-figures", "--out", str(folder)]) == 0
    process = start(
        "--resume", str(folder), "--epochs", "3", "--workers", "2", "--no-figures", "--quiet"
    )
    code, out, err = finish(process)
    assert (code, err) == (0, "")
    assert out.strip() == str(folder)
    assert sorted(path.name for path in (folder / "workers").iterdir()) == ["worker-1.log"]
    args = ["train", "--resume", str(folder), "--epochs", str(EPOCHS), "--no-figures"]
    assert cli.main(args) == 0
    assert_same_end(folder, reference)


# -- bad input -----------------------------------------------------------------------------


def test_workers_must_fit_the_batch(tmp_path, capsys):
    out = tmp_path / "run"
    assert cli.main(["train", "--workers", "0", "--out", str(out)]) == 2
    assert cli.main(["train", "--workers", "3", "--batch-size", "2", "--out", str(out)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert "--workers" in lines[0] and "0 is not in the range" in lines[0]
    assert lines[1] == (
        "Error: A batch of 2 has no row for each of 3 workers: set --workers to at most 2, or a "
        "larger --batch-size."
    )
    assert not out.exists()


def test_workers_within_a_cluster_are_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config(["a:1", "b:2"], "worker", 0))
    assert cli.main(["train", "--workers", "2", "--out", str(tmp_path / "run")]) == 2
    assert "leave --workers out, or unset TF_CONFIG" in capsys.readouterr().err


def test_more_workers_than_gpus_are_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert cli.main(["train", "--workers", "3", "--out", str(tmp_path / "run")]) == 2
    assert "There are 2 GPUs for 3 workers" in capsys.readouterr().err


@pytest.mark.slow
def test_a_failing_worker_leaves_no_empty_folder(tmp_path):
    folder = tmp_path / "run"
    code, out, err = finish(
        start("--workers", "2", "--set", "encoder.name=nothing", "--out", str(folder))
    )
    assert code == 2 and out == ""
    assert err.startswith('Error: Unknown encoder "nothing"') and err.count("\n") == 1
    assert not folder.exists()


def config(workers, kind, index, **jobs):
    jobs = {"worker": workers, **jobs} if workers else jobs
    return json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is no JSON object"),
        ("[1]", "is no JSON object"),
        (config(["a:1", "b:2"], "worker", 2), "calls this process worker 2"),
        (config(["a:1", "b:2"], "worker", -1), "calls this process worker -1"),
        (config(["a:1", "b:2"], "chief", 0), "calls this process chief 0"),
        (config(["a:1", "b:2"], None, None), "none of its 2 workers"),
        (config(["a:1", "a:1"], "worker", 0), "the same address"),
        (config(["a", "b:2"], "worker", 0), '"a", which is no host:port'),
        (config(["a:99999", "b:2"], "worker", 0), "from 1 to 65535"),
        (config("a:1", "worker", 0), "must list"),
        (config(["a:1"], "worker", 0, ps=["b:2"]), 'tasks of type "ps"'),
        (config(["a:1"], "worker", 0, chief=["b:2", "c:3"]), "more than one chief"),
    ],
)
def test_a_broken_tf_config_is_said_in_a_sentence(text, sentence):
    with pytest.raises(errors.UserError, match="TF_CONFIG") as error:
        tf_config.from_environment({"TF_CONFIG": text})
    assert sentence in str(error.value)


def test_tf_config_gives_ranks():
    def rank(*args, **jobs):
        found = tf_config.from_environment({"TF_CONFIG": config(*args, **jobs)})
        return found and (found.rank, found.size, found.is_chief)

    assert rank(["a:1", "b:2"], "worker", 0) == (0, 2, True)
    assert rank(["a:1", "b:2"], "worker", "1") == (1, 2, False)
    assert rank(["a:1", "b:2"], "worker", 1, chief=["c:3"]) == (2, 3, False)
    assert rank(["a:1", "b:2"], "chief", 0, chief=["c:3"]) == (0, 3, True)
    # One alone needs nobody.
    assert rank(["a:1"], "worker", 0) is None
    assert tf_config.from_environment({}) is None


def test_a_port_in_use_is_said_in_a_sentence(tmp_path, capsys, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        team = tf_config.Cluster((f"127.0.0.1:{port}", "127.0.0.1:9"), 0)
        with pytest.raises(errors.UserError, match=f"Port {port} of this worker"):
            tf_config.check_port(team)
    tf_config.check_port(team)


def test_logs_of_workers_do_not_make_a_folder_a_run(tmp_path):
    (tmp_path / "workers").mkdir()
    settings = load_config("digits")
    assert new_folder(tmp_path, settings) == tmp_path
    (tmp_path / "other").touch()
    with pytest.raises(errors.UserError, match="not empty"):
        new_folder(tmp_path, settings)
