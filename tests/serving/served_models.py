"""Small models of each kind, and a process that serves their exports."""

import json
import pathlib
import subprocess
import sys

import keras
import numpy as np

from keras_acn import ACN, VAE
from keras_acn.models import VHE, Autoencoder

HERE = pathlib.Path(__file__).parent
SHAPE = (8, 8, 1)
MLP = {"name": "mlp", "hidden": [24]}
PRIOR = {"name": "mixture", "components": 3, "hidden": [16]}
DECODER = {"name": "bernoulli_mlp", "hidden": [24]}
PIXELCNN = {"name": "pixelcnn", "layers": 2, "filters": 8, "conditioning": "spatial"}
BATCH_SIZES = (1, 7, 256)


def pictures(count, seed=0, shape=SHAPE):
    """Black and white images, float32."""
    return np.random.default_rng(seed).integers(0, 2, (count, *shape)).astype(np.float32)


def make_acn(decoder=DECODER, objective="pick"):
    keras.utils.set_random_seed(0)
    model = ACN(
        SHAPE,
        4,
        encoder=MLP,
        prior=PRIOR,
        decoder=decoder,
        codebook={"k": 3},
        objective=objective,
    )
    model.recode(pictures(64, seed=1))
    return model


def make_vae(prior=None):
    keras.utils.set_random_seed(0)
    return VAE(SHAPE, 4, encoder={**MLP, "variance": "learned"}, prior=prior, decoder=DECODER)


def make_autoencoder():
    keras.utils.set_random_seed(0)
    model = Autoencoder(SHAPE, 4, encoder={**MLP, "variance": "unit"}, decoder=DECODER)
    # As after some training: the prior fitted to some codes.
    model.prior.update(np.random.default_rng(3).normal(1, 2, (32, 4)).astype(np.float32))
    return model


def make_vhe():
    keras.utils.set_random_seed(0)
    learned = {**MLP, "variance": "learned"}
    return VHE(SHAPE, 4, encoder=learned, class_encoder=learned, class_dim=3, decoder=DECODER)


MAKERS = {
    "acn": make_acn,
    "acn-pixelcnn": lambda: make_acn(PIXELCNN),
    "acn-blocks": lambda: make_acn({**PIXELCNN, "block": 2}),
    "acn-mixture": lambda: make_acn(objective="mixture"),
    "vae": make_vae,
    "vae-learned": lambda: make_vae({"name": "learned_mixture", "components": 5}),
    "vae-vamp": lambda: make_vae({"name": "vamp", "components": 5}),
    "autoencoder": make_autoencoder,
    "vhe": make_vhe,
}


def serve(jobs, folder):
    """Answers jobs in a process without Keras.

    Args:
      jobs: `{name: (path, requests)}`, requests a list of `(signature, inputs)`.
      folder: Where the files go.

    Returns:
      `(answers, report)`: `{name: [outputs, ...]}` and what the process found.
    """
    described = []
    for name, (path, requests) in jobs.items():
        asked, answered = (folder / f"{name}.{each}.npz" for each in ("requests", "answers"))
        arrays = {
            f"{number}/{signature}/{key}": value
            for number, (signature, inputs) in enumerate(requests)
            for key, value in inputs.items()
        }
        np.savez(asked, **arrays)
        described.append(
            {
                "name": name,
                "model": str(path),
                "requests": str(asked),
                "answers": str(answered),
            }
        )
    (folder / "jobs.json").write_text(json.dumps(described))
    process = subprocess.run(
        [sys.executable, HERE / "served_process.py", folder / "jobs.json"],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    answers = {}
    for job in described:
        with np.load(job["answers"]) as arrays:
            found = {key: arrays[key] for key in arrays.files}
        outputs = [{} for _ in jobs[job["name"]][1]]
        for key, value in found.items():
            number, name = key.split("/")
            outputs[int(number)][name] = value
        answers[job["name"]] = outputs
    return answers, json.loads(process.stdout.splitlines()[-1])
