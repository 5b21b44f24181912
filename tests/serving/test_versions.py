"""Version folders: whole or not there, numbered, never written over."""

import contextlib
import os
import threading

import pytest

from keras_acn import UserError
from keras_acn.serving.export import new_version, versions


def write(folder, version=None, text="whole"):
    with new_version(folder, version) as new:
        (new.path / "variables").mkdir()
        (new.path / "variables" / "data").write_text(text)
    return new.path


def test_the_next_free_number(tmp_path):
    folder = tmp_path / "deep" / "model"
    assert [write(folder).name for _ in range(3)] == ["1", "2", "3"]
    assert write(folder, 10).name == "10"
    assert write(folder).name == "11"
    assert write(folder, 5).name == "5"
    assert versions(folder) == [1, 2, 3, 5, 10, 11]
    assert sorted(os.listdir(folder)) == ["1", "10", "11", "2", "3", "5"]


def test_what_is_no_version_does_not_count(tmp_path):
    for name in ("model.keras", "7x", "-3", ".9", "²"):
        (tmp_path / name).mkdir()
    assert versions(tmp_path) == []
    # A server reads leading zeros as a number.
    (tmp_path / "007").mkdir()
    assert write(tmp_path).name == "8"
    with pytest.raises(UserError, match="has a version 7 already: .* 9, the next"):
        write(tmp_path, 7)


def test_a_version_is_never_written_over(tmp_path):
    write(tmp_path, 1, "old")
    with pytest.raises(UserError, match="has a version 1 already"):
        write(tmp_path, 1, "new")
    assert (tmp_path / "1" / "variables" / "data").read_text() == "old"
    (tmp_path / "2").mkdir()
    with pytest.raises(UserError, match="has a version 2 already"):
        write(tmp_path, 2)


def test_one_that_comes_in_between(tmp_path):
    with new_version(tmp_path) as new:
        (new.path / "data").write_text("mine")
        (tmp_path / "1").mkdir()
    assert new.path.name == "2"
    with pytest.raises(UserError, match="version 3 already"):
        with new_version(tmp_path, 3):
            (tmp_path / "3").mkdir()


def test_two_that_write_at_the_same_time(tmp_path):
    with new_version(tmp_path) as one, new_version(tmp_path) as other:
        (one.path / "data").write_text("one")
        (other.path / "data").write_text("other")
        assert versions(tmp_path) == []
    assert (other.path.name, one.path.name) == ("1", "2")
    assert [(tmp_path / n / "data").read_text() for n in "12"] == ["other", "one"]
    assert sorted(os.listdir(tmp_path)) == ["1", "2"]


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError):
        with new_version(tmp_path) as new:
            (new.path / "half").write_text("half")
            raise RuntimeError
    assert os.listdir(tmp_path) == []


def test_a_polling_server_never_sees_a_half(tmp_path):
    # So many files that anything but a rename would take its time.
    names, seen, stop = {str(i) for i in range(300)}, [], threading.Event()

    def poll():
        while not stop.is_set():
            for version in versions(tmp_path):
                with contextlib.suppress(FileNotFoundError):
                    seen.append(set(os.listdir(tmp_path / str(version))))

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        for _ in range(4):
            with new_version(tmp_path) as new:
                for name in names:
                    (new.path / name).touch()
    finally:
        stop.set()
        thread.join()
    assert seen and all(found == names for found in seen)


@pytest.mark.parametrize("version", [0, -1, 1.5, "2", True, 2**63])
def test_no_version(tmp_path, version):
    with pytest.raises(UserError, match="whole number of at least 1"):
        write(tmp_path, version)


def test_no_version_after_the_last(tmp_path):
    write(tmp_path, 2**63 - 1)
    with pytest.raises(UserError, match="servers know none above"):
        write(tmp_path)
    assert write(tmp_path, 3).name == "3"


def test_folders_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is no folder"):
        write(tmp_path / "file")
    with pytest.raises(UserError, match="is no folder"):
        write(tmp_path / "file" / "below")
