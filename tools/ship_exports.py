"""Writes the exports that come with the package, under saved_models/NAME/1/.

    python tools/ship_exports.py [NAME ...] [--data SOURCE] [--force]

For each trained model in saved_models/ (all of them by default): version 1 is written anew
from its `model.keras` and `config.yaml`, with real test images of its data as warm-up and
recorded requests. A large model's weights are stored as float16, so that each stays a few
megabytes. The models themselves are made by `keras-acn train` and `tools/ship_model.py`:

    keras-acn train digits --seed 0 --out runs/digits
    python tools/ship_model.py runs/digits acn-digits
    python tools/ship_exports.py acn-digits

`--data` names the data where the config's own source is not on this machine, such as
`idx:DIR`. Without `--force` a version 1 that is there is an error.
"""

import argparse
import pathlib
import shutil

from keras_acn.experiment import open_run

SHIPPED = pathlib.Path(__file__).parents[1] / "saved_models"
# Above this many bytes of weights an export is quantized.
LARGE = 4_000_000


def ship(folder, source=None, force=False):
    """Writes `folder/1/`; returns the `Export`."""
    run = open_run(folder)
    images = run.load_data(source).test.arrays()[0]
    quantize = "float16" if sum(w.numpy().nbytes for w in run.model.weights) > LARGE else None
    if force:
        shutil.rmtree(folder / "1", ignore_errors=True)
    return run.model.export(
        folder,
        version=1,
        quantize=quantize,
        config=run.config,
        metrics=run.metrics,
        examples=images[:4],
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--data")
    parser.add_argument("--force", action="store_true")
    args = parser.parse_args()
    names = args.names or sorted(path.parent.name for path in SHIPPED.glob("*/model.keras"))
    for name in names:
        export = ship(SHIPPED / name, args.data, args.force)
        print(f"{export.path}: {export.total_bytes / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
