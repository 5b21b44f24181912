"""`npy:FILE` and `npz:FILE`."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.data.readers.base import ArraySource, Parts, Source, StreamSource

_NAMES = "name the arrays x_train, y_train, x_test, y_test, or images, labels"


def _check_path(path, kind):
    if not os.path.exists(path):
        raise UserError(f'There is no file "{path}": check the path after "{kind}:".')
    if os.path.isdir(path):
        raise UserError(f'"{path}" is a folder: give a .{kind} file after "{kind}:".')


def _guarded(path, kind, read: Callable):
    """Return what `read()` does, or raise the sentence for what went wrong."""
    try:
        return read()
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
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError:
            # An array without elements cannot be mapped.
            return np.load(path, allow_pickle=False)

    array = _guarded(path, "npy", read)
    if not isinstance(array, np.ndarray):
        array.close()
        raise UserError(f'"{path}" is an .npz file: write "npz:{path}".')
    return Parts(ArraySource(array, name=f'"{path}"'))


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

    def part(images, labels):
        return _member(path, images, labels if labels in names else None)

    if "x_train" in names or "x_test" in names:
        train, test = (
            part(f"x_{each}", f"y_{each}") if f"x_{each}" in names else None
            for each in ("train", "test")
        )
        return Parts(train, test=test)
    if "images" in names or (any_name and len(names) == 1):
        return Parts(part("images" if "images" in names else names[0], "labels"))
    raise UserError(f'"{path}" holds {", ".join(names) or "nothing"}: {_NAMES}.')


def _member(path, key, labels_key) -> Source:
    """Return the source of one array of an archive."""

    def whole(name):
        def read():
            with np.load(path, allow_pickle=False) as archive:
                return archive[name]

        return _guarded(path, "npz", read)

    def read_header():
        with _Member(path, key) as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format
            header = {(1, 0): read.read_array_header_1_0}.get(version, read.read_array_header_2_0)
            shape, fortran, dtype = header(file)
            if dtype.hasobject:
                raise ValueError("Python objects")
            return shape, fortran, dtype, file.tell()

    def body():
        file = _Member(path, key)
        file.read(offset)
        return file

    shape, fortran, dtype, offset = _guarded(path, "npz", read_header)
    labels = None if labels_key is None else lambda: whole(labels_key)
    name = f'{key} in "{path}"'
    if fortran:
        # Its bytes run over all images before they come to the second row of the first.
        return ArraySource(whole(key), name=name, labels=labels)
    return StreamSource(path, body, shape, dtype, form=".npz file", name=name, labels=labels)


class _Member:
    """An array's file inside an archive; closing it closes the archive."""

    def __init__(self, path, key):
        self._archive = zipfile.ZipFile(path)
        self._file = self._archive.open(f"{key}.npy")
        self.read, self.tell = self._file.read, self._file.tell

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()
        self._archive.close()
