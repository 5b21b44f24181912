"""The tiles of a folder's pictures as a source, and as a file that a model makes of them."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from keras_acn.codec import archive
from keras_acn.codec.api import prepared
from keras_acn.codec.archive import Tell
from keras_acn.codec.edges import inside
from keras_acn.codec.folder_report import Choice
from keras_acn.codec.pictures import Pictures, Survey
from keras_acn.codec.planes import Tiling, rest_bytes, split
from keras_acn.codec.sections import squeezed
from keras_acn.data.readers.base import ArraySource, Source

# Tiles on which the modes are tried, in so many runs of neighbours, which are alike.
SAMPLE, SAMPLE_AUTOREGRESSIVE, RUNS = 1024, 256, 16
# Bytes of a file of tiles in memory, before it goes to a temporary one.
_SPOOLED = 2**26


class Tiles(Source):
    """The tiles of pictures, filled beyond their edges, uint8 levels.

    Attributes:
      tiling: How the pictures are cut.
      levels: 2 or 256.

    Args:
      pictures: The pictures.
      survey: Which there are.
      levels: Of the model that codes them.
      shape: `(H, W, C)` of the model's images.

    Example:
      See `compress_folder`.
    """

    def __init__(
        self, pictures: Pictures, survey: Survey, levels: int, shape: tuple[int, int, int]
    ):
        self.tiling = Tiling([(e.mode, e.size) for e in survey.entries], levels, shape)
        self.levels = levels
        self.shape, self.dtype, self.scale = (self.tiling.count, *shape), np.dtype("u1"), levels - 1
        self._pictures, self._survey = pictures, survey

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        waiting, count = [np.zeros((0, *self.shape[1:]), np.uint8)], 0
        for row, picture in enumerate(self._pictures.read(self._survey.first)):
            waiting.append(self.tiling.cut(row, split(picture, self.levels)[0]))
            count += len(waiting[-1])
            if count < size:
                continue
            tiles = np.concatenate(waiting)
            whole = count - count % size
            yield from np.split(tiles[:whole], range(size, whole, size))
            waiting, count = [tiles[whole:]], count - whole
        if count:
            yield np.concatenate(waiting)

    def are_pictures(self) -> bool:
        """Return whether each picture is one tile and nothing else, and all are of one mode.

        Then a set of tiles is a set of pictures.
        """
        entries = self._survey.entries
        is_one = len({entry.mode for entry in entries}) == 1 and len(self) == len(entries)
        return is_one and all(
            len(self.tiling.groups(row)) == 1 and not rest_bytes(e.mode, e.size, self.levels)
            for row, e in enumerate(entries)
        )

    def sorted(self) -> Tiles:
        """Return the tiles with the pictures in the order in which a set of them comes out.

        Only where they `are_pictures`.
        """
        extents = self.tiling[0 : len(self)].tolist()
        blocks = self.blocks(1)
        keys = [(each, tile.tobytes()) for each, tile in zip(extents, blocks, strict=True)]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        place = {row: number for number, row in enumerate(order)}
        shown = sorted((place[row], file) for row, file in self._pairs())
        survey = Survey(
            [file for _, file in shown],
            [self._survey.entries[row] for row in order],
            [self._survey.first[row] for row in order],
            [row for row, _ in shown],
        )
        return Tiles(self._pictures, survey, self.levels, self.shape[1:])  # type: ignore[arg-type]

    @property
    def survey(self) -> Survey:
        """Which pictures there are."""
        return self._survey

    def sample(self, count: int) -> tuple[Source, np.ndarray]:
        """Return runs of at most so many tiles, from all over, and their extents."""
        total, length = len(self), max(1, count // RUNS)
        if total <= count:
            rows = np.arange(total)
        else:
            starts = np.linspace(0, total - length, min(RUNS, count)).astype(np.int64)
            rows = np.unique((starts[:, None] + np.arange(length)).ravel())
        found, extents, done = [], [], 0
        for block in self.blocks(4 * SAMPLE):
            here = rows[(rows >= done) & (rows < done + len(block))] - done
            found.append(block[here])
            extents.append(self.tiling[done : done + len(block)][here])
            done += len(block)
        return ArraySource(np.concatenate(found), self.scale), np.concatenate(extents)

    def _pairs(self):
        return zip(self._survey.shown, self._survey.files, strict=True)


@dataclasses.dataclass(frozen=True)
class CodedTiles:
    """A file of tiles.

    Attributes:
      file: The temporary file that it lies in, from the beginning.
      size: Its bytes.
      model_bytes: Of these, those of the model.
      model: The model that it is read with.
      levels: 2 or 256.

    Example:
      See `TileCoder`.
    """

    file: BinaryIO
    size: int
    model_bytes: int
    model: Any
    levels: int


class TileCoder:
    """Make files of tiles.

    Args:
      model: An `ACN` or a `VAE`.
      keep_order: Whether a set's order is kept.
      options: See `prepared`.

    Example:
      See `compress_folder`.
    """

    def __init__(self, model: Any, keep_order: bool, options: dict[str, Any]):
        self._model, self._keep_order, self._options = model, keep_order, options

    def check(self, tiles: Tiles, mode: str) -> None:
        """Raise a `UserError` where the options do not go together."""
        for each in ("stream", "set") if mode == "auto" else (mode,):
            self._prepared(tiles, each)

    def best(self, tiles: Tiles, mode: str, tell: Tell) -> tuple[CodedTiles | None, Choice | None]:
        """Return a file of the tiles in a mode, and what was tried to find the best one.

        Args:
          tiles: The tiles.
          mode: `"stream"`, `"set"`, or `"auto"` for the best.
          tell: See `write_images`.

        Returns:
          `(the file, what the modes made of a sample)`: no file where the model does not pay, and
          no choice where there was none.
        """
        if mode != "auto":
            return self.code(tiles, tiles.tiling, mode, tell), None
        slow = self._model.decoder.is_autoregressive
        sample, extents = tiles.sample(SAMPLE_AUTOREGRESSIVE if slow else SAMPLE)
        tried = {
            each: self.code(sample, extents, each, lambda *told: None) for each in ("stream", "set")
        }
        bits = {each: 8 * (coded.size - coded.model_bytes) for each, coded in tried.items()}
        bits["raw"] = 8 * _packed(sample, extents, tiles.levels)
        values = int(extents.prod(axis=1).sum())
        choice = Choice(len(extents), {each: n / values for each, n in bits.items()})
        if choice.best == "raw":
            return None, choice
        if len(extents) == len(tiles):
            return tried[choice.best], choice
        return self.code(tiles, tiles.tiling, choice.best, tell), choice

    def code(
        self, source: Source, extents: np.ndarray | Tiling, mode: str, tell: Tell
    ) -> CodedTiles:
        """Return a file of tiles in a mode: see `write_images`."""
        header, model, part = self._prepared(source, mode)
        codec = archive.codec_of(header, model)
        file: Any = tempfile.SpooledTemporaryFile(_SPOOLED)  # noqa: SIM115  # goes with its owner
        archive.write_images(file, header, codec, source, tell, part, extents)
        return CodedTiles(file, file.tell(), part.size if part else 0, model, header.values.levels)

    def _prepared(self, source, mode):
        keep_order = self._keep_order and mode == "set"
        return prepared(source, self._model, mode=mode, keep_order=keep_order, **self._options)


def _packed(source, extents, levels):
    """Return the bytes that a sample's picture values take without a model."""
    (tiles,) = source.blocks(len(extents))
    values = tiles[inside(extents, tiles.shape[1:])]
    return len(squeezed((np.packbits(values) if levels == 2 else values).tobytes()))
