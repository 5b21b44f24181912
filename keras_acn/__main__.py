"""`python -m keras_acn` is `keras-acn`."""

import sys

from keras_acn.cli import main

if __name__ == "__main__":
    sys.exit(main())
