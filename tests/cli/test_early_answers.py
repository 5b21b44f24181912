"""Cheap mistakes are told before TensorFlow is loaded, and TensorFlow starts without a word."""

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

SHIPPED = pathlib.Path(__file__).parents[2] / "saved_models" / "acn-digits"
# Commands that must end with a sentence while TensorFlow cannot even be imported.
CASES = {
    "unknown preset": ("train digit", 'Did you mean "digits"'),
    "unknown option": ("train --set training.epoch=3", 'Did you mean "epochs"'),
    "missing data": ("train --data npy:none.npy", "none.npy"),
    "missing pictures": ("train --data images:none", "does not exist"),
    "folder without a kind": ("train --data ./pictures", 'write "images:./pictures"'),
    "no pictures": ("train --data images:pictures", "holds no pictures"),
    "flat array": ("train --data npy:flat.npy", "[N, H, W]"),
    "no colour": ("train --data images:pictures --background purplish", "colour"),
    "pictures' option": ("train --background black", "for folders of pictures"),
    "folder in use": ("train --out pictures/..", "not empty"),
    "file in the way": ("train --out flat.npy/run", "is a file"),
    "run in use": ("train --out run", "holds a run already"),
    "missing run": ("train --resume none", "no run to resume"),
    "other settings": ("train --resume run --seed 7", "seed was"),
    "no such file": ("train --config none.yaml", "no file none.yaml"),
    "sweep's data": ("sweep --grid beta=1,2 --data npy:none.npy", "none.npy"),
    "sweep's swept data": ("sweep --grid data=digits,npy:none.npy", "none.npy"),
    "sweep's folder": ("sweep --grid beta=1,2 --out run", "holds a run"),
    "sweep's option": ("sweep --grid bta=1,2", "bta"),
    "missing model": ("evaluate none", 'no model "none"'),
    "missing second model": ("evaluate run --compare none", 'no model "none"'),
    "missing data to measure on": ("evaluate run --data npy:none.npy", "none.npy"),
    "model without data": ("evaluate alone.keras", "name the data with --data"),
    "no labels": ("evaluate run --classes 1,,2", "--classes takes"),
    "no model file": ("plot flat.npy", "is no model"),
    "unknown figure": ("plot run --only smaples", 'Did you mean "samples"'),
    "figures into a file": ("plot run --out flat.npy", "is a file"),
    "figures of missing data": ("plot run --data images:none", "does not exist"),
    "dreams into a file": ("daydream run --out flat.npy", "is a file"),
    "dreams of missing data": ("daydream run --data npy:none.npy", "none.npy"),
    "export of nothing": ("export none out", 'no model "none"'),
    "export into a file": ("export run flat.npy", "is a file"),
    "export of a type": ("export run out --quantize int8", "float16"),
    "compressed into what": ("compress run flat.npy out.zip", ".acn"),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """`{case: (exit code, what was said)}`, all from one process without TensorFlow."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "pictures").mkdir()
    (folder / "pictures" / "notes.txt").touch()
    np.save(folder / "flat.npy", np.zeros((10, 64)))
    shutil.copytree(SHIPPED, folder / "run", ignore=shutil.ignore_patterns("1"))
    shutil.copy(SHIPPED / "model.keras", folder / "alone.keras")
    program = (
        "import io, json, sys\n"
        "from contextlib import redirect_stderr\n"
        "for name in ('tensorflow', 'keras'): sys.modules[name] = None\n"
        "from keras_acn.cli import main\n"
        "found = {}\n"
        "for case, line in json.loads(sys.argv[1]).items():\n"
        "    said = io.StringIO()\n"
        "    with redirect_stderr(said):\n"
        "        try: code = main(line.split())\n"
        "        except BaseException as error: code = repr(error)\n"
        "    found[case] = code, said.getvalue()\n"
        "print(json.dumps(found))\n"
    )
    import json

    lines = json.dumps({case: line for case, (line, _) in CASES.items()})
    done = subprocess.run(
        [sys.executable, "-c", program, lines], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", CASES)
def test_cheap_mistakes_are_told_without_tensorflow(case, answers):
    code, said = answers[case]
    assert code == 2, (code, said)
    assert said.startswith("Error: ") and said.count("\n") == 1
    assert CASES[case][1] in said


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("level, is_silent", [(None, True), ("3", True), ("0", False)])
def test_importing_the_package_is_silent_unless_asked(level, is_silent):
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    if level is not None:
        environment["TF_CPP_MIN_LOG_LEVEL"] = level
    program = "from keras_acn.models import VAE; VAE((4, 4, 1), 2).sample(1, seed=0)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert (done.stderr == "") == is_silent
