"""A moving picture: frames that display in a notebook and save as GIF or MP4."""

import base64
import io
import shutil
import subprocess

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.plots.picture import writable


class Animation:
    """Frames of one size, shown at a steady rate, over and over.

    Args:
      frames: uint8 arrays [h, w, 3], all of one size, at least one.
      fps: Frames a second.
      colors: The most colours that the GIF holds (2 to 256). Grey frames keep every
        shade that they have when they have no more than that.
    """

    def __init__(self, frames, fps=5, colors=256):
        frames = [np.asarray(frame, np.uint8) for frame in frames]
        if not frames:
            raise UserError("There are no frames to animate: give at least one.")
        if len({frame.shape for frame in frames}) > 1:
            raise UserError("The frames of an animation must all have the same size.")
        if not 0 < fps <= 50:
            raise UserError(f"`fps` must be above 0 and at most 50 frames a second, not {fps!r}.")
        self.frames = frames
        self.fps = fps
        self.colors = colors

    def __len__(self):
        return len(self.frames)

    @property
    def size(self):
        """Width and height in pixels."""
        return self.frames[0].shape[1], self.frames[0].shape[0]

    def save(self, path):
        """Writes a GIF, or an MP4 where an encoder is found.

        Args:
          path: A file name that ends in .gif or .mp4.

        Raises:
          UserError: For another ending, a folder that doesn't exist, or an MP4 where
            neither `ffmpeg` nor the package `imageio-ffmpeg` is installed.
        """
        path = writable(path, (".gif", ".mp4"))
        if path.suffix.lower() == ".gif":
            path.write_bytes(self._gif())
        else:
            self._write_mp4(path)

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {
            "image/gif": base64.b64encode(self._gif()).decode("ascii"),
            "text/plain": f"<Animation of {len(self)} frames at {self.fps} frames a second>",
        }

    def _gif(self):
        from PIL import Image

        # One palette for all frames, or colours would flicker from frame to frame.
        some = self.frames[:: max(1, len(self.frames) // 12)] + self.frames[-1:]
        palette = Image.fromarray(np.concatenate(some)).quantize(self.colors)
        images = [
            Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
            for frame in self.frames
        ]
        data = io.BytesIO()
        images[0].save(
            data,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=round(1000 / self.fps),
            loop=0,
            optimize=True,
        )
        return data.getvalue()

    def _write_mp4(self, path):
        encoder = find_encoder()
        if encoder is None:
            raise UserError(
                "Writing an MP4 needs ffmpeg: install it, or `pip install imageio-ffmpeg`, "
                "or save as .gif."
            )
        # yuv420p, the one format that every player reads, wants even sides.
        width, height = (side + side % 2 for side in self.size)
        pad = ((0, height - self.size[1]), (0, width - self.size[0]), (0, 0))
        pixels = b"".join(np.pad(f, pad, constant_values=255).tobytes() for f in self.frames)
        command = [encoder, "-y", "-loglevel", "error"]
        command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
        command += ["-r", str(self.fps), "-i", "-", "-pix_fmt", "yuv420p", str(path)]
        done = subprocess.run(command, input=pixels, capture_output=True, check=False)
        if done.returncode:
            reason = done.stderr.decode(errors="replace").strip().splitlines()
            why = reason[-1] if reason else f"exit code {done.returncode}"
            raise UserError(f"ffmpeg could not write the MP4 ({why}): save as .gif instead.")


def find_encoder():
    """Returns the path of an ffmpeg program, or `None`."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return None
