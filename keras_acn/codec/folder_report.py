"""What a file of a folder holds and costs, and how it is told."""

from __future__ import annotations

import collections
import dataclasses
import math
from typing import Any

from keras_acn.codec.api import info_of
from keras_acn.codec.folder_file import FolderFile
from keras_acn.codec.planes import rest_bytes, values_of
from keras_acn.codec.report import Report
from keras_acn.codec.rivals import Rival, against


@dataclasses.dataclass(frozen=True)
class Choice:
    """What the modes made of some of the tiles.

    Attributes:
      tiles: How many they were tried on.
      bits_per_dim: Of each mode, without a model in the file.

    Example:
      >>> Choice(100, {"stream": 3.5, "set": 3.4, "raw": 6.0}).best
      'set'
    """

    tiles: int
    bits_per_dim: dict[str, float]

    @property
    def best(self) -> str:
        """The mode that made them smallest."""
        return min(self.bits_per_dim, key=lambda mode: self.bits_per_dim[mode])


@dataclasses.dataclass(frozen=True)
class FolderReport:
    """Sizes and rates of the compressed pictures of a folder.

    Attributes:
      pictures: Files of pictures.
      copies: Of these, those that are equal to an earlier one, of which the index alone tells.
      folders: Folders below the folder.
      has_names: Whether names are kept.
      kinds: How many pictures of each mode there are, of those that differ.
      sizes: How many different sizes they have.
      smallest: `(height, width)` of the picture of the fewest pixels.
      largest: The same of the most.
      values: Numbers of the pictures that differ: pixels times channels.
      pixel_bytes: What these take as they are.
      writer: Version of the package that wrote the file.
      file_bytes: Bytes of the file, all told.
      index_bytes: Of these, the index: names, folders, modes, sizes, palettes.
      tiles_bytes: Of these, what the model coded, and the model itself where it is inside.
      rest_bytes: Of these, what no model coded.
      tiles: The report of the tiles; `None` where there are none.
      choice: What the modes made of some tiles, where they were tried.
      asked: The mode that was asked for; `None` where it is not known.
      rivals: What zstd and WebP make of the same pictures; `None` where they were not asked.
      seconds: Time taken, `None` where it is not known.
      verified: Whether the file was decoded and found to hold the pictures.

    Example:
      See `compress_folder`.
    """

    pictures: int
    copies: int
    folders: int
    has_names: bool
    kinds: dict[str, int]
    sizes: int
    smallest: tuple[int, int] | None
    largest: tuple[int, int] | None
    values: int
    pixel_bytes: int
    writer: str
    file_bytes: int
    index_bytes: int
    tiles_bytes: int
    rest_bytes: int
    tiles: Report | None = None
    choice: Choice | None = None
    asked: str | None = None
    rivals: list[Rival] | None = None
    seconds: float | None = None
    verified: bool = False

    @classmethod
    def of(cls, file: FolderFile, **known: Any) -> FolderReport:
        """Return the report of a file.

        Args:
          file: The file.
          **known: What is known beside it: see the attributes.
        """
        entries = file.index.entries
        sizes = sorted({entry.size for entry in entries}, key=lambda size: (math.prod(size), size))
        return cls(
            pictures=len(file.index.shown),
            copies=len(file.index.shown) - len(entries),
            folders=len(file.index.folders),
            has_names=file.index.files is not None,
            kinds=dict(collections.Counter(entry.mode for entry in entries).most_common()),
            sizes=len(sizes),
            smallest=sizes[0] if sizes else None,
            largest=sizes[-1] if sizes else None,
            values=sum(values_of(entry.mode, entry.size) for entry in entries),
            pixel_bytes=sum(rest_bytes(entry.mode, entry.size, None) for entry in entries),
            writer=file.index.writer,
            file_bytes=file.size,
            index_bytes=file.index_bytes,
            tiles_bytes=file.tiles_bytes,
            rest_bytes=file.rest_bytes,
            tiles=None if file.tiles is None else info_of(file.tiles, file.name)[1],
            **known,
        )

    @property
    def mode(self) -> str:
        """`"stream"`, `"set"` or `"raw"`."""
        return "raw" if self.tiles is None else self.tiles.mode

    @property
    def model_bytes(self) -> int:
        """Bytes of the model in the file; 0 where it is none of the file."""
        return 0 if self.tiles is None else self.tiles.model_bytes

    @property
    def bits_per_dim(self) -> float | None:
        """Bits per pixel and channel by the file's size."""
        return 8 * self.file_bytes / self.values if self.values else None

    def to_dict(self) -> dict[str, Any]:
        """Return what there is to tell, as JSON can write it."""
        told = {**dataclasses.asdict(self), "mode": self.mode, "model_bytes": self.model_bytes}
        told["bits_per_dim"] = self.bits_per_dim
        told["tiles"] = None if self.tiles is None else self.tiles.to_dict()
        return told

    def to_text(self) -> str:
        """Return what there is to tell, in lines."""
        lines = [
            f"pictures {self.pictures:,} in {self.file_bytes:,} bytes; their pixels have "
            f"{self.pixel_bytes:,} bytes{self._copies()}",
            f"kinds    {self._kinds()}",
            f"mode     {self._mode()}",
            f"index    {self.index_bytes:,} bytes: modes, sizes and {self._names()}",
            f"tiles    {self._tiles()}",
        ]
        if self.rest_bytes:
            lines.append(
                f"rest     {self.rest_bytes:,} bytes that no model coded"
                + (": alpha, palette's numbers, low bits" if self.tiles is not None else "")
            )
        if self.model_bytes:
            lines.append(
                f"length   {self.model_bytes:,} bytes of model + "
                f"{self.file_bytes - self.model_bytes:,} of pictures = {self.file_bytes:,} bytes "
                "in two parts"
            )
        lines.append(f"rate     {self.bits_per_dim:.4f} bits per dimension by the file's size")
        if self.seconds:
            checked = ", decoded again to verify" if self.verified else ""
            lines.append(f"time     {self.seconds:.1f} s{checked}")
        return "\n".join([*lines, *against(self.rivals or [], self.file_bytes, self.values)])

    def _copies(self):
        one = self.copies == 1
        return f"; {self.copies:,} {'is a copy' if one else 'are copies'}" if self.copies else ""

    def _kinds(self):
        kinds = ", ".join(f"{count:,} {mode}" for mode, count in self.kinds.items())
        sides = ["x".join(map(str, size)) for size in (self.smallest, self.largest) if size]
        if self.sizes == 1:
            return f"{kinds}, all of {sides[0]}"
        return f"{kinds}, of {self.sizes:,} sizes from {sides[0]} to {sides[1]}"

    def _names(self):
        if not self.has_names:
            return "no names"
        folders = f" of {self.folders:,} folder{'s' * (self.folders != 1)}" if self.folders else ""
        return f"the names{' and those' * bool(folders)}{folders}"

    def _mode(self):
        text = self.mode
        if self.choice is not None:
            tried = ", ".join(f"{m} {bits:.3f}" for m, bits in self.choice.bits_per_dim.items())
            if self.choice.best == self.mode:
                text += f", the best on {self.choice.tiles:,} tiles"
            else:
                text += f", as the file is smaller so; on {self.choice.tiles:,} tiles"
                text += f" {self.choice.best} was the best"
            text += f" (bits per dimension: {tried})"
        elif self.mode == "raw" and self.asked not in (None, "raw"):
            text += ", without the model, which " + (
                "codes none of these pictures"
                if self.choice is None and self.asked == "auto"
                else "would have made more of them than they are"
            )
        return text

    def _tiles(self):
        if self.tiles is None:
            return "none"
        each = f"{self.tiles.images:,} in {self.tiles_bytes:,} bytes"
        if self.tiles.mode == "set":
            kept = self.tiles.order_bits
            each += f"; {kept:,} bits for their order" if kept else "; sorted"
        return f"{each}; {self.tiles.initial_bits:,} initial bits"
