"""Commands killed at any change that they make to a file: what is left is whole, and goes on.

    python tests/kills.py --kills 200 --seed 0

One process imports TensorFlow and the package once and forks a child for each command. A library
that is loaded before all others (`kills.c`) stops the child before it opens, writes, syncs,
closes, moves or removes a file, and when half of a write is done: with all its threads, whether
Python, TensorFlow, HDF5 or Pillow is at it. The folder is copied then, as SIGKILL would leave it;
at the last place of each command the child really is killed. From each copy, another child goes on
as a user would: by the same command, or `--resume`.

- A file under its final name is whole, the old one or the new one.
- Going on ends with exit code 0 and with what an undisturbed command ends with, to the bit.
- Nothing half written is left, nor a lock.

Needs Linux and a C compiler.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import hashlib
import io
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import zipfile
from collections.abc import Callable

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
SMALL = ["data.limit=40", "encoder.hidden=[4]", "decoder.hidden=[4]", "model.latent_dim=2"]
SMALL += ["training.batch_size=20"]
SET = [word for option in SMALL for word in ("--set", option)]
# What differs between two runs of one command: how long it took, and when that was.
_TIMES = re.compile(r"second|time|date|minutes")


@dataclasses.dataclass(frozen=True)
class Command:
    """A command that is to be killed.

    Attributes:
      words: Its words; `@` stands for the folder that it works in.
      again: Takes the folder, returns the words of the command to go on by.
      before: Makes what is there before, with a function that runs a command.
      share: Of the kills, beside the others.
      made: Takes the folder, returns what the command has made, to be compared.
    """

    words: list[str]
    again: Callable[[pathlib.Path], list[str]] | None = None
    before: Callable | None = None
    share: float = 1.0
    made: Callable[[pathlib.Path], dict] | None = None


# -- what is in a folder -----------------------------------------------------------------------


def content(path: pathlib.Path) -> object:
    """Read a file whole; return what of it two runs of one command have in common.

    Raises:
      Exception: Of some kind, if the file is not whole.
    """
    data = path.read_bytes()
    kind = path.suffix
    if kind == ".keras":
        import h5py

        arrays: dict[str, bytes] = {}
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            config = archive.read("config.json").decode()
            with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
                file.visititems(
                    lambda name, each: (
                        arrays.update({name: each[()].tobytes()})
                        if isinstance(each, h5py.Dataset)
                        else None
                    )
                )
        # Keras numbers objects by where they are in memory, and names by how many there were in
        # the process: one that goes on with a sweep has made fewer.
        config = re.sub(r'"shared_object_id": \d+', "", config)
        return re.sub(r'("name": "[a-z_]+?)_\d+"', r'\1"', config), arrays
    if kind == ".npz":
        with np.load(io.BytesIO(data)) as archive:
            arrays = {name: archive[name] for name in archive.files}
        meta = arrays.pop("meta", None)
        told = None if meta is None else _timeless(json.loads(bytes(meta)))
        return told, {name: (each.shape, each.tobytes()) for name, each in arrays.items()}
    if kind == ".npy":
        return np.load(io.BytesIO(data)).tobytes()
    if kind == ".json":
        return _timeless(json.loads(data))
    if kind == ".csv":
        rows = [line.split(",") for line in data.decode().splitlines()]
        assert data.endswith(b"\n") and len({len(row) for row in rows}) == 1
        keep = [i for i, name in enumerate(rows[0]) if not _TIMES.search(name)]
        return [[row[i] for i in keep] for row in rows]
    if kind in (".png", ".gif", ".webp"):
        with Image.open(io.BytesIO(data)) as image:
            frames = []
            for i in range(getattr(image, "n_frames", 1)):
                image.seek(i)
                frames.append(image.tobytes())
        return frames
    if kind == ".acn":
        from keras_acn.codec import archive, folder_file

        if not folder_file.is_folder(data):
            archive.check_whole(data, path.name)
        return data
    if kind == ".yaml":
        from keras_acn.experiment import yaml

        # 0 is 0.0.
        return _timeless(json.loads(json.dumps(yaml.read(path)), parse_int=float))
    if kind in (".tsv", ".pbtxt"):
        assert data.endswith(b"\n")
        return data
    if kind == ".html":
        assert data.rstrip().endswith(b"</html>")
        return True
    # The rest of a SavedModel, which appears as a folder; what TensorBoard adds to.
    return path.name.startswith("events.out") or len(data) > 0


def _timeless(value):
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if not _TIMES.search(k)}
    return [_timeless(each) for each in value] if isinstance(value, list) else value


def files_of(folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the files of a folder that have final names, without locks."""
    from keras_acn._base.atomic import is_temporary

    hidden = [path for path in folder.rglob("*") if is_temporary(path) or path.name == ".lock"]
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(each == path or each in path.parents for each in hidden)
    )


def made(folder: pathlib.Path) -> dict[str, object]:
    """Return `{name: what is in it}` of the files of a folder."""
    found = {}
    for path in files_of(folder):
        if path.name.startswith("events.out") or "tmp" in path.relative_to(folder).parts[:1]:
            continue
        found[str(path.relative_to(folder))] = repr(content(path))
    return found


def difference(wanted: object, found: object) -> str:
    """Return where two texts begin to differ, in words."""
    one, other = str(wanted), str(found)
    place = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(map(len, (one, other))),
    )
    begin = max(0, place - 60)
    return f"...{other[begin : place + 60]}... for ...{one[begin : place + 60]}..."


def litter(folder: pathlib.Path) -> list[str]:
    """Return what is left half written, locks, and what is left for temporary files."""
    from keras_acn._base.atomic import is_temporary

    found = [path for path in folder.rglob("*") if is_temporary(path) or path.name == ".lock"]
    found += [each for each in (folder / "tmp").iterdir() if "__autograph" not in each.name]
    return sorted(str(path.relative_to(folder)) for path in found)


# -- children ----------------------------------------------------------------------------------


def fork(work: Callable[[], int]) -> int:
    """Run a function in a child that leaves without cleaning up; return its process number."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def run_command(words: list[str], folder: pathlib.Path, log: pathlib.Path) -> int:
    """Run a command in this process."""
    number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(number, 1)
    os.dup2(number, 2)
    os.chdir(folder)
    import keras
    import tensorflow as tf

    # Operation by operation: making graphs takes most of the time of a short training.
    tf.config.run_functions_eagerly("export" not in words)
    keras.utils.set_random_seed(0)
    from keras_acn.cli import main

    return main([word.replace("@", str(folder)) for word in words])


class Worker:
    """A child that runs one command after another: later ones find all imported and compiled.

    Args:
      folder: Where they work.
      log: What they print into.

    Attributes:
      done: How many it has run.
    """

    def __init__(self, folder: pathlib.Path, log: pathlib.Path):
        self.done = 0
        asked, self._ask = os.pipe()
        self._answers, answers = os.pipe()

        def work():
            import gc

            import keras

            from keras_acn._base import atomic

            os.close(self._ask)
            with os.fdopen(asked) as lines:
                for line in lines:
                    try:
                        code = run_command(json.loads(line), folder, log)
                    except BaseException:
                        traceback.print_exc()
                        code = 99
                    # As in a new process.
                    atomic._cleared.clear()
                    keras.backend.clear_session()
                    gc.collect()
                    os.write(answers, bytes([code % 256]))
            return 0

        self._child = fork(work)
        os.close(asked)
        os.close(answers)

    def run(self, words: list[str]) -> int:
        """Run a command; return its exit code."""
        self.done += 1
        os.write(self._ask, json.dumps(words).encode() + b"\n")
        answer = os.read(self._answers, 1)
        return answer[0] if answer else -1

    def end(self) -> None:
        """End the child."""
        os.close(self._ask)
        os.close(self._answers)
        os.waitpid(self._child, 0)


class Failed(Exception):
    """A command did not do what it should."""


class Torture:
    """Kills commands in a folder of their own.

    Args:
      scratch: A folder for all of it.
      seed: Of where they are killed.
    """

    def __init__(self, scratch: pathlib.Path, seed: int):
        self.scratch = scratch
        self.folder = scratch / "work"
        self.log = scratch / "log"
        self.seed = seed
        self._worker: Worker | None = None

    def run(self, words: list[str]) -> None:
        """Run a command in a child that has run others, or in a new one where that fails.

        Raises:
          Failed: If it does not end with 0.
        """
        if self._worker is None:
            self._worker = Worker(self.folder, self.log)
        code = self._worker.run(words)
        if code or self._worker.done >= 25:
            self._worker.end()
            self._worker = None
        if code:
            said = self.log.read_text(errors="replace")[-1500:]
            raise Failed(f"{' '.join(words)} ended with {code}: {said}")

    def goes_on(self, state: pathlib.Path, command: Command, old: dict, new: dict, wanted: dict):
        """Go on from what a kill has left.

        Raises:
          Failed: If something of it is not whole, or what it comes to is another.
        """
        self._clean(state)
        self._check_whole(old, new)
        self.run(command.again(self.folder) if command.again else command.words)
        found = (command.made or made)(self.folder)
        for each in sorted(wanted | found):
            if wanted.get(each) != found.get(each):
                raise Failed(f"{each}: {difference(wanted.get(each), found.get(each))}")
        if left := litter(self.folder):
            raise Failed(f"leaves {left}")

    def _clean(self, like: pathlib.Path | None) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if like is not None:
            shutil.copytree(like, self.folder, symlinks=True)
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)

    def stopped(self, words: list[str], at: Callable[[int, str], str | None]) -> list[str]:
        """Run a command, stopping it at each event; return the events.

        Args:
          words: The command.
          at: Called with the event's number and the event while all is at a standstill;
            returns "kill" to kill it.
        """
        reads, tells = os.pipe()

        def work():
            import ctypes

            os.close(reads)
            ctypes.CDLL(None).kills_watch(str(self.folder).encode(), tells)
            return run_command(words, self.folder, self.log)

        child = fork(work)
        os.close(tells)
        events: list[str] = []
        with os.fdopen(reads, "r", errors="replace") as lines:
            while True:
                _, status = os.waitpid(child, os.WUNTRACED)
                if not os.WIFSTOPPED(status):
                    break
                events.append(_named(lines.readline().strip(), self.folder))
                if at(len(events) - 1, events[-1]) == "kill":
                    os.kill(child, signal.SIGKILL)
                else:
                    os.kill(child, signal.SIGCONT)
        if status and os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            raise Failed(f"{' '.join(words)}: {self.log.read_text(errors='replace')[-1500:]}")
        return events

    def torture(self, name: str, command: Command, kills: int, told: Callable[[str], None]) -> dict:
        """Kill a command at so many places; return the numbers of what came of it."""
        self._clean(None)
        if command.before is not None:
            command.before(self)
        base, states = self.scratch / f"{name}-base", self.scratch / f"{name}-states"
        shutil.rmtree(base, ignore_errors=True)
        shutil.rmtree(states, ignore_errors=True)
        shutil.copytree(self.folder, base)
        states.mkdir()
        old = made(self.folder)
        events = self.stopped(command.words, lambda number, event: None)
        look = command.made or made
        wanted, new = look(self.folder), made(self.folder)
        if left := litter(self.folder):
            raise Failed(f"{name}, undisturbed, leaves {left}")
        places = chosen(events, kills, random.Random(f"{self.seed} {name}"))

        def at(number, event):
            if number in places:
                shutil.copytree(self.folder, states / str(number), symlinks=True)
                return "kill" if number == max(places) else None

        self._clean(base)
        again = self.stopped(command.words, at)
        kinds = collections.Counter(again[int(path.name)].split()[0] for path in states.iterdir())
        failed = []
        for path in sorted(states.iterdir(), key=lambda path: int(path.name)):
            event = again[int(path.name)]
            try:
                try:
                    self.goes_on(path, command, old, new, wanted)
                except Failed:
                    # Was it what the child had run before?
                    if self._worker is not None:
                        self._worker.end()
                        self._worker = None
                    self.goes_on(path, command, old, new, wanted)
            except Failed as error:
                failed.append((path.name, event))
                told(f"    {name}, killed at event {path.name} ({event}): {error}")
            else:
                shutil.rmtree(path)
        return {"events": len(events), "kills": sum(kinds.values()), "at": kinds, "failed": failed}

    def _check_whole(self, old: dict, new: dict) -> None:
        there = set()
        for path in files_of(self.folder):
            name = str(path.relative_to(self.folder))
            there.add(name)
            if name.startswith("tmp/") or path.name.startswith("events.out"):
                continue
            try:
                holds = repr(content(path))
            except Exception as error:
                raise Failed(f"{name} is not whole: {type(error).__name__} {error}") from error
            known = path.suffix in (".acn", ".npy", ".png", ".gif", ".webp") or "served" in name
            if known and name in {**old, **new} and holds not in (old.get(name), new.get(name)):
                raise Failed(f"{name} is neither the old one nor the new one")
        lost = [name for name in old if name not in there]
        if lost:
            raise Failed(f"{lost} was there before and is not now")


def _named(line: str, folder: pathlib.Path) -> str:
    """Return `EVENT NAME`, the same in each run."""
    what, _, path = line.partition(" ")
    name = os.path.relpath(path.removesuffix(" (deleted)"), folder)
    name = re.sub(r"[0-9a-f]+-[0-9a-f]{8}-[0-9a-f]{12}\.tmp", "tmp", name)
    return f"{what} {re.sub(r'events.out.*', 'events', name)}"


def chosen(events: list[str], count: int, rng: random.Random) -> set[int]:
    """Choose places to kill at: of each kind of event and file in turn, at random."""
    kinds: dict[str, list[int]] = {}
    for number, event in enumerate(events):
        kinds.setdefault(event, []).append(number)
    for places in kinds.values():
        rng.shuffle(places)
    order = list(kinds.values())
    rng.shuffle(order)
    taken: list[int] = []
    while len(taken) < min(count, len(events)):
        for places in order:
            if places:
                taken.append(places.pop())
    return set(taken[:count])


# -- the commands ------------------------------------------------------------------------------


def _resumed(words):
    def again(folder):
        begun = (folder / "run" / "config.yaml").exists()
        return ["train", "--resume", "@/run", "--quiet", "--no-figures"] if begun else words

    return again


def _images(folder, count=12):
    return np.random.default_rng(0).integers(0, 2, (count, 8, 8)).astype(np.uint8)


def _with_images(torture):
    np.save(torture.folder / "images.npy", _images(torture.folder))


def _with_model(torture):
    torture.run(["train", "digits", *SET, "--epochs", "1", "-q", "--no-figures", "--out", "@/run"])
    _with_images(torture)


def _with_old_file(torture):
    _with_model(torture)
    torture.run(["compress", "@/run", "@/images.npy", "@/x.acn", "--limit", "3"])


def _with_file(torture):
    _with_model(torture)
    torture.run(["compress", "@/run", "@/images.npy", "@/x.acn"])
    np.save(torture.folder / "out.npy", np.zeros(3))


def _with_export(torture):
    _with_model(torture)
    torture.run(["export", "@/run", "@/served"])


def _with_pictures(torture):
    (torture.folder / "pictures" / "a").mkdir(parents=True)
    for i, image in enumerate(_images(torture.folder, 14)):
        path = torture.folder / "pictures" / ("a" if i % 2 else ".") / f"{i}.png"
        Image.fromarray(image * 255).save(path)


def _with_packed_pictures(torture):
    _with_pictures(torture)
    torture.run(["compress", "acn-digits", "@/pictures", "@/x.acn", "--mode", "raw"])


def _with_older_pictures(torture):
    _with_packed_pictures(torture)
    (torture.folder / "out").mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(torture.folder / "out" / "0.png")
    (torture.folder / "out" / "mine.npy").write_bytes(
        (torture.folder / "x.acn").read_bytes() and _npy(np.arange(3))
    )


def _npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def _served(folder):
    """What of exports can be compared: how many, and the weights of each."""
    versions = sorted((folder / "served").iterdir(), key=lambda path: int(path.name))
    data = [path / "variables" / "variables.data-00000-of-00001" for path in versions]
    names = [sorted(str(f.relative_to(v)) for f in v.rglob("*")) for v in versions]
    # One that was killed as it appeared stands beside the one of the command that was given again.
    return {"newest": hashlib.sha256(data[-1].read_bytes()).hexdigest(), "files": names[-1]}


def _without_bytes(folder):
    """Of a packed file only that it is there: how long its model is trained is a matter of time."""
    return {name: name != "x.acn" and holds for name, holds in made(folder).items()}


_TRAIN = ["train", "digits", *SET, "--set", "training.snapshots_every=1", "--set"]
_TRAIN += ["data.validation=0.2", "--set", "training.keep_best=true", "--epochs", "2", "-q"]
_TRAIN += ["--no-figures", "--out", "@/run"]
_SWEEP = ["sweep", "digits", *SET, "--epochs", "1", "--grid", "seed=0,1", "-q", "--no-figures"]
# Those of few events first.
COMMANDS = {
    "compress": Command(
        ["compress", "@/run", "@/images.npy", "@/x.acn"], before=_with_old_file, share=1.0
    ),
    "compress DIR": Command(
        ["compress", "acn-digits", "@/pictures", "@/x.acn", "--mode", "raw"],
        before=_with_pictures,
        share=1.0,
    ),
    "decompress": Command(
        ["decompress", "@/x.acn", "@/out.npy", "--model", "@/run"], before=_with_file
    ),
    "decompress DIR": Command(
        ["decompress", "@/x.acn", "@/out"],
        lambda folder: ["decompress", "@/x.acn", "@/out", "--force"],
        before=_with_packed_pictures,
        share=1.0,
    ),
    "decompress --force": Command(
        ["decompress", "@/x.acn", "@/out", "--force"], before=_with_older_pictures, share=1.2
    ),
    "plot": Command(
        ["plot", "@/run", "--only", "loss", "--only", "reconstructions"],
        before=_with_model,
        share=0.3,
    ),
    "daydream": Command(
        ["daydream", "@/run", "--steps", "2", "--images", "1"], before=_with_model, share=0.4
    ),
    "report": Command(["report", "@/run", "--points", "20"], before=_with_model, share=0.25),
    "pack": Command(
        ["pack", "@/images.npy", "@/x.acn", "--minutes", "0.001"],
        before=_with_images,
        made=_without_bytes,
        share=0.25,
    ),
    "export": Command(
        ["export", "@/run", "@/served"], before=_with_export, made=_served, share=0.3
    ),
    "train --resume": Command(
        ["train", "--resume", "@/run", "--epochs", "3", "-q", "--no-figures"],
        before=_with_model,
    ),
    "sweep": Command([*_SWEEP, "--out", "@/sweep"], share=0.7),
    "train": Command(_TRAIN, _resumed(_TRAIN), share=1.2),
}


def load() -> None:
    """Import what the commands need, so that each child has it."""
    import sklearn.datasets  # noqa: F401
    import tensorboard  # noqa: F401
    import tensorflow_probability  # noqa: F401

    import keras_acn.cli.train
    import keras_acn.codec
    import keras_acn.evaluation
    import keras_acn.experiment.run
    import keras_acn.experiment.sweep
    import keras_acn.figures
    import keras_acn.html_report
    import keras_acn.serving  # noqa: F401


def preloaded(scratch: pathlib.Path) -> None:
    """Begin this program anew with the library that stops its children."""
    library = scratch / "kills.so"
    source = HERE / "kills.c"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(library), "KILLS_SCRATCH": str(scratch)}
    environment |= {"TMPDIR": str(scratch / "work" / "tmp"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= {"PYTHONPATH": os.pathsep.join([str(HERE.parent), *sys.path[1:]])}
    threads = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    environment |= dict.fromkeys(threads, "1")
    (scratch / "work" / "tmp").mkdir(parents=True)
    done = subprocess.run([sys.executable, __file__, *sys.argv[1:]], env=environment)
    sys.exit(done.returncode)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--kills", type=int, default=200, help="in all")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    given = arguments.parse_args()
    if "KILLS_SCRATCH" not in os.environ:
        with tempfile.TemporaryDirectory() as scratch:
            preloaded(pathlib.Path(scratch).resolve())
    # What the children start must not be stopped.
    del os.environ["LD_PRELOAD"]
    load()
    torture = Torture(pathlib.Path(os.environ["KILLS_SCRATCH"]), given.seed)
    print(f"{'command':<20}{'events':>8}{'kills':>8}{'failed':>8}   at")
    kills = failed = 0
    left = sum(COMMANDS[name].share for name in given.only)
    for name in given.only:
        # What a command has too few events for falls to those after it.
        count = round((given.kills - kills) * COMMANDS[name].share / left)
        left -= COMMANDS[name].share
        found = torture.torture(name, COMMANDS[name], count, lambda line: print(line, flush=True))
        at = ", ".join(f"{kind} {n}" for kind, n in sorted(found["at"].items()))
        row = f"{name:<20}{found['events']:>8}{found['kills']:>8}{len(found['failed']):>8}   {at}"
        print(row, flush=True)
        kills, failed = kills + found["kills"], failed + len(found["failed"])
    print(f"{'all':<20}{'':>8}{kills:>8}{failed:>8}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
