"""Pictures made of images: grids, reconstructions, neighbours, samples, members of classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from keras_acn._base.checks import check_count
from keras_acn._base.errors import UserError
from keras_acn.plots.arrays import as_array, as_image_sets, as_images, same_count
from keras_acn.plots.picture import Picture, sheet


def grid(
    images: ArrayLike,
    columns: int | None = None,
    *,
    captions: Sequence | None = None,
    title: str | None = None,
    scale: int | None = None,
) -> Picture:
    """Draw images in reading order.

    Args:
      images: [N, H, W, C], floats in [0, 1] or uint8, grey or colour.
      columns: Images a row; `None` makes the grid about square.
      captions: A word under each image, [N], or `None`.
      title: A line above the grid.
      scale: Times that each pixel is repeated; `None` makes small images legible.

    Returns:
      A `Picture`.

    Raises:
      UserError: If the images are not what they should be, or captions don't match.

    Example:
      >>> import numpy as np
      >>> from keras_acn import plots
      >>> picture = plots.grid(np.zeros([6, 8, 8, 1]), columns=3, title="six black images")
      >>> len(picture.boxes), len(picture.boxes[0])
      (2, 3)
    """
    pixels = as_images(images)
    count = len(pixels)
    square = math.ceil(math.sqrt(count))
    columns = min(check_count(square if columns is None else columns, "`columns`", 1), count)
    if captions is not None:
        captions = list(captions)
        same_count("captions", len(captions), "images", count)
    starts = range(0, count, columns)
    return sheet(
        [list(pixels[s : s + columns]) for s in starts],
        title=title,
        captions=captions and [captions[s : s + columns] for s in starts],
        scale=scale,
    )


def samples(
    images: ArrayLike,
    columns: int | None = None,
    *,
    title: str | None = "samples from the prior",
    scale: int | None = None,
) -> Picture:
    """Draw samples of a model, [N, H, W, C], in a square grid; see `grid`."""
    return grid(images, columns, title=title, scale=scale)


def rows(
    images: Mapping[str, ArrayLike], *, title: str | None = None, scale: int | None = None
) -> Picture:
    """Draw rows of images, each under a name, as the samples of several models.

    Args:
      images: `{row's name: [N, H, W, C]}`, all of one shape.
      title, scale: As for `grid`.

    Returns:
      A `Picture`.

    Raises:
      UserError: If there are no rows, or their shapes differ.
    """
    if not isinstance(images, dict) or not images:
        raise UserError("Rows of images are given as {name: images [N, H, W, C]}, at least one.")
    pixels = as_image_sets([*images.values()], [f'images "{name}"' for name in images])
    shapes = {row.shape for row in pixels}
    if len(shapes) > 1:
        shown = " and ".join(str(list(shape)) for shape in sorted(shapes))
        raise UserError(f"Rows of images must all have one shape, not {shown}.")
    return sheet(
        [list(row) for row in pixels], row_labels=[*map(str, images)], title=title, scale=scale
    )


def comparison(
    originals: ArrayLike,
    reconstructions: ArrayLike | Mapping[str, ArrayLike],
    n: int = 10,
    *,
    title: str | None = None,
    scale: int | None = None,
) -> Picture:
    """Draw originals over their reconstructions.

    Args:
      originals: [N, H, W, C].
      reconstructions: [N, H, W, C]; or [S, N, H, W, C], several samples for each code, a
        row each; or a dict {row's name: [N, H, W, C]}, as for the runs of a sweep.
      n: The most columns: the first n images are drawn.
      title, scale: As for `grid`.

    Returns:
      A `Picture` of one row of originals and one or more rows below it.

    Raises:
      UserError: If shapes or counts don't match.
    """
    top = as_images(originals, "originals")
    if isinstance(reconstructions, dict):
        if not reconstructions:
            raise UserError("There are no reconstructions to draw: the dict is empty.")
        words = [f'reconstructions "{name}"' for name in reconstructions]
        drawn = as_image_sets([*reconstructions.values()], words)
        below = dict(zip(map(str, reconstructions), drawn, strict=True))
    else:
        array = as_array(reconstructions, "reconstructions")
        if array.ndim == 5:
            rows = as_images(array, "reconstructions", "SNHWC")
            below = {f"sample {s + 1}": row for s, row in enumerate(rows)}
        else:
            below = {"reconstruction": as_images(array, "reconstructions")}
    for row in below.values():
        same_count("reconstructions", len(row), "originals", len(top))
        if row.shape != top.shape:
            raise UserError(
                f"The reconstructions have shape {list(row.shape[1:])} an image, the originals "
                f"{list(top.shape[1:])}: give both at one size and number of channels."
            )
    n = check_count(n, "`n`", 1)
    return sheet(
        [list(top[:n])] + [list(row[:n]) for row in below.values()],
        row_labels=["original", *below],
        title=title,
        scale=scale,
    )


def neighbors_picture(
    queries: ArrayLike,
    neighbors: ArrayLike,
    distances: ArrayLike | None = None,
    *,
    class_names: tuple[ArrayLike, ArrayLike] | None = None,
    title: str | None = None,
    scale: int | None = None,
) -> Picture:
    """Draw each image beside its K neighbours, nearest first.

    Args:
      queries: [Q, H, W, C].
      neighbors: [Q, K, H, W, C], such as `train_images[index]` for the index [Q, K] that
        `model.neighbors` returns.
      distances: Euclidean distances in code space, [Q, K], written under the neighbours.
      class_names: The classes of the queries [Q] and of the neighbors [Q, K], numbers or words,
        written under them.
      title, scale: As for `grid`.

    Returns:
      A `Picture` of Q rows.

    Raises:
      UserError: If shapes or counts don't match.
    """
    left = as_images(queries, "queries")
    right = as_images(neighbors, "neighbors", "QKHWC")
    same_count("rows of neighbors", len(right), "queries", len(left))
    if right.shape[2:] != left.shape[1:]:
        raise UserError(
            f"The neighbors have shape {list(right.shape[2:])} an image, the queries "
            f"{list(left.shape[1:])}: give both at one size and number of channels."
        )
    under: list[list[str]] = [[""] * (1 + right.shape[1]) for _ in left]
    captions: Sequence[Sequence[object]] | None = None
    footer = None
    if distances is not None:
        distances = as_array(distances, "distances")
        if distances.shape != right.shape[:2]:
            raise UserError(
                f"The distances must have shape {list(right.shape[:2])}, one for each neighbor, "
                f"not {list(distances.shape)}."
            )
        captions = under = [["", *(f"{d:.2f}" for d in row)] for row in distances]
        footer = "under each neighbour: its distance in code space"
    if class_names is not None:
        own, others = (np.asarray(each) for each in class_names)
        if (own.shape, others.shape) != (left.shape[:1], right.shape[:2]):
            raise UserError(
                f"The class names must have the shapes {list(left.shape[:1])} and "
                f"{list(right.shape[:2])}, not {list(own.shape)} and {list(others.shape)}."
            )
        words = [[one, *row] for one, row in zip(own, others, strict=True)]
        captions = [
            list(zip(map(str, names), numbers, strict=True))
            for names, numbers in zip(words, under, strict=True)
        ]
        footer = "under each image: its class" + (
            ", and the distance in code space" if distances is not None else ""
        )
    return sheet(
        [[image, *row] for image, row in zip(left, right, strict=True)],
        column_labels=["image", *(f"#{k + 1}" for k in range(right.shape[1]))],
        captions=captions,
        after_first=12,
        footer=footer,
        title=title,
        scale=scale,
    )


def members_picture(
    given: Sequence[ArrayLike],
    drawn: Sequence[ArrayLike],
    *,
    names: Sequence[object] | None = None,
    title: str | None = None,
    scale: int | None = None,
) -> Picture:
    """Draws, for each class, the images a homoencoder was given and new ones that it drew.

    Args:
      given: A sequence of W sets of images, each [M, H, W, C]; M may differ.
      drawn: A sequence of as many sets, each [n, H, W, C], such as
        `model.generate_like(images)` returns for each set.
      names: The name of each class, [W], written before its row.
      title, scale: As for `grid`.

    Returns:
      A `Picture` of a row for each class: the given images, a gap, the drawn ones.

    Raises:
      UserError: If there are no sets, or not one of drawn images for each of given ones.
    """
    left = as_image_sets(given, ["given images"] * len(given))
    right = as_image_sets(drawn, ["drawn images"] * len(drawn))
    if not left:
        raise UserError("There are no sets of images to draw: give at least one.")
    same_count("sets of drawn images", len(right), "sets of given ones", len(left))
    if len({each.shape[1:] for each in [*left, *right]}) > 1:
        raise UserError("The given and the drawn images must all have one shape [H, W, C].")
    most = max(map(len, left))
    rows = [
        [*one, *[None] * (most - len(one) + 1), *other]
        for one, other in zip(left, right, strict=True)
    ]
    words = ["given", *[""] * most, "drawn"]
    labels = None if names is None else [str(name) for name in names]
    if labels is not None:
        same_count("names", len(labels), "sets of images", len(left))
    return sheet(rows, row_labels=labels, column_labels=words, title=title, scale=scale)
