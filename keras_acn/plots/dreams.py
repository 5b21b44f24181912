"""Pictures of daydreams: as strips, as a grid, moving."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from keras_acn._base.checks import check_count
from keras_acn.plots.arrays import as_array, as_images
from keras_acn.plots.images import grid
from keras_acn.plots.movie import Animation
from keras_acn.plots.picture import Picture, sheet


def _daydream_frames(frames):
    array = as_array(frames, "frames")
    if array.ndim == 4:
        array = array[:, None]
    return as_images(array, "frames", "TBHWC")


def strip(
    frames: ArrayLike,
    every: int | None = None,
    *,
    title: str | None = None,
    scale: int | None = None,
) -> Picture:
    """Draw a daydream as film strips: time runs to the right, one row for each dream.

    Args:
      frames: [T, B, H, W, C] as `model.daydream` returns them (the first is the input), or
        [T, H, W, C] for one dream.
      every: Draws frames 0, every, 2 * every, ...; `None` draws at most 11.
      title: A line above.
      scale: Times that each pixel is repeated; `None` makes small images legible.

    Returns:
      A `Picture` of B rows, the number of the step above each column.

    Example:
      >>> import numpy as np
      >>> from keras_acn import plots
      >>> frames = np.zeros([31, 4, 8, 8, 1])  # as model.daydream(images[:4], steps=30) returns
      >>> picture = plots.strip(frames, every=10)
      >>> len(picture.boxes), len(picture.boxes[0])
      (4, 4)
    """
    pixels = _daydream_frames(frames)  # [T, B, H, W, C]
    if every is None:
        every = max(1, math.ceil((len(pixels) - 1) / 10))
    steps = range(0, len(pixels), check_count(every, "`every`", 1))
    return sheet(
        [[pixels[t, b] for t in steps] for b in range(pixels.shape[1])],
        column_labels=["input" if t == 0 else t for t in steps],
        title=title,
        scale=scale,
    )


def daydream_grid(
    frames: ArrayLike,
    columns: int | None = None,
    *,
    title: str | None = None,
    scale: int | None = None,
) -> Picture:
    """Draw one daydream in reading order, the number of the step under each image.

    Args:
      frames: [T, H, W, C], such as `model.daydream(...)[:, 0]`.
      columns: Images a row; `None` makes the grid about square.
      title, scale: As for `strip`.

    Returns:
      A `Picture`.
    """
    # Checked here under their own name; `grid` must see them as they were given.
    count = len(as_images(frames, "frames", "THWC"))
    captions = ["input" if t == 0 else t for t in range(count)]
    return grid(frames, columns, captions=captions, title=title, scale=scale)


def daydream_gif(
    frames: ArrayLike, fps: float = 5, *, columns: int | None = None, scale: int | None = None
) -> Animation:
    """Animate daydreams, all side by side, the number of the step above them.

    Args:
      frames: [T, B, H, W, C], or [T, H, W, C] for one dream.
      fps: Frames a second.
      columns: Dreams a row; `None` puts up to eight in a row.
      scale: As for `strip`.

    Returns:
      An `Animation` of T frames.
    """
    pixels = _daydream_frames(frames)
    columns = check_count(min(8, pixels.shape[1]) if columns is None else columns, "`columns`", 1)
    if scale is None:
        cell = 128 if pixels.shape[1] == 1 else 64
        scale = max(1, round(cell / max(pixels.shape[2:4])))
    pictures = []
    for t, batch in enumerate(pixels):
        rows = [list(batch[s : s + columns]) for s in range(0, len(batch), columns)]
        title = "input" if t == 0 else f"step {t}"
        pictures.append(sheet(rows, title=title, scale=scale).to_array())
    width = max(p.shape[1] for p in pictures)
    pad = [((0, 0), (0, width - p.shape[1]), (0, 0)) for p in pictures]
    return Animation(
        [np.pad(p, w, constant_values=255) for p, w in zip(pictures, pad, strict=True)], fps
    )
