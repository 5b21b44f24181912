"""Small models of each kind, exported once for all tests of this folder."""

import collections
import pathlib
import sys

import pytest

# The helpers lie beside this file.
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from served_models import MAKERS  # noqa: E402
from served_process import Served  # noqa: E402

from keras_acn.experiment import load_config  # noqa: E402

Exported = collections.namedtuple("Exported", ["model", "export"])


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """`exported(kind)`: a model and what its export returned."""
    made = {}

    def get(kind):
        if kind not in made:
            model = MAKERS[kind]()
            folder = tmp_path_factory.mktemp("served") / kind
            # The preset's data are binarized by a threshold, and so are files here.
            made[kind] = Exported(model, model.export(folder, config=load_config("digits")))
        return made[kind]

    return get


@pytest.fixture(scope="session")
def in_session(exported):
    """`in_session(kind)`: the exported model, loaded in a Session of this process."""
    loaded = {}

    def get(kind):
        if kind not in loaded:
            loaded[kind] = Served(exported(kind).export.path)
        return loaded[kind]

    return get
