"""TensorFlow's start without its chatter."""

import os
import re
import sys
import tempfile

# Information and warnings of the C++ side, which it writes before it has read the level it
# was set to. Error 303 says that a machine without a GPU has none; the other error says
# which of two kernels is used.
_CHATTER = re.compile(
    rb"WARNING: All log messages before absl::|To enable the following instructions:|[IW]\d{4} |"
    rb"E\d{4} .*(failed call to cuInit.*\(303\)|oneDNN supports DT_INT32 only)"
)


def load_tensorflow(start=None):
    """Imports TensorFlow; what it says about its own start is left out, the rest is kept.

    Args:
      start: Optional function to call before TensorFlow does anything else.
    """
    if "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            import tensorflow as tf
            from absl import logging

            logging.set_verbosity(logging.ERROR)
            # A sweep's figures trace functions once a model, which TensorFlow warns of.
            tf.get_logger().setLevel("ERROR")
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
