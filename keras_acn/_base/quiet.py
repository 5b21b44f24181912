"""TensorFlow's log, kept to errors for a while."""

import contextlib
import logging


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
