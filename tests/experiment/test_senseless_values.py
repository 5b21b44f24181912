"""Values that can be read and make no sense: one short sentence each, nothing in silence."""

import json
import os
import zipfile

import numpy as np
import pytest

from keras_acn._base.atomic import write_text
from keras_acn._base.errors import UserError, short
from keras_acn._base.lock import holder
from keras_acn.cli import main
from keras_acn.experiment import build, load_config, loggers, sweep, yaml
from keras_acn.experiment.checkpoint import read
from keras_acn.experiment.folder import Run, open_run
from keras_acn.experiment.summary import SweepLines
from keras_acn.experiment.sweep import COSTS, read_sweep
from keras_acn.html_report.evaluated import read_evaluation
from keras_acn.serving import card

NINES = "9" * 5000
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
# PyYAML copies what `<<` names: 30 times more with each line, and 100 million at once.
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 30)}]}}\n" for i in range(1, 8)
)
WIDE_MERGE = (
    "a: &a {" + ", ".join(f"k{i}: 1" for i in range(200)) + "}\nb: {<<: [" + "*a, " * 1000 + "]}\n"
)
VALUES = {
    "a date": "2001-99-99",
    "a tagged number": "!!int x",
    "a tagged time": "!!timestamp x",
    "a tagged list as a time": "!!timestamp [a]",
    "a tagged truth": "!!bool x",
    "an empty float": "!!float ''",
    "bytes": "!!binary aGk=",
    "a set": "!!set {a}",
    "pairs": "!!pairs [a: 1]",
    "a Python object": "!!python/object:os.system x",
    "digits": NINES,
    "hexadecimal digits": "0x" + "f" * 5000,
    "20 digits": "1" * 20,
    "brackets": "[" * 5000,
    "braces": "{a: " * 5000,
    "a list in itself": "&a [*a]",
    "a section in itself": "&a {b: *a}",
    "long text": "x" * 200_000,
    "infinity": "1e400",
    "a list as a key": "{? [a, b] : 1}",
    "a truth": "true",
    "another truth": "yes",
    "minutes and seconds": "1:30",
    "hours, minutes and seconds": "190:20:30.15",
    "an equals sign": "=",
    "a zero character": '"\\0"',
    "half a character": '"\\ud800"',
}


def refused(call):
    with pytest.raises(UserError) as caught:
        call()
    sentence = str(caught.value)
    assert len(sentence) < 600 and "Traceback" not in sentence
    return sentence


@pytest.mark.parametrize(
    "option",
    [
        "training.warmup_epochs=1e308",
        "training.kl_warmup_epochs=1e308",
        "training.kl_schedule=[[0, 1], [1e308, 2]]",
        "training.epochs=1000000000000000000",
        "training.steps_per_epoch=1000000000000000000",
        "training.batch_size=1000000000000000000",
        "training.steps_per_execution=1000000000000000000",
    ],
)
def test_trainings_that_no_number_of_steps_counts(option):
    assert "at most 1" in refused(lambda: load_config("digits", overrides=[option]))


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("option", ["training.epochs", "seed", "model.latent_dim"])
def test_values_that_make_no_sense(name, option, tmp_path):
    refused(lambda: load_config("digits", overrides=[f"{option}={VALUES[name]}"]))
    file = tmp_path / "config.yaml"
    *sections, last = option.split(".")
    file.write_text("".join(f"{each}:\n  " for each in sections) + f"{last}: {VALUES[name]}\n")
    refused(lambda: load_config(file=file))


@pytest.mark.parametrize(
    "text",
    [
        *("? [a, b]\n: 1\n", "? {a: b}\n: 1\n", "? ? ? a\n", "[" * 5000, "!!int x: 1\n"),
        *("trainning:\n", "trainning: null\n", "null: 3\n", "x" * 200_000 + ": 1\n"),
        *("preset: " + "x" * 200_000, f"format: {NINES}\n", "format: []\n", LAUGHS),
        *("# " + "x" * 1_000_000, "a: 1\n---\nb: 2\n", "%TAG x\n", "<<: 5\n"),
        *(MERGES, WIDE_MERGE, "a: &a\n  <<: *a\n", "a: &a {<<: [*a, *a]}\n"),
    ],
    ids=range(21),
)
def test_files_that_make_no_sense(text, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    refused(lambda: load_config(file=file))


@pytest.mark.parametrize(
    "setting,told",
    [
        ("model.latent_dim=1000000000000", "memory that this machine has"),
        ("encoder.hidden=[9223372036854775807]", "memory that this machine has"),
        ("prior.components=1000000000000", "memory that this machine has"),
        ("encoder={name: conv, convolutions: 1000000000}", "at most 1,000"),
        ("decoder={name: pixelcnn, layers: 1000000000}", "at most 1,000"),
    ],
)
def test_networks_that_no_machine_holds(setting, told):
    config = load_config("digits", overrides=[setting])
    with pytest.raises(UserError, match=told):
        build.build_model(config, (8, 8, 1), 200)


def test_sections_that_are_brought_in_by_name(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("codebook: &c {k: 3}\nprior: {<<: {components: 2}, components: 4}\n")
    config = load_config(file=file)
    assert config.codebook.k == 3 and config.prior.as_dict() == {"components": 4}


@pytest.mark.parametrize("key", ["trainning", "x" * 200_000, "." * 5000, "a." * 5000 + "b"])
def test_names_that_nothing_has(key):
    for value in ("null", "1"):
        refused(lambda value=value: load_config("digits", overrides=[f"{key}={value}"]))
    near = refused(lambda: load_config("digits", overrides=["trainning=null"]))
    assert 'Did you mean "training"?' in near


def test_a_leading_zero_makes_no_other_number():
    config = load_config("digits", overrides=["training.epochs=010", "model.beta=08.5"])
    assert config.training.epochs == 10 and config.model.beta == 8.5


@pytest.mark.parametrize("text", ["1:30", "010", "=", "0b1", "1_0", "1e3", "yes", "~", ".inf"])
def test_text_that_looks_like_a_value_comes_back_as_text(text):
    assert yaml.parse(yaml.dump({"a": text}), "It") == {"a": text}


def test_dates_are_text():
    assert yaml.parse("[2001-01-01, 2001-99-99]", "x") == ["2001-01-01", "2001-99-99"]
    assert load_config("digits", overrides=["data.source=2001-01-01"]).data.source == "2001-01-01"
    # What is written is read back as it was.
    written = yaml.dump({"a": "2001-01-01", "b": "1e3", "c": "null"})
    assert yaml.parse(written, "x") == {"a": "2001-01-01", "b": "1e3", "c": "null"}


def test_a_config_without_an_end_is_not_read(tmp_path):
    assert "device" in refused(lambda: load_config(file="/dev/zero"))
    os.mkfifo(tmp_path / "pipe")
    assert "pipe" in refused(lambda: load_config(file=tmp_path / "pipe"))
    (tmp_path / "config.yaml").symlink_to("/dev/zero")
    refused(lambda: load_config(file=tmp_path / "config.yaml"))


def test_what_is_long_is_cut(capsys):
    assert short("a" * 80) == "a" * 80 and short(10**6000).startswith("a int that is too long")
    assert main(["train", "--set", "training.epochs=" + "x" * 100_000]) == 2
    assert len(capsys.readouterr().err) < 600


META = {"epoch": 1, "step": 0, "seconds": 0.0, "history": [{"epoch": 1, "loss": 2.0}]}


@pytest.mark.parametrize(
    "change",
    [
        *({"epoch": "x"}, {"epoch": -1}, {"epoch": 1e9}, {"epoch": 1.5}, {"step": -3}),
        *({"step": "y"}, {"history": 5}, {"history": [{"epoch": "x"}]}),
        *({"seconds": "long"}, {"history": None}, {"more": 1}, {"epoch": 2}),
    ],
    ids=str,
)
def test_a_checkpoint_that_tells_nonsense_is_damaged(change, tmp_path):
    def save(meta):
        np.savez(path, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), a=np.zeros(2))

    path = tmp_path / "last.npz"
    save(META)
    assert read(path)[0].epoch == 1
    save({**META, "history": [], "epoch": 10**9})
    assert "is damaged" in refused(lambda: read(path))
    save({**META, **change})
    assert "is damaged" in refused(lambda: read(path))
    np.savez_compressed(path, meta=np.zeros(10**6, np.uint8))
    assert "is damaged" in refused(lambda: read(path))


@pytest.mark.parametrize(
    "text",
    [
        *('{"epochs": "x"}', '{"epochs": -1}', "[]", "5", '{"train": 5}', '{"finished": 3}'),
        *('{"train": {"loss": "x"}}', '{"finished": true}', "[" * 10_000 + "]" * 10_000, "{"),
        *('{"seconds": "x"}', '{"test": [1]}', '{"codebook": null}', ""),
        *('{"finished": true, "epochs": 2, "seconds": []}', '{"seconds": 2.0}', '{"epochs": 2}'),
        '{"finished": true, "epochs": 2, "is_code_length": 3}',
    ],
    ids=range(18),
)
def test_figures_that_are_nonsense_are_damaged(text, tmp_path):
    (tmp_path / "metrics.json").write_text(text)
    run = Run(tmp_path, tmp_path, tmp_path / "model.keras", None)
    assert "is damaged" in refused(lambda: run.metrics)
    (tmp_path / "metrics.json").write_text(
        '{"finished": true, "epochs": 2, "train": {"loss": null, "kl_nats": 1}}'
    )
    assert run.metrics["epochs"] == 2


@pytest.mark.parametrize(
    "text",
    [
        *("[]", "{", "[" * 10_000, '{"code_length": []}', '{"code_length": {"costs": [1]}}'),
        *('{"code_length": {"costs": {"a": 5}}}', '{"importance_weighted": {"nats": 1}}'),
        *('{"probes": {"codes": 1}}', '{"probes": {"knn_accuracy": "x"}}', ""),
    ],
    ids=range(10),
)
def test_a_report_says_that_an_evaluation_is_damaged(text, tmp_path):
    run = Run(tmp_path, tmp_path, tmp_path / "model.keras", None)
    assert read_evaluation(run) is None
    (tmp_path / "evaluation.json").write_text(text)
    assert "is damaged" in refused(lambda: read_evaluation(run))
    (tmp_path / "evaluation.json").write_text('{"code_length": {"costs": {"a": {"nats": null}}}}')
    assert read_evaluation(run).code_length.costs["a"].nats is None


@pytest.mark.parametrize("text", ["[]", "{", '{"mlflow": 5}', "[" * 10_000])
def test_names_that_loggers_cannot_have_given(text, tmp_path):
    run = Run(tmp_path, tmp_path, tmp_path / "model.keras", None)
    loggers._keep_name(run, "mlflow", "a")
    loggers._keep_name(run, "wandb", "b")
    assert loggers._names(run) == {"mlflow": "a", "wandb": "b"}
    (tmp_path / "loggers.json").write_text(text)
    assert "is damaged" in refused(lambda: loggers._names(run))


@pytest.mark.parametrize("costs", [{}, {"train": {}}, {"train": dict.fromkeys(COSTS)}])
def test_costs_that_were_not_noted(costs, tmp_path, capsys):
    run = tmp_path / "sweep" / "beta=1"
    run.mkdir(parents=True)
    config = load_config("digits")
    (run / "config.yaml").write_text(config.to_yaml())
    (run / "metrics.json").write_text(json.dumps({"finished": True, "epochs": 50, **costs}))
    planned = sweep.plan("digits", {"beta": [1]})
    sweep.write_sweep(run.parent, planned)
    (row,) = sweep.table(run.parent)
    assert row["finished"] and row["total_nats"] is None
    SweepLines(planned).hooks()["on_end"](planned.points[0], open_run(run), False)
    assert "total nan nats" in capsys.readouterr().out
    assert "- | - |" in card._figures({"train": {"total_nats": 1.0, **costs.get("train", {})}})


@pytest.mark.parametrize(
    "name",
    ["config.yaml", "metrics.json", "history.csv", "sweep.yaml", "evaluation.json", "loggers.json"],
)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_pipes_and_devices_in_a_run_folder(name, kind, tmp_path):
    (tmp_path / "config.yaml").write_text("format: 1\n")
    (tmp_path / "sweep.yaml").write_text("options: []\nbase: {}\n")
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name) if kind == "pipe" else (tmp_path / name).symlink_to("/dev/zero")

    def read_all():
        run = open_run(tmp_path)
        read_evaluation(run), loggers._names(run)
        return run.metrics, run.history, read_sweep(tmp_path)

    refused(read_all)


@pytest.mark.parametrize("options", ["[3]", "abc", "{a: 1}", "[[a]]", "null"])
def test_a_sweep_of_what_is_no_option_is_damaged(options, tmp_path):
    (tmp_path / "sweep.yaml").write_text(f"options: {options}\nbase: {{}}\n")
    assert "is damaged" in refused(lambda: read_sweep(tmp_path))


def test_names_of_files_that_are_no_text(tmp_path):
    name = os.fsdecode(b"/data/\xff.npy")
    write_text(tmp_path / "data.json", json.dumps({"source": name}, ensure_ascii=False))
    assert json.loads((tmp_path / "data.json").read_text())["source"] == name
    config = load_config("digits", overrides=[("data.source", name)])
    write_text(tmp_path / "config.yaml", config.to_yaml())
    assert load_config(file=tmp_path / "config.yaml").data.source == name


def test_a_lock_that_is_a_pipe(tmp_path):
    os.mkfifo(tmp_path / ".lock")
    assert holder(tmp_path) is None


def test_a_checkpoint_whose_arrays_announce_what_they_have_not(tmp_path):
    path = tmp_path / "last.npz"
    for shape in ((2**40,), (-1,), (2**30,) * 30):
        text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        content = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("meta.npy", content)
        assert "is damaged" in refused(lambda: read(path))
    path.unlink()
    os.mkfifo(path)
    refused(lambda: read(path))
