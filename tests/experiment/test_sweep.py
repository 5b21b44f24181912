"""Sweeps: the grid, a run for each of its points, and going on with a sweep."""

import csv
import itertools
import os
import signal

import keras
import pytest

from keras_acn._base.errors import UserError
from keras_acn.experiment import grid, load_config, open_run, sweep
from keras_acn.experiment.callbacks import Interrupted
from keras_acn.experiment.run import train

TINY = [
    "data.limit=40",
    "data.validation=10",
    "model.name=VAE",
    "model.latent_dim=3",
    "encoder.hidden=[8]",
    "encoder.variance=learned",
    "decoder.hidden=[8]",
    "training.batch_size=10",
    "training.kl_warmup_epochs=0",
]


def planned(rows, epochs=2, overrides=()):
    return sweep.plan("digits", rows, overrides=[*TINY, *overrides, f"training.epochs={epochs}"])


def untimed(rows):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


class Seen:
    """Which runs a sweep trained, and which it found done."""

    def __init__(self):
        self.begun, self.done = [], []

    def hooks(self):
        return {
            "on_begin": lambda point, folder: self.begun.append(point.name),
            "on_end": lambda point, run, trained: trained or self.done.append(point.name),
        }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """`(folder, rows)` of a sweep over two values of beta and two of the latent size."""
    out = tmp_path_factory.mktemp("sweeps") / "sweep"
    return out, sweep.run(planned(["latent_dim=2,4", "beta=1,0"]), out)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("beta=0,0.1,1e-3", ("beta", [0, 0.1, 1e-3])),
        ("encoder.hidden=[64],[256, 256]", ("encoder.hidden", [[64], [256, 256]])),
        ("unique=true,false", ("unique", [True, False])),
        ("data=digits,idx:/a/b", ("data", ["digits", "idx:/a/b"])),
        (" k = 5 ", ("k", [5])),
    ],
)
def test_a_row_of_the_grid_is_a_name_and_yaml_values(text, expected):
    assert grid.parse_grid(text) == expected


@pytest.mark.parametrize("text", ["beta", "beta=", "=1", "beta= ", "beta=0,,1", "beta=[1"])
def test_a_row_that_is_none_is_told(text):
    with pytest.raises(UserError):
        grid.parse_grid(text)


def test_every_combination_once_the_last_option_fastest():
    values = {"a": [1, 2], "b": ["x", "y", "z"]}
    expected = list(itertools.product(*values.values()))
    assert [tuple(point.values()) for point in grid.combinations(values)] == expected
    for bad, sentence in (
        ({}, "nothing to sweep"),
        ({"a": []}, "list of values for a"),
        ({"a": [1, 2, 1]}, "a=1 twice"),
        ({"a": "12"}, "list of values for a"),
    ):
        with pytest.raises(UserError, match=sentence):
            grid.combinations(bad)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("beta", "model.beta"),
        ("latent_dim", "model.latent_dim"),
        ("learning_rate", "training.learning_rate"),
        ("k", "codebook.k"),
        ("components", "prior.components"),
        ("seed", "seed"),
        ("data", "data.source"),
        ("encoder", "encoder"),
        ("encoder.variance", "encoder.variance"),
    ],
)
def test_a_short_name_stands_for_one_option(name, option):
    assert grid.resolve(name, load_config("digits")) == option


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("hidden", "may be decoder.hidden or encoder.hidden or prior.hidden"),
        ("bta", 'no option "bta".*Did you mean "beta"'),
        ("preset", "cannot be swept"),
    ],
)
def test_an_unknown_or_unclear_name_is_told(name, sentence):
    with pytest.raises(UserError, match=sentence):
        grid.resolve(name, load_config("digits"))


def test_folders_are_called_after_the_values():
    names = grid.labels(["model.beta", "encoder.hidden", "seed"], load_config("digits"))
    assert names == {"model.beta": "beta", "encoder.hidden": "encoder.hidden", "seed": "seed"}
    values = {"model.beta": 0.5, "encoder.hidden": [64, 32], "seed": 3}
    assert grid.folder_name(values, names) == "beta=0.5,encoder.hidden=64-32,seed=3"
    assert grid.folder_name({"model.beta": 1.0}, names) == "beta=1"


def test_a_point_is_the_preset_with_its_values_set():
    plan = planned({"beta": [0, 2], "model.latent_dim": [5]})
    assert [point.name for point in plan.points] == ["beta=0,latent_dim=5", "beta=2,latent_dim=5"]
    alone = load_config("digits", overrides=[*TINY, "training.epochs=2", "model.beta=2"])
    assert plan.points[1].config == alone.model_copy(
        update={"model": alone.model.model_copy(update={"latent_dim": 5})}
    )
    assert plan.base.model.beta == 1 and plan.options == ("model.beta", "model.latent_dim")


@pytest.mark.slow
def test_a_run_of_a_sweep_is_the_run_that_train_makes(finished, tmp_path):
    out, _ = finished
    config = load_config(
        "digits",
        overrides=[*TINY, "training.epochs=2", "model.beta=0", "model.latent_dim=4"],
    )
    alone = train(config, tmp_path / "alone")
    swept = open_run(out / "latent_dim=4,beta=0")
    assert untimed(swept.history) == untimed(alone.history) and len(swept.history) == 2
    assert swept.config.flat() == alone.config.flat()


@pytest.mark.slow
def test_the_table_has_a_row_a_run_in_order_of_the_values(finished):
    out, rows = finished
    assert [(row["latent_dim"], row["beta"]) for row in rows] == [(2, 0), (2, 1), (4, 0), (4, 1)]
    for row in rows:
        metrics = open_run(out / row["run"]).metrics
        assert row["total_nats"] == metrics["train"]["total_nats"]
        # Those of the validation split, which the test split does not stand in for.
        assert row["val_kl_nats"] == metrics["validation"]["kl_nats"]
        assert row["finished"] and row["epochs"] == 2
    with open(out / "sweep.csv", newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["run"] for row in written] == [row["run"] for row in rows]
    assert [float(row["kl_nats"]) for row in written] == [row["kl_nats"] for row in rows]
    assert sweep.swept(out) == ["latent_dim", "beta"]


@pytest.mark.slow
def test_a_second_call_trains_nothing_and_another_grid_adds_to_it(finished):
    out, rows = finished
    again, more, cross = Seen(), Seen(), Seen()
    assert sweep.run(planned(["latent_dim=2,4", "beta=1,0"]), out, **again.hooks()) == rows
    assert again.begun == [] and len(again.done) == 4
    # A value more, and the options in another order: only what is new is trained.
    grown = sweep.run(planned(["beta=0,3", "latent_dim=2"]), out, **more.hooks())
    assert more.begun == ["beta=3,latent_dim=2"] and more.done == ["beta=0,latent_dim=2"]
    assert len(grown) == 5 and [row for row in grown if row["beta"] != 3] == rows
    # Another option: the run that has its usual value is there already.
    wide = sweep.run(
        planned(["learning_rate=0.003,0.01", "beta=1"], overrides=["model.latent_dim=2"]),
        out,
        **cross.hooks(),
    )
    assert cross.begun == ["learning_rate=0.01,beta=1"]
    assert cross.done == ["learning_rate=0.003,beta=1"]
    assert sweep.swept(out) == ["latent_dim", "beta", "learning_rate"]
    assert [row["learning_rate"] for row in wide].count(0.003) == 5


@pytest.mark.slow
def test_more_epochs_go_on_and_fewer_are_refused(tmp_path):
    out, seen = tmp_path / "sweep", Seen()
    sweep.run(planned(["beta=1"], epochs=1), out)
    with pytest.raises(UserError, match="not a sweep|may raise that, not lower"):
        sweep.run(planned(["beta=1"], epochs=3), out / "beta=1")
    rows = sweep.run(planned(["beta=1"], epochs=2), out, **seen.hooks())
    assert seen.begun == ["beta=1"] and rows[0]["epochs"] == 2
    with pytest.raises(UserError, match="may raise that, not lower it to 1"):
        sweep.run(planned(["beta=1"], epochs=1), out)
    # Where the epochs are what is swept, each number has a run of its own.
    both = sweep.run(planned(["epochs=1,2", "beta=1"]), out)
    assert [row["epochs"] for row in both] == [1, 2]


@pytest.mark.slow
def test_ctrl_c_saves_the_run_in_hand_and_the_same_call_goes_on(tmp_path, finished):
    out = tmp_path / "sweep"

    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 1:
                os.kill(os.getpid(), signal.SIGINT)

    rows = ["latent_dim=2", "beta=1,0"]
    callbacks = lambda point: [Interrupt()] if point.values["model.beta"] == 0 else []  # noqa: E731
    with pytest.raises(Interrupted):
        sweep.run(planned(rows), out, callbacks=callbacks)
    table = sweep.table(out)
    assert [row["finished"] for row in table] == [False, True]
    seen = Seen()
    done = sweep.run(planned(rows), out, **seen.hooks())
    assert seen.begun == ["latent_dim=2,beta=0"] and seen.done == ["latent_dim=2,beta=1"]
    expected = [row for row in finished[1] if row["latent_dim"] == 2]
    drop = ("seconds", "run")
    assert [{k: v for k, v in row.items() if k not in drop} for row in done] == [
        {k: v for k, v in row.items() if k not in drop} for row in expected
    ]


@pytest.mark.slow
def test_what_a_crash_left_of_making_a_folder_is_no_obstacle(tmp_path):
    (tmp_path / "sweep" / "beta=1" / "checkpoints").mkdir(parents=True)
    (tmp_path / "sweep" / "sweep.yaml").write_text("options: [model.beta]\nbase: {format: 1}")
    plan = sweep.plan("digits", ["beta=1"], overrides=[*TINY, "training.epochs=1"])
    sweep.write_sweep(tmp_path / "sweep", plan)
    assert sweep.run(plan, tmp_path / "sweep")[0]["finished"]


@pytest.mark.fast(every=3)
@pytest.mark.slow_sample(every=3)
@pytest.mark.parametrize(
    ("rows", "overrides", "sentence"),
    [
        (["beta=1,-1"], [], "model.beta must be at least 0"),
        (["beta=1", "model.beta=2"], [], "names model.beta twice"),
        (["model=ACN,acn"], [], "mean the same"),
        ([f"encoder.hidden=[{','.join('3' * 150)}],[4]"], [], "too long a name"),
        (["encoder=mlp,colv"], [], "encoder=colv cannot be trained.*Did you mean"),
        (["encoder.hiden=[8],[9]"], [], "cannot be trained.*Unknown option"),
        (["batch_size=10,1000"], [], "batch_size=1000 cannot be trained.*larger"),
        (["data.source=digits,npy:none.npy"], [], "cannot be trained.*none.npy"),
        (["keep_best=false,true"], ["data.validation=0"], "keep_best=true cannot be trained"),
    ],
)
def test_a_bad_value_is_said_before_anything_is_trained(rows, overrides, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence):
        sweep.run(planned(rows, overrides=overrides), tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


@pytest.mark.slow
def test_a_folder_of_something_else_is_refused(finished, tmp_path):
    out, _ = finished
    with pytest.raises(UserError, match="in which seed is 0, not 1"):
        sweep.run(planned(["beta=1"], overrides=["seed=1"]), out)
    (tmp_path / "in-use").mkdir()
    (tmp_path / "in-use" / "thesis.txt").touch()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "sweep.yaml").write_text("base: 3")
    for folder, sentence in (
        (tmp_path / "in-use", "is not empty, and no sweep"),
        (tmp_path / "in-use" / "thesis.txt", "is not empty, and no sweep"),
        (tmp_path / "damaged", "is damaged"),
        (out / "latent_dim=2,beta=0", "holds a run, not a sweep"),
    ):
        with pytest.raises(UserError, match=sentence):
            sweep.run(planned(["beta=1"]), folder)
    with pytest.raises(UserError, match="holds no sweep"):
        sweep.table(tmp_path)
