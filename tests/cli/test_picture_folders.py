"""A folder of pictures through the commands: what is said of it, and its classes by name."""

import json

import numpy as np
import pytest
from PIL import Image

from keras_acn import experiment, figures
from keras_acn.cli import main
from keras_acn.experiment import tensorboard

TINY = ["--batch-size", "10", "--epochs", "1", "--no-figures", "-q"]
TINY += ["--set", "encoder.hidden=[8]", "--set", "decoder.hidden=[8]"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Pictures with a shape in the alpha channel alone, of two classes, one file damaged."""
    folder = tmp_path_factory.mktemp("data") / "my pictures"
    for label, name in enumerate(("ant hill", "bee")):
        for part, count in (("Train", 12), ("Val", 3)):
            (folder / part / name).mkdir(parents=True)
            for row in range(count):
                pixels = np.zeros((8, 8, 4), np.uint8)
                pixels[1 + label : 5, row % 5 : row % 5 + 3, 3] = 255
                Image.fromarray(pixels).save(folder / part / name / f"{row}.png")
    (folder / "Train" / "bee" / "x.png").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def run(pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    options = ["--data", f"images:{pictures}", "--background", "black", "--skip-damaged"]
    options += ["--movie", "--set", "data.grey=true", "--set", "data.background=200"]
    assert main(["train", *TINY, *options, "--out", str(out)]) == 0
    return out


def test_damaged_pictures_end_the_command(pictures, tmp_path, capsys):
    arguments = [
        "train",
        "digits",
        *TINY,
        "--data",
        f"images:{pictures}",
        "--out",
        str(tmp_path / "run"),
    ]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "Train/bee/x.png (empty)" in said and "--skip-damaged" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_was_read_otherwise_is_said_on_a_line(pictures, run, tmp_path, capsys):
    arguments = ["plot", str(run), "--only", "reconstructions", "--out", str(tmp_path)]
    assert main(arguments) == 0
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("Note: Skipped in ") and "x.png" in line for line in lines)
    assert any("laid on black" in line for line in lines)


@pytest.mark.slow
def test_the_options_are_kept_in_the_run_and_may_be_others_later(pictures, run):
    opened = experiment.open_run(run)
    assert opened.config.data.background == "black" and opened.config.data.skip_damaged
    assert opened.data.train.images.max() == 0  # black on black, as was asked for
    other = opened.load_data(background="white")
    assert set(np.unique(other.train.images)) == {0, 255}
    # Data of another kind take no such options.
    assert len(opened.load_data("digits").train) > 1000


@pytest.mark.slow
def test_classes_are_called_by_their_names(run):
    opened = experiment.open_run(run)
    assert opened.data.train.class_names == ("ant hill", "bee")
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["data"]["class_names"] == ["ant hill", "bee"]
    if tensorboard.installed():
        lines = (run / "tensorboard" / "images" / "labels.tsv").read_text().splitlines()
        assert sorted(set(lines)) == ["ant hill", "bee"] and len(lines) == 24
    drawn = figures.draw(opened, ["codes"], data=opened.load_data(background="white"))
    assert set(drawn["codes"].data["label"]) == {"ant hill", "bee"}
    _, classes = experiment.snapshots.read_snapshots(run / "snapshots")
    assert set(classes) == {"ant hill", "bee"}


@pytest.mark.slow
def test_evaluate_takes_classes_by_name(run, capsys):
    small = ["--samples", "1", "--iwae-samples", "0", "--no-probes", "--json"]
    assert main(["evaluate", str(run), "--classes", "be", *small]) == 2
    assert 'Did you mean "bee"' in capsys.readouterr().err
