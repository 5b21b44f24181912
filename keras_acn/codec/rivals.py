"""What general-purpose compressors make of the same images: those that are installed here."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import importlib
import io
import lzma
import math
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_acn._base.progress import Progress
from keras_acn.codec.planes import split
from keras_acn.codec.values import PixelValues
from keras_acn.data.readers.base import SCAN, Source
from keras_acn.data.readers.exact import Picture

if TYPE_CHECKING:
    from PIL import Image

# WebP's limit, which keeps a PNG readable everywhere too.
MOST_SIDE = 16_383
# Bytes of images on which compressors are tried beside `compress`: of more, only some are tried.
MOST_TRIED = 2**23


@dataclasses.dataclass(frozen=True)
class Rival:
    """A general-purpose compressor, and the smallest that it makes of the images.

    Attributes:
      name: Such as `"xz"`.
      form: What it was given, such as `"packed bits, sorted"`.
      size: Bytes.

    Example:
      >>> images = np.zeros((10, 8, 8, 1), np.uint8)
      >>> "xz" in {rival.name for rival in rivals(images, levels=2)}
      True
    """

    name: str
    form: str
    size: int


def rivals(
    images: np.ndarray,
    levels: int,
    *,
    ordered: bool = False,
    only: Collection[str] | None = None,
    progress: Progress | None = None,
) -> list[Rival]:
    """Return what each compressor that is installed makes of images, the smallest first.

    gzip, bz2, xz, zstd and brotli, at their strongest, get the array's bytes, and eight pixels a
    byte where they are black and white. PNG and WebP (lossless) get all images as tiles of one
    large picture. Where the order need not be kept, each gets them sorted, too.

    Args:
      images: Levels, uint8 `[N, H, W, C]`.
      levels: 2 or 256.
      ordered: Whether the order is to be kept.
      only: The names of those to try; all by default.
      progress: Called with the compressors done, and their number.
    """
    orders = {"": images}
    if not ordered:
        rows = images.reshape(len(images), -1)
        keys = np.packbits(rows, axis=1) if levels == 2 else rows
        orders[", sorted"] = images[np.lexsort(keys.T[::-1])]
    of_bytes, of_pictures = [], []
    for order, array in orders.items():
        of_bytes.append((f"bytes{order}", np.ascontiguousarray(array).tobytes()))
        if levels == 2:
            packed = np.packbits(array.reshape(len(array), -1), axis=1)
            of_bytes.append((f"packed bits{order}", packed.tobytes()))
        if array.shape[3] in (1, 3):
            of_pictures.append((f"one picture{order}", array))
    programs, painters = (
        [each for each in found if only is None or each[0] in only]
        for found in (list(_compressors()), list(_painters()))
    )
    found = []
    for done, (name, compress) in enumerate(programs):
        sizes = [(len(compress(content)), form) for form, content in of_bytes]
        found.append(Rival(name, *min(sizes)[::-1]))
        if progress is not None:
            progress(done + 1, len(programs) + len(painters))
    for done, (name, paint) in enumerate(painters, start=len(programs)):
        drawn = [(_painted(array, levels, paint), form) for form, array in of_pictures]
        if drawn:
            found.append(Rival(name, *min(drawn)[::-1]))
        if progress is not None:
            progress(done + 1, len(programs) + len(painters))
    return sorted(found, key=lambda rival: rival.size)


def source_rivals(source: Source, levels: int, *, ordered: bool = False) -> list[Rival]:
    """Return what zstd (or else gzip, bz2 and xz) and WebP make of images, the smallest first.

    Where there are many, the first ones are tried, and the sizes of all are estimated from these.

    Args:
      source: The images.
      levels: Of the model that codes them, 2 or 256.
      ordered: Whether the order is to be kept.
    """
    if not len(source):
        return []
    values = PixelValues.of(source.blocks(SCAN), source.dtype, levels, source.scale)
    count = max(1, MOST_TRIED // math.prod(source.image_shape))
    array = values.to_levels(next(iter(source.blocks(count)))).reshape(-1, *source.image_shape)
    found = rivals(array, levels, ordered=ordered, only=("WebP", *usual()))
    about = ""
    if len(array) < len(source):
        about = f", estimated from {len(array):,} of them"
    share = len(source) / len(array)
    return [Rival(each.name, each.form + about, round(each.size * share)) for each in found]


def usual() -> tuple[str, ...]:
    """Return the names of the compressors of bytes that are tried beside `compress`."""
    names = [name for name, _ in _compressors()]
    return ("zstd",) if "zstd" in names else ("gzip", "bz2", "xz")


def against(found: list[Rival], own: int, values: int) -> list[str]:
    """Return what others make of the same images, in lines; the last says who wins, if one does.

    Args:
      found: The smallest first.
      own: Bytes of the file.
      values: Pixels times channels.

    Example:
      >>> against([Rival("zstd", "bytes", 150)], own=200, values=100)[0]
      'zstd     12.0000 bits per dimension (bytes)'
    """
    if not found or not values:
        return []
    lines = [
        f"{each.name:<8} {8 * each.size / values:.4f} bits per dimension ({each.form})"
        for each in found
    ]
    best = found[0]
    if best.size < own:
        lines.append(
            f"{best.name} would have been smaller by {own - best.size:,} bytes "
            f"({1 - best.size / own:.0%}): take it, or a model that was trained on such images."
        )
    return lines


def picture_rivals(
    read: Callable[[Sequence[int]], Iterable[Picture]], rows: Sequence[int], size: int
) -> list[Rival]:
    """Return what zstd (or else gzip, bz2 and xz) and WebP make of pictures, the smallest first.

    The former get the pixels of all pictures, one after the other; WebP (lossless) gets each
    picture by itself, and PNG those of 16 bits, which WebP has not. Names are not counted.

    Args:
      read: Called with rows, gives the pictures.
      rows: Those of all pictures.
      size: Bytes of their pixels. Where they are many, some are tried, and the sizes of all are
        estimated from these.
    """
    step = max(1, -(-size // MOST_TRIED))
    tried = rows[::step]
    content, painted = bytearray(), 0
    for picture in read(tried):
        content += split(picture, None)[1]
        painted += len(as_webp(picture))
    share = size / max(1, len(content))
    about = "" if step == 1 else f", estimated from {len(tried):,} of them"
    found = [Rival("WebP", f"picture by picture{about}", round(painted * share))]
    programs = dict(_compressors())
    for name in usual():
        packed = len(programs[name](bytes(content)))
        found.append(Rival(name, f"pixels of all{about}", round(packed * share)))
    return sorted(found, key=lambda rival: rival.size)


def as_webp(picture: Picture) -> bytes:
    """Return a picture as a lossless WebP file; as a PNG file where WebP has no such pictures."""
    from PIL import features

    image, out = picture.to_image(), io.BytesIO()
    if picture.mode == "I;16" or max(picture.size) > MOST_SIDE or not features.check("webp"):
        image.save(out, format="PNG", optimize=True)
        return out.getvalue()
    has_alpha = picture.mode in ("LA", "RGBA") or picture.alphas
    image = image.convert("RGBA" if has_alpha else "RGB")
    image.save(out, format="WEBP", lossless=True, quality=100, method=4, exact=True)
    return out.getvalue()


def table(found: list[Rival], own: int) -> str:
    """Return the rivals beside the file, in lines, and in a sentence which is the smallest.

    Args:
      found: From `rivals`.
      own: Bytes of the file.

    Example:
      >>> print(table([Rival("xz", "bytes", 150)], own=100))
      keras-acn  100  model included
      xz         150  1.50 times as much (bytes)
      None of these makes them smaller: xz, the best, takes 1.50 times as much.
    """
    lines = [("keras-acn", f"{own:,}", "model included")]
    for rival in found:
        lines.append((rival.name, f"{rival.size:,}", f"{_against(rival.size, own)} ({rival.form})"))
    first, second = (max(len(line[place]) for line in lines) for place in (0, 1))
    text = [f"{name:<{first}}  {size:>{second}}  {rest}" for name, size, rest in lines]
    if found and found[0].size < own:
        best = found[0]
        text.append(
            f"{best.name} would have been smaller by {own - best.size:,} bytes "
            f"({1 - best.size / own:.0%}): take it, or give more images or more minutes."
        )
    elif found:
        text.append(
            f"None of these makes them smaller: {found[0].name}, the best, takes "
            f"{_against(found[0].size, own)}."
        )
    return "\n".join(text)


def _against(size, own):
    return f"{size / own:.2f} times as much"


def _compressors() -> Iterator[tuple[str, Callable[[bytes], bytes]]]:
    yield "gzip", lambda content: gzip.compress(content, 9)
    yield "bz2", lambda content: bz2.compress(content, 9)
    yield "xz", lambda content: lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)
    yield from _first(
        "zstd",
        ("compression.zstd", lambda zstd: lambda content: zstd.compress(content, 19)),
        ("zstandard", lambda zstd: zstd.ZstdCompressor(level=19).compress),
        ["zstd", "-19", "-q", "-c"],
    )
    yield from _first(
        "brotli",
        ("brotli", lambda brotli: lambda content: brotli.compress(content, quality=11, lgwin=24)),
        ["brotli", "-q", "11", "-w", "24", "-c"],
    )


def _first(name, *ways):
    """Yield the first way to a compressor that is installed: a module or a program."""
    for way in ways:
        if isinstance(way, list):
            if shutil.which(way[0]):
                yield name, lambda content, way=way: _piped(way, content)
                return
            continue
        module, make = way
        try:
            yield name, make(importlib.import_module(module))
            return
        except ImportError:
            continue


def _piped(command, content):
    return subprocess.run(command, input=content, stdout=subprocess.PIPE, check=True).stdout


def _painters():
    from PIL import features

    yield "PNG", {"format": "PNG", "optimize": True}
    if features.check("webp"):
        yield "WebP", {"format": "WEBP", "lossless": True, "quality": 100, "method": 4}


def _painted(images, levels, options):
    """Return the bytes of images as tiles of one picture, or of a few where one is too large."""
    total = 0
    for picture in as_pictures(images, levels):
        image = picture.convert("RGB") if options["format"] == "WEBP" else picture
        out = io.BytesIO()
        image.save(out, **options)
        total += out.tell()
    return total


def as_pictures(images: np.ndarray, levels: int) -> Iterator[Image.Image]:
    """Yield images as tiles of one picture, or of a few where one is too large.

    Args:
      images: Levels, uint8 `[N, H, W, C]`, of 1 or 3 channels.
      levels: 2 or 256.

    Example:
      >>> images = np.zeros((100, 28, 28, 1), np.uint8)
      >>> [(picture.mode, picture.size) for picture in as_pictures(images, levels=2)]
      [('1', (280, 280))]
    """
    from PIL import Image

    count, height, width, channels = images.shape
    columns = min(max(1, MOST_SIDE // width), max(1, math.isqrt(count * height // width)))
    at_most = columns * max(1, MOST_SIDE // height)
    for start in range(0, count, at_most):
        part = images[start : start + at_most]
        rows = -(-len(part) // columns)
        room = np.zeros((rows * columns, height, width, channels), np.uint8)
        room[: len(part)] = part
        picture = room.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
        picture = picture.reshape(rows * height, columns * width, channels)
        picture = picture * np.uint8(255 // (levels - 1))
        image = Image.fromarray(picture[..., 0] if channels == 1 else picture)
        yield image.convert("1") if levels == 2 and channels == 1 else image
