"""Moving pictures: the `Animation` of frames, and the training movie, a frame an epoch."""

from __future__ import annotations

import base64
import io
import math
import pathlib
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from keras_acn._base.atomic import replacing
from keras_acn._base.checks import check_count
from keras_acn._base.errors import UserError
from keras_acn.plots.arrays import as_codes, as_image_sets, as_labels
from keras_acn.plots.picture import class_colors, sheet, writable
from keras_acn.plots.projection import fit_pca, pca_axis_names

NEEDED = ("originals", "reconstructions", "codes")


class Animation:
    """Frames of one size, shown at a steady rate, over and over.

    It displays itself in a notebook and saves as GIF or MP4.

    Args:
      frames: uint8 arrays [h, w, 3], all of one size, at least one.
      fps: Frames a second.
      colors: The most colours that the GIF holds (2 to 256). Grey frames keep every
        shade that they have when they have no more than that.

    Raises:
      UserError: If there are no frames, they differ in size, or `fps` is not in (0, 50].

    Example:
      >>> import numpy as np
      >>> from keras_acn.plots import Animation
      >>> moving = Animation([np.zeros([20, 30, 3], np.uint8)] * 8, fps=4)
      >>> len(moving), moving.size
      (8, (30, 20))
    """

    def __init__(self, frames: Sequence[ArrayLike], fps: float = 5, colors: int = 256):
        arrays = [np.asarray(frame) for frame in frames]
        if not arrays:
            raise UserError("There are no frames to animate: give at least one.")
        for frame in arrays:
            # A float image in [0, 1] cast to uint8 would be black.
            if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3:
                raise UserError(
                    f"A frame of an animation must be uint8 [h, w, 3], not {frame.dtype} "
                    f"{list(frame.shape)}: see `daydream_gif` for images in [0, 1]."
                )
        if len({frame.shape for frame in arrays}) > 1:
            raise UserError("The frames of an animation must all have the same size.")
        if not 0 < fps <= 50:
            raise UserError(f"`fps` must be above 0 and at most 50 frames a second, not {fps!r}.")
        self.frames = arrays
        self.fps = fps
        self.colors = colors

    def __len__(self):
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.frames[0].shape[1], self.frames[0].shape[0]

    def save(self, path: str | pathlib.Path) -> None:
        """Write a GIF, or an MP4 where an encoder is found.

        The file takes the place of an older one only once it is whole.

        Args:
          path: A file name that ends in .gif or .mp4.

        Raises:
          UserError: For another ending, a folder that doesn't exist, or an MP4 where
            neither `ffmpeg` nor the package `imageio-ffmpeg` is installed.
        """
        path = writable(path, (".gif", ".mp4"))
        with replacing(path) as temporary:
            if path.suffix.lower() == ".gif":
                temporary.write_bytes(self._gif())
            else:
                self._write_mp4(temporary)

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


def training_movie(
    frames: Iterable[Mapping],
    labels: ArrayLike | None = None,
    *,
    fps: float = 4,
    columns: int = 5,
    limit: int = 1000,
) -> Animation:
    """Animate training: originals over reconstructions, beside the scatter of the codes.

    The axes stay put from the first frame to the last. Codes of more than two dimensions
    are all projected on the principal components of the last frame's codes.

    Args:
      frames: One snapshot for each epoch, in order: a dict with `originals` [n, H, W, C],
        `reconstructions` [n, H, W, C], `codes` [N, d] and, if wanted, `epoch` (a number;
        without it frames count from 1).
      labels: Class of each code, [N], the same in every frame; `None` draws one colour.
      fps: Frames a second.
      columns: Images a row.
      limit: The most points of the scatter: the first ones are drawn.

    Returns:
      An `Animation` with a frame for each snapshot.

    Raises:
      UserError: If a frame lacks a part, or shapes or counts don't match.
    """
    frames = list(frames)
    columns, limit = check_count(columns, "`columns`", 1), check_count(limit, "`limit`", 1)
    if not frames:
        raise UserError("There are no frames for the movie: give one snapshot an epoch.")
    for i, frame in enumerate(frames):
        missing = [key for key in NEEDED if key not in frame]
        if missing:
            raise UserError(f"Frame {i} of the movie lacks {', '.join(missing)}.")
    codes = [as_codes(frame["codes"]) for frame in frames]
    if len({c.shape for c in codes}) > 1:
        raise UserError("The codes of the movie's frames must all have one shape [N, d].")
    labels, classes = as_labels(labels, len(codes[0]))
    points, names = _project_all(codes)
    points = [p[:limit] for p in points]
    draw = _scatter_painter(points, names, labels, classes)

    pictures = []
    images = _images_of(frames)
    for i, frame in enumerate(frames):
        left = _images_side({key: images[key][i] for key in images}, columns)
        right = draw(points[i], f"epoch {frame.get('epoch', i + 1)}")
        pictures.append(_beside(left, right))
    return Animation(pictures, fps, colors=64)


def _project_all(codes):
    if codes[0].shape[1] == 2:
        return codes, ("z[0]", "z[1]")
    pca = fit_pca(codes[-1])
    return [pca(c) for c in codes], pca_axis_names(pca)


def _images_of(frames):
    """Return `{key: list of uint8 [n, H, W, C]}` of originals and of reconstructions."""
    for frame in frames:
        shapes = [np.shape(frame[key]) for key in NEEDED[:2]]
        if shapes[0] != shapes[1]:
            raise UserError(
                f"The movie's originals have shape {list(shapes[0])} and its reconstructions "
                f"{list(shapes[1])}: give one reconstruction for each original."
            )
    return {
        key: as_image_sets([frame[key] for frame in frames], [key] * len(frames))
        for key in NEEDED[:2]
    }


def _images_side(images, columns):
    """Originals above, reconstructions below, as uint8 [h, w, 3]."""
    halves = []
    for key, pixels in images.items():
        rows = [list(pixels[s : s + columns]) for s in range(0, len(pixels), columns)]
        halves.append(sheet(rows, title=key, cell=64).to_array())
    return np.concatenate(halves)


def _scatter_painter(points, names, labels, classes):
    """Return a function that paints points [N, 2] and a title as uint8 [h, w, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    every = np.concatenate(points)
    low, high = every.min(axis=0), every.max(axis=0)
    pad = 0.04 * np.where(high > low, high - low, 1)
    colors = class_colors(classes)
    point_colors = "#3f90da"
    if labels is not None:
        point_colors = [colors[label] for label in labels[: len(points[0])]]
    figure = Figure(figsize=(4.7, 3.8), dpi=90)
    canvas = FigureCanvasAgg(figure)

    def paint(positions, title):
        figure.clear()
        axes = figure.add_axes((0.19, 0.13, 0.65, 0.78))
        # Without antialiasing a frame has few colours, and the GIF stays small.
        axes.scatter(*positions.T, c=point_colors, s=7, linewidths=0, antialiased=False)
        axes.set(xlim=(low[0] - pad[0], high[0] + pad[0]), ylim=(low[1] - pad[1], high[1] + pad[1]))
        axes.set_xlabel(names[0])
        axes.set_ylabel(names[1])
        axes.set_title(title, fontsize=11)
        if 0 < len(classes) <= 20:
            marks = [
                Line2D([], [], marker="o", linestyle="", markersize=5, color=colors[c], label=c)
                for c in classes
            ]
            axes.legend(
                handles=marks,
                loc="center left",
                bbox_to_anchor=(1, 0.5),
                frameon=False,
                fontsize=9,
                handletextpad=0,
            )
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()

    return paint


def _beside(left, right):
    """Put two pictures side by side, centred, on white."""
    height = max(len(left), len(right))
    halves = []
    for picture in (left, right):
        space = height - len(picture)
        pad = ((space // 2, math.ceil(space / 2)), (0, 0), (0, 0))
        halves.append(np.pad(picture, pad, constant_values=255))
    return np.concatenate(halves, axis=1)


def find_encoder():
    """Return the path of an ffmpeg program, or `None`."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return None
