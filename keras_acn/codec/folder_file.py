"""The bytes of an `.acn` file of a folder: index, tiles as a file within the file, the rest.

docs/codec.md has the format. Nothing is done with a file whose checksums are not all right.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn._base.varint import varint
from keras_acn.codec.container import (
    DIGEST_SIZE,
    FORMAT_OF_FOLDER,
    MAGIC,
    Header,
    Reader,
    cut_off,
    damaged,
    sealed,
)
from keras_acn.codec.index import MAX_INDEX, Index
from keras_acn.codec.planes import Tiling, join, rest_bytes
from keras_acn.codec.sections import squeezed, unsqueezed
from keras_acn.data.readers.exact import Picture

INDEX, TILES, REST, END = b"I", b"T", b"R", b"E"
# Bytes of the rest that are compressed together: what is in memory at a time.
CHUNK = 2**24
# Of a file; larger numbers come from damage.
MAX_BYTES = 2**48


def is_folder(content: bytes | BinaryIO) -> bool:
    """Return whether an `.acn` file holds a folder, as its first bytes tell."""
    mark = MAGIC + bytes([FORMAT_OF_FOLDER])
    if isinstance(content, bytes):
        return content.startswith(mark)
    content.seek(0)
    return content.read(len(mark)) == mark


class Window:
    """A part of a file as a file of its own, for reading.

    Args:
      file: Binary file that can seek; others may read it at the same time.
      start: Where the part begins.
      size: Its bytes.

    Example:
      >>> import io
      >>> window = Window(io.BytesIO(b"abcdef"), 2, 3)
      >>> window.read(2), window.read(), window.seek(0, 2)
      (b'cd', b'e', 3)
    """

    def __init__(self, file: BinaryIO, start: int, size: int):
        self._file, self._start, self._size, self._at = file, start, size, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, counted from the part's beginning or its end, and return it."""
        self._at = offset + (self._size if whence == os.SEEK_END else 0)
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def read(self, size: int | None = None) -> bytes:
        """Return the next bytes, all that are left by default."""
        left = self._size - self._at
        self._file.seek(self._start + self._at)
        content = self._file.read(left if size is None else min(size, left))
        self._at += len(content)
        return content


@dataclasses.dataclass(frozen=True)
class FolderFile:
    """A file of a folder, whose parts are known to be whole.

    Attributes:
      index: Its `Index`.
      index_bytes: Bytes that the index takes.
      tiles: The file of tiles; `None` where there is none.
      tiles_bytes: Its bytes.
      rest: Where the chunks of the rest are, and of how many bytes each is.
      rest_bytes: Bytes that they take.
      digest: 16 bytes; see `Digest`.
      size: Bytes of the file.
      name: What to call it in an error.

    Example:
      See `read_folder`.
    """

    index: Index
    index_bytes: int
    tiles: BinaryIO | None
    tiles_bytes: int
    rest: tuple[BinaryIO, ...]
    rest_bytes: int
    digest: bytes
    size: int
    name: str

    def header(self) -> Header | None:
        """Return the header of the tiles; `None` where there are none."""
        if self.tiles is None:
            return None
        return Header.read(Reader(self.tiles, self.name))


class Digest:
    """What tells whether all pictures have come back: of the index, and of all their values.

    Example:
      >>> digest = Digest(b"index")
      >>> digest.add(Picture("L", np.eye(2, dtype=np.uint8)))
      >>> len(digest.value())
      16
    """

    def __init__(self, index: bytes):
        self._digest = hashlib.blake2b(index, digest_size=DIGEST_SIZE)

    def add(self, picture: Picture) -> None:
        """Take the next picture."""
        pixels = picture.pixels.astype("<u2") if picture.mode == "I;16" else picture.pixels
        self._digest.update(np.ascontiguousarray(pixels).tobytes())

    def value(self) -> bytes:
        """Return the digest of what has come by now."""
        return self._digest.digest()


class RestWriter:
    """Compress the rest of the pictures, chunk by chunk.

    Attributes:
      size: Bytes that were written.

    Args:
      write: Called with the parts of the file that it makes.

    Example:
      >>> parts = []
      >>> writer = RestWriter(parts.append)
      >>> writer.add(bytes(1000))
      >>> writer.close()
      >>> len(parts), writer.size < 50
      (1, True)
    """

    def __init__(self, write: Callable[[bytes], object]):
        self.size = 0
        self._write_part = write
        self._waiting = bytearray()

    def add(self, content: bytes) -> None:
        """Take the next bytes."""
        self._waiting += content
        while len(self._waiting) >= CHUNK:
            self._write(bytes(self._waiting[:CHUNK]))
            del self._waiting[:CHUNK]

    def close(self) -> None:
        """Compress what is left."""
        if self._waiting:
            self._write(bytes(self._waiting))
            self._waiting.clear()

    def _write(self, chunk):
        part = sealed(REST + squeezed(chunk))
        self._write_part(part)
        self.size += len(part)


def index_part(index: Index) -> bytes:
    """Return the beginning of a file: its mark, and the index."""
    mark = MAGIC + bytes([FORMAT_OF_FOLDER])
    return sealed(mark + INDEX + squeezed(index.to_bytes()))


def tiles_part(size: int) -> bytes:
    """Return what comes before a file of tiles of so many bytes."""
    return sealed(TILES + varint(size))


def end_part(digest: bytes) -> bytes:
    """Return the end of a file."""
    return sealed(END + digest)


def read_folder(content: bytes | BinaryIO, name: str) -> FolderFile:
    """Read a file of a folder, and see that its parts are whole, save for the tiles.

    Args:
      content: Bytes, or a binary file that can seek.
      name: What to call it in an error.

    Raises:
      UserError: If it is damaged or cut off.
    """
    reader = _Reader(content, name)
    if reader.take(len(MAGIC), "begins") != MAGIC:
        raise UserError(f"{name} is no .acn file.")
    version = reader.take(1)[0]
    if version > FORMAT_OF_FOLDER:
        raise UserError(f"{name} was written by a newer version of keras_acn: update this one.")
    if version < FORMAT_OF_FOLDER:
        raise UserError(f"{name} holds an array, no folder: decompress it to an .npy file.")
    if reader.take(1) != INDEX:
        raise reader.damaged()
    content_of_index = unsqueezed(reader, MAX_INDEX, "The names of the pictures")
    reader.checksum()
    index, index_bytes = Index.read(content_of_index, name), reader.place()
    tiles, tiles_bytes, rest_bytes = None, 0, 0
    rest: list[BinaryIO] = []
    while (tag := reader.take(1)) != END:
        if tag == TILES and tiles is None and not rest:
            tiles_bytes = reader.number(MAX_BYTES)
            reader.checksum()
            tiles = reader.window(tiles_bytes)
        elif tag == REST:
            start = reader.place()
            rest.append(reader.section(CHUNK))
            reader.checksum()
            rest_bytes += reader.place() - start + 1
        else:
            raise reader.damaged()
    digest = reader.take(DIGEST_SIZE)
    reader.checksum()
    if not reader.at_end() or (tiles is not None) != index.has_tiles:
        raise reader.damaged()
    return FolderFile(
        index, index_bytes, tiles, tiles_bytes, tuple(rest), rest_bytes, digest, reader.size, name
    )


def tiling_of(file: FolderFile, header: Header) -> Tiling:
    """Return how the pictures of a file are cut, given the header of its tiles.

    Raises:
      UserError: If it is not one of these pictures.
    """
    kinds, values = [(each.mode, each.size) for each in file.index.entries], header.values
    tiling = Tiling(kinds, values.levels, header.image_shape)
    fits = header.count == tiling.count and header.mode in ("stream", "set")
    if not fits or (values.dtype, values.scale) != ("|u1", values.levels - 1):
        raise damaged(file.name)
    return tiling


def pictures_of(
    file: FolderFile, levels: int | None, modelled: Iterator[np.ndarray | None]
) -> Iterator[Picture]:
    """Yield the pictures of the index's entries, in their order.

    Args:
      file: The file.
      levels: Of the model; `None` where there are no tiles.
      modelled: What the tiles hold of each picture: see `planes.split`.

    Raises:
      UserError: If the file holds something else than these pictures.
    """
    rest = _RestReader(file)
    for entry, plane in zip(file.index.entries, modelled, strict=True):
        content = rest.take(rest_bytes(entry.mode, entry.size, levels))
        picture = join(entry.mode, entry.size, levels, plane, content)
        yield dataclasses.replace(picture, palette=entry.palette, alphas=entry.alphas)
    if not rest.at_end():
        raise damaged(file.name)


class _RestReader:
    """The bytes of the rest, one chunk in memory at a time."""

    def __init__(self, file):
        self._file, self._next, self._chunk = file, 0, b""

    def take(self, size):
        parts = []
        while size:
            if not self._chunk:
                if self.at_end():
                    raise damaged(self._file.name)
                reader = Reader(self._file.rest[self._next], self._file.name)
                self._chunk = memoryview(unsqueezed(reader, CHUNK, "The pixels"))
                self._next += 1
            parts.append(self._chunk[:size])
            self._chunk = self._chunk[size:]
            size -= len(parts[-1])
        return b"".join(parts)

    def at_end(self):
        return not self._chunk and self._next == len(self._file.rest)


class _Reader(Reader):
    """A `Reader` that can step over what is read later."""

    def place(self) -> int:
        return self._file.tell()

    def window(self, size: int) -> BinaryIO:
        """Step over so many bytes, which have checksums of their own."""
        start = self.place()
        if size > self.left():
            raise cut_off(self.name)
        self._file.seek(start + size)
        return cast(BinaryIO, Window(self._file, start, size))

    def section(self, most: int) -> BinaryIO:
        """Step over a section that is not empty, and has so many bytes at most once unpacked."""
        start = self.place()
        self.number(most, least=1)
        self.take(1)
        self.take(self.number(self.left()))
        return cast(BinaryIO, Window(self._file, start, self.place() - start))
