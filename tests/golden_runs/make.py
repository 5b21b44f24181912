"""Wrote the golden runs, once, with version 0.1.0: they stay as they are.

    python tests/golden_runs/make.py FOLDER

A later layout of a run folder may come with golden runs of its own; this is how they are made.
FOLDER then holds

    begun/NAME/     a run on a few of the embedded digits that Ctrl-C ended in the middle of its
                    third epoch of four; `acn-graph` without what is written at the end, as a run
                    is that was killed
    NAME.keras      the model of a run that was never interrupted
    images.npy      images to measure those models on
    NAME.npz        the requests that come with an export of that model, with their answers
    recorded.json   what the uninterrupted runs wrote down, what `keras-acn evaluate --json` says
                    of them, and what the models say of the images

The folders `tensorboard/` are left out. All were made on one processor core.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import keras
import numpy as np

EPOCHS = 4
# 80 images in batches of 16 leave a batch that is full, 72 one of eight.
SMALL = [
    "data.source=digits",
    "data.limit=80",
    "data.binarize=threshold",
    "training.batch_size=16",
    f"training.epochs={EPOCHS}",
    "training.learning_rate=3e-3",
    "model.latent_dim=4",
    "encoder.hidden=[12]",
    "decoder.hidden=[12]",
]
ACN = [*SMALL, "prior.hidden=[8]", "prior.components=2"]
# name: (preset, overrides)
BEGUN = {
    "acn": (
        "digits",
        [
            *ACN,
            "data.validation=8",
            "training.keep_best=true",
            "training.ema=0.9",
            "codebook.unique=true",
        ],
    ),
    "acn-graph": (
        "digits",
        [
            *ACN,
            "seed=3",
            "codebook.search={name: graph, exact_below: 10}",
            "training.schedule=linear",
        ],
    ),
    "vhe": (
        "blog-vhe",
        [
            *SMALL,
            "data.binarize=dynamic",
            "encoder.variance=sigmoid",
            "class_encoder.variance=sigmoid",
            "class_encoder.hidden=[8]",
            "model.class_dim=2",
            "prior.hidden=[8]",
            "pseudo_labels.clusters=4",
            "pseudo_labels.weighting=gradient",
        ],
    ),
}
KILLED = ("acn-graph",)
FINISHED = {
    "vae": ("blog-vae", SMALL),
    "autoencoder": ("blog-vae", [*SMALL, "model=Autoencoder", "encoder.variance=unit"]),
}
KEPT = ("acn", "vhe", *FINISHED)
EXPORTED = ("acn", "vhe")
EVALUATE = ["--samples", "2", "--iwae-samples", "2", "--iwae-images", "32", "--json"]
FEW_SHOT = ["--few-shot", "--ways", "3", "--episodes", "20", "--samples", "2", "--json"]


class Interrupt(keras.callbacks.Callback):
    """Presses Ctrl-C while the third batch of the third epoch is in hand."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == (2, 2):
            os.kill(os.getpid(), signal.SIGINT)


def begin(name, folder):
    """Trains a run of `BEGUN` up to Ctrl-C."""
    from keras_acn.experiment.interrupt import Interrupted

    from keras_acn.experiment import load_config, train

    preset, overrides = BEGUN[name]
    try:
        train(load_config(preset, overrides=overrides), folder, callbacks=[Interrupt()])
    except Interrupted:
        shutil.rmtree(folder / "tensorboard", ignore_errors=True)
        if name in KILLED:
            (folder / "model.keras").unlink()
            (folder / "metrics.json").unlink()
    else:
        raise RuntimeError("The run was not interrupted.")


def rows(run):
    """The history of a run, without what is timed."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.history]


def evaluated(folder, *arguments):
    """What `keras-acn evaluate` prints of a run, without its sentences."""
    code = "import sys; from keras_acn.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "evaluate", str(folder), *arguments]
    told = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    return {key: value for key, value in told.items() if key not in ("notes", "paper", "compare")}


def said_of(model, images):
    """What a model says of images, as lists."""
    q = model.encode(images)
    said = {
        "mean": q.mean().numpy(),
        "stddev": q.stddev().numpy(),
        "codes": model.codes(images),
        "reconstructions": model.reconstruct(images)[:2, :, :, 0],
        "samples": model.sample(2, seed=1, sample=False)[..., 0],
        **{f"image_nats/{k}": v for k, v in model.image_nats(images).items()},
    }
    if hasattr(model, "neighbors"):
        said["neighbors"] = model.neighbors(images)[1]
    # Nine digits are what a float32 takes to be had again.
    return {
        key: [[float(f"{x:.9g}") for x in row] for row in np.reshape(value, [len(value), -1])]
        for key, value in said.items()
    }


def main(folder):
    import keras_acn
    from keras_acn.experiment import load_config, open_run, train

    folder.mkdir(parents=True, exist_ok=True)
    images = keras_acn.load_data("digits", binarize="threshold").test.arrays()[0][:6]
    np.save(folder / "images.npy", images.astype(np.uint8))
    recorded = {"runs": {}, "models": {}}
    for name in BEGUN:
        begin(name, folder / "begun" / name)
    with tempfile.TemporaryDirectory() as there:
        for name, (preset, overrides) in (BEGUN | FINISHED).items():
            path = pathlib.Path(there, name)
            train(load_config(preset, overrides=overrides), path)
            run = open_run(path)
            recorded["runs"][name] = {
                "history": rows(run),
                "metrics": {
                    k: v for k, v in run.metrics.items() if k not in ("seconds", "versions")
                },
                "evaluate": evaluated(path, *EVALUATE),
            }
            if name == "vhe":
                recorded["runs"][name]["few_shot"] = evaluated(path, *FEW_SHOT)
            if name in KEPT:
                shutil.copy(path / "model.keras", folder / f"{name}.keras")
                recorded["models"][name] = said_of(
                    keras_acn.load_model(path / "model.keras"), images
                )
            if name in EXPORTED:
                export = keras_acn.load_model(path / "model.keras").export(path / "export")
                requests = export.path / "assets.extra" / "recorded_requests.npz"
                shutil.copy(requests, folder / f"{name}.npz")
    (folder / "recorded.json").write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
