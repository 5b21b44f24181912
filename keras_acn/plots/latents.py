"""Pictures of the space of codes: scatters of codes, and images decoded from it."""

import numpy as np

from keras_acn.plots.checks import as_codes, as_images, as_labels, positive_int, same_count
from keras_acn.plots.palette import class_colors
from keras_acn.plots.picture import FONT_SIZE, INK, PAPER, Picture, font, upscale
from keras_acn.plots.projection import project
from keras_acn.plots.traversals import grid, traversal

__all__ = ["grid", "image_scatter", "scatter", "traversal"]


def scatter(codes, labels=None, method="auto", *, limit=5000, seed=0, title=None):
    """Draws codes as points, coloured by class.

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
    """
    import pandas as pd
    import plotnine as p9

    codes = as_codes(codes)
    labels, classes = as_labels(labels, len(codes))
    chosen = _sample(len(codes), limit, seed)
    points, (x_name, y_name) = project(codes[chosen], method, seed)
    data = pd.DataFrame({"x": points[:, 0], "y": points[:, 1]})
    look = {"size": 2.4 if len(data) <= 600 else 1.6, "alpha": 0.7, "stroke": 0.15}
    if labels is None:
        chart = p9.ggplot(data, p9.aes("x", "y")) + p9.geom_point(color="#3f90da", **look)
    else:
        data["label"] = pd.Categorical(labels[chosen], categories=classes)
        chart = p9.ggplot(data, p9.aes("x", "y", color="label")) + p9.geom_point(**look)
        guide = p9.guide_legend(override_aes={"size": 3, "alpha": 1})
        chart += p9.scale_color_manual(
            values=class_colors(classes), name="class", guide=guide if len(classes) <= 20 else None
        )
        if len(classes) <= 20:
            # Names on the page itself: colour alone should not carry the meaning.
            centers = _centers(data)
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
    chart += p9.labs(x=x_name, y=y_name, title=title, caption=caption)
    chart += p9.theme_bw()
    chart += p9.theme(
        figure_size=(6.2, 5),
        dpi=100,
        panel_grid_minor=p9.element_blank(),
        plot_caption=p9.element_text(size=8),
    )
    return chart


def image_scatter(
    codes,
    images,
    labels=None,
    method="auto",
    *,
    size=760,
    overlap=0.1,
    limit=5000,
    seed=0,
    title=None,
):
    """Draws the images themselves at the places of their codes (the paper's figure 3).

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
    from PIL import Image, ImageDraw

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
    scale = max(1, round(26 / max(height, width)))
    frame = 2 if labels is not None else 1
    sides = np.array([width * scale + 2 * frame, height * scale + 2 * frame])
    top = FONT_SIZE + 14 if title else 8
    field = np.array([size, size]) - sides
    corners = np.round(unit * [1, -1] * field + [8, top] + [0, 1] * field).astype(int)

    line = FONT_SIZE + 6
    canvas = Image.new("RGB", (size + 16, top + size + 2 * line), PAPER)
    draw = ImageDraw.Draw(canvas)
    drawn = np.empty((0, 2))
    boxes = [None] * len(codes)
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

    face = font()
    if title:
        draw.text((8, 5), title, fill=INK, font=face)
    under = f"across: {names[0]}, up: {names[1]}; {len(drawn):,} of {len(codes):,} images drawn"
    draw.text((8, top + size + 2), under, fill=INK, font=face)
    x = 8
    for name in classes if len(classes) <= 20 else ():
        y = top + size + line + 4
        draw.rectangle((x, y, x + 11, y + 11), fill=colors[name])
        draw.text((x + 16, y - 3), name, fill=INK, font=face)
        x += 30 + int(face.getlength(name))
    return Picture(canvas, [boxes])


def _sample(count, limit, seed):
    """Indices of at most `limit` of `count` things, in order."""
    limit = positive_int(limit, "limit")
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
