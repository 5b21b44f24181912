"""Pictures of the space of codes: scatters of codes, and images decoded from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from keras_acn._base import lazy
from keras_acn._base.checks import check_count, check_seed
from keras_acn._base.errors import UserError
from keras_acn.plots.arrays import (
    as_array,
    as_codes,
    as_images,
    as_labels,
    same_count,
)
from keras_acn.plots.line_chart import page
from keras_acn.plots.picture import (
    INK,
    PAPER,
    TEN,
    Picture,
    class_colors,
    sheet,
    upscale,
)
from keras_acn.plots.projection import project
from keras_acn.plots.words import FONT_SIZE, font, shortened, written

if TYPE_CHECKING:
    import plotnine

pd = lazy.module("pandas")
p9 = lazy.module("plotnine")
Image = lazy.module("PIL.Image")
ImageDraw = lazy.module("PIL.ImageDraw")

# Inches of the field of a scatter, about.
FIELD = np.array([4.4, 4.2])

__all__ = ["grid", "image_scatter", "scatter", "traversal"]


def scatter(
    codes: ArrayLike,
    labels: ArrayLike | None = None,
    method: str = "auto",
    *,
    limit: int = 5000,
    seed: int = 0,
    title: str | None = None,
) -> plotnine.ggplot:
    """Draw codes as points, coloured by class.

    Args:
      codes: [N, d]; two-dimensional codes are drawn as they are.
      labels: Class of each code, [N], numbers or words; `None` draws one colour.
      method: How codes of more dimensions are brought down to two: `"pca"`, `"tsne"` or
        `"auto"`, which is PCA.
      limit: The most points; of more codes a random sample is drawn, and the chart says so.
      seed: Seed of t-SNE and of that sample.
      title: A line above the chart.

    Returns:
      A `plotnine.ggplot` whose data has the columns x, y and, with labels, label.

    Raises:
      UserError: For the wrong rank, NaN, labels that don't match, an unknown method.

    Example:
      >>> from keras_acn import plots
      >>> chart = plots.scatter([[0.0, 1.0], [2.0, 0.5], [1.0, 1.0]], labels=["a", "b", "a"])
      >>> list(chart.data.columns)
      ['x', 'y', 'label']
    """
    codes = as_codes(codes)
    labels, classes = as_labels(labels, len(codes))
    chosen = _sample(len(codes), limit, seed)
    points, (x_name, y_name) = project(codes[chosen], method, seed)
    data = pd.DataFrame({"x": points[:, 0], "y": points[:, 1]})
    look: dict[str, Any] = {"size": 2.4 if len(data) <= 600 else 1.6, "alpha": 0.7, "stroke": 0.15}
    if labels is None:
        chart = p9.ggplot(data, p9.aes("x", "y")) + p9.geom_point(color=TEN[0], **look)
    else:
        data["label"] = pd.Categorical(labels[chosen], categories=classes)
        chart = p9.ggplot(data, p9.aes("x", "y", color="label")) + p9.geom_point(**look)
        guide: Any = p9.guide_legend(override_aes={"size": 3, "alpha": 1})
        face = font()
        chart += p9.scale_color_manual(
            values=class_colors(classes),
            name="class",
            labels=[shortened(written(name), 160, face) for name in classes],
            guide=guide if len(classes) <= 20 else None,
        )
        if len(classes) <= 20:
            # Names on the page itself: colour alone should not carry the meaning.
            centers = _centers(data)
            centers["label"] = [shortened(written(name), 110, face) for name in centers["label"]]
            centers = _apart(centers, data)
            chart += p9.geom_label(
                p9.aes(label="label"),
                data=centers,
                color="black",
                alpha=0.85,
                size=10,
                label_padding=0.12,
                label_size=0,
            )
    caption = None
    if len(chosen) < len(codes):
        caption = f"a random {len(chosen):,} of {len(codes):,} codes"
    return chart + p9.labs(x=x_name, y=y_name, title=title, caption=caption) + page(6.2, 5)


def image_scatter(
    codes: ArrayLike,
    images: ArrayLike,
    labels: ArrayLike | None = None,
    method: str = "auto",
    *,
    size: int = 760,
    overlap: float = 0.1,
    limit: int = 5000,
    seed: int = 0,
    title: str | None = None,
) -> Picture:
    """Draw the images themselves at the places of their codes (the paper's figure 3).

    Images are placed in random order; one that would cover more than `overlap` of the side
    of an image already there is left out, so that each one drawn can be seen.

    Args:
      codes: [N, d].
      images: [N, H, W, C].
      labels: Class of each image, [N]: its colour frames the image. `None` for no frames.
      method: As in `scatter`.
      size: Width and height of the field in pixels.
      limit: The most images considered: of more, a random sample.
      overlap: The most that two images may overlap along both axes, as a share of a side.
      seed: Seed of the order and of t-SNE.
      title: A line above.

    Returns:
      A `Picture`; `boxes[0]` has an entry for every image, `None` for one left out.

    Raises:
      UserError: For the wrong rank, NaN, or counts that don't match.
    """
    codes = as_codes(codes)
    pixels = as_images(images)
    same_count("images", len(pixels), "codes", len(codes))
    labels, classes = as_labels(labels, len(codes))
    colors = class_colors(classes)
    chosen = _sample(len(codes), limit, seed)
    points, names = project(codes[chosen], method, seed)
    low, high = points.min(axis=0), points.max(axis=0)
    unit = (points - low) / np.where(high > low, high - low, 1)  # [N, 2], in [0, 1]

    height, width = pixels.shape[1:3]
    scale = max(1, round(32 / max(height, width)))
    frame = 2 if labels is not None else 1
    sides = np.array([width * scale + 2 * frame, height * scale + 2 * frame])
    top = FONT_SIZE + 14 if title else 8
    field = np.array([size, size]) - sides
    corners = np.round(unit * [1, -1] * field + [8, top] + [0, 1] * field).astype(int)

    named = {name: written(name) for name in classes} if len(classes) <= 20 else {}
    line, face = FONT_SIZE + 6, font(words=[*named.values(), title or ""])
    legend = _legend(named, size, face)
    lines = 1 + len({row for row, *_ in legend})
    canvas = Image.new("RGB", (size + 16, top + size + max(2, lines) * line), PAPER)
    draw = ImageDraw.Draw(canvas)
    drawn = np.empty((0, 2))
    boxes: list[tuple[int, int, int, int] | None] = [None] * len(codes)
    for place in np.random.default_rng(seed).permutation(len(chosen)):
        if (np.abs(drawn - corners[place]) < sides * (1 - overlap)).all(axis=1).any():
            continue
        drawn = np.vstack([drawn, corners[place]])
        x, y = (int(v) for v in corners[place])
        i = chosen[place]
        color = colors[labels[i]] if labels is not None else (150, 150, 150)
        draw.rectangle((x, y, x + int(sides[0]) - 1, y + int(sides[1]) - 1), fill=color)
        canvas.paste(Image.fromarray(upscale(pixels[i], scale)), (x + frame, y + frame))
        boxes[i] = (x + frame, y + frame, x + frame + width * scale, y + frame + height * scale)

    if title:
        draw.text((8, 5), title, fill=INK, font=face)
    under = f"across: {names[0]}, up: {names[1]}; {len(drawn):,} of {len(codes):,} images drawn"
    draw.text((8, top + size + 2), under, fill=INK, font=face)
    for row, x, name, word in legend:
        y = top + size + (1 + row) * line + 4
        draw.rectangle((x, y, x + 11, y + 11), fill=colors[name])
        draw.text((x + 16, y - 3), word, fill=INK, font=face)
    return Picture(canvas, [boxes])


def _legend(classes, width, face):
    """Return `(row, x, name, word)` for each class: as many in a row as there is room for."""
    places, row, x = [], 0, 8
    for name, word in classes.items():
        word = shortened(word, width - 30, face)
        wide = 30 + int(face.getlength(word))
        if x > 8 and x + wide > width + 8:
            row, x = row + 1, 8
        places.append((row, x, name, word))
        x += wide
    return places


def grid(
    decode: Callable,
    latent_dim: int,
    dims: Sequence[int] = (0, 1),
    n: int = 20,
    span: float | Sequence[float] = 2.0,
    *,
    title: str | None = None,
    scale: int | None = None,
) -> Picture:
    """Draw images decoded from an even grid of two latents, the others at zero.

    Args:
      decode: Any callable from codes, float32 [B, latent_dim], to images [B, H, W, C], such
        as `lambda z: model.decode(z).mean()`.
      latent_dim: Length of a code.
      dims: The two latents: the first runs to the right, the second upwards.
      n: Images a side.
      span: Half the range, in the units of z, or a pair (low, high).
      title: A line above.
      scale: Times that each pixel is repeated; `None` finds one that fits.

    Returns:
      A `Picture` of n rows of n images, with the values of the latents beside them.

    Raises:
      UserError: If `dims` or `span` make no sense or `decode` returns no images.

    Example:
      >>> import numpy as np
      >>> from keras_acn import plots
      >>> def decode(z):  # a model's `lambda z: model.decode(z).mean()`
      ...     return np.full([len(z), 8, 8, 1], 0.5)
      >>> picture = plots.latents.grid(decode, latent_dim=2, n=5)
      >>> len(picture.boxes), len(picture.boxes[0])
      (5, 5)
    """
    base = np.zeros(check_count(latent_dim, "`latent_dim`", 1), np.float32)
    return traversal(decode, base, dims, n, span, title=title, scale=scale)


def traversal(
    decode: Callable,
    base: ArrayLike,
    dims: Sequence[int] = (0, 1),
    n: int = 10,
    span: float | Sequence[float] = 2.0,
    *,
    title: str | None = None,
    scale: int | None = None,
) -> Picture:
    """Draw images decoded around a code, two of its latents moved over a grid.

    Args:
      decode: Any callable from codes, float32 [B, d], to images [B, H, W, C].
      base: The code that gives the other latents, [d].
      dims: The two latents: the first runs to the right, the second upwards.
      n: Images a side.
      span: How far each moves from its value in `base` either way, in the units of z; or a
        pair (low, high) of the values themselves.
      title, scale: As for `grid`.

    Returns:
      A `Picture` of n rows of n images.

    Raises:
      UserError: If `dims` or `span` make no sense or `decode` returns no images.
    """
    base = as_array(base, "base code").astype(np.float32)
    if base.ndim != 1:
        raise UserError(f"The base code must have shape [d], not {list(base.shape)}.")
    across, up = _two_dims(dims, len(base))
    n = check_count(n, "`n`", 1)
    (left, right), (low, high) = _ends(span, base[across]), _ends(span, base[up])
    xs = np.linspace(left, right, n)
    ys = np.linspace(low, high, n)[::-1]  # the top row has the highest value
    z = np.tile(base, (n * n, 1))  # [n * n, d]
    z[:, across] = np.tile(xs, n)
    z[:, up] = np.repeat(ys, n)
    pixels = _decoded(decode, z)
    return sheet(
        [list(row) for row in pixels.reshape(n, n, *pixels.shape[1:])],
        # Side by side, as one surface; tiny images could not be told apart so.
        gap=0 if min(pixels.shape[1:3]) >= 16 else 2,
        scale=scale,
        title=title,
        column_labels=_values(xs),
        row_labels=_values(ys),
        footer=f"across: z[{across}], up: z[{up}]",
    )


def _sample(count, limit, seed):
    """Indices of at most `limit` of `count` things, in order."""
    limit, seed = check_count(limit, "`limit`", 1), check_seed(seed)
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, limit, replace=False))


def _centers(data):
    """The row of each class that lies nearest to the class's median.

    A median itself may fall between the islands of a class, on another class.
    """
    middles = data.groupby("label", observed=True)[["x", "y"]].transform("median")
    distances = ((data[["x", "y"]] - middles) ** 2).sum(axis=1)
    return data.loc[distances.groupby(data["label"], observed=True).idxmin()]


def _apart(centers, data):
    """Return the places of the classes' names, moved as far as they would cover one another.

    Args:
      centers: A row for each class, with columns x, y, label.
      data: All points, which say how large the field is.
    """
    centers = centers.copy()
    low = data[["x", "y"]].min().to_numpy()
    span = np.maximum(data[["x", "y"]].max().to_numpy() - low, 1e-12)
    # In inches of the field, of which the legend has its part.
    places = (centers[["x", "y"]].to_numpy() - low) / span * FIELD  # [C, 2]
    words = centers["label"].astype(str)
    sizes = np.stack([0.1 * words.str.len() + 0.12, np.full(len(words), 0.24)], axis=1)
    for _ in range(200):
        moved = False
        for i in range(len(places)):
            for j in range(i):
                gap = places[i] - places[j]
                inside = (sizes[i] + sizes[j]) / 2 - np.abs(gap)
                if (inside <= 1e-9).any():
                    continue
                axis = int(np.argmin(inside))
                step = (inside[axis] + 1e-3) / 2 * (1 if gap[axis] >= 0 else -1)
                places[i, axis] += step
                places[j, axis] -= step
                moved = True
        if not moved:
            break
    centers[["x", "y"]] = places / FIELD * span + low
    return centers


def _values(values):
    return [f"{v + 0.0:.1f}" for v in np.round(values, 1)]


def _two_dims(dims, latent_dim):
    dims = tuple(dims) if isinstance(dims, (tuple, list, np.ndarray)) else (dims,)
    known = all(isinstance(d, (int, np.integer)) and 0 <= d < latent_dim for d in dims)
    if len(dims) != 2 or not known or dims[0] == dims[1]:
        raise UserError(
            f"`dims` must be two different latents from 0 to {latent_dim - 1}, not {dims}."
        )
    return dims


def _ends(span, center):
    try:
        ends = np.asarray(span, np.float64)
    except (TypeError, ValueError):
        ends = np.full(3, np.nan)
    if ends.shape == () and np.isfinite(ends) and ends > 0:
        # Codes are float32.
        most = float(np.finfo(np.float32).max)
        return np.clip([center - ends, center + ends], -most, most)
    if ends.shape == (2,) and np.isfinite(ends).all() and ends[0] < ends[1]:
        return ends
    raise UserError(f"`span` must be a number above zero or a pair (low, high), not {span!r}.")


def _decoded(decode, z):
    if not callable(decode):
        raise UserError("`decode` must be a function from codes [B, d] to images [B, H, W, C].")
    images = decode(z)
    try:
        images = as_array(images, "decoded images")
    except UserError as error:
        raise UserError(
            "`decode` must return images [B, H, W, C], not "
            f"{type(images).__name__}: try `lambda z: model.decode(z).mean()`."
        ) from error
    pixels = as_images(images, "decoded images")
    same_count("decoded images", len(pixels), "codes", len(z))
    return pixels
