"""Whole numbers in few bytes, as `.acn` files and protocol buffers write them."""


def varint(value: int) -> bytes:
    """Return a number, at least 0, in seven bits a byte, the low ones first.

    Bit 7 is set in all bytes but the last.

    Example:
      >>> varint(5), varint(300)
      (b'\\x05', b'\\xac\\x02')
    """
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
