"""Wrote the golden files, once, with version 0.1.0: they stay as they are.

A later format may come with golden files of its own; this is how they are made.

    python tests/codec/golden/make.py FOLDER

`shipped-set` is of the first 20 digits of the test part, by `acn-digits`, whose decoder was a class
of its own then, `BernoulliMLP`.
"""

import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

CASES = {
    # name: (model, mode, keep_order, dtype)
    "mlp-stream": ("acn-mlp", "stream", False, "uint8"),
    "mlp-set": ("acn-mlp", "set", False, "bool"),
    "mlp-set-ordered": ("acn-mlp", "set", True, "float32"),
    "pixelcnn-stream": ("acn-pixelcnn", "stream", False, "uint8"),
    "pixelcnn-set": ("acn-pixelcnn", "set", False, "uint8"),
    "vae-logistic": ("vae-conv-logistic", "stream", False, "uint8"),
    "vae-categorical": ("vae-mlp-categorical", "stream", False, "float32"),
}


def main(folder):
    from codec_models import noise, small_model

    from keras_acn import codec

    models = {
        "acn-mlp": small_model("mlp", codes=20),
        "acn-pixelcnn": small_model("pixelcnn", "bernoulli", (3, 4, 3), codes=20),
        "vae-conv-logistic": small_model("conv", "logistic", (4, 4, 3), kind="VAE"),
        "vae-mlp-categorical": small_model("mlp", "categorical", (2, 2, 1), kind="VAE"),
    }
    for name, model in models.items():
        model.save(folder / f"{name}.keras")
    for name, (model, mode, keep_order, dtype) in CASES.items():
        levels = models[model].decoder.likelihood.levels
        images = noise(20, models[model].image_shape, levels).astype(dtype)
        if dtype == "float32":
            images = images / np.float32(levels - 1)
        data = codec.compress(
            models[model], images, mode=mode, keep_order=keep_order, lanes=4, model_name=model
        )
        (folder / f"{name}.acn").write_bytes(data)
        np.save(folder / f"{name}.npy", codec.decompress(data, models[model]))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
