"""Files and folders that appear whole or not at all: filled beside, then moved into place.

What a crash leaves behind has a name that `is_temporary` knows, and that says which process
made it. It is removed as soon as another process writes in the same folder: the dead leave no
litter, and what a living process has half written is let alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import re
import shutil
import socket
import time
import uuid
import zlib
from collections.abc import Callable, Iterator

from keras_acn._base.errors import UserError

# .NAME.<digits of the process>-<of the machine>-<at random>.tmp.SUFFIX; the first two are missing
# in the names of version 0.1.0.
_TEMPORARY = re.compile(r"\..+\.(?:([0-9a-f]+)-([0-9a-f]{8})-)?[0-9a-f]{12}\.tmp(\.[^.]+)?")
# What a process on another machine has not touched for so long, it has forgotten.
_FORGOTTEN_S = 24 * 3600
# Folders that this process has cleared.
_cleared: set[str] = set()


def temporary_beside(path: str | os.PathLike) -> pathlib.Path:
    """Return a hidden name in the same folder, `.NAME.<digits>.tmp` and the suffix of `path`.

    Some writers insist on a suffix. The digits tell the process and the machine; the last of
    them are random, as threads share a process number.
    """
    path = pathlib.Path(path)
    who = f"{os.getpid():x}-{_machine()}-{uuid.uuid4().hex[:12]}"
    # A name has at most 255 bytes.
    stem = path.stem.encode()[:150].decode(errors="ignore")
    return path.with_name(f".{stem}.{who}.tmp{path.suffix}")


def _machine() -> str:
    # Containers that share a disk have process numbers of their own, and other names.
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def _is_abandoned(path: pathlib.Path) -> bool:
    """Return whether a path is temporary, and nobody is going to finish it."""
    match = _TEMPORARY.fullmatch(path.name)
    if match is None:
        return False
    process, machine = match[1], match[2]
    if machine == _machine():
        try:
            os.kill(int(process, 16), 0)
        except (ProcessLookupError, OverflowError):
            return True
        except PermissionError:
            return False
        return False
    try:
        return time.time() - path.stat().st_mtime > _FORGOTTEN_S
    except OSError:
        return False


def is_temporary(path: str | os.PathLike) -> bool:
    """Return whether a file or folder has a name that `temporary_beside` gives."""
    return _TEMPORARY.fullmatch(pathlib.Path(path).name) is not None


def remove_temporaries(folder: str | os.PathLike) -> None:
    """Remove what processes that were killed have left half written in a folder, at any depth."""
    for path in [each for each in pathlib.Path(folder).rglob(".*.tmp*") if _is_abandoned(each)]:
        _remove(path)


def _clear(folder: pathlib.Path) -> None:
    """Remove what dead processes left in a folder itself, the first time it is written to."""
    name = os.path.abspath(folder)
    if name in _cleared:
        return
    _cleared.add(name)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for path in [pathlib.Path(each.path) for each in entries if each.name.startswith(".")]:
            if _is_abandoned(path):
                _remove(path)


def _remove(path: pathlib.Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yield a path to write a file to, which then takes the place of `path` in one step.

    A crash at any moment, or an exception inside the `with` block, leaves the file that was
    there, or none.
    """
    temporary = temporary_beside(path)
    _clear(temporary.parent)
    try:
        yield temporary
        _to_disk(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class NewFolder:
    """A folder that is filled under a hidden name, and appears whole as the `with` block ends.

    An exception inside the block removes it. A folder that is there already is never replaced.

    Args:
      parent: The folder to make it in, made where it is missing.
      name: Its name, or a function that returns it. A function is asked once the folder is
        full, and asked again where another process has taken that name in the meantime.

    Attributes:
      path: Where to write inside the block; where it is after it.

    Raises:
      FileExistsError: If `name` is text, and there is something of that name.

    Example:
      >>> import tempfile
      >>> with NewFolder(tempfile.mkdtemp(), "1") as folder:
      ...     _ = (folder.path / "card.md").write_text("A model.")
      >>> folder.path.name, (folder.path / "card.md").exists()
      ('1', True)
    """

    def __init__(self, parent: str | os.PathLike, name: str | Callable[[], str]):
        self.parent = pathlib.Path(parent)
        self.name = name
        self.path = temporary_beside(self.parent / "folder")

    def __enter__(self) -> NewFolder:
        self.path.mkdir(parents=True)
        _clear(self.parent)
        return self

    def __exit__(self, kind, error, traceback) -> None:
        temporary = self.path
        try:
            if kind is None:
                for path in temporary.rglob("*"):
                    _to_disk(path)
                _to_disk(temporary)
                self.path = self._move(temporary)
                _to_disk(self.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _move(self, temporary: pathlib.Path) -> pathlib.Path:
        while True:
            target = self.parent / (self.name() if callable(self.name) else self.name)
            try:
                # The system moves a folder over an empty one at most.
                os.rename(temporary, target)
                return target
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
                if not callable(self.name):
                    raise FileExistsError(errno.EEXIST, "it exists", str(target)) from error


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write the text file at `path`, replacing it in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_folder(path: str | os.PathLike, fix: str = "choose another --out") -> pathlib.Path:
    """Return the path of a folder, if it is there or can be made; makes nothing.

    Args:
      path: Of the folder.
      fix: What the errors advise.

    Raises:
      UserError: If there is a file in the way, or no right to write.
    """
    path = pathlib.Path(path)
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not there.is_dir():
        raise UserError(f"{there} is a file, not a folder: {fix}.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"The folder {path} cannot be written to (permission denied): {fix}.")
    return path


def make_folder(path: str | os.PathLike) -> None:
    """Make a folder, its parents included.

    Raises:
      UserError: If it cannot be made or written to.
    """
    path = pathlib.Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = temporary_beside(path / "probe")
        probe.touch()
        probe.unlink()
    except FileExistsError as error:
        raise UserError(f"{path} is a file, not a folder: choose another --out.") from error
    except OSError as error:
        reason = error.strerror.lower() if error.strerror else "unknown reason"
        raise UserError(
            f"The folder {path} cannot be written to ({reason}): choose another --out."
        ) from error


def _to_disk(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
