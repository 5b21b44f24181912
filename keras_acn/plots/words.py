"""Words in pictures made of images: their font, and how long ones fit into little room."""

from __future__ import annotations

import functools
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence

from keras_acn._base import lazy
from keras_acn._base.errors import DataWarning

matplotlib = lazy.module("matplotlib")
font_manager = lazy.module("matplotlib.font_manager")
ft2font = lazy.module("matplotlib.ft2font")
ImageFont = lazy.module("PIL.ImageFont")

FONT_SIZE = 13
ELLIPSIS = "\u2026"


def font(size=FONT_SIZE, words: Iterable[str] = ()):
    """Return the font that comes with matplotlib, the same on every machine.

    Args:
      size: In pixels.
      words: What is to be written. Where it has letters that this font lacks, such as Chinese
        ones, an installed font that has them is returned, and a `DataWarning` says if none has.
    """
    letters = {ord(letter) for word in words for letter in word if not letter.isspace()}
    path = _own()
    missing = letters - _letters_of(path)
    if missing:
        path = _covering(frozenset(letters)) or path
        if path == _own():
            shown = "".join(map(chr, sorted(missing)[:5]))
            warnings.warn(
                f'No font that is installed here has all letters of the names, such as "{shown}", '
                "so pictures show boxes in their place: install one, such as Debian's "
                "fonts-noto-cjk, or give the classes other names.",
                DataWarning,
                stacklevel=2,
            )
    return ImageFont.truetype(path, size)


def written(word: object) -> str:
    """Return a word as it is to be drawn: letters and their accents in one, on one line."""
    return " ".join(unicodedata.normalize("NFC", str(word)).split())


def parts_of(caption: object) -> list[str]:
    """Return the words of a caption, one or a tuple of them, as they are to be drawn."""
    return [written(word) for word in (caption if isinstance(caption, tuple) else (caption,))]


def shortened(word, width, face):
    """Return a word, its middle left out where it is wider than `width` pixels.

    Names of classes often begin alike, or end alike.
    """
    if face.getlength(word) <= width:
        return word
    fitting = (cut for cut in _without_middle(word) if face.getlength(cut) <= width)
    return next(fitting, "")


def wrapped(word: str, width: int, face, most: int = 2) -> list[str]:
    """Return a word in at most so many lines, each at most `width` pixels wide.

    It is parted at spaces, hyphens, underscores, slashes and points, else between any two letters;
    what does not fit in all lines loses its middle.
    """
    lines = _filled(word, width, face)
    if len(lines) > most:
        # From both ends, as much as the lines hold.
        for cut in _without_middle(word):
            lines = _filled(cut, width, face)
            if len(lines) <= most:
                break
    return [line for line in lines if face.getlength(line) <= width][:most]


def under_images(captions: Sequence[Sequence[object]], width: int, face) -> list[list[list[str]]]:
    """Return the lines under each image of a sheet, for captions of one piece or of several.

    Args:
      captions: `captions[row][column]`, a word or a tuple of words, such as a class and a distance:
        these stand on one line where that has room, else each begins a new one.
      width: Of an image, in pixels.
      face: The font.
    """
    pieces = [[parts_of(caption) for caption in row] for row in captions]
    joined = [[" \u00b7 ".join(filter(None, each)) for each in row] for row in pieces]
    if all(face.getlength(text) <= width for row in joined for text in row):
        return [[[text] for text in row] for row in joined]
    return [
        [[line for word in each if word for line in wrapped(word, width, face)] for each in row]
        for row in pieces
    ]


def _without_middle(word: str) -> Iterator[str]:
    """Yield a word with ever more of its middle left out."""
    for kept in range(len(word) - 1, 0, -1):
        head, tail = word[: (kept + 1) // 2], word[len(word) - kept // 2 :]
        yield f"{head.rstrip()}{ELLIPSIS}{tail.lstrip()}"


def _filled(word: str, width: int, face) -> list[str]:
    """Return the lines that a word fills, as many as it takes."""
    lines, line = [], ""
    for piece in re.findall(r"[^\s\-_/.]*[\s\-_/.]+|[^\s\-_/.]+", word):
        if face.getlength((line + piece).rstrip()) <= width:
            line += piece
            continue
        if line:
            lines.append(line.rstrip())
        line = ""
        for letter in piece:
            if line and face.getlength((line + letter).rstrip()) > width:
                lines.append(line)
                line = ""
            line += letter
    return [*lines, line.rstrip()] if line.strip() else lines


def _own() -> str:
    return f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"


@functools.cache
def _letters_of(path: str) -> frozenset[int]:
    try:
        return frozenset(ft2font.FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


@functools.cache
def _covering(letters: frozenset[int]) -> str | None:
    """Return the path of an installed font that has all the letters, or `None`."""
    upright = [
        each
        for each in font_manager.fontManager.ttflist
        # The one of last resort has a box for each letter there is.
        if each.style == "normal" and not each.name.startswith("Last Resort")
    ]
    for each in sorted(upright, key=lambda each: str(each.weight) not in ("400", "normal")):
        if letters <= _letters_of(each.fname):
            return each.fname
    return None
