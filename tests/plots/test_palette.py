"""The colours stay apart for readers with a colour-vision deficiency."""

import itertools

import numpy as np
import pytest

from keras_acn.plots.picture import LINES, TEN, class_colors, line_colors

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
SIGHT = {
    "full": np.eye(3),
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(color, sight):
    """CIE L*a*b* of "#rrggbb" (D65) as someone with that sight sees it."""
    srgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(sight) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.asarray(to_xyz) @ seen / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def closest(colors, sight):
    seen = [lab(c, sight) for c in colors]
    return min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))


@pytest.mark.parametrize("sight", SIGHT)
def test_ten_classes_and_the_lines_stay_apart(sight):
    # A difference of 2.3 is just noticeable; matplotlib's tab10 falls to 4.6 here.
    assert closest(TEN, SIGHT[sight]) > 15
    assert closest((*TEN, "#ffffff"), SIGHT[sight]) > 15
    assert closest(LINES, SIGHT[sight]) > 15


def test_more_names_than_colors_still_get_one_each():
    names = [str(i) for i in range(25)]
    assert len(set(class_colors(names).values())) == 25
    assert len(set(line_colors(names[:9]).values())) == 9
    assert class_colors(["a", "b"]) == {"a": TEN[0], "b": TEN[1]}
