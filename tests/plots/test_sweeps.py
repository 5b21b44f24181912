"""Charts of sweeps: what is drawn for each swept value, numbers or words."""

import numpy as np
import pytest

from keras_acn._base.errors import UserError
from keras_acn.plots import sweep_curves

TERMS = ("total_nats", "reconstruction_nats", "kl_nats")


def table(**swept):
    count = len(next(iter(swept.values())))
    costs = {name: np.arange(1.0, count + 1) + i for i, name in enumerate(TERMS)}
    return {**swept, **costs, **{f"val_{name}": value + 9 for name, value in costs.items()}}


def scale(chart, axis):
    (found,) = [s for s in chart.scales if axis in s.aesthetics]
    return found


def test_the_held_out_costs_are_dashed():
    chart = sweep_curves(table(beta=[0, 1, 4]), "beta")
    parts = chart.data.groupby("part", observed=True)["value"]
    assert parts.min().to_dict() == {"training": 1, "held out": 10}
    alone = sweep_curves(table(beta=[0, 1, 4]), "beta", validation=False)
    assert set(alone.data["part"]) == {"training"}


def test_ticks_stand_at_the_values_that_have_room():
    chart = sweep_curves(table(beta=[0.0, 0.1, 0.5, 1, 4]), "beta")
    # 0.1 would be written over 0.
    assert scale(chart, "x").breaks == [0, 0.5, 1, 4]


def test_words_stand_side_by_side_in_the_tables_order():
    chart = sweep_curves(
        table(encoder=["mlp", "conv", "mlp"], seed=[1, 1, 2]), "encoder", by="seed"
    )
    assert scale(chart, "x").labels == ["mlp", "conv"]
    one = chart.data[(chart.data["run"] == "seed = 1") & (chart.data["metric"] == "KL")]
    assert sorted(set(one["encoder"])) == [0, 1]
    sizes = sweep_curves(table(hidden=[[64], [64, 64]]), "hidden")
    assert scale(sizes, "x").labels == ["[64]", "[64, 64]"]
    sizes.draw()


def test_a_line_for_each_combination_of_the_other_values():
    rows = table(beta=[0, 1, 0, 1], latent_dim=[2, 2, 5, 5], rate=[0.5, 0.5, 0.25, 0.25])
    chart = sweep_curves(rows, "beta", "kl_nats", by=["latent_dim", "rate"])
    names = ["latent_dim = 2, rate = 0.5", "latent_dim = 5, rate = 0.25"]
    assert list(chart.data["run"].cat.categories) == names
    for name, values in zip(names, ([3, 4], [5, 6]), strict=True):
        drawn = chart.data[(chart.data["run"] == name) & (chart.data["part"] == "training")]
        assert drawn["value"].tolist() == values


@pytest.mark.parametrize("log", [False, True, "y"])
def test_the_nats_alone_may_be_on_a_log_axis(log):
    chart = sweep_curves(table(beta=[0, 1, 4]), "beta", log=log)
    kinds = {type(s).__name__ for s in chart.scales}
    assert ("scale_x_log10" in kinds) == (log is True) and ("scale_y_log10" in kinds) == bool(log)
    # Zero has a place on a linear axis only.
    assert (0 in set(chart.data["beta"])) == (log is not True)
    chart.draw()


def test_an_unknown_column_is_told():
    with pytest.raises(UserError, match='Did you mean "latent_dim"'):
        sweep_curves(table(beta=[0], latent_dim=[2]), "beta", by=["latent_dims"])
