"""The training movie: reconstructions beside the space of codes, a frame an epoch."""

import math

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.plots.animation import Animation
from keras_acn.plots.checks import as_codes, as_images, as_labels, positive_int
from keras_acn.plots.palette import class_colors
from keras_acn.plots.picture import sheet
from keras_acn.plots.projection import fit_pca, pca_axis_names

NEEDED = ("originals", "reconstructions", "codes")


def training_movie(frames, labels=None, *, fps=4, columns=5, limit=1000):
    """Animates training: originals over reconstructions, beside the scatter of the codes.

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
    columns, limit = positive_int(columns, "columns"), positive_int(limit, "limit")
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
    for i, frame in enumerate(frames):
        left = _images_side(frame, columns)
        right = draw(points[i], f"epoch {frame.get('epoch', i + 1)}")
        pictures.append(_beside(left, right))
    return Animation(pictures, fps, colors=64)


def _project_all(codes):
    if codes[0].shape[1] == 2:
        return codes, ("z[0]", "z[1]")
    pca = fit_pca(codes[-1])
    return [pca(c) for c in codes], pca_axis_names(pca)


def _images_side(frame, columns):
    """Originals above, reconstructions below, as uint8 [h, w, 3]."""
    halves = []
    shapes = [np.shape(frame[key]) for key in NEEDED[:2]]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"The movie's originals have shape {list(shapes[0])} and its reconstructions "
            f"{list(shapes[1])}: give one reconstruction for each original."
        )
    for key in NEEDED[:2]:
        pixels = as_images(frame[key], key)
        rows = [list(pixels[s : s + columns]) for s in range(0, len(pixels), columns)]
        halves.append(sheet(rows, title=key, cell=48).to_array())
    return np.concatenate(halves)


def _scatter_painter(points, names, labels, classes):
    """Returns a function that paints points [N, 2] and a title as uint8 [h, w, 3]."""
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
    """Puts two pictures side by side, centred, on white."""
    height = max(len(left), len(right))
    halves = []
    for picture in (left, right):
        space = height - len(picture)
        pad = ((space // 2, math.ceil(space / 2)), (0, 0), (0, 0))
        halves.append(np.pad(picture, pad, constant_values=255))
    return np.concatenate(halves, axis=1)
