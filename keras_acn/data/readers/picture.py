"""One picture file: the formats that are read, and what becomes of alpha and of 16 bits."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_acn._base import lazy
from keras_acn._base.errors import UserError
from keras_acn._base.reading import is_endless, over_limit, shared_memory

PIL = lazy.module("PIL")
Image = lazy.module("PIL.Image")
ImageColor = lazy.module("PIL.ImageColor")

# The still formats that Pillow decodes by itself. Not among them: what another program is
# started for (EPS, WMF), what has layers or frames rather than a picture (PSD, FLI), and what is
# only described (FITS, HDF5).
_FORMATS = (
    *("PNG", "JPEG", "MPO", "GIF", "BMP", "DIB", "TIFF", "WEBP", "AVIF", "JPEG2000"),
    *("PPM", "QOI", "ICO", "PCX", "SGI", "TGA"),
)
# Of a file whose name tells nothing only these are looked for, which begin with a clear mark.
_MARKED = _FORMATS[: _FORMATS.index("ICO")]
# Pictures that are not read, which must not be taken for something else and passed over.
_NOT_READ = frozenset(
    ".avif .heic .heif .hif .jxl .svg .svgz .psd .psb .xcf .ai .eps .exr .hdr .fits .webp .jp2 "
    ".raw .dng .cr2 .cr3 .nef .arw .orf .rw2 .raf".split()
)
# What programs leave in folders of pictures; so do names that begin with a dot.
_LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
_GREY = ("1", "L", "LA", "La")
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
DEFAULT_BACKGROUND = "white"

KINDS = "PNG, JPEG, GIF, BMP, TIFF, WebP and what else Pillow reads"
# `notice(kind)`, of the kinds of `Notices`.
Notice = Callable[[str], None]


class Unreadable(UserError):
    """A file that is no picture that can be read.

    Attributes:
      why: In a few words.
    """

    def __init__(self, path: str, why: str):
        super().__init__(f'"{path}" cannot be read: it is {why}.')
        self.path, self.why = path, why


@functools.cache
def _readable(formats: tuple[str, ...] = _FORMATS) -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in formats if name in Image.OPEN)


@functools.cache
def _endings() -> frozenset[str]:
    known = Image.registered_extensions().items()
    return frozenset(ending for ending, name in known if name in _FORMATS)


def is_litter(name: str) -> bool:
    """Return whether a file or folder of this name is none of the user's."""
    return name.startswith(".") or name.lower() in _LITTER


def is_picture(path: str) -> bool:
    """Return whether a file is to be read as a picture: by its name, or else by how it begins.

    Pictures of kinds that cannot be read count too: they are refused when they are read.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending in _endings() or ending in _NOT_READ:
        return True
    if is_endless(path) or _fault_of_size(path):
        return False
    try:
        with Image.open(path, formats=_readable(_MARKED)):
            return True
    except Exception:
        return False


def check_background(background: Any) -> tuple[int, int, int] | None:
    """Return a colour as `(red, green, blue)`, `None` for `None`.

    Args:
      background: A name or a number of HTML, such as `"white"` or `"#20a0ff"`, a grey value from
        0 to 255, or three such values.

    Raises:
      UserError: If it is no colour.

    Example:

    >>> check_background("#20a0ff"), check_background(0)
    ((32, 160, 255), (0, 0, 0))
    """
    if background is None:
        return None
    color = background
    if isinstance(color, str):
        text = color.strip()
        try:
            color = int(text) if text.isdecimal() else ImageColor.getrgb(text)
        except ValueError:
            color = None
    is_number = isinstance(color, (int, np.integer)) and not isinstance(color, bool)
    values = [color] * 3 if is_number else list(color) if isinstance(color, (list, tuple)) else []
    if len(values) != 3 or not all(
        isinstance(v, (int, np.integer)) and not isinstance(v, bool) and 0 <= v <= 255
        for v in values
    ):
        raise UserError(
            f'background must be a colour such as white, black or "#20a0ff", or a grey value from '
            f"0 to 255, not {background!r}."
        )
    red, green, blue = map(int, values)
    return red, green, blue


def opened(path: str, read: Callable) -> Any:
    """Return `read(image)` of an opened file; `Unreadable` says why there is none."""
    if is_endless(path):
        raise Unreadable(path, "a pipe or a device; save what it gives as a file")
    fault = _fault_of_size(path)
    if fault is not None:
        raise Unreadable(path, f"too large: its bytes take {fault}")
    try:
        with Image.open(path, formats=_readable()) as image:
            size = _memory_of(image)
            fault = over_limit(size)
            if fault is not None:
                height, width = image.size[::-1]
                raise Unreadable(path, f"too large: its {height}x{width} pixels take {fault}")
            with shared_memory(size):
                _scale_key(image)
                return read(image)
    except Unreadable:
        raise
    except Image.DecompressionBombError as error:
        raise Unreadable(
            path, "too large, of more pixels than Pillow takes (PIL.Image.MAX_IMAGE_PIXELS)"
        ) from error
    except PIL.UnidentifiedImageError as error:
        raise Unreadable(path, _what_else(path)) from error
    except OSError as error:
        why = "cut off or damaged"
        if error.strerror:
            why = f"not to be opened: {error.strerror.lower()}"
        raise Unreadable(path, why) from error
    except Exception as error:
        # The decoders of damaged files raise SyntaxError, ValueError, struct.error and more.
        raise Unreadable(path, "cut off or damaged") from error


def _fault_of_size(path: str) -> str | None:
    """Return why a file has too many bytes, or `None`.

    Some decoders read a file whole before they look at it. Pixels take at least twice the bytes
    that they have in a file.
    """
    try:
        return over_limit(2 * os.path.getsize(path))
    except OSError:
        return None


def _memory_of(image: Any) -> int:
    """Return what reading a picture takes at most: its pixels some times over."""
    of_a_pixel = 40 if image.mode[0] in "IF" else 32 if _has_alpha(image) else 16
    return image.size[0] * image.size[1] * of_a_pixel


def _what_else(path: str) -> str:
    ending = os.path.splitext(path)[1].lower()
    if not os.path.getsize(path):
        return "empty"
    if ending in _NOT_READ and ending not in _endings():
        return f"of a kind that is not read, {ending[1:].upper()}; convert it to PNG"
    return "no picture, or damaged"


def check_end(path: str, image: Any) -> None:
    """Raise an error if an opened PNG file is damaged where Pillow does not look for it.

    Pillow is content once it has all pixels, though checksums and the end are missing.
    """
    if image.format == "PNG":
        with Image.open(path, formats=("PNG",)) as again:
            again.verify()


def _scale_key(image):
    """Bring the grey that is transparent in a PNG file to the range of its pixels.

    Pillow brings pixels of 2 and 4 bits to 0 to 255, and leaves this one as it is stored.
    """
    key = image.info.get("transparency")
    if image.format == "PNG" and isinstance(key, int) and image.tile:
        image.info["transparency"] = key * {"L;2": 85, "L;4": 17}.get(image.tile[0][3], 1)


def is_deep(image: Any) -> bool:
    """Return whether an opened file has more than 8 bits a channel.

    Asked before its pixels are read, of which Pillow keeps 8 bits where there are several channels.
    """
    if image.format == "BMP":
        return False  # Its 16 bits are those of a pixel.
    if image.format in ("JPEG2000", "AVIF"):
        return _bits_in_header(image) > 8
    for codec, _, _, arguments in image.tile or ():
        if codec == "SGI16" or ";16" in str(arguments):
            return True
        # The largest value of a PPM file.
        if codec.startswith("ppm") and isinstance(arguments, tuple):
            return any(isinstance(each, int) and each > 255 for each in arguments)
    return False


def _bits_in_header(image):
    """Return the bits of a channel of a JPEG 2000 or AVIF file, 8 where its header says nothing."""
    try:
        with open(image.filename, "rb") as file:
            head = file.read(2**16)
    except (OSError, TypeError, ValueError):
        return 8
    if image.format == "AVIF":
        # Of `pixi`: version and flags, the number of channels, and then the bits of each.
        at = head.find(b"pixi") + 9
        return head[at] if 9 <= at < len(head) else 8
    # Of the marker SIZ: the bits of the first channel, less one, after eleven other numbers.
    at = head.find(b"\xff\x4f\xff\x51") + 42
    return (head[at] & 127) + 1 if 42 <= at < len(head) else 8


def has_several(image: Any) -> bool:
    """Return whether an opened file holds several pictures, of which Pillow shows one."""
    if image.format == "ICO":
        return len(image.info.get("sizes", ())) > 1
    # The further pictures of an MPO file are the camera's own copies.
    return image.format != "MPO" and getattr(image, "is_animated", False)


def with_alpha(image: Any) -> Any:
    """Return a grey picture one of whose values is transparent with an alpha channel.

    Not every version of Pillow that is supported does so for black and white.
    """
    key = image.info.get("transparency")
    if image.mode not in ("1", "L") or not isinstance(key, int):
        return image
    grey = np.asarray(image).astype(np.uint8)
    if image.mode == "1":
        # White is 1 to some versions and 255 to others.
        grey, key = grey * np.uint8(255), 255 * bool(key)
    alpha = np.where(grey == key, 0, 255).astype(np.uint8)
    return Image.fromarray(np.dstack([grey, alpha]))


def _orientation(image):
    """Return the number from 1 to 8 that a camera noted of how it was held."""
    # Pillow may warn of its other notes. Filters of warnings belong to the process, so that
    # `warnings.catch_warnings` in the threads that read would leave it with the wrong ones.
    noted = image.getexif().get(0x0112, 1)
    return noted if isinstance(noted, int) else 1


def upright(image: Any) -> Any:
    """Return a picture as it was seen, turned by the orientation that a camera noted.

    `PIL.ImageOps.exif_transpose` writes the camera's notes anew as well, and fails where one of
    them is not as it should be.
    """
    image.load()
    ways = Image.Transpose
    turned = {
        2: ways.FLIP_LEFT_RIGHT,
        3: ways.ROTATE_180,
        4: ways.FLIP_TOP_BOTTOM,
        5: ways.TRANSPOSE,
        6: ways.ROTATE_270,
        7: ways.TRANSVERSE,
        8: ways.ROTATE_90,
    }.get(_orientation(image))
    return image.copy() if turned is None else image.transpose(turned)


def _has_alpha(image: Any) -> bool:
    return image.mode in _ALPHA or "transparency" in image.info


def _is_grey(image: Any, background: tuple[int, int, int]) -> bool:
    if _has_alpha(image) and len(set(background)) > 1:
        return False
    return image.mode in _GREY or image.mode.startswith("I")


def is_grey_file(path: str, background: tuple[int, int, int] | None = None) -> bool:
    """Return whether `read_image` gives one channel, as the header tells.

    Raises:
      Unreadable: If there is no readable header.
    """
    background = background or (255, 255, 255)
    if len(set(background)) == 1:
        # The header of a PNG file has its kind of colour at a fixed place.
        head = b""
        with contextlib.suppress(OSError):
            if not is_endless(path):
                with open(path, "rb") as file:
                    head = file.read(26)
        if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) == 26:
            return head[25] in (0, 4)
    return opened(path, functools.partial(_is_grey, background=background))


def size_of_file(path: str) -> tuple[int, int]:
    """Return `(height, width)` of what `read_image` gives, as the header tells.

    Raises:
      Unreadable: If there is no readable header.
    """

    def read(image):
        width, height = image.size
        # The orientations that a camera notes of pictures that lie on their side.
        lies = _orientation(image) in (5, 6, 7, 8)
        return (width, height) if lies else (height, width)

    return opened(path, read)


def read_image(
    path: str,
    background: tuple[int, int, int] | None = None,
    notice: Notice | None = None,
) -> np.ndarray:
    """Read one picture file, whatever its name.

    Colour pictures become RGB, others grey. What is transparent is laid on the background;
    16 bits are brought to 8; of several pictures in a file the first is read. The orientation
    noted by a camera is applied.

    Args:
      path: The file.
      background: `(red, green, blue)`, white by default.
      notice: Called with each kind of `Notices` that the file gives cause for.

    Returns:
      uint8 `[H, W, 1]` or `[H, W, 3]`.

    Raises:
      Unreadable: If the file is not a readable picture. A `UserError`.
    """
    background = background or (255, 255, 255)
    say = notice or (lambda kind: None)

    def read(image):
        check_end(path, image)
        grey = _is_grey(image, background)
        # What is known of the file is forgotten once its pixels are read.
        key = image.info.get("transparency")
        deep = is_deep(image)
        kind = image.format
        if has_several(image):
            say("several")
        image = with_alpha(upright(image))
        if image.mode.startswith("F") or (image.mode == "I" and kind not in ("PNG", "PPM")):
            raise Unreadable(path, "of 32-bit pixels; save it with 8 or 16 bits a channel")
        if image.mode.startswith("I"):
            array = _eight_bits(np.asarray(image), key, background, say)
            return array if grey else np.repeat(array, 3, axis=2)
        if deep:
            say("deep")
        if _has_alpha(image):
            array = _laid_on(np.asarray(image.convert("RGBA")), background, say)
            return array[..., :1] if grey else array
        if image.mode == "LAB":
            raise Unreadable(path, "in the colours LAB, which are not read; save it as RGB")
        return np.asarray(image.convert("L" if grey else "RGB"))

    array = opened(path, read)
    return array if array.ndim == 3 else array[..., np.newaxis]


def _eight_bits(values: np.ndarray, key: Any, background: Any, say: Notice) -> np.ndarray:
    """Return 16-bit grey values as uint8 `[H, W, 1]`; the value `key` is transparent."""
    values = values.astype(np.int64)
    say("deep")
    if 0 < values.max() < 4096:
        say("dark")
    grey = (2 * values + 257) // 514
    if isinstance(key, int) and (values == key).any():
        say("transparent")
        grey[values == key] = background[0]
    return grey.astype(np.uint8)[..., np.newaxis]


def _laid_on(pixels: np.ndarray, background: tuple[int, int, int], say: Notice) -> np.ndarray:
    """Return RGBA pixels `[H, W, 4]` over a colour, uint8 `[H, W, 3]`."""
    if pixels[..., 3].min() == 255:
        return np.ascontiguousarray(pixels[..., :3])
    say("transparent")
    over = np.empty((*pixels.shape[:2], 3), np.uint8)
    # Of a large picture some rows at a time, as the numbers between take much memory.
    rows = max(1, 2**20 // max(1, pixels.shape[1]))
    for at in (slice(start, start + rows) for start in range(0, len(pixels), rows)):
        alpha = pixels[at, :, 3:].astype(np.int32)
        mixed = pixels[at, :, :3] * alpha + np.array(background, np.int32) * (255 - alpha)
        over[at] = (2 * mixed + 255) // 510
    if (over == over[:1, :1]).all() and (pixels != pixels[:1, :1]).any():
        say("lost")
    return over
