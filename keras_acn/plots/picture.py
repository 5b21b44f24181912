"""The still picture, the sheet that lays images out in rows, and the colours of all pictures."""

from __future__ import annotations

import io
import math
import pathlib

import numpy as np

from keras_acn._base import lazy
from keras_acn._base.atomic import replacing
from keras_acn._base.checks import check_count
from keras_acn._base.errors import UserError
from keras_acn._base.shell import expanded
from keras_acn.plots.words import FONT_SIZE, font, parts_of, shortened, under_images, written

matplotlib = lazy.module("matplotlib")
colors = lazy.module("matplotlib.colors")
Image = lazy.module("PIL.Image")
ImageDraw = lazy.module("PIL.ImageDraw")

CELL = 72  # pixels: what a small image is blown up to, if the sheet has room
WIDEST = 900  # pixels: about the width of a notebook's output
LABEL = 240  # pixels: the most that the words on the left of rows take
INK = (40, 40, 40)
PAPER = (255, 255, 255)
# Between tiles: neither black nor white images run into one another, or into the page.
GAP = (160, 160, 160)

# Okabe and Ito's colours for readers with a colour-vision deficiency, without black and the yellow
# that a white page swallows, and four more that stay apart from them for such readers too.
TEN = (
    "#0072b2",  # blue
    "#e69f00",  # orange
    "#009e73",  # green
    "#d55e00",  # vermilion
    "#56b4e9",  # sky blue
    "#cc79a7",  # pink
    "#820cf7",  # violet
    "#a8d977",  # light green
    "#8c3523",  # brown
    "#332288",  # indigo
)
# Okabe and Ito's colours for lines, without the yellow that a white page swallows.
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")


class Picture:
    """A still picture that displays in a notebook and saves to a file.

    Args:
      image: A `PIL.Image.Image`.
      boxes: Where each image lies, `boxes[row][column] = (left, top, right, bottom)` in
        pixels, or `None` for an empty cell.

    Attributes:
      image: The `PIL.Image.Image`.
      boxes: As given.

    Example:
      >>> import numpy as np
      >>> from keras_acn import plots
      >>> picture = plots.grid(np.zeros([4, 8, 8, 1]), scale=2)
      >>> picture.cell(1, 0).shape
      (16, 16, 3)
    """

    def __init__(self, image, boxes=()):
        self.image = image
        self.boxes = boxes

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.size

    def to_array(self) -> np.ndarray:
        """Return the picture as uint8 [height, width, 3]."""
        return np.asarray(self.image.convert("RGB"))

    def cell(self, row: int, column: int) -> np.ndarray:
        """Return the pixels of one image of the sheet as uint8 [h, w, 3], upscaled."""
        left, top, right, bottom = self.boxes[row][column]
        return self.to_array()[top:bottom, left:right]

    def save(self, path: str | pathlib.Path) -> None:
        """Write the picture; the file's ending (.png, .jpg, .webp, .gif) says the format.

        The file takes the place of an older one only once it is whole.

        Raises:
          UserError: If the ending names no known format or the folder doesn't exist.
        """
        path = writable(path, (".png", ".jpg", ".jpeg", ".webp", ".gif"))
        options = {"optimize": True} if path.suffix.lower() == ".png" else {}
        with replacing(path) as temporary:
            self.image.save(temporary, **options)

    def _repr_png_(self):
        data = io.BytesIO()
        self.image.save(data, format="PNG", optimize=True)
        return data.getvalue()


def writable(path: str | pathlib.Path, endings: tuple[str, ...]) -> pathlib.Path:
    """Return `path` as a `pathlib.Path` that a file of such an ending may be written to."""
    path = pathlib.Path(expanded(path))
    if path.suffix.lower() not in endings:
        raise UserError(f'Cannot write "{path.name}": its name must end in {", ".join(endings)}.')
    if not path.parent.is_dir():
        raise UserError(f'Cannot write "{path}": the folder "{path.parent}" does not exist.')
    return path


def class_colors(classes):
    """Return {class: "#rrggbb"}; above ten classes, even steps through a colour map."""
    if len(classes) <= len(TEN):
        return dict(zip(classes, TEN, strict=False))
    steps = matplotlib.colormaps["turbo"]
    return {name: colors.to_hex(steps(i / (len(classes) - 1))) for i, name in enumerate(classes)}


def line_colors(names):
    """Return {name: "#rrggbb"} for the lines of a chart."""
    if len(names) <= len(LINES):
        return dict(zip(names, LINES, strict=False))
    return class_colors(names)


def upscale(image, scale):
    """Repeat every pixel of an image [H, W, C] `scale` times each way, as RGB."""
    image = np.broadcast_to(image, image.shape[:2] + (3,))
    return image.repeat(scale, axis=0).repeat(scale, axis=1)  # [H * scale, W * scale, 3]


def fitting_scale(height, width, columns, cell=CELL, widest=WIDEST):
    """Return the whole factor that brings an image near `cell` pixels within `widest`."""
    wanted = max(1, round(cell / max(height, width)))
    return max(1, min(wanted, widest // (columns * width)))


def sheet(
    rows,
    *,
    scale=None,
    gap=3,
    after_first=0,
    title=None,
    row_labels=None,
    column_labels=None,
    captions=None,
    footer=None,
    cell=CELL,
):
    """Lay images out in rows, with words around them.

    Args:
      rows: Lists of uint8 images [H, W, C], all of one size; `None` leaves a cell empty.
      scale: Whole number of times that every pixel is repeated; `None` finds one.
      gap: Pixels between images.
      after_first: Further pixels between the first column and the second.
      title: A line above everything.
      row_labels: A word for each row, on its left.
      column_labels: A word for each column, above it. Where words would touch, only every
        second, third, ... is written, of the rows' too.
      captions: Words under each image, `captions[row][column]`, in more than one line where the
        images are narrow; a tuple of words each begins a line there.
      footer: A line under everything.
      cell: Pixels that a small image is blown up to when `scale` is `None`.

    Returns:
      A `Picture` with `boxes`.
    """
    columns = max(len(row) for row in rows)
    height, width = next(image for row in rows for image in row if image is not None).shape[:2]
    if scale is None:
        scale = fitting_scale(height, width, columns, cell)
    scale = check_count(scale, "`scale`", 1)
    height, width = height * scale, width * scale
    title, footer = (words and written(words) for words in (title, footer))
    row_labels, column_labels = (
        [written(word) for word in words or ()] for words in (row_labels, column_labels)
    )
    under = [parts_of(caption) for row in captions or () for caption in row]
    around = [*row_labels, *column_labels, title or "", footer or ""]
    face = font(words=[*around, *(word for parts in under for word in parts)])
    line = FONT_SIZE + 5
    margin = 6
    left = margin
    if row_labels:
        row_labels = [shortened(word, LABEL, face) for word in row_labels]
        left += int(max(map(face.getlength, row_labels))) + 8
    words_under = under_images(captions, width, face) if captions else []
    lines_under = max((len(each) for row in words_under for each in row), default=0)
    top = margin + (line + 2 if title else 0) + (line if column_labels else 0)
    row_height = height + gap + (lines_under * FONT_SIZE + line - FONT_SIZE if captions else 0)

    xs = [left + c * (width + gap) + (after_first if c else 0) for c in range(columns)]
    ys = [top + r * row_height for r in range(len(rows))]
    full_width = xs[-1] + width + margin
    for words in (title, footer):
        full_width = max(full_width, int(face.getlength(words)) + 2 * margin if words else 0)
    full_height = ys[-1] + row_height - gap + margin + (line if footer else 0)

    canvas = np.full((full_height, full_width, 3), PAPER, np.uint8)
    boxes = [[None] * columns for _ in rows]
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            if image is not None:
                box = (xs[c], ys[r], xs[c] + width, ys[r] + height)
                canvas[box[1] : box[3], box[0] : box[2]] = upscale(image, scale)
                boxes[r][c] = box

    if gap:
        _frame(canvas, boxes, math.ceil(gap / 2))
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    if title:
        draw.text((margin, margin), title, fill=INK, font=face)
    if footer:
        draw.text((margin, full_height - line - 1), footer, fill=INK, font=face)
    every = math.ceil(line / row_height)
    for y, label in list(zip(ys, row_labels, strict=False))[::every]:
        draw.text((left - 8, y + height // 2), label, fill=INK, font=face, anchor="rm")
    longest = max(map(face.getlength, column_labels), default=0)
    every = max(1, math.ceil((longest + 4) / (width + gap)))
    for x, label in list(zip(xs, column_labels, strict=False))[::every]:
        draw.text((x + width / 2, top - 5), label, fill=INK, font=face, anchor="ms")
    for y, row in zip(ys, words_under, strict=False):
        for x, lines in zip(xs, row, strict=False):
            for i, words in enumerate(lines):
                where = (x + width / 2, y + height + FONT_SIZE * (1 + i))
                draw.text(where, words, fill=INK, font=face, anchor="ms")
    return Picture(picture, boxes)


def _frame(canvas, boxes, width):
    """Make a grey frame about each image of a sheet, and of the gaps between them."""
    frames = np.zeros(canvas.shape[:2], bool)
    every = [box for row in boxes for box in row if box is not None]
    for left, top, right, bottom in every:
        frames[max(0, top - width) : bottom + width, max(0, left - width) : right + width] = True
    for left, top, right, bottom in every:
        frames[top:bottom, left:right] = False
    canvas[frames] = GAP
