"""Pictures of code space: points, images as markers, decoded grids."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from keras_acn._base.errors import UserError
from keras_acn.plots import latents
from keras_acn.plots.projection import project
from keras_acn.plots.words import font

DATA = load_digits()
LABELS = DATA.target[:300]
DIGITS = (DATA.images[:300] / 16).astype(np.float32)[..., None]
CODES = DIGITS.reshape(300, 64)[:, 2:40] * 3


def test_pca_agrees_with_scikit_learn():
    points, names = project(CODES)
    oracle = PCA(2, svd_solver="full").fit(CODES.astype(np.float64))
    expected = oracle.transform(CODES.astype(np.float64))
    signs = np.sign((points * expected).sum(axis=0))
    np.testing.assert_allclose(points, expected * signs, atol=1e-6)
    shares = [f"{100 * s:.0f} %" for s in oracle.explained_variance_ratio_]
    assert all(share in name for share, name in zip(shares, names, strict=True))


def test_two_dimensions_pass_through_and_tsne_keeps_its_seed():
    points, names = project(CODES[:, 5:7])
    np.testing.assert_array_equal(points, CODES[:, 5:7].astype(np.float64))
    assert names == ("z[0]", "z[1]")
    once, names = project(CODES[:40], "tsne", seed=3)
    again, _ = project(CODES[:40], "tsne", seed=3)
    np.testing.assert_array_equal(once, again)
    assert once.shape == (40, 2) and names == ("t-SNE 1", "t-SNE 2")


def test_identical_codes_do_not_break_the_projection():
    points, _ = project(np.ones((4, 5)))
    np.testing.assert_allclose(points, 0, atol=1e-12)


def test_a_scatter_has_a_point_for_each_code_and_a_colour_for_each_class(tmp_path):
    chart = latents.scatter(CODES, LABELS, title="digits")
    assert len(chart.data) == 300
    assert chart.data["label"].astype(int).tolist() == LABELS.tolist()
    np.testing.assert_array_equal(chart.data[["x", "y"]], project(CODES)[0])
    assert chart.labels.x.startswith("PC 1 (")
    figure = chart.draw()
    colors = {tuple(c) for c in figure.axes[0].collections[0].get_facecolors().round(3)}
    assert len(colors) == 10
    chart.save(tmp_path / "a.png", verbose=False)
    assert (tmp_path / "a.png").stat().st_size < 200_000


def test_a_class_is_named_at_one_of_its_own_points():
    codes = np.array([[0, 0], [1, 0], [9, 0], [10, 0], [5, 0], [5, 1]], float)
    chart = latents.scatter(codes, ["a", "a", "a", "a", "b", "b"])
    named = latents._centers(chart.data)
    for _, row in named.iterrows():
        assert [row["x"], row["y"]] in codes[np.array(list("aaaabb")) == row["label"]].tolist()
    assert sorted(named["label"]) == ["a", "b"]


def test_long_names_of_classes_leave_room_for_the_codes():
    names = [f"a bird of a very long name indeed, number {i}" for i in range(3)]
    chart = latents.scatter(CODES[:9], np.repeat(names, 3))
    (scale,) = [each for each in chart.scales if "color" in each.aesthetics]
    for shown in (scale.labels, list(chart.layers[1]._data["label"])):
        assert sorted(each[-1] for each in shown) == ["0", "1", "2"]
        assert max(map(font().getlength, shown)) <= 160
    picture = latents.image_scatter(CODES[:9], DIGITS[:9], np.repeat([n * 9 for n in names], 3))
    assert picture.size[0] == 776


def test_a_scatter_without_labels_and_with_too_many_codes():
    chart = latents.scatter(CODES, limit=100)
    assert len(chart.data) == 100 and "label" not in chart.data
    assert chart.labels.caption == "a random 100 of 300 codes"
    everything = {tuple(p) for p in CODES[:, :2].astype(np.float64)}
    few = latents.scatter(CODES[:, :2], limit=100)
    assert {tuple(p) for p in few.data.to_numpy()} <= everything


def test_images_lie_where_their_codes_are():
    corners = np.array([[0, 0], [4, 0], [0, 2], [4, 2], [2, 1]], float)
    picture = latents.image_scatter(corners, DIGITS[:5])
    boxes = picture.boxes[0]
    assert all(box is not None for box in boxes)
    for i, box in enumerate(boxes):
        cell = picture.cell(0, i)
        times = (box[2] - box[0]) // 8
        expected = np.round(DIGITS[i] * 255).repeat(times, 0).repeat(times, 1)
        np.testing.assert_array_equal(cell, np.broadcast_to(expected, cell.shape))
    x = [box[0] for box in boxes]
    y = [box[1] for box in boxes]
    assert x[0] == x[2] < x[4] < x[1] == x[3]
    assert y[2] == y[3] < y[4] < y[0] == y[1]  # up is up


@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.3])
def test_images_hardly_cover_one_another(overlap):
    picture = latents.image_scatter(CODES, DIGITS, LABELS, overlap=overlap)
    boxes = np.array([box for box in picture.boxes[0] if box is not None])
    assert 50 < len(boxes) < 300
    side = boxes[0, 2] - boxes[0, 0] + 4  # with its frame
    apart = np.abs(boxes[:, None, :2] - boxes[None, :, :2]).max(axis=-1)
    apart[np.diag_indices(len(boxes))] = 999
    assert apart.min() >= side * (1 - overlap) - 1


def test_frames_carry_the_colour_of_the_class():
    picture = latents.image_scatter([[0, 0], [1, 1]], DIGITS[:2], [0, 1])
    pixels = picture.to_array()
    for box, color in zip(picture.boxes[0], ("0072b2", "e69f00"), strict=True):
        assert bytes(pixels[box[1] - 1, box[0] - 1]).hex() == color


def test_of_many_images_a_sample_is_considered():
    picture = latents.image_scatter(CODES, DIGITS, limit=20, overlap=0.9)
    assert sum(box is not None for box in picture.boxes[0]) <= 20
    assert len(picture.boxes[0]) == 300


def shown_code(z):
    """A decoder whose image is the code itself: pixel j is z[j] / 10 + 0.5."""
    assert z.dtype == np.float32
    return (z / 10 + 0.5).reshape(-1, 1, z.shape[1], 1)


def codes_of(picture, latent_dim):
    """Reads the codes back out of the picture, [rows, columns, latent_dim]."""
    rows = []
    for r, row in enumerate(picture.boxes):
        cells = [picture.cell(r, c) for c in range(len(row))]
        step = cells[0].shape[1] // latent_dim
        rows.append([cell[0, ::step, 0] for cell in cells])
    return (np.array(rows) / 255 - 0.5) * 10


def test_a_grid_walks_over_two_latents_and_leaves_the_rest_at_zero():
    picture = latents.grid(shown_code, 4, dims=(2, 0), n=5, span=2.0)
    codes = codes_of(picture, 4)
    assert codes.shape == (5, 5, 4)
    across, up = np.meshgrid([-2, -1, 0, 1, 2], [2, 1, 0, -1, -2])
    np.testing.assert_allclose(codes[..., 2], across, atol=0.03)
    np.testing.assert_allclose(codes[..., 0], up, atol=0.03)
    np.testing.assert_allclose(codes[..., [1, 3]], 0, atol=0.03)


def test_a_traversal_moves_around_its_code():
    base = np.array([1.0, -3.0, 0.5, 2.0])
    codes = codes_of(latents.traversal(shown_code, base, dims=(0, 3), n=3, span=1), 4)
    np.testing.assert_allclose(codes[1, :, 0], [0, 1, 2], atol=0.03)
    np.testing.assert_allclose(codes[:, 1, 3], [3, 2, 1], atol=0.03)
    np.testing.assert_allclose(codes[..., 1:3], np.broadcast_to([-3, 0.5], (3, 3, 2)), atol=0.03)
    pair = codes_of(latents.traversal(shown_code, base, dims=(0, 3), n=3, span=(-4, 4)), 4)
    np.testing.assert_allclose(pair[1, :, 0], [-4, 0, 4], atol=0.03)


def test_a_traversal_stays_within_what_codes_can_be():
    seen = []

    def decode(z):
        seen.append(z)
        return shown_code(np.zeros_like(z))

    latents.traversal(decode, np.full(4, 3e38), dims=(0, 3), n=3, span=6e38)
    assert np.isfinite(seen[0]).all() and seen[0].dtype == np.float32


def test_one_value_and_many_images_are_fine():
    assert latents.grid(shown_code, 2, n=1).boxes[0][0] is not None
    picture = latents.grid(lambda z: np.zeros((len(z), 28, 28, 1)), 2)
    assert len(picture.boxes) == 20 and picture.size[0] < 900


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda: latents.scatter(CODES[0]), r"shape \[N, d\]"),
        (lambda: latents.scatter(CODES, LABELS[:9]), "9 labels for 300 codes"),
        (lambda: latents.scatter(CODES, method="umap"), 'Unknown projection method "umap"'),
        (lambda: latents.scatter(CODES[:4], method="tsne"), "at least 5 codes, not 4"),
        (lambda: latents.scatter(CODES, limit=0), "`limit` must be"),
        (lambda: latents.image_scatter(CODES, DIGITS[:9]), "9 images for 300 codes"),
        (lambda: latents.image_scatter(CODES * np.nan, DIGITS), "NaN or infinity"),
        (lambda: latents.grid(shown_code, 4, dims=(0, 4)), "two different latents from 0 to 3"),
        (lambda: latents.grid(shown_code, 4, dims=(1, 1)), "two different latents"),
        (lambda: latents.grid(shown_code, 4, dims=(0, 1, 2)), "two different latents"),
        (lambda: latents.grid(shown_code, 4, dims=3), "two different latents"),
        (lambda: latents.grid(shown_code, 4, span=0), "`span` must be"),
        (lambda: latents.grid(shown_code, 4, span=(2, 1)), "`span` must be"),
        (lambda: latents.grid(shown_code, 4, span="wide"), "`span` must be"),
        (lambda: latents.grid(shown_code, 4, n=0), "`n` must be"),
        (lambda: latents.grid(shown_code, 0), "`latent_dim` must be"),
        (lambda: latents.grid(None, 4), "`decode` must be a function"),
        (lambda: latents.grid(lambda z: object(), 4), r"model.decode\(z\).mean\(\)"),
        (lambda: latents.grid(lambda z: shown_code(z)[:3], 4), "3 decoded images for 400 codes"),
        (lambda: latents.grid(lambda z: z, 4), "decoded images must have shape"),
        (lambda: latents.traversal(shown_code, np.zeros((2, 2))), r"shape \[d\]"),
    ],
)
def test_bad_input_is_told_in_a_sentence(draw, sentence):
    with pytest.raises(UserError, match=sentence):
        draw()


def test_importing_the_room_loads_no_heavy_library():
    import subprocess

    code = (
        "import sys, keras_acn.plots; heavy = {'tensorflow', 'keras', 'plotnine', 'matplotlib', "
        "'sklearn', 'pandas', 'PIL'}; print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "draw", [latents.scatter, lambda c, **o: latents.image_scatter(c, DIGITS, **o)]
)
def test_a_seed_that_is_none_is_told_in_a_sentence(draw):
    with pytest.raises(UserError, match=r"seed must be less than 2\*\*31"):
        draw(CODES, seed=2**31)


def test_the_names_of_classes_do_not_cover_one_another():
    names = [f"class {i}" for i in range(8)]
    crowd = np.concatenate([np.full([8, 2], 0.5), [[0, 0], [1, 1]]])
    data = pd.DataFrame({"x": crowd[:, 0], "y": crowd[:, 1], "label": [*names, "a", "b"]})
    moved = latents._apart(data.iloc[:8], data)
    places = moved[["x", "y"]].to_numpy() * latents.FIELD
    apart = np.abs(places[:, None] - places[None])
    apart[np.diag_indices(8)] = 9
    # A name of seven letters is some 0.8 inches wide and a quarter high.
    assert ((apart[..., 0] > 0.7) | (apart[..., 1] > 0.2)).all()
    # What is apart already stays where it is.
    alone = latents._apart(data.iloc[8:], data)
    np.testing.assert_allclose(alone[["x", "y"]], data.iloc[8:][["x", "y"]], atol=1e-12)


def test_a_legend_of_long_names_has_several_rows():
    face = font()
    names = [f"a rather long name {i}" for i in range(9)]
    places = latents._legend(dict(zip(names, names, strict=True)), 400, face)
    assert [word for *_, word in places] == names
    assert all(x + 16 + face.getlength(word) <= 416 for _, x, _, word in places)
    assert [row for row, *_ in places] == sorted(row for row, *_ in places)
    assert places[-1][0] > 2
