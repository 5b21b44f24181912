"""A picture's pixels in two: those that a model codes, cut into tiles, and the rest as bytes.

A model codes what looks like what it was trained on: grey and colour, and of 16 bits the high ones.
The rest are the numbers of a palette's colours, alpha, the low ones of 16 bits, and, where the
model is of 8 bits, black and white. Without a model all is bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from keras_acn.data.readers.exact import Picture

# Channels of a mode that a model codes, of one that codes 256 levels, and of a binary one.
_MODELLED = {
    256: {"L": 1, "LA": 1, "RGB": 3, "RGBA": 3, "I;16": 1},
    2: {"1": 1, "L": 1, "LA": 1, "RGB": 3, "RGBA": 3},
}
# Bytes of a pixel in all.
_BYTES = {"L": 1, "LA": 2, "P": 1, "RGB": 3, "RGBA": 4, "I;16": 2}


def modelled_channels(mode: str, levels: int | None) -> int:
    """Return how many channels of a picture a model codes.

    Args:
      mode: Of the picture.
      levels: Of the model, 2 or 256; `None` where there is none.
    """
    return 0 if levels is None else _MODELLED[levels].get(mode, 0)


def rest_bytes(mode: str, size: tuple[int, int], levels: int | None) -> int:
    """Return how many bytes the rest of a picture has.

    Args:
      mode: Of the picture.
      size: `(height, width)`.
      levels: See `modelled_channels`.

    Example:
      >>> [rest_bytes(mode, (2, 9), 256) for mode in ("RGBA", "RGB", "1")]
      [18, 0, 4]
    """
    height, width = size
    modelled = modelled_channels(mode, levels)
    if mode == "1":
        return 0 if modelled else height * -(-width // 8)
    return height * width * (_BYTES[mode] - modelled)


def values_of(mode: str, size: tuple[int, int]) -> int:
    """Return how many numbers a picture has: pixels times channels."""
    return math.prod(size) * {"LA": 2, "RGB": 3, "RGBA": 4}.get(mode, 1)


def split(picture: Picture, levels: int | None) -> tuple[np.ndarray | None, bytes]:
    """Return what a model codes of a picture, as levels uint8 `[H, W, n]`, and the rest.

    Args:
      picture: The picture.
      levels: See `modelled_channels`.

    Example:
      >>> levels, rest = split(Picture("LA", np.uint8([[[7, 255], [8, 0]]])), 256)
      >>> levels.ravel().tolist(), rest
      ([7, 8], b'\\xff\\x00')
    """
    mode, pixels = picture.mode, picture.pixels
    count = modelled_channels(mode, levels)
    if mode == "I;16":
        pixels = np.stack([pixels >> 8, pixels & 255], axis=-1).astype(np.uint8)
        if not count:
            # The high halves resemble each other, and so they follow each other.
            return None, np.moveaxis(pixels, -1, 0).tobytes()
    elif mode == "1" and not count:
        return None, np.packbits(pixels, axis=1).tobytes()
    if not count:
        return None, pixels.tobytes()
    pixels = pixels.reshape(*picture.size, -1)
    modelled, rest = pixels[..., :count], pixels[..., count:]
    if levels == 2 and mode != "1":
        modelled = modelled // 255
    return modelled, rest.tobytes()


def join(
    mode: str, size: tuple[int, int], levels: int | None, modelled: np.ndarray | None, rest: bytes
) -> Picture:
    """Return the picture that `split` made these of, without its palette."""
    height, width = size
    values = np.frombuffer(rest, np.uint8)
    if mode == "1" and modelled is None:
        bits = np.unpackbits(values.reshape(height, -1), axis=1)
        return Picture(mode, bits[:, :width])
    if modelled is None:
        axes = (2, height, width) if mode == "I;16" else (height, width, -1)
        pixels = values.reshape(axes)
        pixels = np.moveaxis(pixels, 0, -1) if mode == "I;16" else pixels
    else:
        if levels == 2 and mode != "1":
            modelled = modelled * np.uint8(255)
        pixels = np.concatenate([modelled, values.reshape(height, width, -1)], axis=-1)
    if mode == "I;16":
        high, low = pixels[..., 0].astype(np.uint16), pixels[..., 1]
        return Picture(mode, high << 8 | low)
    return Picture(mode, pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def refusal(picture: Picture, levels: int) -> str | None:
    """Return why a model of so many levels does not code a picture; `None` if it does."""
    if levels == 256 or picture.mode in ("1", "P"):
        return None
    if picture.mode == "I;16":
        return "is of 16 bits"
    count = modelled_channels(picture.mode, levels)
    pixels = picture.pixels.reshape(*picture.size, -1)[..., :count]
    is_binary = ((pixels == 0) | (pixels == 255)).all()
    return None if is_binary else "holds grey values or colours"


class Tiling:
    """How the pictures of a folder are cut into tiles, one after the other.

    Tiles of a picture come row by row. Where a model has fewer channels than a picture, those of
    the picture come one after the other, as pictures of one channel.

    Attributes:
      count: Tiles in all.

    Args:
      kinds: `(mode, (height, width))` of each picture.
      levels: 2 or 256.
      shape: `(H, W, C)` of a tile.

    Example:
      >>> tiling = Tiling([("L", (5, 4)), ("RGB", (4, 4))], 256, (4, 4, 1))
      >>> tiling.count, tiling[1:3].tolist()  # the lower tile of the first, and red of the second
      (5, [[1, 4, 1], [4, 4, 1]])
    """

    def __init__(
        self, kinds: Sequence[tuple[str, tuple[int, int]]], levels: int, shape: tuple[int, ...]
    ):
        self._kinds, self._levels, self._shape = kinds, levels, shape
        counts = [self._tiles_of(row) for row in range(len(kinds))]
        self._ends = np.cumsum(np.array(counts, np.int64))

    @property
    def count(self) -> int:
        """Tiles in all."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, part: slice) -> np.ndarray:
        """Return what is picture of some tiles, int `[n, 3]`: see `edges`."""
        start, stop, _ = part.indices(self.count)
        row, found, have = int(np.searchsorted(self._ends, start, "right")), [], start
        while have < stop:
            first = int(self._ends[row]) - self._tiles_of(row)
            # Some of a picture's tiles may be wanted alone: it may have more than fit.
            end = min(int(self._ends[row]), stop)
            found.append(self._extents_of(row, have - first, end - first))
            row, have = row + 1, max(have, end)
        return np.concatenate([np.zeros((0, 3), np.int64), *found])

    def groups(self, row: int) -> list[int]:
        """Return the channels of each pass over a picture."""
        channels = modelled_channels(self._kinds[row][0], self._levels)
        if channels <= self._shape[2]:
            return [channels] * bool(channels)
        return [1] * channels

    def _grid(self, row):
        height, width = self._kinds[row][1]
        return -(-height // self._shape[0]), -(-width // self._shape[1])

    def _tiles_of(self, row):
        return math.prod(self._grid(row)) * len(self.groups(row))

    def _extents_of(self, row, start, stop):
        """Return the extents of the tiles from `start` to `stop` of a picture."""
        rows, columns = self._grid(row)
        (height, width), groups = self._kinds[row][1], self.groups(row)
        number = np.arange(start, stop)
        group, place = np.divmod(number, rows * columns)
        down, across = np.divmod(place, columns)
        extents = np.empty((len(number), 3), np.int64)
        extents[:, 0] = np.minimum(height - down * self._shape[0], self._shape[0])
        extents[:, 1] = np.minimum(width - across * self._shape[1], self._shape[1])
        extents[:, 2] = np.array(groups or [0])[group]
        return extents

    def cut(self, row: int, modelled: np.ndarray | None) -> np.ndarray:
        """Return a picture's tiles, uint8 `[n, H, W, C]`, filled beyond its edges.

        Args:
          row: Which picture.
          modelled: What `split` returned of it.
        """
        height, width, depth = self._shape
        rows, columns = self._grid(row)
        tiles, at = [np.zeros((0, *self._shape), np.uint8)], 0
        for channels in self.groups(row):
            plane = modelled[..., at : at + channels]  # type: ignore[index]
            beyond = [
                (0, whole - part)
                for whole, part in zip(
                    (rows * height, columns * width, depth), plane.shape, strict=True
                )
            ]
            plane = np.pad(plane, beyond, "edge")
            plane = plane.reshape(rows, height, columns, width, depth).swapaxes(1, 2)
            tiles.append(plane.reshape(-1, *self._shape))
            at += channels
        return np.concatenate(tiles)

    def pasted(self, row: int, tiles: np.ndarray) -> np.ndarray | None:
        """Return what `split` returned of a picture, of its tiles; `None` where it has none."""
        groups = self.groups(row)
        if not groups:
            return None
        (rows, columns), (height, width) = self._grid(row), self._kinds[row][1]
        planes = tiles.reshape(len(groups), rows, columns, *self._shape).swapaxes(2, 3)
        planes = planes.reshape(len(groups), rows * self._shape[0], -1, self._shape[2])
        cut = [
            plane[:height, :width, :channels]
            for plane, channels in zip(planes, groups, strict=True)
        ]
        return np.concatenate(cut, axis=-1)

    def pasted_all(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray | None]:
        """Yield `pasted` of each picture, of tiles that come in blocks: `count` in all."""
        source, block, at = iter(blocks), np.zeros((0, *self._shape), np.uint8), 0
        for row in range(len(self._kinds)):
            wanted, parts = self._tiles_of(row), [block[:0]]
            while wanted:
                if at == len(block):
                    block, at = next(source), 0
                parts.append(block[at : at + wanted])
                at += len(parts[-1])
                wanted -= len(parts[-1])
            yield self.pasted(row, np.concatenate(parts))
        for _ in source:
            raise ValueError("There are more tiles than those of the pictures.")
