"""What commands write beside their results: TensorFlow's start without its chatter, progress."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable

import click

from keras_acn._base import lazy, progress

tf = lazy.module("tensorflow")

# Information and warnings of the C++ side, which it writes before it has read the level it
# was set to. Error 303 says that a machine without a GPU has none; the other error says
# which of two kernels is used.
_CHATTER = re.compile(
    rb"WARNING: All log messages before absl::|To enable the following instructions:|[IW]\d{4} |"
    rb"E\d{4} .*(failed call to cuInit.*\(303\)|oneDNN supports DT_INT32 only)"
)


def load_tensorflow(start: Callable[[], object] | None = None) -> None:
    """Import TensorFlow; what it says about its own start is left out, the rest is kept.

    Args:
      start: Called before TensorFlow does anything else.
    """
    if "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            # A sweep's figures trace functions once a model, which TensorFlow warns of.
            tf.get_logger().setLevel("ERROR")
            lazy.load("absl.logging").set_verbosity("error")
            if start is not None:
                start()
            # The first operation starts the devices; this one calls on oneDNN as well.
            tf.transpose(tf.zeros([2, 3], tf.int32))
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            said.seek(0)
            kept = [line for line in said if not _CHATTER.match(line)]
            os.write(2, b"".join(kept))


def stage_line(quiet: bool = False) -> Callable[[str, int, int], None] | None:
    """Return `progress(stage, done, total)` that draws a bar on a terminal; `None` without one."""
    if quiet or not sys.stderr.isatty():
        return None
    return _tell


def _tell(stage: str, done: int, total: int) -> None:
    click.echo(progress.over(progress.bar(stage, done, total)), err=True, nl=done >= total)
