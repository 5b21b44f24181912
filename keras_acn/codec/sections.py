"""Bytes in a file, compressed by whatever suits them best: of a model, an index or pixels."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

from keras_acn._base.reading import require_memory
from keras_acn._base.varint import varint
from keras_acn.codec.container import Reader

_LZMA = [{"id": lzma.FILTER_LZMA2, "preset": 9}]


def _deflated(content):
    """Return the shorter of deflate as it is, and of it with each byte by itself.

    The latter is all there is to save in weights.
    """
    coded = []
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY):
        coder = zlib.compressobj(9, zlib.DEFLATED, -15, 9, strategy)
        coded.append(coder.compress(content) + coder.flush())
    return min(coded, key=len)


# How a section may be compressed, in the order of their numbers in a file; the reader's side takes
# no more bytes out than it is asked for.
_PACKERS: tuple[Callable[[bytes], bytes], ...] = (
    lambda content: content,
    _deflated,
    bz2.compress,
    lambda content: lzma.compress(content, lzma.FORMAT_RAW, filters=_LZMA),
)
_UNPACKERS: tuple[Callable[[], Any] | None, ...] = (
    None,
    lambda: zlib.decompressobj(-15),
    bz2.BZ2Decompressor,
    lambda: lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_LZMA),
)


def squeezed(content: bytes) -> bytes:
    """Return a section: its size; and where there is any, the packer's number and its bytes."""
    if not content:
        return varint(0)
    packed = [pack(content) for pack in _PACKERS]
    best = min(range(len(packed)), key=lambda number: len(packed[number]))
    size = varint(len(packed[best]))
    return varint(len(content)) + bytes([best]) + size + packed[best]


def unsqueezed(reader: Reader, most: int, what: str) -> bytes:
    """Read a section of at most so many bytes, once unpacked.

    Args:
      reader: At the section's beginning.
      most: The bytes.
      what: What they are, in the plural, for a file that takes more memory than is allowed.

    Raises:
      UserError: If it has more, or is damaged.
    """
    size = reader.number(most)
    if not size:
        return b""
    require_memory(size, f"{what} in {reader.name}")
    method = reader.take(1)[0]
    content = reader.take(reader.number(reader.left()))
    if method >= len(_UNPACKERS):
        raise reader.damaged()
    make = _UNPACKERS[method]
    if make is not None:
        try:
            # One more than it should have, so that too many are seen.
            content = make().decompress(content, size + 1)
        except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError):
            raise reader.damaged() from None
    if len(content) != size:
        raise reader.damaged()
    return content
