"""Makes what test files of several folders share importable: it lies beside this file."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
