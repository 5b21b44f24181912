"""Bad input of every kind: one sentence on stderr, exit code 2, never a traceback."""

import gzip
import json
import shutil
import struct

import numpy as np
import pytest
from PIL import Image

from keras_acn.cli import main
from keras_acn.experiment.config import FORMAT

rng = np.random.default_rng(0)


def idx(shape, magic=0x00000803, count=None):
    """The bytes of an IDX file of uint8 images."""
    head = struct.pack(">IIII", magic, shape[0] if count is None else count, *shape[1:])
    return head + rng.integers(0, 256, shape, np.uint8).tobytes()


def idx_folder(folder, images):
    folder.mkdir()
    (folder / "train-images-idx3-ubyte").write_bytes(images)
    (folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x00000801, 20) + bytes(20))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained run on 8x8 images."""
    folder = tmp_path_factory.mktemp("run") / "run"
    arguments = ["train", "digits", "--set", "data.limit=40", "--set", "encoder.hidden=[4]", "-q"]
    arguments += ["--batch-size", "20", "--epochs", "1", "--no-figures", "--out", str(folder)]
    assert main(arguments) == 0
    return folder


@pytest.fixture
def files(tmp_path, run):
    """A folder with everything that the cases below name."""

    def npy(name, array):
        np.save(tmp_path / f"{name}.npy", array)

    good = rng.random((20, 8, 8, 1)).astype(np.float32)
    with_nan, out_of_range = good.copy(), good.copy()
    with_nan[3, 2, 1] = np.nan
    out_of_range[3] = -1
    npy("nan", with_nan)
    npy("range", out_of_range)
    npy("one", good[:1].round())
    npy("few", good[:3].round())
    npy("empty", good[:0])
    npy("flat", good.reshape(-1))
    npy("words", np.array(["a", "b"]))
    npy("large", rng.random((20, 9, 9)).astype(np.float32))
    (tmp_path / "text.npy").write_text("not an array")
    np.savez(tmp_path / "names.npz", pictures=good)
    idx_folder(tmp_path / "magic", idx((20, 8, 8), magic=0x12345678))
    idx_folder(tmp_path / "short", idx((20, 8, 8), count=30))
    folder = idx_folder(tmp_path / "truncated", b"")
    (folder / "train-images-idx3-ubyte").unlink()
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx((20, 8, 8)))[:200])
    (tmp_path / "no-images").mkdir()
    (tmp_path / "corrupt").mkdir()
    (tmp_path / "corrupt" / "a.png").write_bytes(b"no picture")
    (tmp_path / "sizes").mkdir()
    for i, size in enumerate([(8, 8), (9, 8), (8, 8)]):
        Image.new("L", size).save(tmp_path / "sizes" / f"{i}.png")
    (tmp_path / "broken.yaml").write_text("training: [")
    (tmp_path / "typo.yaml").write_text("preset: digits\ntraining: {epoch: 3}")
    (tmp_path / "twice.yaml").write_text("seed: 1\nseed: 2")
    (tmp_path / "odd-key.yaml").write_text("? [a, b]\n: 1\n")
    (tmp_path / "date.yaml").write_text("training: {learning_rate: 2001-99-99}\n")
    (tmp_path / "deep.yaml").write_text("a: " + "[" * 5000)
    (tmp_path / "in-use").mkdir()
    (tmp_path / "in-use" / "thesis.txt").touch()
    shutil.copytree(run, tmp_path / "newer")
    config = (run / "config.yaml").read_text()
    assert f"format: {FORMAT}" in config
    (tmp_path / "newer" / "config.yaml").write_text(
        config.replace(f"format: {FORMAT}", f"format: {FORMAT + 1}")
    )
    shutil.copytree(run, tmp_path / "newer-quoted")
    (tmp_path / "newer-quoted" / "config.yaml").write_text(
        config.replace(f"format: {FORMAT}", f'format: "{FORMAT + 1}"')
    )
    shutil.copytree(run, tmp_path / "blank")
    (tmp_path / "blank" / "checkpoints" / "last.npz").write_bytes(b"")
    (tmp_path / "blank" / "metrics.json").unlink()
    for name, text in (("word", "epoch,loss\n1,abc\n"), ("no-epoch", "loss\n1.0\n")):
        shutil.copytree(run, tmp_path / name)
        (tmp_path / name / "history.csv").write_text(text)
    for name, text in (("list", "[]"), ("no-count", '{"finished": true}')):
        shutil.copytree(run, tmp_path / name)
        (tmp_path / name / "metrics.json").write_text(text)
    shutil.copytree(run, tmp_path / "damaged")
    (tmp_path / "damaged" / "model.keras").write_bytes(b"PK no model")
    (tmp_path / "damaged" / "checkpoints" / "last.npz").write_bytes(b"PK")
    (tmp_path / "damaged" / "metrics.json").unlink()
    shutil.copytree(run, tmp_path / "run")
    return tmp_path


TRAIN = "train digits --epochs 1 --batch-size 2 --out new "
CASES = {
    # What is typed.
    "unknown command": ("trian", 'Did you mean "train"'),
    "unknown preset": ("train digit", 'Did you mean "digits"'),
    "unknown option": ("train --epoch 3", "--epochs"),
    "too many words": ("train digits blog-acn", "blog-acn"),
    "no number": ("train --epochs many", "many"),
    "no epochs": ("train --epochs 0", "--epochs"),
    "negative seed": ("train --seed -1", "--seed"),
    "no preset to show": ("presets blogacn", 'Did you mean "blog-acn"'),
    "no model": ("evaluate", "MODEL"),
    "no steps": ("daydream run --steps 0", "--steps"),
    # What is set.
    "unknown key": (TRAIN + "--set training.epoch=3", 'Did you mean "epochs"'),
    "unknown section": (TRAIN + "--set trainig.epochs=3", 'Did you mean "training"'),
    "nothing set": (TRAIN + "--set training.epochs", "part.option=value"),
    "bad choice": (TRAIN + "--set training.schedule=cosin", 'Did you mean "cosine"'),
    "bad number": (TRAIN + "--set training.learning_rate=fast", "must be a number"),
    "bad binarization": (TRAIN + "--set data.binarize=statik", 'Did you mean "static"'),
    "unknown part": (TRAIN + "--set encoder=convolutional", "Unknown encoder"),
    "unknown option of a part": (TRAIN + "--set encoder.hiden=[3]", 'Did you mean "hidden"'),
    "unknown likelihood": (
        TRAIN + "--set decoder=mlp --set decoder.likelihood=bernouli",
        'Did you mean "bernoulli"',
    ),
    "unknown activation": (TRAIN + "--set encoder.activation=rleu", "rleu"),
    "widths that are none": (TRAIN + "--set encoder.hidden=wide", "encoder"),
    "unknown search": (TRAIN + "--set codebook.search=exat", 'Did you mean "exact"'),
    "option of a search": (TRAIN + "--set codebook.search.block=abc", "codebook"),
    "seed of the model": (TRAIN + "--set model.seed=3", "write seed"),
    "shape of the model": (TRAIN + "--set model.image_shape=[8,8,1]", "follows from the data"),
    "encoder of the model": (TRAIN + "--set model.encoder=conv", "write encoder"),
    "prior of the model": (TRAIN + "--set model.prior.components=4", "write prior"),
    "decoder of the model": (TRAIN + "--set model.decoder.hidden=[3]", "write decoder"),
    "codebook of the model": (TRAIN + "--set model.codebook.k=3", "write codebook"),
    "prior of another model": (
        TRAIN + "--set prior.components=4 --set model.name=VAE",
        "components",
    ),
    # Files of settings.
    "missing file": (TRAIN + "--config none.yaml", "no file none.yaml"),
    "broken file": (TRAIN + "--config broken.yaml", "not valid YAML"),
    "typing error in a file": (TRAIN + "--config typo.yaml", 'Did you mean "epochs"'),
    "key given twice": (TRAIN + "--config twice.yaml", "given twice"),
    "key that is a list": (TRAIN + "--config odd-key.yaml", "in line 1: a key must be a word"),
    "date that is none": (TRAIN + "--config date.yaml", "training.learning_rate must be a number"),
    "sections without an end": (TRAIN + "--config deep.yaml", "is not valid YAML"),
    "folder as a file": (TRAIN + "--config in-use", "is a folder"),
    # Data.
    "unknown source": (TRAIN + "--data ixd:magic", 'Did you mean "idx:magic"'),
    "missing data": (TRAIN + "--data npy:none.npy", "none.npy"),
    "missing folder": (TRAIN + "--data idx:none", "none"),
    "wrong magic number": (TRAIN + "--data idx:magic", "magic"),
    "truncated gzip": (TRAIN + "--data idx:truncated", "train-images-idx3-ubyte.gz"),
    "fewer images than it says": (TRAIN + "--data idx:short", "train-images-idx3-ubyte"),
    "NaN": (TRAIN + "--data npy:nan.npy", "NaN"),
    "out of range": (TRAIN + "--data npy:range.npy", "[0, 1]"),
    "no array": (TRAIN + "--data npy:text.npy", "text.npy"),
    "flat array": (TRAIN + "--data npy:flat.npy", "[N, H, W]"),
    "words for images": (TRAIN + "--data npy:words.npy", "words.npy"),
    "no images at all": (TRAIN + "--data npy:empty.npy", "empty"),
    "unknown names in an archive": (TRAIN + "--data npz:names.npz", "x_train"),
    "empty folder": (TRAIN + "--data images:no-images", "no-images"),
    "corrupt picture": (TRAIN + "--data images:corrupt", "a.png"),
    "pictures of two sizes": (TRAIN + "--data images:sizes", "resize"),
    "one image only": (TRAIN + "--data npy:one.npy", "image"),
    "k as large as the data": (TRAIN + "--data npy:few.npy", "codebook.k"),
    "batch larger than the data": ("train digits --batch-size 5000 --out new", "--batch-size"),
    "everything held out": (TRAIN + "--set data.validation=5000", "validation"),
    # Folders to write to.
    "folder in use": ("train --out in-use", "not empty"),
    "folder of a run": ("train --out run", "--resume run"),
    "file as a folder": ("train --out one.npy", "is a file"),
    "unwritable folder": ("train --out /proc/new/run", "choose another --out"),
    "unwritable figures": ("plot run --out one.npy", "is a file"),
    # Runs and models.
    "missing run": ("train --resume none", "no run to resume"),
    "run of a newer version": ("train --resume newer", "newer keras-acn"),
    "run of a newer version, quoted": ("train --resume newer-quoted", "newer keras-acn"),
    "model of a newer version": ("evaluate newer", "newer keras-acn"),
    "resumed with other settings": ("train --resume run --seed 5", "seed was 0, not 5"),
    "resumed with fewer epochs": (
        "train --resume run --epochs 1 --set training.batch_size=3",
        "training.batch_size was 20",
    ),
    "resumed elsewhere": ("train --resume run --out new", "leave out --out"),
    "resumed as another preset": ("train blog-acn --resume run", 'preset "digits"'),
    "damaged checkpoint": ("train --resume damaged --epochs 2", "is damaged"),
    "empty checkpoint": ("train --resume blank --epochs 2", "is damaged"),
    "history with a word": ("plot word --out new", "history.csv is damaged"),
    "history without epochs": ("plot no-epoch --out new", "history.csv is damaged"),
    "metrics that are a list": ("train --resume list --epochs 2", "metrics.json is damaged"),
    "metrics without epochs": ("train --resume no-count", "metrics.json is damaged"),
    "missing model": ("evaluate none", 'no model "none"'),
    "no model file": ("daydream one.npy", "is no model"),
    "no run folder": ("plot in-use", "is no run folder"),
    "damaged model": ("daydream damaged", "is damaged"),
    "images of another shape": ("daydream run --data npy:large.npy", "(9, 9, 1)"),
    "missing split": ("daydream run --split validation", "no validation split"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_sentence(case, files, monkeypatch, capfd):
    monkeypatch.chdir(files)
    command, word = CASES[case]
    code = main(command.split())
    out, err = capfd.readouterr()
    assert code == 2, out + err
    assert err.startswith("Error: ") and err.count("\n") == 1, err
    assert word in err
    assert "Traceback" not in err
    assert out == ""
    assert not (files / "new").exists()


def test_there_are_enough_cases():
    assert len(CASES) >= 25


def test_an_error_of_the_system_is_one_sentence(files, monkeypatch, capfd):
    monkeypatch.chdir(files)
    (files / "run" / "metrics.json").unlink()
    (files / "run" / "metrics.json").mkdir()
    assert main(["train", "--resume", "run"]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and "(is a directory): move that folder away" in error
    assert main(["evaluate", "x" * 300]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and "(file name too long): give a shorter path" in error


def test_a_run_without_its_checkpoint_is_not_begun_again(files, monkeypatch, capfd):
    monkeypatch.chdir(files)
    (files / "run" / "checkpoints" / "last.npz").unlink()
    before = {path: path.read_bytes() for path in (files / "run").rglob("*") if path.is_file()}
    assert main(["train", "--resume", "run", "--epochs", "5"]) == 2
    assert "training.start_from=run" in capfd.readouterr().err
    assert before == {path: path.read_bytes() for path in before}


def test_a_file_where_a_run_writes_a_folder(files, monkeypatch, capfd):
    monkeypatch.chdir(files)
    shutil.rmtree(files / "run" / "tensorboard")
    (files / "run" / "tensorboard").write_text("x")
    assert main(["train", "--resume", "run", "--epochs", "2"]) == 2
    assert "tensorboard" in capfd.readouterr().err


def test_a_model_beside_a_strangers_config_is_used_with_data(files, monkeypatch, capfd):
    monkeypatch.chdir(files)
    shutil.copy("run/model.keras", "in-use")
    (files / "in-use" / "config.yaml").write_text("format: png\ncolors: [red]\n")
    command = "daydream in-use/model.keras --steps 1 --out dream.png"
    assert main(command.split()) == 2
    assert "--data" in capfd.readouterr().err
    assert main([*command.split(), "--data", "digits"]) == 0, capfd.readouterr().err


def test_an_end_of_file_of_ours_is_not_taken_for_ctrl_c(files, monkeypatch):
    def broken(path):
        raise EOFError

    monkeypatch.chdir(files)
    monkeypatch.setattr("keras_acn.models.load_model", broken)
    with pytest.raises(EOFError):
        main(["daydream", "run"])


def test_a_fault_of_ours_is_not_hidden(files, monkeypatch):
    def broken(path):
        raise ZeroDivisionError

    monkeypatch.chdir(files)
    monkeypatch.setattr("keras_acn.models.load_model", broken)
    with pytest.raises(ZeroDivisionError):
        main(["daydream", "run"])


def test_metrics_are_json(run):
    assert json.loads((run / "metrics.json").read_text())["finished"]
