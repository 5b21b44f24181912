"""What commands show of work in hand: one line on a terminal, nothing where they are piped."""

import os
import re
import subprocess
import sys

import pytest

from keras_acn import cli
from keras_acn._base import progress

KERAS_ACN = [sys.executable, "-m", "keras_acn"]
TINY = ["digits", "--set", "data.limit=200", "--set", "encoder.hidden=[8]"]
TINY += ["--set", "decoder.hidden=[8]", "--set", "prior.hidden=[8]"]
TINY += ["--batch-size", "10", "--epochs", "2", "--no-figures"]


def on_a_terminal(words, columns):
    """What a command writes to a terminal of so many columns, and its exit code."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [*KERAS_ACN, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            written += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    return written.decode(), process.wait()


def drawings(written):
    """The texts that were written over one another, without what moves the cursor."""
    pieces = re.split(r"[\r\n]+", written)
    return [re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", piece) for piece in pieces]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("columns", [80, 40])
def test_training_shows_one_line_of_our_own(columns, tmp_path):
    written, code = on_a_terminal(["train", *TINY, "--out", str(tmp_path / "run")], columns)
    assert code == 0, written
    drawn = [each for each in drawings(written) if each.startswith("epoch ")]
    bars = [each for each in drawn if "[" in each]
    lines = [each for each in drawn if " nats (" in each]
    assert bars and len(lines) == 2
    assert max(map(len, drawn)) < columns
    assert "ms/step" not in written and "reconstruction_nats" not in written  # Keras's own bar


@pytest.mark.slow
def test_nothing_is_drawn_where_output_is_piped(tmp_path):
    done = subprocess.run(
        [*KERAS_ACN, "train", *TINY, "--out", str(tmp_path / "run")], capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stderr == ""
    assert "\r" not in done.stdout and "\x1b" not in done.stdout
    epochs = [line for line in done.stdout.splitlines() if line.startswith("epoch ")]
    assert len(epochs) == 2 and all("reconstruction" in line for line in epochs)


@pytest.mark.parametrize("columns", [20, 80])
def test_a_line_is_never_wider_than_the_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    line = progress.over(progress.bar("a stage", 10**9, 10**10, "much more to say " * 9))
    assert len(line.removeprefix("\r\x1b[K")) == columns - 1
    assert progress.bar("empty", 0, 0).endswith("[########################] 0/0")


@pytest.mark.parametrize("terminal", [True, False])
def test_notes_and_errors_are_not_glued_to_work_in_hand(terminal, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    clear = "\r\x1b[K" if terminal else ""
    cli._say(UserWarning("two  images\nare missing"), UserWarning, "here.py", 1)
    cli._fail("The disk is full.")
    said = capsys.readouterr().err
    assert said == f"{clear}Note: two images are missing\n{clear}Error: The disk is full.\n"
