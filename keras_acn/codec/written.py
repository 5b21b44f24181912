"""Pictures written back as the folder that they came from."""

from __future__ import annotations

import os
import pathlib
import shutil
from collections.abc import Iterable
from typing import Any

from keras_acn._base import lazy
from keras_acn._base.atomic import NewFolder, check_folder, folder_beside, is_temporary
from keras_acn._base.errors import UserError, unknown_name
from keras_acn._base.shell import LONGEST_NAME, expanded
from keras_acn.codec.index import Index
from keras_acn.codec.rivals import MOST_SIDE, as_webp
from keras_acn.data.readers.exact import Picture

Image = lazy.module("PIL.Image")
features = lazy.module("PIL.features")

FORMATS = {"png": ".png", "webp": ".webp"}


def check_target(folder: str | os.PathLike, format: str, force: bool) -> pathlib.Path:
    """Return the folder to write to, if it is there or can be made.

    Raises:
      UserError: If the format is unknown, there is a file in the way, or the folder holds something
        and `force` is not given.
    """
    if format not in FORMATS:
        raise unknown_name("format of pictures", format, FORMATS)
    path = check_folder(expanded(folder), "choose another folder")
    if path.is_dir() and not force and any(not is_temporary(each) for each in path.iterdir()):
        raise UserError(
            f"{path} is a folder that holds something: choose another one, or give --force "
            "(force=True in Python) to write into it and replace files of the same names."
        )
    return path


def check_format(index: Index, format: str, name: str) -> None:
    """Raise a `UserError` where a format cannot hold the pictures of the file called `name`."""
    if format != "webp":
        return
    if not features.check("webp"):
        raise UserError("Pillow was built without WebP here: take PNG.")
    if any(entry.mode == "I;16" for entry in index.entries):
        raise UserError(f"{name} holds pictures of 16 bits, which WebP has not: take PNG.")
    if any(max(entry.size) > MOST_SIDE for entry in index.entries):
        raise UserError(
            f"{name} holds pictures of more than {MOST_SIDE:,} pixels a side, which WebP has not: "
            "take PNG."
        )


def names_of(index: Index, format: str) -> list[str]:
    """Return the path of each file, parts joined by "/", with the ending of a format.

    The ending takes the place of the one that was there, or is added to it where two pictures
    would have the same name. A name that gets too long by it loses letters before it.

    Example:
      >>> index = Index((), (0, 0, 0), ("a.jpg", "a.PNG", "b.gif"), (), False, "")
      >>> names_of(index, "png")
      ['a.jpg.png', 'a.PNG', 'b.png']
    """
    ending = FORMATS[format]
    if index.files is None:
        digits = len(str(len(index.shown)))
        return [f"{number:0{digits}d}{ending}" for number in range(1, len(index.shown) + 1)]
    kept = {file for file in index.files if file.lower().endswith(ending)}
    taken = {name.casefold() for name in (*kept, *index.folders)}
    known, names = Image.registered_extensions(), []
    Image.init()
    for file in index.files:
        name = file
        if file not in kept:
            stem, old = os.path.splitext(file)
            name = _with(stem if old.lower() in known else file, ending)
            if name.casefold() in taken:
                name = _with(file, ending)
            more = ending
            while name.casefold() in taken:
                more += ending
                name = _with(file, more)
            taken.add(name.casefold())
        names.append(name)
    return names


def _with(path, ending):
    """Return a path with an ending, its last name cut to the bytes that a name may have."""
    folder, _, name = path.rpartition("/")
    room = LONGEST_NAME - len(ending)
    if len(os.fsencode(name)) > room:
        name = os.fsencode(name)[:room].decode(errors="ignore")
    return f"{folder}/{name}{ending}" if folder else name + ending


def write_pictures(
    folder: pathlib.Path, index: Index, pictures: Iterable[Picture], format: str
) -> None:
    """Write pictures to a folder, which appears whole, or into one that is there.

    Args:
      folder: From `check_target`.
      index: What the folder held.
      pictures: Those of the index's entries, in their order.
      format: One of `FORMATS`.

    Raises:
      UserError: If the disk does not take them, or a name is taken by something else.
    """
    names = names_of(index, format)
    try:
        if folder.is_dir():
            _write_into(folder.resolve(), index, names, pictures, format)
            return
        with NewFolder(folder.absolute().parent, folder.name) as new:
            _write(new.path, index, names, pictures, format)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UserError(
            f"{folder} cannot be written ({reason}): choose another folder, or make room there."
        ) from error


def _write(folder, index, names, pictures, format):
    for each in index.folders:
        folder.joinpath(each).mkdir()
    files: dict[int, list[pathlib.Path]] = {}
    for entry, name in zip(index.shown, names, strict=True):
        files.setdefault(entry, []).append(folder.joinpath(name))
    for number, picture in enumerate(pictures):
        first, *copies = files[number]
        # Two names may be one to this disk, whatever they are to Python: nothing is overwritten.
        with open(first, "xb") as file:
            _save(picture, file, format)
        for copy in copies:
            with open(first, "rb") as source, open(copy, "xb") as file:
                shutil.copyfileobj(source, file)


def _save(picture: Picture, file: Any, format: str) -> None:
    if format == "webp":
        file.write(as_webp(picture))
    else:
        picture.to_image().save(file, format="PNG")


def _write_into(folder, index, names, pictures, format):
    """Write to a hidden folder in one that is there, and then move the files out of it.

    In it, as it may be a disk of its own, and its rights and owner are to stay.
    """
    for each in index.folders:
        path = folder.joinpath(each)
        # A link may lead anywhere.
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise UserError(
                f"{path} is in the way, as it is no folder: remove it, or choose another folder."
            )
    for name in names:
        path = folder.joinpath(name)
        if path.is_dir() and not path.is_symlink():
            raise UserError(
                f"{path} is in the way, as it is a folder: remove it, or choose another one."
            )
    with folder_beside(folder / "pictures") as beside:
        _write(beside, index, names, pictures, format)
        for each in index.folders:
            folder.joinpath(each).mkdir(exist_ok=True)
        for name in names:
            os.replace(beside.joinpath(name), folder.joinpath(name))
