"""What was ever found to end otherwise is read or refused now, and so are some new files."""

import pathlib
import time

import pytest
from fuzz import PARSERS, Parser, case_of, outcome

from keras_acn import UserError

CORPUS = pathlib.Path(__file__).parent / "corpus"
FOUND = sorted(path for path in CORPUS.rglob("*") if path.is_file())
FINE = ("read", "refused")


def test_every_parser_has_some():
    assert {path.parent.name for path in FOUND} <= set(PARSERS)
    assert len(FOUND) > 50


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_what_was_found(name, tmp_path):
    for path in FOUND:
        if path.parent.name == name:
            assert outcome(name, path.read_bytes(), tmp_path) in FINE, path.name


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_what_is_good_is_read(name, tmp_path):
    parser = PARSERS[name]
    for content in parser.seeds() if parser.share == 1 else parser.seeds()[:1]:
        assert outcome(name, content, tmp_path) == "read"


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_some_new_ones(name, tmp_path):
    for number in range(max(2, int(10 * PARSERS[name].share))):
        assert outcome(name, case_of(name, number), tmp_path) in FINE, number


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PARSERS))
def test_many_new_ones(name, tmp_path):
    for number in range(int(500 * PARSERS[name].share)):
        assert outcome(name, case_of(name, number, seed=1), tmp_path) in FINE, number


def test_a_case_is_the_same_each_time():
    assert case_of("npz", 3) == case_of("npz", 3) != case_of("npz", 4)
    assert case_of("idx", 3, seed=1) != case_of("idx", 3)


def test_what_is_not_fine_is_told(tmp_path, monkeypatch):
    def parse(path):
        content = path.read_bytes()
        if content == b"a":
            raise KeyError("a")
        if content == b"b":
            raise UserError("b" * 10_000)
        if content == b"c":
            time.sleep(5)
        if content == b"d":
            raise UserError("No.")

    monkeypatch.setitem(PARSERS, "x", Parser("x", list, None, parse))
    told = [outcome("x", each, tmp_path, seconds=0.05) for each in (b"a", b"b", b"c", b"d", b"e")]
    assert told == ["KeyError: 'a'", "a sentence of 10000 letters", "more than 0.05 s", *FINE[::-1]]
