"""Makes a folder under saved_models/ from a finished run.

    python tools/ship_model.py RUN NAME [--source mnist]

The model is written in full precision and without its optimizer, its codebook filled
anew by that model; config, history and metrics come along, without the run that it may have
started from. `--source` is the data source to name in the config, where the run's own is a
path that only its machine has.
"""

import argparse
import json
import pathlib
import shutil

from keras_acn.experiment import build, open_run

SHIPPED = pathlib.Path(__file__).parents[1] / "saved_models"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("name")
    parser.add_argument("--source")
    args = parser.parse_args()

    run = open_run(args.run)
    images = run.data.train
    training = run.config.training.model_copy(update={"precision": "float32", "frozen": None})
    config = run.config.model_copy(update={"training": training})
    model = build.build_model(config, run.data.image_shape, len(images))
    model.set_weights(run.model.get_weights())
    model.recode(images)

    folder = SHIPPED / args.name
    folder.mkdir(parents=True, exist_ok=True)
    # A model that was never compiled has no optimizer to save.
    bare = type(model).from_config(model.get_config())
    bare.set_weights(model.get_weights())
    bare.save(folder / "model.keras")
    # Paths that only this machine has stay here.
    training = run.config.training.model_copy(update={"start_from": None, "start_parts": None})
    config = run.config.model_copy(update={"training": training})
    if args.source:
        data = run.config.data.model_copy(update={"source": args.source})
        config = config.model_copy(update={"data": data})
    (folder / "config.yaml").write_text(config.to_yaml())
    shutil.copy(run.folder / "history.csv", folder / "history.csv")
    metrics = dict(run.metrics)
    if args.source:
        metrics["data"]["source"] = args.source
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    size = (folder / "model.keras").stat().st_size
    print(f"{folder / 'model.keras'}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
