"""Version folders: whole or not there, and never written over."""

import contextlib
import errno
import os
import pathlib
import shutil
import uuid

from keras_acn._base.errors import UserError


def versions(folder):
    """Return the versions in a folder, ascending: what a polling server would see."""
    folder = pathlib.Path(folder)
    names = [each.name for each in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


@contextlib.contextmanager
def new_version(folder, version=None):
    """Yield `(path, finish)`: a hidden folder to write to, and how to make it a version.

    `finish()` renames it in one step and returns the version's path; before that a server
    sees nothing, as names that are no numbers are none of its business. Without a `finish`
    the folder is removed again.

    Args:
      folder: The model's folder; made where it is missing.
      version: A number of at least 1, by default the next free one.

    Raises:
      UserError: If the version exists, or the folder cannot be written to.
    """
    folder = pathlib.Path(folder).expanduser()
    version = _check_version(version)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_free(folder, version)
        # Threads have one process number, and so may two containers on one volume.
        temporary = folder / f".export.{uuid.uuid4().hex}.tmp"
        temporary.mkdir()
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"{folder} is no folder: choose another one to export to.") from error
    except OSError as error:
        raise UserError(
            f"The folder {folder} cannot be written to ({(error.strerror or 'unknown').lower()}): "
            "choose another one to export to."
        ) from error
    try:
        yield temporary, lambda: _finish(temporary, folder, version)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_version(version):
    if version is None:
        return None
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version < 2**63:
        raise UserError(f"A version is a whole number of at least 1, not {version!r}.")
    return version


def _check_free(folder, version):
    there = versions(folder)
    # A server reads 007 as version 7.
    if version in there:
        raise UserError(
            f"{folder} has a version {version} already: leave the version out for "
            f"{there[-1] + 1}, the next free one."
        )


def _finish(temporary, folder, version):
    _to_disk(temporary)
    while True:
        _check_free(folder, version)
        target = folder / str(version or max(versions(folder), default=0) + 1)
        try:
            # A folder that is not empty is never replaced, so of two that export at the
            # same time the later one tries the next number.
            os.rename(temporary, target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            continue
        _sync(folder)
        return target


def _to_disk(folder):
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
