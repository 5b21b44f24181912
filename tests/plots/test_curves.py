"""Loss curves: the points drawn are the history's, on the axes asked for."""

import types
import warnings

import numpy as np
import pandas as pd
import pytest

from keras_acn._base.errors import UserError
from keras_acn.plots import curves, line_chart, sweep_curves

TERMS = {"total": "total_nats", "reconstruction": "reconstruction_nats", "KL": "kl_nats"}


def history(rows=6, shift=0.0):
    epoch = np.arange(1, rows + 1)
    kl, reconstruction = 8 - 6 / epoch, 70 + 100 / epoch + shift
    columns = {
        "epoch": epoch,
        "loss": kl + reconstruction,
        "reconstruction_nats": reconstruction,
        "kl_nats": kl,
        "total_nats": kl + reconstruction,
        "bits_per_dim": reconstruction / 784,
    }
    twins = {f"val_{k}": v + 1 for k, v in columns.items() if k != "epoch"}
    return pd.DataFrame({**columns, **twins})


def drawn(chart, **where):
    data = chart.data
    for column, value in where.items():
        data = data[data[column] == value]
    return data


def scale_names(chart):
    return {type(s).__name__ for s in chart.scales}


def test_training_and_held_out_are_the_columns_of_the_history():
    table = history()
    chart = curves.loss_curves(table)
    for part, column in (("training", "loss"), ("held out", "val_loss")):
        data = drawn(chart, part=part)
        np.testing.assert_array_equal(data["epoch"], table["epoch"])
        np.testing.assert_array_equal(data["value"], table[column])
    # A run without a validation split measures them on its test split.
    assert set(drawn(chart)["part"]) == {"training", "held out"}
    assert chart.labels.x == "epoch" and chart.labels.y == "nats per image"
    assert set(drawn(curves.loss_curves(table, validation=False))["part"]) == {"training"}


def test_several_runs_share_a_chart():
    runs = {"ACN": history(6), "VAE": history(9, shift=10)}
    chart = curves.loss_curves(runs)
    assert list(chart.data["run"].cat.categories) == ["ACN", "VAE"]
    assert len(drawn(chart, run="VAE", part="training")) == 9
    np.testing.assert_array_equal(
        drawn(chart, run="VAE", part="training")["value"], runs["VAE"]["loss"]
    )
    assert chart.data["line"].nunique() == 4
    panels = curves.loss_curves(runs, ["total_nats", "kl_nats"])
    assert type(panels.facet).__name__ == "facet_wrap"
    assert len(panels.data) == 2 * 2 * (6 + 9)


def test_a_dict_of_columns_and_what_fit_returns_will_do():
    columns = {"loss": [3.0, 2.0, 1.0]}
    fitted = types.SimpleNamespace(history=columns, epoch=[0, 1, 2])
    for given in (columns, fitted, {"run": columns}, {"run": fitted}):
        chart = curves.loss_curves(given)
        assert chart.data["epoch"].tolist() == [1, 2, 3]
        assert chart.data["value"].tolist() == [3.0, 2.0, 1.0]


def test_loss_terms_are_total_reconstruction_and_kl_on_log_axes():
    table = history()
    chart = curves.loss_terms(table)
    assert list(chart.data["metric"].cat.categories) == list(TERMS)
    for name, column in TERMS.items():
        np.testing.assert_array_equal(
            drawn(chart, metric=name, part="training")["value"], table[column]
        )
    assert {"scale_x_log10", "scale_y_log10"} <= scale_names(chart)
    assert not scale_names(curves.loss_terms(table, log=False)) & {"scale_x_log10", "scale_y_log10"}


def test_lines_are_straight_where_log_axes_should_make_them_so():
    steps = np.array([1, 2, 4, 8, 16])
    powers = {"epoch": steps, "loss": 100.0 / steps}
    figure = curves.loss_curves(powers, log=True).draw()
    points = figure.axes[0].collections[-1].get_offsets()  # where the axes put the points
    np.testing.assert_allclose(points[:, 0], np.log10(steps))
    np.testing.assert_allclose(np.diff(points[:, 1]) / np.diff(points[:, 0]), -1)


def test_what_log_axes_cannot_show_is_left_out_and_said():
    table = history().assign(kl_nats=0.0)
    chart = curves.loss_terms(table, validation=False)
    assert "KL" not in set(chart.data["metric"])
    assert chart.labels.caption == "6 values of KL not above zero are left out"
    linear = curves.loss_terms(table, validation=False, log=False)
    assert (drawn(linear, metric="KL")["value"] == 0).all()
    with pytest.raises(UserError, match="use log=False"):
        curves.loss_curves({"loss": [0.0, -1.0]}, log=True)


def test_blanks_in_the_history_are_skipped():
    table = history(4)
    table.loc[[0, 2], "val_loss"] = np.nan
    assert drawn(curves.loss_curves(table), part="held out")["epoch"].tolist() == [2, 4]


def test_axis_names_carry_the_unit():
    assert curves.loss_curves(history(), "kl_nats").labels.y == "KL (nats per image)"
    assert "bits per dimension" in curves.loss_curves(history(), "bits_per_dim").labels.y
    mixed = curves.loss_curves(history(), ["kl_nats", "bits_per_dim"])
    assert mixed.labels.y == "value"


def test_a_sweep_is_drawn_against_its_value():
    table = {"beta": [0, 0.5, 1, 4], **{c: [40.0, 30, 25, 28] for c in TERMS.values()}}
    chart = sweep_curves(table, "beta")
    assert drawn(chart, metric="KL")["beta"].tolist() == [0, 0.5, 1, 4]
    assert chart.labels.x == "beta"
    assert "3 values" in sweep_curves(table, "beta", log=True).labels.caption
    twice = pd.concat([pd.DataFrame(table).assign(latent_dim=d) for d in (2, 10)])
    both = sweep_curves(twice, "beta", by="latent_dim")
    assert list(both.data["run"].cat.categories) == ["latent_dim = 2", "latent_dim = 10"]
    assert len(both.data) == 2 * 4 * 3
    with pytest.raises(UserError, match='Did you mean "latent_dim"'):
        sweep_curves(twice, "beta", by="latent_dims")


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 30, 300])
@pytest.mark.parametrize("log", [False, True])
def test_charts_are_drawn_and_saved_without_a_warning(tmp_path, rows, log):
    runs = {"ACN": history(rows), "VAE": history(rows, shift=9)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = tmp_path / "a.png"
        curves.loss_curves(runs, log=log, title="two runs").save(path, verbose=False)
        curves.loss_terms(history(rows), log=log).save(tmp_path / "b.png", verbose=False)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size < 200_000


@pytest.mark.parametrize(
    ("limits", "ticks"),
    [((1, 1), [1]), ((1, 5), [1, 2, 3, 4, 5]), ((0.5, 30.2), [5, 10, 15, 20, 25, 30])],
)
def test_epochs_have_whole_ticks(limits, ticks):
    assert line_chart.ticks_of_epochs(limits) == ticks


@pytest.mark.parametrize(
    ("limits", "ticks"),
    [
        ((1, 30), [1, 2, 5, 10, 20]),
        ((1, 10_000), [1, 10, 100, 1000, 10_000]),
        ((80, 120), [80, 90, 100, 110, 120]),
        ((1, 4), [1, 2, 3, 4]),
        ((7, 7), [7]),
    ],
)
def test_log_axes_have_round_ticks(limits, ticks):
    np.testing.assert_allclose(line_chart._log_ticks(limits), ticks)


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda: curves.loss_curves({}), "no history to draw"),
        (lambda: curves.loss_curves(pd.DataFrame()), "no rows: train for one epoch"),
        (lambda: curves.loss_curves({"ACN": history().iloc[:0]}), '"ACN" has no rows'),
        (lambda: curves.loss_curves(history(), "los"), 'no column "los".*Did you mean "loss"'),
        (lambda: curves.loss_curves({"A": history(), "B": {"x": [1]}}), "'B' has no column"),
        (lambda: curves.loss_curves(history(), []), "No metric is named"),
        (lambda: curves.loss_curves({"loss": [np.nan]}), "hold no finite number"),
        (lambda: curves.loss_curves({"loss": [1], "epoch": [1, 2]}), "lists of one length"),
        (lambda: curves.loss_curves(3), "not int"),
        (lambda: curves.loss_terms({"A": history(), "B": history()}), "draws one run"),
        (lambda: sweep_curves(history(), "beta"), 'no column "beta"'),
    ],
)
def test_bad_input_is_told_in_a_sentence(draw, sentence):
    with pytest.raises(UserError, match=sentence):
        draw()
