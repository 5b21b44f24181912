"""What an `.acn` file says about itself."""

import contextlib
import math
import pathlib

import numpy as np

from keras_acn._errors import UserError
from keras_acn.codec.container import Header, Reader, read_parts
from keras_acn.codec.report import Report, order_bits


def info(data):
    """Returns `(Header, Report)` of an `.acn` file, without decoding it.

    Args:
      data: Bytes, or the path of a file.

    Raises:
      UserError: If the file is damaged or cut off.
    """
    with opened(data) as (content, name):
        reader = Reader(content, name)
        header = Header.read(reader)
        *blocks, end = read_parts(reader, header)
        size = reader.size
    sizes = [block.count for block in blocks]
    dtype = np.dtype(header.values.dtype)
    return header, Report(
        images=header.count,
        values_per_image=math.prod(header.image_shape),
        mode=header.mode,
        lanes=header.lanes,
        file_bytes=size,
        initial_bits=end.initial_bits,
        lane_bits=end.lane_bits,
        order_bits=order_bits(sizes) if header.keep_order else 0,
        array_bytes=math.prod(header.array_shape) * dtype.itemsize,
    )


@contextlib.contextmanager
def opened(data):
    """Yields `(content, name)`: bytes, or a file opened for reading."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        yield bytes(data), "The data"
        return
    path = pathlib.Path(data)
    try:
        file = path.open("rb")
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UserError(f"{path} cannot be read ({reason}): give an .acn file.") from error
    with file:
        if not file.seekable():
            raise UserError(f"{path} can be read only once, as a pipe: save it as a file first.")
        yield file, str(path)
