"""The index of a folder in a file: which pictures there are, of what kind, and their names.

It comes from anybody, and a name in it becomes a file: so every name is checked to lie in the
folder. docs/codec.md has the format.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterable, Sequence

from keras_acn._base.errors import UserError
from keras_acn._base.varint import varint
from keras_acn.codec.container import Reader, text
from keras_acn.data.readers.exact import MODES, Picture

# Larger numbers than these are never written: bytes of an index once it is unpacked; a side, and
# the pixels of a picture, of which Pillow opens hardly more.
MAX_INDEX, MAX_SIDE, MAX_PIXELS = 2**28, 2**20, 2**27
MAX_NAME = 2**12
_MODES = tuple(MODES)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A picture without its pixels.

    Attributes:
      mode: See `Picture`.
      size: `(height, width)`.
      palette: See `Picture`.
      alphas: See `Picture`.

    Example:
      >>> Entry("L", (2, 3))
      Entry(mode='L', size=(2, 3), palette=b'', alphas=b'')
    """

    mode: str
    size: tuple[int, int]
    palette: bytes = b""
    alphas: bytes = b""

    @classmethod
    def of(cls, picture: Picture) -> Entry:
        """Return the entry of a picture."""
        return cls(picture.mode, picture.size, picture.palette, picture.alphas)


@dataclasses.dataclass(frozen=True)
class Index:
    """What a file says of a folder.

    Attributes:
      entries: The pictures that differ, in the order in which they are coded.
      shown: For each file of the folder, which of the entries it is. The first files that show them
        come in the order of the entries.
      files: Path of each file, parts joined by "/"; `None` where the names are left out.
      folders: Paths of the folders below it; none where the names are left out.
      has_tiles: Whether a model codes them.
      writer: Version of the package that wrote the file.

    Example:
      >>> index = Index((Entry("L", (2, 3)),), (0, 0), ("a/1.png", "a/2.png"), ("a",), True, "1.0")
      >>> Index.read(index.to_bytes(), "x.acn") == index
      True
    """

    entries: tuple[Entry, ...]
    shown: tuple[int, ...]
    files: tuple[str, ...] | None
    folders: tuple[str, ...]
    has_tiles: bool
    writer: str

    def to_bytes(self) -> bytes:
        """Return the index, column by column, to be compressed."""
        out = [bytes([self.has_tiles | (self.files is not None) << 1]), text(self.writer)]
        out += [varint(len(self.shown)), *map(varint, self._copies())]
        out += [bytes(_MODES.index(entry.mode) for entry in self.entries)]
        for side in (0, 1):
            out += [varint(entry.size[side]) for entry in self.entries]
        for entry in self.entries:
            if entry.mode == "P":
                colours = len(entry.palette) // 3
                out += [bytes([colours - 1]), varint(len(entry.alphas)), entry.palette]
                out += [entry.alphas]
        if self.files is not None:
            out += [varint(len(self.folders)), *_front_coded(self.folders)]
            numbers = {folder: row for row, folder in enumerate(("", *self.folders))}
            parents = [file.rpartition("/")[0] for file in self.files]
            out += [varint(numbers[parent]) for parent in parents]
            out += _front_coded([file.rpartition("/")[2] for file in self.files])
        return b"".join(out)

    @classmethod
    def read(cls, content: bytes, name: str) -> Index:
        """Read what `to_bytes` wrote.

        Args:
          content: The bytes.
          name: What to call the file in an error.

        Raises:
          UserError: If it is damaged, or if a name would lie outside the folder or stand for two
            things.
        """
        reader = Reader(content, name)
        flags = reader.take(1)[0]
        if flags > 3:
            raise reader.damaged()
        writer = reader.text()
        shown = _shown(reader, reader.number(reader.left()))
        modes = reader.take(max(shown, default=-1) + 1)
        if any(mode >= len(_MODES) for mode in modes):
            raise reader.damaged()
        heights, widths = ([reader.number(MAX_SIDE, 1) for _ in modes] for _ in range(2))
        entries = []
        for mode, size in zip(modes, zip(heights, widths, strict=True), strict=True):
            if size[0] * size[1] > MAX_PIXELS:
                raise reader.damaged()
            palette = _palette(reader) if _MODES[mode] == "P" else (b"", b"")
            entries.append(Entry(_MODES[mode], size, *palette))
        files, folders = None, ()
        if flags & 2:
            folders = tuple(_read_front_coded(reader, reader.number(reader.left()), slashes=True))
            parents = [reader.number(len(folders)) for _ in shown]
            names = _read_front_coded(reader, len(shown))
            files = tuple(
                f"{folders[parent - 1]}/{file}" if parent else file
                for parent, file in zip(parents, names, strict=True)
            )
            check_names(files, folders, reader)
        if not reader.at_end():
            raise reader.damaged()
        return cls(tuple(entries), tuple(shown), files, folders, bool(flags & 1), writer)

    def _copies(self):
        """Yield 0 for each file with a new picture, else the number of its entry, from 1."""
        new = 0
        for entry in self.shown:
            yield 0 if entry == new else entry + 1
            new += entry == new


def check_names(files: Sequence[str], folders: Sequence[str], reader: Reader) -> None:
    """Raise a `UserError` unless all names lie in the folder, and each stands for one thing.

    Args:
      files: Paths of the files, parts joined by "/".
      folders: Paths of the folders, which must hold the files, and each other.
      reader: What they were read from.
    """
    known = {"", *folders}
    for path in itertools.chain(folders, files):
        parts = path.split("/")
        if not all(map(is_safe, parts)) or path.rpartition("/")[0] not in known:
            raise UserError(
                f"{reader.name} holds a file name that does not lie in its folder: do not trust "
                "it; get the file again, from where it was written."
            )
    if len({*folders, *files}) < len(folders) + len(files):
        raise reader.damaged()


def is_safe(name: str) -> bool:
    """Return whether a name is that of a file or folder in the folder where it stands.

    Names of hidden files are none: a folder's pictures never are.

    Example:
      >>> [is_safe(name) for name in ("a.png", "..", "", "/etc", "a\\0b", ".bashrc")]
      [True, False, False, False, False, False]
    """
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        return False
    return os.name != "nt" or not set(name) & set("\\\\:")


def _shown(reader, count):
    shown, new = [], 0
    for _ in range(count):
        number = reader.number(new)
        shown.append(number - 1 if number else new)
        new += not number
    return shown


def _palette(reader):
    colours = reader.take(1)[0] + 1
    alphas = reader.number(colours)
    return reader.take(3 * colours), reader.take(alphas)


def _front_coded(names: Iterable[str]) -> list[bytes]:
    """Return names in two columns: how many bytes each shares with the one before, and the rest."""
    shared, rest, before = [], [], b""
    for name in names:
        content = name.encode("utf-8")
        pairs = zip(content, before, strict=False)
        same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
        shared.append(varint(same))
        rest.append(content[same:] + b"\0")
        before = content
    return [*shared, *rest]


def _read_front_coded(reader, count, slashes=False):
    shared = [reader.number(MAX_NAME) for _ in range(count)]
    names, before = [], b""
    for same in shared:
        rest = bytearray()
        while byte := reader.take(1)[0]:
            rest.append(byte)
            if len(rest) > MAX_NAME:
                raise reader.damaged()
        if same > len(before) or same + len(rest) > MAX_NAME:
            raise reader.damaged()
        before = before[:same] + bytes(rest)
        try:
            name = before.decode("utf-8")
        except UnicodeDecodeError:
            raise reader.damaged() from None
        if "/" in name and not slashes:
            raise reader.damaged()
        names.append(name)
    return names
