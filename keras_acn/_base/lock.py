"""One process at a time writes a folder: a lock that the system drops when its process ends."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import socket
import time

from keras_acn._base.errors import UserError, not_writable

try:
    import fcntl
except ImportError:  # where there is no such lock, as on Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
# A process that merely asks who holds the lock has it for a moment.
_PATIENCE_S = 1.0
# What file systems that have no locks answer.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FolderInUse(UserError):
    """Another process writes the folder."""


class FolderLock(contextlib.AbstractContextManager):
    """Holds a folder, which must exist, for this process until the `with` block ends.

    The lock is the system's (`flock`), so that it ends with the process, however that ends. The
    file `.lock` in the folder says who holds it, and means nothing by itself. Who only reads the
    folder needs no lock.

    Args:
      folder: The folder.
      what: What it is, for the error's sentence.
      fix: What the error advises.

    Raises:
      FolderInUse: If another process holds it; the sentence says which. A `UserError`.

    Example:
      >>> import tempfile
      >>> folder = tempfile.mkdtemp()
      >>> with FolderLock(folder):
      ...     holder(folder) is None
      False
      >>> os.listdir(folder)
      []
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        what: str = "The folder",
        fix: str = "wait for it to end, or choose another --out",
    ):
        self.folder, self.what, self.fix = pathlib.Path(folder), what, fix
        self._descriptor: int | None = None

    def __enter__(self) -> FolderLock:
        until = time.monotonic() + _PATIENCE_S
        while fcntl is not None and not self._take():
            if time.monotonic() > until:
                raise in_use(self.what, self.folder, holder(self.folder), self.fix)
            time.sleep(0.05)
        return self

    def _take(self) -> bool:
        path = self.folder / LOCK
        try:
            # A link in a folder from elsewhere would have another file written over.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINKS, 0o666)
        except OSError as error:
            raise not_writable(self.folder, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who held it until now may have removed the file in the meantime.
            if os.fstat(descriptor).st_ino != os.stat(path).st_ino:
                os.close(descriptor)
                return False
            os.ftruncate(descriptor, 0)
            os.write(descriptor, _who().encode())
        except FileNotFoundError:
            os.close(descriptor)
            return False
        except OSError as error:
            if error.errno in (*_NO_LOCKS, *_NO_ROOM):
                # Without locks, or without room for a name, the work is done all the same.
                self._descriptor = descriptor
                return True
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise
        self._descriptor = descriptor
        return True

    def __exit__(self, *exception) -> None:
        if self._descriptor is None:
            return
        # Removed while it is held, so that nobody else's file is.
        (self.folder / LOCK).unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None


def holder(folder: str | os.PathLike) -> str | None:
    """Return who holds a folder's lock, in words; `None` for nobody."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(pathlib.Path(folder) / LOCK, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            return None
        return os.read(descriptor, 300).decode(errors="replace").strip() or "another process"
    finally:
        os.close(descriptor)
    return None


def require_free(
    folder: str | os.PathLike,
    what: str = "The folder",
    fix: str = "wait for it to end, or choose another --out",
) -> None:
    """Raise `FolderInUse` if a process holds a folder's lock now; takes no lock itself."""
    who = holder(folder)
    if who is not None:
        raise in_use(what, folder, who, fix)


def in_use(what: str, folder: str | os.PathLike, who: str | None, fix: str) -> FolderInUse:
    """Return the error for a folder that `who` holds."""
    return FolderInUse(f"{what} {folder} is being written by {who or 'another process'}: {fix}.")


def _who() -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {socket.gethostname()}, since {since}"
