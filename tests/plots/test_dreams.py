"""Pictures of daydreams: each frame where it belongs."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_acn._base.errors import UserError
from keras_acn.plots import dreams, images

DIGITS = (load_digits().images[:40] / 16).astype(np.float32)[..., None]  # [40, 8, 8, 1]


def assert_cell(picture, row, column, image):
    """The cell is the image, each pixel repeated, and nothing else."""
    cell = picture.cell(row, column)
    times = cell.shape[0] // image.shape[0]
    expected = np.repeat(np.repeat(np.round(image * 255), times, 0), times, 1)
    np.testing.assert_array_equal(cell, np.broadcast_to(expected, cell.shape))


def test_a_strip_draws_every_nth_frame_of_each_dream():
    frames = DIGITS[:30].reshape(10, 3, 8, 8, 1)
    picture = dreams.strip(frames, every=4)
    assert [len(row) for row in picture.boxes] == [3, 3, 3]
    for b in range(3):
        for column, step in enumerate((0, 4, 8)):
            assert_cell(picture, b, column, frames[step, b])


@pytest.mark.parametrize(("steps", "columns"), [(1, 1), (11, 11), (31, 11), (38, 10)])
def test_a_strip_keeps_to_eleven_frames(steps, columns):
    picture = dreams.strip(DIGITS[:steps])
    assert len(picture.boxes[0]) == columns


def test_a_daydream_moves_through_its_frames(tmp_path):
    frames = DIGITS[:24].reshape(12, 2, 8, 8, 1)
    moving = dreams.daydream_gif(frames, fps=8, scale=3)
    assert len(moving) == 12 and moving.fps == 8
    for t in (0, 11):
        still = images.grid(frames[t], columns=2, scale=3)
        size = still.boxes[0][1][2] - still.boxes[0][0][0], 24
        left = still.boxes[0][0][0]
        block = still.to_array()[still.boxes[0][0][1] :][: size[1], left : left + size[0]]
        frame = moving.frames[t]
        top = frame.shape[0] - 6 - 24
        np.testing.assert_array_equal(frame[top : top + 24, left : left + size[0]], block)
    moving.save(tmp_path / "dream.gif")
    assert 0 < (tmp_path / "dream.gif").stat().st_size < 200_000
    assert len(dreams.daydream_gif(DIGITS[:3])) == 3


def test_a_dreams_grid_has_every_step_in_reading_order():
    picture = dreams.daydream_grid(DIGITS[:7], columns=4)
    assert [len(row) for row in picture.boxes] == [4, 4]
    for t in range(7):
        assert_cell(picture, t // 4, t % 4, DIGITS[t])


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda: dreams.strip(DIGITS[0]), r"shape \[T, B, H, W, C\]"),
        (lambda: dreams.strip(DIGITS, every=0), "`every` must be"),
        (lambda: dreams.daydream_gif(DIGITS[:3] * np.nan), "frames hold NaN"),
        (lambda: dreams.daydream_grid(DIGITS[:, None]), r"shape \[T, H, W, C\]"),
    ],
)
def test_bad_input_is_told_in_a_sentence(draw, sentence):
    with pytest.raises(UserError, match=sentence):
        draw()
