"""What every test starts from."""

import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# What test files of several folders share, such as the floors of `test_house`, lies beside this.
sys.path.insert(0, str(pathlib.Path(__file__).parent))
