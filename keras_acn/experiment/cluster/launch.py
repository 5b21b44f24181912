"""keras-acn train --workers N: N processes on this machine that train one model together.

Each is a plain worker of a cluster, started with a TF_CONFIG of its own. One that has only lost
another ends with the exit code `LOST`, and leaves it to the launcher to say what happened.
"""

from __future__ import annotations

import ctypes
import glob
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from keras_acn._base.atomic import writing
from keras_acn._base.errors import UserError, not_writable
from keras_acn._base.shell import command, stop_signals
from keras_acn.experiment.folder import CHECKPOINT, CONFIG, WORKERS
from keras_acn.experiment.schema import Config

# Set for the processes started here.
LAUNCHED = "KERAS_ACN_LAUNCHED"
# Exit code of such a process that has lost another.
LOST = 75
# Seconds that the others are waited for at the end, and the chief at a Ctrl-C of its own.
PATIENCE = 20


def is_launched() -> bool:
    """Return whether this process is a worker that `launch` has started."""
    return LAUNCHED in os.environ


def check(workers: int, batch_size: int) -> None:
    """Raise `UserError` where a number of workers cannot train on this machine."""
    if os.environ.get("TF_CONFIG", "").strip():
        raise UserError(
            "TF_CONFIG names the workers already, and --workers would start others: leave "
            "--workers out, or unset TF_CONFIG."
        )
    if workers > batch_size:
        raise UserError(
            f"A batch of {batch_size} has no row for each of {workers} workers: set --workers to "
            f"at most {batch_size}, or a larger --batch-size."
        )
    gpus = _gpus()
    if gpus and len(gpus) < workers:
        raise UserError(
            f"There are {len(gpus)} GPUs for {workers} workers: set --workers to at most "
            f"{len(gpus)}, or CUDA_VISIBLE_DEVICES=-1 to train on the processor."
        )


def launch(
    settings: Config,
    workers: int,
    folder: str | os.PathLike,
    *,
    resume: bool = False,
    flags: Sequence[str] = (),
) -> int:
    """Train on local workers, and return the exit code.

    The first worker writes to this terminal, the others to `workers/worker-1.log` and so on
    in the run folder. Ctrl-C goes to the first one, which saves the run; so do SIGTERM and SIGHUP.

    Args:
      settings: The run's `Config`.
      workers: How many.
      folder: The run folder, a new one or, with `resume`, that of the run.
      resume: Whether the run goes on.
      flags: Further options of the command, such as `--quiet`.

    Raises:
      UserError: If so many workers cannot train on this machine, or the folder cannot be made.
    """
    check(workers, settings.training.batch_size)
    folder = pathlib.Path(folder)
    logs = folder / WORKERS
    new = not folder.exists()
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(folder, error) from error
    with tempfile.TemporaryDirectory() as scratch:
        if resume:
            given = ["--resume", str(folder), "--epochs", str(settings.training.epochs)]
        else:
            config = pathlib.Path(scratch, "config.yaml")
            with writing(config):
                config.write_text(settings.to_yaml(), encoding="utf-8")
            given = ["--config", str(config), "--out", str(folder)]
        processes = []
        before = {
            number: signal.signal(number, _asked)
            for number in stop_signals()
            if number != signal.SIGINT
        }
        try:
            for rank, environ in enumerate(_environments(workers)):
                processes.append(_start([*given, *flags], environ, rank, logs))
            return _wait(processes, folder)
        finally:
            _end(processes)
            for number, handler in before.items():
                signal.signal(number, handler)
            if new and not (folder / CONFIG).exists():
                shutil.rmtree(folder, ignore_errors=True)


class _Asked(KeyboardInterrupt):
    """Raised where another signal than Ctrl-C asks to stop, `signal`."""

    def __init__(self, number: int):
        super().__init__()
        self.signal = number


def _asked(number, frame):
    raise _Asked(number)


def _environments(workers: int) -> Iterator[dict[str, str]]:
    """Return the environment of each worker: addresses, threads, its share of the GPUs."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(workers)]
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    gpus = _gpus()
    each = len(gpus) // workers
    for rank in range(workers):
        task = {"type": "worker", "index": rank}
        environ = {
            **os.environ,
            "TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": task}),
            LAUNCHED: "1",
        }
        environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, cores // workers)))
        # An exchange waits on a thread of these.
        environ.setdefault("TF_NUM_INTEROP_THREADS", str(max(2, cores // workers)))
        environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // workers)))
        if gpus:
            environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[rank * each : (rank + 1) * each])
        if rank == 0:
            # What TensorFlow says when a worker is lost; the launcher says it in a sentence.
            environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        yield environ


def free_ports(count: int) -> list[int]:
    """Return numbers of ports of this machine that nothing uses."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _gpus() -> list[str]:
    """Return the names of the GPUs that may be used."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [str(i) for i in range(len(glob.glob("/dev/nvidia[0-9]*")))]
    names = []
    for name in visible.split(","):
        if not name.strip() or name.strip() == "-1":
            break
        names.append(name.strip())
    return names


def _start(
    args: list[str], environ: dict[str, str], rank: int, logs: pathlib.Path
) -> subprocess.Popen:
    program = "import sys; from keras_acn.cli import main; sys.exit(main())"
    # A session of their own, so that Ctrl-C in the terminal reaches the launcher alone.
    options: dict[str, Any] = {"env": environ, "start_new_session": True}
    options["stdin"] = subprocess.DEVNULL
    if sys.platform == "linux":
        options["preexec_fn"] = _die_with_launcher
    command = [sys.executable, "-c", program, "train", *args]
    if rank == 0:
        return subprocess.Popen(command, **options)
    path = logs / f"worker-{rank}.log"
    with writing(path), open(path, "ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, **options)


def _die_with_launcher():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _wait(processes: list[subprocess.Popen], folder: pathlib.Path) -> int:
    """Wait for all workers, or for the first that fails; return the exit code."""
    chief, interrupted = processes[0], 0
    while True:
        try:
            ended = [rank for rank, each in enumerate(processes) if each.poll() is not None]
            failed = [rank for rank in ended if processes[rank].returncode]
            if chief.returncode is not None and (interrupted or not chief.returncode):
                # A signal that came before the chief could save ends it as signals do.
                return chief.returncode if chief.returncode >= 0 else 128 - chief.returncode
            if failed:
                return _failure(processes, folder)
            time.sleep(0.1)
        except KeyboardInterrupt as asked:
            number = getattr(asked, "signal", signal.SIGINT)
            interrupted += 1
            if interrupted > 1:
                return 128 + number
            chief.send_signal(number)


def _failure(processes: list[subprocess.Popen], folder: pathlib.Path) -> int:
    # Those that have only lost another may be seen before the one that they have lost, and a
    # sentence of the chief's own is on its way.
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline and any(each.poll() is None for each in processes):
        time.sleep(0.05)
    codes = [each.returncode for each in processes]
    causes = [rank for rank, code in enumerate(codes) if code not in (None, 0, LOST)]
    if codes[0] == 2 or codes[0] in [128 + number for number in stop_signals()]:
        return codes[0]
    rank = min(causes, key=lambda rank: (codes[rank] > 0, rank), default=0)
    code = codes[rank]
    how = f"was ended by signal {-code}" if code and code < 0 else f"ended with exit code {code}"
    if code is None or code == LOST:
        how = "lost the others"
    log = "" if rank == 0 else f" (its log is {folder / WORKERS / f'worker-{rank}.log'})"
    if (folder / CHECKPOINT).exists():
        then = f"go on from the last checkpoint with {command('train', '--resume', folder)}"
    else:
        then = f"there is no checkpoint yet, so begin again with another --out than {folder}"
    print(
        f"Error: Worker {rank} of {len(processes)} {how}, so training stopped{log}: {then}, with "
        "as many --workers as you like.",
        file=sys.stderr,
        flush=True,
    )
    return 1


def _end(processes: list[subprocess.Popen]) -> None:
    """End what still runs: those that are about to end by themselves get the time to."""
    deadline = time.monotonic() + PATIENCE
    done = processes and processes[0].poll() == 0
    for each in processes:
        try:
            each.wait(max(0.0, deadline - time.monotonic()) if done else 0.0)
        except subprocess.TimeoutExpired:
            each.kill()
            each.wait()
