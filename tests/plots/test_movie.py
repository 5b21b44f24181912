"""The training movie: a frame an epoch, images beside the scatter."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from keras_acn._base.errors import UserError
from keras_acn.plots import movie

DIGITS = (load_digits().images[:10] / 16).astype(np.float32)[..., None]
RNG = np.random.default_rng(0)
CODES = RNG.normal(size=(60, 2))
LABELS = np.arange(60) % 3


def snapshots(count=4, codes=CODES):
    return [
        {"originals": DIGITS, "reconstructions": DIGITS * (t + 1) / count, "codes": codes * (t + 1)}
        for t in range(count)
    ]


def scatter_colors(frame):
    """The colours of the points, without the greys of the words and images."""
    colors = {tuple(int(v) for v in c) for c in frame.reshape(-1, 3)}
    return {c for c in colors if max(c) - min(c) > 60}


def test_a_frame_an_epoch_in_one_size_and_a_small_file(tmp_path):
    moving = movie.training_movie(snapshots(), LABELS, fps=2)
    assert len(moving) == 4 and moving.fps == 2
    assert 400 < moving.size[0] < 900
    moving.save(tmp_path / "movie.gif")
    assert (tmp_path / "movie.gif").stat().st_size < 200_000
    with Image.open(tmp_path / "movie.gif") as back:
        assert back.n_frames == 4


def test_the_images_of_the_epoch_are_on_the_left():
    frames = snapshots()
    moving = movie.training_movie(frames)
    for t, frame in enumerate(moving.frames):
        # The left side is grey: columns before the scatter hold the images' own levels.
        levels = set(np.unique(frame[:, :250]))
        expected = np.round(frames[t]["reconstructions"].astype(np.float64) * 255)
        assert set(np.unique(expected).astype(int)) <= {int(v) for v in levels}
    top, bottom = np.array_split(moving.frames[0][:, :250].astype(int), 2)
    assert top[top < 250].mean() > bottom[bottom < 250].mean()


def test_the_axes_stay_and_the_points_move():
    moving = movie.training_movie(snapshots())
    blue = [np.argwhere((f[..., 2].astype(int) - f[..., 0]) > 100)[:, 1] for f in moving.frames]
    spread = [columns.max() - columns.min() for columns in blue]
    # Codes grow 1, 2, 3, 4 times over: so does the cloud, on axes that don't move.
    # The size of a point itself, about 3 pixels, does not.
    np.testing.assert_allclose((spread[3] - 3) / (spread[0] - 3), 4, rtol=0.15)


def test_each_class_has_its_colour():
    assert len(scatter_colors(movie.training_movie(snapshots(1), LABELS).frames[0])) >= 3
    assert (0x3F, 0x90, 0xDA) in scatter_colors(movie.training_movie(snapshots(1)).frames[0])


def test_longer_codes_share_one_projection():
    codes = RNG.normal(size=(60, 5)) * [5, 1, 3, 1, 1]
    points, names = movie._project_all([codes * 0.5, codes])
    np.testing.assert_allclose(points[0] - points[0].mean(0), (points[1] - points[1].mean(0)) / 2)
    assert names[0].startswith("PC 1 (")
    # The last frame decides: there the second latent is the widest, in the first the first.
    points, _ = movie._project_all([codes, codes * [0.01, 90, 1, 1, 1]])
    assert abs(np.corrcoef(points[0][:, 0], codes[:, 1])[0, 1]) > 0.99
    assert len(movie.training_movie(snapshots(2, codes), LABELS)) == 2


def test_only_the_first_points_are_drawn_where_there_are_many():
    few = movie.training_movie(snapshots(1), limit=3).frames[0]
    many = movie.training_movie(snapshots(1)).frames[0]
    blue = [int(((f[..., 2].astype(int) - f[..., 0]) > 100).sum()) for f in (few, many)]
    assert 0 < blue[0] < blue[1] / 5


def test_the_epoch_is_told():
    first = movie.training_movie(snapshots(1)).frames[0]
    named = movie.training_movie([{**snapshots(1)[0], "epoch": 1}]).frames[0]
    other = movie.training_movie([{**snapshots(1)[0], "epoch": 77}]).frames[0]
    np.testing.assert_array_equal(first, named)
    changed = np.argwhere((first != other).any(axis=-1))
    assert len(changed) and changed[:, 0].max() < first.shape[0] // 4


def broken(**parts):
    return [*snapshots(1), {**snapshots(1)[0], **parts}]


@pytest.mark.parametrize(
    ("frames", "labels", "sentence"),
    [
        ([], None, "no frames for the movie"),
        ([{"codes": CODES}], None, "Frame 0 of the movie lacks originals, reconstructions"),
        (broken(reconstructions=DIGITS[:3]), None, "one reconstruction for each original"),
        (broken(codes=CODES[:5]), None, "must all have one shape"),
        (broken(codes=CODES * np.nan), None, "NaN or infinity"),
        (broken(originals=DIGITS[..., 0], reconstructions=DIGITS[..., 0]), None, "N, H, W, C"),
        (snapshots(1), LABELS[:5], "5 labels for 60 codes"),
    ],
)
def test_bad_input_is_told_in_a_sentence(frames, labels, sentence):
    with pytest.raises(UserError, match=sentence):
        movie.training_movie(frames, labels)
