"""What commands write beside their results: TensorFlow's start without its chatter, progress."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

import click

from keras_acn._base import lazy, progress, quiet

tf = lazy.module("tensorflow")


def load_tensorflow(start: Callable[[], object] | None = None) -> None:
    """Import TensorFlow; what it says about its own start is left out, the rest is kept.

    Args:
      start: Called before TensorFlow does anything else.
    """
    if "tensorflow" in sys.modules:
        return
    with contextlib.nullcontext() if quiet.is_chatter_wanted() else quiet.without_chatter():
        # A sweep's figures trace functions once a model, which TensorFlow warns of.
        tf.get_logger().setLevel("ERROR")
        lazy.load("absl.logging").set_verbosity("error")
        if start is not None:
            start()
        # The first operation starts the devices; this one calls on oneDNN as well.
        tf.transpose(tf.zeros([2, 3], tf.int32))


def stage_line(hide: bool = False) -> Callable[[str, int, int], None] | None:
    """Return `progress(stage, done, total)` that draws a bar on a terminal; `None` without one."""
    if hide or not sys.stderr.isatty():
        return None
    return _tell


def _tell(stage: str, done: int, total: int) -> None:
    click.echo(progress.over(progress.bar(stage, done, total)), err=True, nl=done >= total)
