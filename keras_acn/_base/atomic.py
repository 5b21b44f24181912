"""Files that are whole or not there: written beside, then moved into place."""

import contextlib
import os
import pathlib

from keras_acn._base.errors import UserError


@contextlib.contextmanager
def replacing(path):
    """Yields a path to write to, which then takes the place of `path` in one step.

    A crash at any moment leaves the old file or the new one. The temporary name keeps
    the suffix of `path`, which some writers insist on.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path, text):
    """Writes the text file at `path`, replacing it in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def make_folder(path):
    """Makes a folder, its parents included.

    Raises:
      UserError: If it cannot be made or written to.
    """
    path = pathlib.Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{os.getpid()}.probe"
        probe.touch()
        probe.unlink()
    except FileExistsError as error:
        raise UserError(f"{path} is a file, not a folder: choose another --out.") from error
    except OSError as error:
        reason = error.strerror.lower() if error.strerror else "unknown reason"
        raise UserError(
            f"The folder {path} cannot be written to ({reason}): choose another --out."
        ) from error
