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
import tempfile
import time
import uuid
import zlib
from collections.abc import Callable, Iterator

from keras_acn._base.errors import CannotWrite, UserError, not_writable, short

# .NAME.<digits of the process>-<of the machine>-<at random>.tmp.SUFFIX; the first two are missing
# in the names of version 0.1.0.
_TEMPORARY = re.compile(r"\..+\.(?:([0-9a-f]+)-([0-9a-f]{8})-)?([0-9a-f]{12})\.tmp(\.[^.]+)?")
# What a process on another machine has not touched for so long, it has forgotten.
_FORGOTTEN_S = 24 * 3600
# By how much the clock of a disk elsewhere may be behind that of this machine.
_CLOCKS_S = 60
# What the system answers where a disk is full, read-only or broken, whatever was asked for; and
# what it answers of a path, which must then be the one that is written.
_OF_THE_DISK = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE),
    errno.ENXIO,
)
_OF_A_PATH = (
    *(errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
    *(errno.ENAMETOOLONG, errno.ELOOP),
)
_FIXES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room there"),
    errno.EFBIG: "allow larger files there (ulimit -f)",
    **dict.fromkeys(
        (errno.ENOENT, errno.ENOTDIR, errno.ESTALE),
        "bring its folder back, or choose another place",
    ),
}
# Folders that this process has cleared.
_cleared: set[str] = set()
# The first of the digits at random, by process: a fork has others.
_tokens: dict[int, str] = {}


def temporary_beside(path: str | os.PathLike) -> pathlib.Path:
    """Return a hidden name in the same folder, `.NAME.<digits>.tmp` and the suffix of `path`.

    Some writers insist on a suffix. The digits tell the process and the machine; the last of
    them are random, as threads share a process number.
    """
    path = pathlib.Path(path)
    who = f"{os.getpid():x}-{_machine()}-{_token()}{uuid.uuid4().hex[:6]}"
    # A name has at most 255 bytes.
    stem = os.fsencode(path.stem)[:150].decode(errors="ignore")
    return path.with_name(f".{stem}.{who}.tmp{path.suffix}")


def _machine() -> str:
    # Containers that share a disk have process numbers of their own, and other names.
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def _token() -> str:
    """Return digits that tell this process from an earlier one of the same number.

    In a container that is started again every process has its number again.
    """
    return _tokens.setdefault(os.getpid(), uuid.uuid4().hex[:6])


def _is_abandoned(path: pathlib.Path) -> bool:
    """Return whether a path is temporary, and nobody is going to finish it."""
    match = _TEMPORARY.fullmatch(path.name)
    if match is None:
        return False
    number, machine, digits = match[1], match[2], match[3]
    try:
        changed = path.lstat().st_mtime
    except OSError:
        return False
    if machine != _machine():
        return time.time() - changed > _FORGOTTEN_S
    process = int(number, 16)
    if process == os.getpid():
        return not digits.startswith(_token())
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass
    # Another process may have been given the number since.
    began = _began(process)
    return began is not None and changed < began - _CLOCKS_S


def _began(process: int) -> float | None:
    """Return when a process began, in seconds since 1970; `None` where nobody says."""
    try:
        told = pathlib.Path(f"/proc/{process}/stat").read_text()
        # After the name, which may hold anything, the 20th word: hundredths since the start.
        ticks = int(told.rpartition(")")[2].split()[19])
        start = pathlib.Path("/proc/stat").read_text().partition("btime ")[2].split()[0]
        return int(start) + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


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
def writing(path: str | os.PathLike, kept: str | None = None) -> Iterator[None]:
    """A context that writes a file or folder: what the disk says against it becomes a sentence.

    TensorFlow, HDF5 and Pillow have errors of their own for it, which are known by their words.

    Args:
      path: What is written, as the user knows it.
      kept: What there still is after a failure, in a sentence; by default of the file itself.

    Raises:
      CannotWrite: If it cannot be written. A `UserError`.
    """
    path = pathlib.Path(path)
    was_there = os.path.lexists(path)
    try:
        yield
    except Exception as error:
        why = _why(error, path)
        if why is None:
            raise
        if kept is None:
            what = "folder" if path.is_dir() else "file"
            kept = f"The {what} that was there is as it was." if was_there else "There is none now."
        raise CannotWrite(path, *why, kept) from error


def _why(error: Exception, path: pathlib.Path) -> tuple[str, str] | None:
    """Return `(reason, fix)` if an error is about writing `path`."""
    if isinstance(error, CannotWrite) and is_temporary(error.path):
        # What was to become this file is written by someone who takes the same care.
        return error.reason, error.fix
    if isinstance(error, (UserError, FileExistsError)):
        return None
    number = _number(error, path)
    if number is not None:
        return os.strerror(number).lower(), _FIXES.get(number, "choose another place")
    if isinstance(error, OSError) and error.errno is None:
        # Of Pillow's encoders.
        reason = short(str(error) or "unknown reason", 200)
        return reason, "make room there, or choose another place"
    return None


def _number(error: Exception, path: pathlib.Path) -> int | None:
    """Return the system's number for why `path` cannot be written, if that is what is wrong."""
    folder = path.parent
    each: BaseException | None = error
    seen: set[int] = set()
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        number = each.errno if isinstance(each, OSError) else None
        if number is not None and isinstance(each, OSError):
            names = [str(name) for name in (each.filename, each.filename2) if name is not None]
            here = any(_is_in(name, folder) for name in names)
            if number in _OF_THE_DISK or (number in _OF_A_PATH and here):
                return number
        else:
            for number in (*_OF_THE_DISK, *_OF_A_PATH):
                said, text = os.strerror(number), str(each)
                here = path.stem in text or (bool(folder.name) and str(folder) in text)
                if said in text and (number in _OF_THE_DISK or here):
                    return number
        each = each.__cause__ or each.__context__
    return None


def _is_in(name: str, folder: pathlib.Path) -> bool:
    place, folder_name = os.path.abspath(name), os.path.abspath(folder)
    return place == folder_name or place.startswith(folder_name.rstrip(os.sep) + os.sep)


def require_room(path: str | os.PathLike, size: int) -> None:
    """Raise `CannotWrite` if there is no room for a file of so many bytes, as far as is known.

    Args:
      path: Of the file.
      size: Its bytes.
    """
    with contextlib.suppress(OSError):
        there = shutil.disk_usage(pathlib.Path(path).absolute().parent)
        if there.total and there.free < size:
            reason = f"it takes {size:,} bytes, and {there.free:,} are free"
            raise CannotWrite(path, reason, _FIXES[errno.ENOSPC], "Nothing was changed.")


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yield a path to write a file to, which then takes the place of `path` in one step.

    A crash at any moment, or an exception inside the `with` block, leaves the file that was
    there, or none.

    Raises:
      CannotWrite: If the disk is full, read-only or gone, in the block or at its end.
    """
    temporary = temporary_beside(path)
    _clear(temporary.parent)
    try:
        with writing(path):
            yield temporary
            _to_disk(temporary)
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_beside(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yield a new hidden folder in the same folder as `path`, which goes as the block ends.

    Files that are to go into a folder that is there are made in it, as moving is one step
    only within a disk.
    """
    temporary = temporary_beside(path)
    _clear(temporary.parent)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def temporary_files_beside(path: str | os.PathLike) -> Iterator[None]:
    """A context in which other libraries' temporary files are made in a folder beside `path`.

    Keras makes a folder while it saves a model. In the system's own folder for such things a
    kill would leave it for good; beside `path` the next writer clears it.
    """
    with folder_beside(path) as folder:
        before = tempfile.tempdir
        tempfile.tempdir = str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = before


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
      CannotWrite: If the disk is full, read-only or gone, in the block or at its end.

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
        kept = "No such folder was made, and all others are as they were."
        try:
            with writing(self.parent, kept):
                if error is not None:
                    # Told as a sentence, or else raised again as it was.
                    raise error
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
        # Names of files need not be UTF-8. What is none is written as JSON and YAML escape it.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


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
        raise not_writable(path, error) from error


def _to_disk(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
