"""--max-gb raises and lowers what reading may take, for one call."""

import os

import click
import numpy as np
import pytest

from keras_acn._base import reading
from keras_acn.cli import COMMANDS, command_line, main

READ_NOTHING = {"presets", "datasets"}


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - READ_NOTHING))
def test_every_command_that_reads_has_it(name):
    command = command_line.get_command(click.Context(command_line), name)
    assert any("--max-gb" in each.opts for each in command.params)


def test_it_holds_for_one_call(tmp_path, capsys):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((100, 10, 10), np.uint8))
    command = ["compress", "acn-digits", str(path), str(tmp_path / "a.acn"), "--resize", "8"]
    assert main([*command, "--max-gb", "1e-9"]) == 2
    said = capsys.readouterr().err
    assert "in memory" in said and "--max-gb 1 " in said and "Traceback" not in said
    assert reading.VARIABLE not in os.environ and not (tmp_path / "a.acn").exists()
    for wrong in ("0", "-1", "nan", "x"):
        assert main([*command, "--max-gb", wrong]) == 2
    assert "Traceback" not in capsys.readouterr().err
