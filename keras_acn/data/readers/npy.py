"""`npy:FILE` and `npz:FILE`."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn._base.numpy_files import ArrayHeader
from keras_acn._base.reading import DEFLATE_RATIO, require_memory, require_regular
from keras_acn.data.checks import check_label_count
from keras_acn.data.readers.base import ArraySource, Parts, Source, StreamSource

_NAMES = "name the arrays x_train, y_train, x_test, y_test, or images, labels"


def _check_path(path, kind):
    if not os.path.exists(path):
        raise UserError(f'There is no file "{path}": check the path after "{kind}:".')
    if os.path.isdir(path):
        raise UserError(f'"{path}" is a folder: give a .{kind} file after "{kind}:".')
    require_regular(path)


def _guarded(path, kind, read: Callable):
    """Return what `read()` does, or raise the sentence for what went wrong."""
    try:
        return read()
    except UserError:
        raise
    except PermissionError as error:
        raise UserError(f'"{path}" may not be read: check its permissions.') from error
    except Exception as error:
        # A damaged file raises anything: EOFError, BadZipFile, zlib.error, a failed
        # allocation, a syntax error of the header. All mean the same to the user.
        raise UserError(
            f'"{path}" is not a readable .{kind} file of plain numbers: it is damaged, or holds '
            "Python objects."
        ) from error


def open_npy(path: str) -> Parts:
    """Open an `.npy` file of images `[N, H, W]` or `[N, H, W, C]`, which stays on the disk.

    Raises:
      UserError: If the file is missing or damaged.
    """
    _check_path(path, "npy")

    def read():
        with open(path, "rb") as file:
            if file.read(4) in (b"PK\x03\x04", b"PK\x05\x06"):
                raise UserError(f'"{path}" is an .npz file: write "npz:{path}".')
            file.seek(0)
            header = ArrayHeader.read(file)
        if os.path.getsize(path) < header.offset + header.nbytes:
            raise ValueError("It is cut off.")
        # An array without elements cannot be mapped.
        return np.load(path, mmap_mode="r" if header.nbytes else None, allow_pickle=False)

    return Parts(ArraySource(_guarded(path, "npy", read), name=f'"{path}"'))


def open_npz(path: str, any_name: bool = False) -> Parts:
    """Open an `.npz` file, whose arrays are unpacked bit by bit.

    The parts are `x_train` with `y_train` and `x_test` with `y_test`; or `images` with
    `labels`.

    Args:
      path: The file.
      any_name: Whether a single array may have another name.

    Raises:
      UserError: If the file is missing or damaged, or has no such arrays.
    """
    _check_path(path, "npz")
    with open(path, "rb") as file:
        if file.read(6) == np.lib.format.MAGIC_PREFIX:
            raise UserError(f'"{path}" is an .npy file: write "npy:{path}".')

    def read_names():
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]

    names = _guarded(path, "npz", read_names)
    found: list[tuple[str | None, str | None]]
    if "x_train" in names or "x_test" in names:
        found = [(f"x_{part}", f"y_{part}") for part in ("train", "test")]
    elif "images" in names or (any_name and len(names) == 1):
        found = [("images" if "images" in names else names[0], "labels"), (None, None)]
    else:
        raise UserError(f'"{path}" holds {", ".join(names) or "nothing"}: {_NAMES}.')
    train, test = (
        _member(path, images, labels if labels in names else None) if images in names else None
        for images, labels in found
    )
    return Parts(train, test=test)


def _member(path, key, labels_key) -> Source:
    """Return the source of one array of an archive."""

    name = f'{key} in "{path}"'

    def header_of(key):
        with _Member(path, key) as file:
            header = ArrayHeader.read(file)
            return header, file.size - header.offset

    def read_array(key):
        with _Member(path, key) as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    def read_labels():
        found = _guarded(path, "npz", lambda: header_of(labels_key))[0]
        if len(found.shape) in (1, 2):
            check_label_count(found.shape[0], len(source), f"The labels of {name}")
        require_memory(found.nbytes, f"The labels of {name}")
        return _guarded(path, "npz", lambda: read_array(labels_key))

    def body():
        file = _Member(path, key)
        file.read(header.offset)
        return file

    header, held = _guarded(path, "npz", lambda: header_of(key))
    labels = None if labels_key is None else read_labels
    stream = StreamSource(
        path, body, header.shape, header.dtype, form=".npz file", name=name, labels=labels
    )
    source: Source = stream
    if held != header.nbytes:
        raise stream.length_error(held)
    if header.fortran:
        # Its bytes run over all images before they come to the second row of the first.
        require_memory(header.nbytes, f"The images of {name}")
        array = _guarded(path, "npz", lambda: read_array(key))
        source = ArraySource(array, name=name, labels=labels)
    return source


class _Member:
    """An array's file inside an archive; closing it closes the archive."""

    def __init__(self, path, key):
        self._archive = zipfile.ZipFile(path)
        self._file = self._archive.open(f"{key}.npy")
        # What the archive's table says; no more is read of it.
        member = self._archive.getinfo(f"{key}.npy")
        self.size = member.file_size
        ratio = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: DEFLATE_RATIO}
        most = ratio.get(member.compress_type, 10**6) * min(
            member.compress_size, os.path.getsize(path)
        )
        if self.size > most:
            raise zipfile.BadZipFile("It cannot hold as much as its table says.")
        self.read, self.tell = self._file.read, self._file.tell

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()
        self._archive.close()
