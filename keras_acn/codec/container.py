"""The bytes of an `.acn` file: header, blocks, end. docs/codec.md has the format.

Every part ends with a checksum of its own, and every number is checked before anything is
done with it, so that a file which is damaged, cut off or no such file is told in a sentence.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import os
import pathlib
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn._base.reading import require_regular
from keras_acn._base.shell import expanded
from keras_acn._base.varint import varint
from keras_acn.codec.grid import MIN_EXPONENT, LatentGrid
from keras_acn.codec.values import PixelValues

MAGIC = b"\x93ACN"
FORMAT = 2
# That of a file with its model inside, between the header and the blocks; otherwise as format 2.
FORMAT_WITH_MODEL = 3
# That of a folder of pictures, which is laid out otherwise: see `folder_file`.
FORMAT_OF_FOLDER = 4
# In the order of their numbers in a file. Format 1 had the first two, and called the tour "set".
MODES = ("stream", "tour", "set")
MODES_OF_FORMAT_1 = MODES[:2]
# Modes in which priors may learn from the images that a receiver has already.
LEARNS = {"stream": True, "tour": False, "set": True}
# Whose codes the prior of an image is made of.
CODES = ("training", "seen", "both")
# Codes that are taken to matter at a latent, where it is not said. Of 50,000 codes in clusters as
# tight as those of `acn-mnist`, leaving out all but 128 costs 0.14 nats an image, all but 512
# 0.006. Beside a decoder that goes pixel by pixel the latter take little time.
NEAREST, NEAREST_WHERE_SLOW = 128, 512
MODEL, BLOCK, END = b"M", b"B", b"E"
DIGEST_SIZE = 16
# Larger numbers than these come from damage: nothing so large is ever written.
MAX_HEADER = 4096
MAX_PIXELS = 2**26
MAX_LATENTS = 2**16
MAX_LANES = 2**16
MAX_BLOCK = 2**20
MAX_BLOCK_VALUES = 2**32
MAX_COUNT = 2**48
# Probabilities are at least 2^-24.
BITS_OF_A_CHOICE = 24
# The numbers of a header after the image's shape, in their order: the least and the most.
_NUMBERS = {
    "latent_dim": (1, MAX_LATENTS),
    "count": (0, MAX_COUNT),
    "block": (1, MAX_BLOCK),
    "lanes": (1, MAX_LANES),
    "nearest": (0, MAX_BLOCK),
}


@dataclasses.dataclass(frozen=True)
class Header:
    """What a file says before its blocks.

    Attributes:
      mode: `"stream"`, `"set"` or `"tour"`.
      keep_order: Whether a set's original order is kept, too.
      fingerprint: 16 bytes that stand for the model.
      model_name: Name of the model in `saved_models/`; empty if it has none.
      image_shape: `(H, W, C)`.
      has_channel_axis: Whether the array has an axis for the channels.
      latent_dim: d.
      count: N, the number of images.
      block: Images of each block but the last.
      lanes: Images side by side.
      nearest: Codes taken to matter at a z; of no meaning where no prior is a mixture of codes.
      values: `PixelValues`.
      writer: Version of the package that wrote the file.
      codes: `"training"`, `"seen"` or `"both"`: whose codes an image's prior is made of. Of no
        meaning where a prior knows no other image.
      cut: Whether no latent is drawn far from its posterior's mean: not so in older files.
      format: Version of the format: 1 or 2; 3 of a file with its model inside.

    Example:
      >>> numbers = PixelValues("|u1", scale=1, levels=2)
      >>> header = Header(
      ...     mode="stream", keep_order=False, fingerprint=bytes(16), model_name="",
      ...     image_shape=(28, 28, 1), has_channel_axis=False, latent_dim=16, count=1000,
      ...     block=1000, lanes=16, nearest=128, values=numbers, writer="0.1.0",
      ... )
      >>> header.array_shape, len(header.to_bytes())
      ((1000, 28, 28), 52)
      >>> Header.read(Reader(header.to_bytes(), "x.acn")) == header
      True
    """

    mode: str
    keep_order: bool
    fingerprint: bytes
    model_name: str
    image_shape: tuple[int, int, int]
    has_channel_axis: bool
    latent_dim: int
    count: int
    block: int
    lanes: int
    nearest: int
    values: PixelValues
    writer: str
    codes: str = CODES[0]
    cut: bool = False
    format: int = FORMAT

    @property
    def has_model(self) -> bool:
        """Whether the file holds its model."""
        return self.format == FORMAT_WITH_MODEL

    @property
    def array_shape(self) -> tuple[int, ...]:
        """The shape of the whole array."""
        shape = self.image_shape if self.has_channel_axis else self.image_shape[:2]
        return (self.count, *shape)

    def to_bytes(self) -> bytes:
        """Return the header with magic, version, length and checksum."""
        flags = self.keep_order | self.has_channel_axis << 1 | self.cut << 4
        flags |= CODES.index(self.codes) << 2
        body = struct.pack("<BB", MODES.index(self.mode), flags) + self.fingerprint
        body += b"".join(text(each) for each in (self.model_name, self.values.dtype, self.writer))
        numbers = [getattr(self, name) for name in _NUMBERS]
        for number in (*self.image_shape, *numbers, self.values.scale, self.values.levels):
            body += varint(number)
        head = MAGIC + struct.pack("<B", self.format) + varint(len(body)) + body
        return sealed(head)

    @classmethod
    def read(cls, reader: Reader) -> Header:
        """Read a header; `reader` is a `Reader` at its beginning."""
        if reader.take(len(MAGIC), "begins") != MAGIC:
            raise UserError(f"{reader.name} is no .acn file.")
        version = reader.take(1)[0]
        if version == FORMAT_OF_FOLDER:
            raise UserError(
                f"{reader.name} holds a folder of pictures, no array: take decompress_folder()."
            )
        if version > FORMAT_WITH_MODEL:
            raise UserError(
                f"{reader.name} was written by a newer version of keras_acn: update this one."
            )
        size = reader.number(MAX_HEADER)
        body = Reader(reader.take(size), reader.name)
        reader.checksum()
        mode, flags = body.take(1)[0], body.take(1)[0]
        known = MODES_OF_FORMAT_1 if version == 1 else MODES
        if version < 1 or mode >= len(known):
            raise body.damaged()
        keep_order, has_channel_axis, codes = flags & 1, flags >> 1 & 1, flags >> 2 & 3
        cut, unknown = flags >> 4 & 1, flags >> 5
        learns = LEARNS[known[mode]] and version > 1
        if (keep_order and known[mode] == "stream") or codes >= (len(CODES) if learns else 1):
            raise body.damaged()
        if unknown or (cut and version == 1):
            raise body.damaged()
        fingerprint = body.take(16)
        name, dtype, writer = body.text(), body.text(), body.text()
        height, width, channels = (body.number(MAX_PIXELS, least=1) for _ in range(3))
        shape = height, width, channels
        if math.prod(shape) > MAX_PIXELS:
            raise body.damaged()
        header = cls(
            mode=MODES[mode],
            keep_order=bool(keep_order),
            fingerprint=fingerprint,
            model_name=name,
            image_shape=shape,
            has_channel_axis=bool(has_channel_axis),
            **{name: body.number(most, least) for name, (least, most) in _NUMBERS.items()},
            values=_values(body, dtype),
            writer=writer,
            codes=CODES[codes],
            cut=bool(cut),
            format=version,
        )
        if not body.at_end() or (shape[2] != 1 and not header.has_channel_axis):
            raise body.damaged()
        too_large = header.block * math.prod(shape) > MAX_BLOCK_VALUES
        if too_large or header.lanes > header.block:
            raise body.damaged()
        return header


@dataclasses.dataclass(frozen=True)
class ModelPart:
    """The model of a file that holds one.

    Attributes:
      content: Its bytes, which `embedded.Packed` reads.

    Example:
      >>> ModelPart(b"abc").to_bytes()[:5]
      b'M\\x03abc'
    """

    content: bytes

    @property
    def size(self) -> int:
        """The bytes of the file that it takes."""
        return len(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the part with its checksum."""
        return sealed(MODEL + varint(len(self.content)) + self.content)

    @classmethod
    def read(cls, reader: Reader) -> ModelPart:
        """Read the part, whose tag the caller has read."""
        part = cls(reader.take(reader.number(reader.left())))
        reader.checksum()
        return part


@dataclasses.dataclass(frozen=True)
class Block:
    """Some images.

    Attributes:
      count: How many.
      grid: The `LatentGrid` they were coded on.
      words: uint32 `[W]`, the stack.
      scale: Where the priors learn from the images, how far the codes lie from zero, as a number
        from 0 to 255; else `None`.

    Example:
      >>> Block(3, LatentGrid((2, 2), 40), np.arange(5, dtype=np.uint32)).to_bytes()[:6].hex()
      '420305011628'
    """

    count: int
    grid: LatentGrid
    words: np.ndarray
    scale: int | None = None

    def to_bytes(self) -> bytes:
        """Return the block with its checksum."""
        exponents = self.grid.exponents
        same = len(set(exponents)) == 1
        coded = bytes(e - MIN_EXPONENT for e in (exponents[:1] if same else exponents))
        head = BLOCK + varint(self.count) + varint(len(self.words))
        head += struct.pack("<B", same) + coded + varint(self.grid.reach)
        head += b"" if self.scale is None else struct.pack("<B", self.scale)
        return sealed(head + self.words.astype("<u4").tobytes())

    @classmethod
    def read(cls, reader: Reader, header: Header) -> Block:
        """Read a block, whose tag the caller has read."""
        count = reader.number(header.block, least=1)
        size = reader.number(reader.left() // 4)
        same = reader.take(1)[0]
        if same > 1:
            raise reader.damaged()
        coded = reader.take(1 if same else header.latent_dim)
        reach = reader.number(MAX_BLOCK)
        scale = None if header.codes == CODES[0] else reader.take(1)[0]
        words = np.frombuffer(reader.take(4 * size), "<u4").astype(np.uint32)
        reader.checksum()
        if size and not words[-1]:
            # No stack ends so: the coder drops zeros at its top.
            raise reader.damaged()
        exponents = [byte + MIN_EXPONENT for byte in coded] * (header.latent_dim if same else 1)
        return cls(count, LatentGrid(tuple(exponents), reach), words, scale)


@dataclasses.dataclass(frozen=True)
class End:
    """What a file says after its blocks.

    Attributes:
      digest: 16 bytes, BLAKE2b of the header and of the array's bytes in the order in which
        they come out.
      initial_bits: Bits that the choice of latents took where the stack was empty.
      lane_bits: Bits that the first images of the lanes cost more than others do.

    Example:
      >>> End(bytes(16), initial_bits=5, lane_bits=300).to_bytes()[17:20].hex()
      '05ac02'
    """

    digest: bytes
    initial_bits: int
    lane_bits: int

    def to_bytes(self) -> bytes:
        """Return the end with its checksum."""
        return sealed(END + self.digest + varint(self.initial_bits) + varint(self.lane_bits))

    @classmethod
    def read(cls, reader: Reader, header: Header) -> End:
        """Read the end, whose tag the caller has read, and see that nothing follows.

        The numbers of bits are in no digest: whoever decodes the blocks counts them again. Here
        they are no more than images of this kind can have.
        """
        digest = reader.take(DIGEST_SIZE)
        # No choice of a cell, a component, a code or a place among the images takes more bits.
        of_an_image = 4 * BITS_OF_A_CHOICE * (header.latent_dim + 1)
        most = header.count * of_an_image
        end = cls(digest, reader.number(most), reader.number(most))
        reader.checksum()
        if not reader.at_end():
            raise reader.damaged()
        return end


class Reader:
    """Read a file from its beginning, counting what it reads into a checksum.

    Attributes:
      size: Bytes of the file.

    Args:
      content: Bytes, or a binary file that can seek.
      name: What to call the file in an error.

    Example:
      >>> reader = Reader(b"ab" + varint(300), "x.acn")
      >>> reader.take(2), reader.number(most=1000), reader.at_end()
      (b'ab', 300, True)
    """

    def __init__(self, content: bytes | BinaryIO, name: str):
        self.name = name
        if isinstance(content, (bytes, bytearray, memoryview)):
            content = io.BytesIO(content)
        self._file = content
        self._crc = 0
        self.size = content.seek(0, 2)
        content.seek(0)

    def left(self) -> int:
        """Return how many bytes are left."""
        return self.size - self._file.tell()

    def at_end(self) -> bool:
        """Return whether nothing is left."""
        return self.left() == 0

    def damaged(self) -> UserError:
        """Return the error that says so."""
        return damaged(self.name)

    def take(self, size: int, where: str = "ends") -> bytes:
        """Return the next bytes."""
        if size > self.left():
            if where == "begins":
                raise UserError(f"{self.name} is no .acn file.")
            raise cut_off(self.name)
        content = self._file.read(size)
        self._crc = zlib.crc32(content, self._crc)
        return content

    def number(self, most: int, least: int = 0) -> int:
        """Return the next number, which must lie between `least` and `most`."""
        value = 0
        for place in range(0, 64, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << place
            if not byte & 0x80:
                break
        else:
            raise self.damaged()
        if not least <= value <= most:
            raise self.damaged()
        return value

    def text(self) -> str:
        """Return the next text."""
        try:
            content = self.take(self.take(1)[0]).decode("utf-8")
        except UnicodeDecodeError:
            raise self.damaged() from None
        if not content.isprintable():
            # A terminal obeys some of these when the text is shown.
            raise self.damaged()
        return content

    def checksum(self) -> None:
        """Read the checksum over all that was read since the last one."""
        expected = struct.pack("<I", self._crc)
        if self.take(4) != expected:
            raise self.damaged()
        self._crc = 0


def text(value: str) -> bytes:
    """Return a short text as `Reader.text` reads it."""
    content = value.encode("utf-8")
    return bytes([len(content)]) + content


def sealed(content: bytes) -> bytes:
    """Return a part of a file with its checksum."""
    return content + struct.pack("<I", zlib.crc32(content))


def damaged(name: str) -> UserError:
    """Return the error of a file that holds what nobody wrote."""
    return UserError(f"{name} is damaged: get it, or compress its images, again.")


def cut_off(name: str) -> UserError:
    """Return the error of a file that ends too early."""
    return UserError(f"{name} is cut off: get it, or compress its images, again.")


@contextlib.contextmanager
def opened(data: bytes | str | os.PathLike) -> Iterator[tuple[bytes | BinaryIO, str]]:
    """Yield `(content, name)` of an `.acn` file: bytes as they are, or a file opened to read."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        yield bytes(data), "The data"
        return
    path = pathlib.Path(expanded(data))
    require_regular(path)
    try:
        file = path.open("rb")
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UserError(f"{path} cannot be read ({reason}): give an .acn file.") from error
    with file:
        yield file, str(path)


def read_parts(reader: Reader, header: Header) -> Iterator[ModelPart | Block | End]:
    """Yield what follows a file's header: its model, if it has one; its blocks; and its `End`.

    Raises:
      UserError: If the file is damaged or cut off.
    """
    left = header.count
    if header.has_model:
        if reader.take(1) != MODEL:
            raise reader.damaged()
        yield ModelPart.read(reader)
    while True:
        tag = reader.take(1)
        if tag == BLOCK:
            block = Block.read(reader, header)
            if block.count != min(left, header.block):
                raise reader.damaged()
            left -= block.count
            yield block
        elif tag == END and left == 0:
            yield End.read(reader, header)
            return
        else:
            raise reader.damaged()


def _values(body, dtype):
    scale, levels = body.number(255), body.number(256)
    try:
        return PixelValues(dtype, scale, levels)
    except UserError:
        raise body.damaged() from None
