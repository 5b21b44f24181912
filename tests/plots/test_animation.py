"""Animations: frames in, the same frames out of the file."""

import base64
import sys

import numpy as np
import pytest
from PIL import Image

from keras_acn._base.errors import UserError
from keras_acn.plots import movie
from keras_acn.plots.movie import Animation

GREYS = [np.full((21, 15, 3), 20 * i, np.uint8) for i in range(10)]


def test_a_gif_holds_every_frame_and_its_time(tmp_path):
    moving = Animation(GREYS, fps=4)
    moving.save(tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as back:
        assert back.n_frames == len(moving) == 10
        assert back.size == moving.size == (15, 21)
        assert back.info["loop"] == 0
        for i, frame in enumerate(GREYS):
            back.seek(i)
            assert back.info["duration"] == 250
            np.testing.assert_array_equal(np.asarray(back.convert("RGB")), frame)


def test_a_notebook_gets_a_gif():
    bundle = Animation(GREYS)._repr_mimebundle_()
    assert base64.b64decode(bundle["image/gif"]).startswith(b"GIF89a")
    assert "10 frames" in bundle["text/plain"]


def test_one_frame_is_an_animation_too(tmp_path):
    Animation(GREYS[:1]).save(tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as back:
        assert back.n_frames == 1


def test_an_mp4_without_an_encoder_names_the_ways_out(tmp_path, monkeypatch):
    monkeypatch.setattr(movie, "find_encoder", lambda: None)
    with pytest.raises(UserError, match="pip install imageio-ffmpeg.*save as .gif"):
        Animation(GREYS).save(tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()


def _program(path, text):
    path.write_text(f"#!{sys.executable}\nimport pathlib, sys\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in encoder is a script")
def test_an_encoder_is_given_the_pixels_on_even_sides(tmp_path, monkeypatch):
    text = "pathlib.Path(sys.argv[-1]).write_bytes(sys.stdin.buffer.read())"
    stand_in = _program(tmp_path / "ffmpeg", text)
    monkeypatch.setattr(movie, "find_encoder", lambda: stand_in)
    Animation(GREYS).save(tmp_path / "a.mp4")
    pixels = np.frombuffer((tmp_path / "a.mp4").read_bytes(), np.uint8).reshape(10, 22, 16, 3)
    np.testing.assert_array_equal(pixels[:, :21, :15], np.stack(GREYS))
    assert (pixels[:, 21:] == 255).all() and (pixels[:, :, 15:] == 255).all()


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in encoder is a script")
def test_an_encoder_that_fails_is_quoted(tmp_path, monkeypatch):
    text = "sys.stdin.buffer.read(); sys.exit('no such codec')"
    stand_in = _program(tmp_path / "ffmpeg", text)
    monkeypatch.setattr(movie, "find_encoder", lambda: stand_in)
    (tmp_path / "a.mp4").write_bytes(b"an older film")
    with pytest.raises(UserError, match="no such codec"):
        Animation(GREYS).save(tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == b"an older film"
    assert {path.name for path in tmp_path.iterdir()} == {"ffmpeg", "a.mp4"}


@pytest.mark.skipif(movie.find_encoder() is None, reason="no ffmpeg on this machine")
def test_a_real_encoder_writes_an_mp4(tmp_path):
    Animation(GREYS).save(tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("frames", "fps", "sentence"),
    [
        ([], 5, "no frames to animate"),
        ([GREYS[0], GREYS[0][1:]], 5, "same size"),
        (GREYS, 0, "`fps` must be"),
        (GREYS, 51, "`fps` must be"),
        ([frame / 255 for frame in GREYS], 5, "must be uint8 .* not float64"),
        ([frame[..., :1] for frame in GREYS], 5, "must be uint8 .* not uint8"),
    ],
)
def test_bad_frames_are_told(frames, fps, sentence):
    with pytest.raises(UserError, match=sentence):
        Animation(frames, fps)


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(UserError, match=".gif, .mp4"):
        Animation(GREYS).save(tmp_path / "a.avi")
