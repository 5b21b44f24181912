"""What an `.acn` file says about itself."""

import contextlib
import pathlib

from keras_acn._base.errors import UserError
from keras_acn.codec.container import Header, Reader, read_parts
from keras_acn.codec.report import Report


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
    return header, Report.of(header, end, [block.count for block in blocks], size)


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
