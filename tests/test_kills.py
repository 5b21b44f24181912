"""A few of the kills of `kills.py`, which says what must come of each."""

import pathlib
import shutil
import subprocess
import sys

import pytest

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(COMPILER is None, reason="there is no C compiler on this machine"),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux stops a process so"),
]


def test_killed_commands_leave_what_goes_on():
    program = pathlib.Path(__file__).with_name("kills.py")
    command = [sys.executable, program, "--kills", "20"]
    command += ["--only", "decompress --force", "train --resume", "train"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    # The last line counts them all.
    assert done.stdout.splitlines()[-1].split() == ["all", "20", "0"]
