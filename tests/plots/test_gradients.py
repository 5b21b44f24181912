"""The chart of gradients: both contributions, and the ratio of the first to the second."""

import warnings

import numpy as np
import pytest

from keras_acn._base.errors import UserError
from keras_acn.plots import gradient_curves

EPOCHS = np.arange(1, 7)
HISTORY = {
    "epoch": EPOCHS,
    "gradient_share_z": 0.5 + 0.3 / EPOCHS,
    "gradient_share_c": 0.5 - 0.3 / EPOCHS,
    "other": np.full(6, 2.0),
}


def drawn(chart, line):
    return chart.data[chart.data["line"] == line]


def test_contributions_in_one_panel_and_their_ratio_in_another():
    chart = gradient_curves(HISTORY)
    for line, column in (("z", "gradient_share_z"), ("c", "gradient_share_c")):
        np.testing.assert_array_equal(drawn(chart, line)["value"], HISTORY[column])
        assert set(drawn(chart, line)["panel"]) == {"share of the gradient"}
    ratio = drawn(chart, "ratio, z to c")
    np.testing.assert_array_equal(ratio["epoch"], EPOCHS)
    expected = HISTORY["gradient_share_z"] / HISTORY["gradient_share_c"]
    np.testing.assert_allclose(ratio["value"], expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = chart.draw()
    assert len(figure.axes) == 2


def test_any_two_columns():
    chart = gradient_curves(HISTORY, ("other", "gradient_share_c"), names=("a", "b"))
    assert (drawn(chart, "a")["value"] == 2).all()
    np.testing.assert_allclose(
        drawn(chart, "ratio, a to b")["value"], 2 / HISTORY["gradient_share_c"]
    )


def test_one_epoch_is_a_point_and_nothing_over_nothing_no_ratio():
    gradient_curves({"gradient_share_z": [0.4], "gradient_share_c": [0.6]}).draw()
    flat = {"gradient_share_z": [0.0, 0.5], "gradient_share_c": [0.0, 0.5]}
    assert drawn(gradient_curves(flat), "ratio, z to c")["value"].tolist() == [1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (({"loss": [1.0]},), 'no column "gradient_share_z"'),
        ((HISTORY, ("other",)), "give two of each"),
        (({"A": HISTORY, "B": HISTORY},), "draws one run"),
    ],
)
def test_bad_input_is_told_in_a_sentence(arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        gradient_curves(*arguments)
