"""Commands to print, paths with ~, and the signals that ask to stop."""

import shlex
import signal

import pytest

from keras_acn._base.shell import command, expanded, stop_signals
from keras_acn.codec.written import check_target
from keras_acn.serving.export import new_version


@pytest.mark.parametrize("name", ["plain", "two words", "it's", "a;b", "$HOME", "é"])
def test_a_printed_command_has_the_words_it_was_made_of(name):
    assert shlex.split(command("train", "--resume", name)) == [
        "keras-acn",
        "train",
        "--resume",
        name,
    ]


def test_a_tilde_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("~/x") == "/home/me/x" and expanded("x~") == "x~"


def test_the_home_of_nobody_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with new_version("~nobody-here/models") as new:
        (new.path / "card.md").touch()
    assert (tmp_path / "~nobody-here" / "models" / "1" / "card.md").exists()
    assert check_target("~nobody-here/x", "png", False).parts == ("~nobody-here", "x")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="a system without it")
def test_what_nohup_has_ignored_is_left_alone():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in stop_signals() and signal.SIGTERM in stop_signals()
    finally:
        signal.signal(signal.SIGHUP, before)
