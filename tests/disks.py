"""Disks that are full, for tests: the system itself refuses to write."""

import contextlib
import errno
import os

import pytest

resource = pytest.importorskip("resource")


@contextlib.contextmanager
def files_of_at_most(size):
    """A context in which the system lets no file of this process grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def refusing(number):
    """A function of the system that answers with an error."""

    def refuse(path, *others, **options):
        raise OSError(number, os.strerror(number), str(path))

    return refuse


FULL, READ_ONLY, GONE = errno.ENOSPC, errno.EROFS, errno.ENOENT
