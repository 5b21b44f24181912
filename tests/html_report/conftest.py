"""Makes what the test files of this folder share importable: it lies beside this file."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
