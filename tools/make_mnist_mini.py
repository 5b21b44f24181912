"""Make the source `mnist-mini`: a small piece of MNIST, as IDX files inside the package.

    python tools/make_mnist_mini.py FOLDER-OF-MNIST

FOLDER-OF-MNIST holds the four IDX files as published, gzipped or not. Of their training part
6,000 images are taken, of the test part 1,000: the same share of each digit as in the whole,
which rows is decided by a seed, and they keep their order. The files are the same bytes each time.
"""

from __future__ import annotations

import gzip
import pathlib
import struct
import sys

import numpy as np

from keras_acn.data.readers import open_source
from keras_acn.data.split import held_out

TO = pathlib.Path(__file__).parents[1] / "keras_acn" / "data" / "mnist_mini"
COUNTS = {"train": 6000, "t10k": 1000}
SEED = (1998, 11)


def main(folder: str) -> None:
    """Write the four files from those of the whole MNIST in `folder`."""
    parts = open_source(f"idx:{folder}")
    TO.mkdir(exist_ok=True)
    for (name, count), source in zip(COUNTS.items(), (parts.train, parts.test), strict=True):
        if source is None:
            raise SystemExit(f"There is no {name} part in {folder}.")
        rows = held_out(len(source), source.labels, count, SEED, name)[1]
        images = np.concatenate([*source.pick(rows).blocks(4096)])
        write(TO / f"{name}-images-idx3-ubyte.gz", images)
        write(TO / f"{name}-labels-idx1-ubyte.gz", source.labels[rows].astype(np.uint8))


def write(path: pathlib.Path, array: np.ndarray) -> None:
    """Write bytes as a gzipped IDX file, without a date or a name in it."""
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes(), 9, mtime=0))


if __name__ == "__main__":
    main(*sys.argv[1:])
