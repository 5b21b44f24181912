"""What is on the map of the codes, against what it stands for."""

import base64
import io

import numpy as np
import pytest
from family import IMAGES, LABELS, made
from PIL import Image

from keras_acn import UserError
from keras_acn.html_report import code_map as maps

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def acn():
    return made("acn", fit=True)


def picture_of(sheets, tile, i):
    sheet, place = divmod(i, maps.SHEET_COLUMNS**2)
    content = base64.b64decode(sheets[sheet].removeprefix("data:image/png;base64,"))
    image = Image.open(io.BytesIO(content))
    width, height = tile
    left, top = place % maps.SHEET_COLUMNS * width, place // maps.SHEET_COLUMNS * height
    return image, image.crop((left, top, left + width, top + height))


@pytest.mark.parametrize("channels", [1, 3])
def test_sheets_hold_every_pixel(channels):
    images = RNG.integers(0, 256, [1100, 5, 3, channels]).astype(np.float32) / 255
    rows = RNG.permutation(1100)[:1050]
    sheets, tile = maps.sheets_of(images, rows)
    assert len(sheets) == 2 and tile == (3, 5)
    for i in (0, 31, 32, 1023, 1024, 1049):
        _, found = picture_of(sheets, tile, i)
        want = np.round(images[rows[i]] * 255).astype(np.uint8)
        np.testing.assert_array_equal(np.asarray(found).reshape(want.shape), want)


def test_pictures_of_two_values_take_a_bit_and_large_ones_are_made_smaller():
    two = (RNG.random([40, 8, 8, 1]) < 0.5).astype(np.float32)
    sheets, tile = maps.sheets_of(two, np.arange(40))
    sheet, found = picture_of(sheets, tile, 33)
    assert sheet.mode == "1"
    np.testing.assert_array_equal(np.asarray(found, np.float32), two[33, ..., 0])
    assert maps.sheets_of(np.zeros([2, 100, 50, 3], np.float32), np.arange(2))[1] == (32, 64)


def test_codes_that_were_not_fitted_lie_among_their_neighbours(monkeypatch):
    monkeypatch.setattr(maps, "FITTED", 40)
    centers = np.repeat(np.eye(4) * 50, 30, axis=0)
    codes = (centers + RNG.normal(size=centers.shape)).astype(np.float32)
    placed, _ = maps.places(codes, "tsne", seed=0)
    groups = placed.reshape(4, 30, 2)
    inside = np.linalg.norm(groups - groups.mean(axis=1, keepdims=True), axis=-1).max()
    means = groups.mean(axis=1)
    apart = np.linalg.norm(means[:, None] - means[None], axis=-1)[~np.eye(4, dtype=bool)].min()
    assert inside < apart


@pytest.mark.parametrize("dims", [1, 2])
def test_few_latents_are_shown_as_they_are(dims):
    codes = RNG.normal(size=(30, dims)).astype(np.float32)
    placed, axes = maps.places(codes, "tsne", seed=0)
    np.testing.assert_array_equal(placed[:, :dims], codes)
    assert axes[0] == "z[0]" and placed.shape == (30, 2)


def test_a_dream_goes_on_to_the_code_nearest_to_a_draw_of_the_prior(acn):
    codes = acn.codes(IMAGES)
    ways = maps.ways_on(acn, codes, seed=3)
    assert ways.shape == (24, maps.WAYS) and ways.dtype == np.int32

    class Fixed:
        """A model whose prior always draws the code that is given, a little aside."""

        def latents_batch(self, code, noise):
            return code[:, ::-1] + 1e-4

    ways = maps.ways_on(Fixed(), codes, seed=0)
    distance = np.linalg.norm(codes[:, ::-1][:, None] - codes[None], axis=-1)
    np.testing.assert_array_equal(ways[:, 0], distance.argmin(axis=1))


def test_a_map_of_some_of_the_codes(acn):
    content = maps.code_map(acn, IMAGES, LABELS, points=10, projection="pca")
    rows = content["rows"]
    assert len(rows) == 10 == len(content["x"]) and sorted(rows) == rows
    assert content["classes"] == ["0", "1", "2"]
    assert [int(content["classes"][i]) for i in content["class_of"]] == LABELS[rows].tolist()
    found = np.frombuffer(base64.b64decode(content["codes"]), "<f4").reshape(10, 2)
    np.testing.assert_allclose(found, acn.codes(IMAGES)[rows], rtol=1e-6)
    with pytest.raises(UserError, match="three images at least, not 2"):
        maps.code_map(acn, IMAGES[:2], None)
