import json

import numpy as np
import pytest
from codec_models import as_set, noise, small_model

from keras_acn import codec
from keras_acn.cli import main


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small_model().save("small.keras")
    np.save("x.npy", noise(30)[..., 0])
    np.save("grey.npy", noise(30, levels=256))
    return tmp_path


def test_there_and_back(place, capsys):
    assert main(["compress", "small.keras", "x.npy", "x.acn"]) == 0
    out = capsys.readouterr().out
    assert "30 in" in out and "decoded again to verify" in out and "order    as it was" in out
    assert main(["info", "x.acn"]) == 0
    out = capsys.readouterr().out
    assert "model    small, " in out and "30x6x5 of |u1" in out and "bits per dimension" in out
    assert main(["decompress", "x.acn", "y.npy", "--model", "small.keras"]) == 0
    assert "y.npy: 30x6x5 numbers" in capsys.readouterr().out
    assert (place / "y.npy").read_bytes() == (place / "x.npy").read_bytes()


def test_a_set_as_json(place, capsys):
    arguments = ["compress", "small.keras", "npy:x.npy", "x.acn", "--mode", "set", "--json"]
    assert main([*arguments, "--lanes", "3", "--block", "11", "--no-verify", "--limit", "25"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["images"], told["lanes"], told["mode"], told["verified"]) == (25, 3, "set", False)
    assert told["file_bytes"] == (place / "x.acn").stat().st_size
    assert main(["info", "x.acn", "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["gross_bits_per_dim"] == pytest.approx(told["gross_bits_per_dim"])
    assert info["array_shape"] == [25, 6, 5] and len(info["model_hash"]) == 32


def test_a_set_that_is_its_own_codebook(place, capsys):
    # A model that has forgotten its codes reads what the model itself wrote, and the other way.
    codec.without_codes(small_model()).save("smaller.keras")
    assert main(["compress", "small.keras", "x.npy", "x.acn"]) == 0
    arguments = ["x.npy", "x.acn", "--mode", "set", "--codes", "seen"]
    assert main(["compress", "small.keras", *arguments]) == 0
    out = capsys.readouterr().out
    assert "order    sorted: the set is kept" in out and "codes    of the images before" in out
    assert main(["info", "x.acn", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["codes"] == "seen"
    assert main(["decompress", "x.acn", "y.npy", "--model", "smaller.keras"]) == 0
    assert as_set(np.load("y.npy")) == as_set(np.load("x.npy"))
    capsys.readouterr()
    assert main(["compress", "smaller.keras", "x.npy", "x.acn"]) == 2
    assert "--codes seen" in capsys.readouterr().err


def test_binarize(place, capsys):
    assert main(["compress", "small.keras", "grey.npy", "x.acn"]) == 2
    assert "--binarize threshold" in capsys.readouterr().err
    assert not (place / "x.acn").exists()
    assert main(["compress", "small.keras", "grey.npy", "x.acn", "--binarize", "threshold"]) == 0
    assert main(["decompress", "x.acn", "y.npy", "--model", "small.keras"]) == 0
    np.testing.assert_array_equal(np.load("y.npy"), np.load("grey.npy") > 127.5)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["compress", "small.keras", "x.npy", "x.zip"], "name it so"),
        (["compress", "small.keras", "nothing.npy", "x.acn"], "no file or folder"),
        (["compress", "small.keras", "nothing", "x.acn"], "Unknown data source"),
        (["compress", "nothing", "x.npy", "x.acn"], 'no model "nothing"'),
        (["compress", "small.keras", "x.npy", "no/x.acn"], "cannot be written"),
        (["compress", "small.keras", "x.npy", "x.acn", "--keep-order"], "keeps the order anyway"),
        (
            ["compress", "small.keras", "x.npy", "x.acn", "--mode", "tour", "--codes", "seen"],
            "--mode set --codes seen",
        ),
        (["decompress", "x.npy", "y.npy"], "no .acn file"),
        (["decompress", "missing.acn", "y.npy"], "cannot be read"),
        (["info", "x.npy"], "no .acn file"),
    ],
)
def test_wrong_input_is_one_sentence(place, capsys, arguments, sentence):
    before = sorted(place.iterdir())
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert sorted(place.iterdir()) == before


def test_a_file_that_needs_its_model(place, capsys):
    assert main(["compress", "small.keras", "x.npy", "x.acn"]) == 0
    assert main(["decompress", "x.acn", "y.npy"]) == 2
    assert '"small"' in capsys.readouterr().err
    assert main(["decompress", "x.acn", "y.txt", "--model", "small.keras"]) == 2
    assert ".npy file" in capsys.readouterr().err


@pytest.mark.slow
def test_a_shipped_model_is_found_by_itself(place, capsys):
    images = np.zeros((2, 28, 28), np.uint8)
    images[:, 5:20, 12:15] = 255
    np.save("ones.npy", images)
    assert main(["compress", "acn-mnist", "ones.npy", "x.acn", "--mode", "set", "--no-verify"]) == 0
    assert main(["decompress", "x.acn", "y.npy"]) == 0
    np.testing.assert_array_equal(np.load("y.npy"), images)
