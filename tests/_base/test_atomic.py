"""Files and folders that appear whole or not at all."""

import os
import subprocess
import sys
import tempfile
import time

import pytest

from keras_acn._base import atomic
from keras_acn._base.atomic import (
    NewFolder,
    folder_beside,
    is_temporary,
    remove_temporaries,
    replacing,
    temporary_beside,
    temporary_files_beside,
    write_text,
)


class Crash(Exception):
    pass


def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("old")
    with pytest.raises(Crash), replacing(path) as temporary:
        temporary.write_text("half")
        assert temporary.suffix == ".keras" and path.read_text() == "old"
        raise Crash
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["model.keras"]
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["model.keras"]


def test_temporary_names_are_told_from_all_others(tmp_path):
    for name in ("model.keras", "config", "a.b.npz", "events.out.v2"):
        assert is_temporary(temporary_beside(tmp_path / name)) and not is_temporary(name)
    for name in (".tmp", "notes.tmp", ".notes.tmp", ".a.0123456789ab.tm", "a.0123456789ab.tmp"):
        assert not is_temporary(name)
    assert temporary_beside("model.keras") != temporary_beside("model.keras")


def left_behind(path, monkeypatch):
    """The name of a temporary file or folder of a process that is dead."""
    process = subprocess.Popen(["true"])
    process.wait()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: process.pid)
        return temporary_beside(path)


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path, monkeypatch):
    inner = tmp_path / "checkpoints"
    inner.mkdir()
    left_behind(inner / "last.npz", monkeypatch).touch()
    left_behind(tmp_path / "version", monkeypatch).mkdir()
    living = temporary_beside(tmp_path / "other")
    living.touch()
    # Nobody knows which process version 0.1.0, or another machine, wrote these by.
    old, new = tmp_path / ".last.0123456789ab.tmp.npz", tmp_path / ".last.0123456789ac.tmp.npz"
    for each in (old, new):
        each.touch()
    os.utime(old, (time.time() - 90_000,) * 2)
    write_text(inner / "last.npz", "state")
    (tmp_path / ".mine.tmp").touch()
    remove_temporaries(tmp_path)
    kept = [".mine.tmp", "checkpoints", "last.npz", living.name, new.name]
    assert sorted(p.name for p in tmp_path.rglob("*")) == sorted(kept)


def test_writers_clear_what_the_dead_have_left_beside(tmp_path, monkeypatch):
    for name in ("x.acn", "export", "last.npz"):
        left_behind(tmp_path / name, monkeypatch).touch()
    write_text(tmp_path / "new", "text")
    assert os.listdir(tmp_path) == ["new"]


def test_what_an_earlier_process_of_the_same_number_left(tmp_path, monkeypatch):
    """In a container that is started again, process 1 is process 1 again."""
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "_tokens", {})
        temporary_beside(tmp_path / "x.acn").touch()
    mine = temporary_beside(tmp_path / "y.acn")
    mine.touch()
    write_text(tmp_path / "new", "text")
    assert sorted(os.listdir(tmp_path)) == sorted(["new", mine.name])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says when a process began")
def test_a_number_that_was_given_to_another_process(tmp_path, monkeypatch):
    other = subprocess.Popen(["sleep", "60"])
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: other.pid)
            old, new = temporary_beside(tmp_path / "old"), temporary_beside(tmp_path / "new")
        for each in (old, new):
            each.touch()
        os.utime(old, (time.time() - 600,) * 2)
        remove_temporaries(tmp_path)
        assert os.listdir(tmp_path) == [new.name]
    finally:
        other.kill()
        other.wait()


def test_a_folder_for_files_that_go_into_another(tmp_path, monkeypatch):
    left_behind(tmp_path / "out", monkeypatch).mkdir()
    with pytest.raises(Crash), folder_beside(tmp_path / "out") as folder:
        (folder / "file").touch()
        assert os.listdir(tmp_path) == [folder.name] and is_temporary(folder)
        raise Crash
    assert not os.listdir(tmp_path)


def test_temporary_files_of_others_lie_where_the_next_writer_clears(tmp_path):
    before = tempfile.gettempdir()
    with temporary_files_beside(tmp_path / "model.keras"):
        made = tempfile.mkdtemp()
        (name,) = os.listdir(tmp_path)
        assert is_temporary(name) and os.path.dirname(made) == str(tmp_path / name)
    assert not os.listdir(tmp_path) and tempfile.gettempdir() == before


def test_long_names(tmp_path):
    path = tmp_path / ("ä" * 120 + ".npz")
    write_text(path, "text")
    assert path.read_text() == "text"


def test_a_folder_appears_whole(tmp_path):
    with NewFolder(tmp_path / "models", "1") as folder:
        (folder.path / "variables").mkdir()
        write_text(folder.path / "variables" / "data", "weights")
        assert is_temporary(folder.path)
        assert not (tmp_path / "models" / "1").exists()
    assert folder.path == tmp_path / "models" / "1"
    assert (folder.path / "variables" / "data").read_text() == "weights"
    assert os.listdir(tmp_path / "models") == ["1"]


def test_a_folder_that_fails_or_is_there_already_leaves_nothing(tmp_path):
    with pytest.raises(Crash), NewFolder(tmp_path, "1") as folder:
        (folder.path / "half").touch()
        raise Crash
    assert os.listdir(tmp_path) == []
    for there in (tmp_path / "1" / "saved", tmp_path / "2"):
        there.parent.mkdir(exist_ok=True)
        there.touch()
    for name in ("1", "2"):
        with pytest.raises(FileExistsError), NewFolder(tmp_path, name):
            pass
    assert sorted(os.listdir(tmp_path)) == ["1", "2"] and os.listdir(tmp_path / "1") == ["saved"]


def test_a_name_that_was_taken_meanwhile_is_asked_for_again(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved").touch()
    names = iter(["1", "2"])
    with NewFolder(tmp_path, lambda: next(names)) as folder:
        (folder.path / "saved").touch()
    assert folder.path == tmp_path / "2"
