"""TensorFlow without its chatter: what its C++ side says of its start, and its log for a while."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator

from keras_acn._base import lazy

# Not needed where the chatter is not heard, and `import keras_acn` comes by here.
logging = lazy.module("logging")
tempfile = lazy.module("tempfile")

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# Information and warnings of the C++ side, which it writes before it has read the level it
# was set to. Error 303 says that a machine without a GPU has none; another error says which of
# two kernels is used, the others that a library of CUDA's is there twice.
_CHATTER = re.compile(
    rb"WARNING: All log messages before absl::|To enable the following instructions:|[IW]\d{4} |"
    rb"E\d{4} .*(failed call to cuInit.*\(303\)|oneDNN supports DT_INT32 only|"
    rb"Unable to register cu(FFT|DNN|BLAS) factory)"
)


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Keep TensorFlow's chatter off standard error inside a `with` block; the rest is kept.

    The C++ side writes to the file, not to `sys.stderr`, so the file is another one meanwhile.
    """
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sys.stderr.flush()
    try:
        stderr = os.dup(2)
    except OSError:
        # It is closed, and nothing is written.
        yield
        return
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            said.seek(0)
            os.write(2, b"".join(line for line in said if not _CHATTER.match(line)))


class _QuietImport:
    """A finder that sees TensorFlow's import come, whoever asks for it, and quietens that one."""

    def find_spec(self, name, path=None, target=None):
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def quietly(module):
                with without_chatter():
                    execute(module)

            spec.loader.exec_module = quietly
        return spec


def is_chatter_wanted() -> bool:
    """Return whether the user has asked TensorFlow to say more than what goes wrong."""
    return os.environ.get(LEVEL) in ("0", "1", "2")


def quieten_tensorflow() -> None:
    """Let TensorFlow start without a word, unless the user has set how much it says.

    What goes wrong reaches Python as an exception. Where TensorFlow is imported already, nothing
    is left to do.
    """
    if is_chatter_wanted() or "tensorflow" in sys.modules:
        return
    os.environ[LEVEL] = "3"
    if not any(isinstance(finder, _QuietImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _QuietImport())


@contextlib.contextmanager
def tensorflow_errors_only():
    """Keep TensorFlow's warnings out of the log inside a `with` block."""
    logger = logging.getLogger("tensorflow")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
