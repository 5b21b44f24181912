"""Folders of pictures as they are: every picture below a folder, with its mode and bit for bit.

Training takes pictures as arrays of one kind (`folder.py`); who gives them back needs to know what
they were.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_acn._base import lazy
from keras_acn._base.errors import UserError
from keras_acn.data.readers.notices import Notices
from keras_acn.data.readers.picture import (
    Notice,
    Unreadable,
    check_end,
    has_several,
    is_deep,
    is_litter,
    is_picture,
    opened,
    upright,
    with_alpha,
)

Image = lazy.module("PIL.Image")

# Pillow's names, and the shape of a pixel: black and white, grey, grey with alpha, numbers of a
# palette's colours, colour, colour with alpha, grey of 16 bits.
MODES: dict[str, tuple[int, ...]] = {
    "1": (),
    "L": (),
    "LA": (2,),
    "P": (),
    "RGB": (3,),
    "RGBA": (4,),
    "I;16": (),
}


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture's pixels as they are stored.

    Attributes:
      mode: One of `MODES`.
      pixels: `[H, W]` or `[H, W, C]`: uint16 of the mode I;16, else uint8; 0 and 1 of the mode 1.
      palette: Red, green and blue of up to 256 colours, of the mode P.
      alphas: Alpha of the first of them; the others are opaque.

    Example:
      >>> grey = Picture("L", np.eye(3, dtype=np.uint8))
      >>> grey.size, Picture.of(grey.to_image()).mode
      ((3, 3), 'L')
    """

    mode: str
    pixels: np.ndarray
    palette: bytes = b""
    alphas: bytes = b""

    @property
    def size(self) -> tuple[int, int]:
        """`(height, width)`."""
        height, width = self.pixels.shape[:2]
        return height, width

    @classmethod
    def of(cls, image: Any) -> Picture:
        """Return the picture that an image of Pillow is.

        Raises:
          ValueError: If its mode is none of `MODES`; says why in a few words.
        """
        key = image.info.get("transparency")
        # One value is transparent: that is an alpha channel as any other.
        image = with_alpha(image)
        if image.mode == "PA":
            image = image.convert("RGBA")
        elif image.mode == "RGB" and key is not None:
            image = image.convert("RGBA")
        elif image.mode.startswith("I") and key is not None:
            raise ValueError("of 16 bits with a transparent grey; save it with an alpha channel")
        if image.mode == "P":
            return cls._of_palette(image, key)
        if image.mode.startswith("I;16"):
            return cls("I;16", np.asarray(image).astype(np.uint16))
        if image.mode not in MODES:
            raise ValueError(f"in the colours {image.mode}, which PNG has not; save it as RGB")
        return cls(image.mode, np.asarray(image).astype(np.uint8))

    @classmethod
    def _of_palette(cls, image, key):
        pixels = np.asarray(image).astype(np.uint8)
        with_alpha = image.palette is not None and image.palette.mode == "RGBA"
        colours = np.array(image.getpalette("RGBA" if with_alpha else "RGB") or [], np.uint8)
        colours = colours.reshape(-1, 4 if with_alpha else 3)
        missing = int(pixels.max(initial=0)) + 1 - len(colours)
        if missing > 0:
            colours = np.concatenate([colours, np.zeros((missing, colours.shape[1]), np.uint8)])
        alphas = colours[:, 3].tobytes() if with_alpha else b""
        if isinstance(key, int):
            alphas = b"\xff" * key + b"\0"
        elif isinstance(key, bytes):
            alphas = key
        alphas = alphas[: len(colours)].rstrip(b"\xff")
        return cls("P", pixels, np.ascontiguousarray(colours[:, :3]).tobytes(), alphas)

    def to_image(self) -> Any:
        """Return the picture as an image of Pillow."""
        if self.mode == "1":
            return Image.fromarray(self.pixels.astype(bool))
        image = Image.fromarray(self.pixels)
        if self.mode == "P":
            image.putpalette(self.palette)
            if self.alphas:
                image.info["transparency"] = self.alphas
        return image


def read_exact(path: str, notice: Notice | None = None) -> Picture:
    """Read one picture file as it is; only the orientation noted by a camera is applied.

    Args:
      path: The file.
      notice: Called with each kind of `Notices` that the file gives cause for.

    Raises:
      Unreadable: If the file is not a readable picture, or one that would come back otherwise.
    """

    def read(image):
        check_end(path, image)
        deep, kind = is_deep(image), image.format
        if has_several(image):
            raise Unreadable(path, "several pictures in one file; save one of them")
        if notice is not None and image.info.get("icc_profile"):
            notice("profile")
        if image.mode == "I" and kind in ("PNG", "PPM"):
            values = np.asarray(image)
            if 0 <= values.min() and values.max() < 2**16 and "transparency" not in image.info:
                image = Image.fromarray(values.astype(np.uint16))
        elif deep and not image.mode.startswith("I"):
            raise Unreadable(path, "of more than 8 bits a channel in colour; save it with 8")
        if image.mode in ("I", "F"):
            raise Unreadable(path, "of 32-bit pixels; save it with 8 or 16 bits a channel")
        try:
            return Picture.of(upright(image))
        except ValueError as error:
            raise Unreadable(path, str(error)) from error

    return opened(path, read)


@dataclasses.dataclass(frozen=True)
class Tree:
    """What is below a folder.

    Attributes:
      root: The folder.
      files: Paths of the pictures in it, parts joined by "/", in the order of their parts.
      folders: Paths of the folders in it, those without pictures too, in the same order.

    Example:
      See `tree_of`.
    """

    root: str
    files: tuple[str, ...]
    folders: tuple[str, ...]

    def path(self, file: str) -> str:
        """Return where a file of the tree lies."""
        return os.path.join(self.root, *file.split("/"))


def tree_of(root: str, said: Notices) -> Tree:
    """Return the pictures and folders below a folder, whatever their depth.

    What is hidden, or left behind by programs, is not looked at.

    Args:
      root: The folder.
      said: Told of files that are no pictures.

    Raises:
      UserError: If a folder cannot be read, or there is no picture at all.

    Example:
      >>> import tempfile
      >>> root = tempfile.mkdtemp()
      >>> os.mkdir(os.path.join(root, "cats"))
      >>> Image.new("L", (2, 3)).save(os.path.join(root, "a.png"))
      >>> tree = tree_of(root, Notices(root, "white"))
      >>> tree.files, tree.folders
      (('a.png',), ('cats',))
    """
    if not os.path.isdir(root):
        what = "is not a folder" if os.path.exists(root) else "does not exist"
        raise UserError(f'"{root}" {what}: give a folder of picture files after "images:".')
    files: list[tuple[str, ...]] = []
    folders: list[tuple[str, ...]] = []
    _walk(root, (), (os.path.realpath(root),), files.append, folders.append, said)
    if not files:
        raise UserError(f'"{root}" holds no pictures: give a folder of picture files.')
    return Tree(root, *(tuple("/".join(path) for path in sorted(all)) for all in (files, folders)))


def _walk(
    root: str,
    parts: tuple[str, ...],
    above: tuple[str, ...],
    add_file: Callable,
    add_folder: Callable,
    said: Notices,
) -> None:
    here = os.path.join(root, *parts)
    try:
        names = sorted(name for name in os.listdir(here) if not is_litter(name))
    except OSError as error:
        raise UserError(f'"{here}" cannot be read: {error.strerror}.') from error
    for name in names:
        path = os.path.join(here, name)
        if os.path.isdir(path):
            real = os.path.realpath(path)
            if real in above:
                raise UserError(f'"{path}" is a link to a folder that it lies in: remove it.')
            add_folder((*parts, name))
            _walk(root, (*parts, name), (*above, real), add_file, add_folder, said)
        elif is_picture(path):
            add_file((*parts, name))
        else:
            said.add("other files", path)
