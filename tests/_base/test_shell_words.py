"""Commands to print, paths with ~, and the signals that ask to stop."""

import shlex
import signal

import pytest

from keras_acn._base.shell import command, expanded, stop_signals


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


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="a system without it")
def test_what_nohup_has_ignored_is_left_alone():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in stop_signals() and signal.SIGTERM in stop_signals()
    finally:
        signal.signal(signal.SIGHUP, before)
