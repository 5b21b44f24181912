"""Wrote the golden files of format 2, once: they stay as they are.

    python tests/codec/golden/make_format_2.py FOLDER

Models are those of `make.py`, which lie beside it; files that FOLDER holds already are left alone.
"""

import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

# name: (model, images, options)
CASES = {
    "mlp-stream": ("acn-mlp", 20, {"mode": "stream"}),
    "mlp-set": ("acn-mlp", 20, {"mode": "set"}),
    "mlp-set-ordered": ("acn-mlp", 20, {"mode": "set", "keep_order": True}),
    "mlp-set-blocks": ("acn-mlp", 41, {"mode": "set", "block_images": 15, "lanes": 3}),
    "mlp-tour": ("acn-mlp", 20, {"mode": "tour"}),
    "mlp-tour-ordered": ("acn-mlp", 20, {"mode": "tour", "keep_order": True}),
    "mlp-stream-seen": ("acn-mlp", 20, {"mode": "stream", "codes": "seen"}),
    "mlp-stream-both": ("acn-mlp", 20, {"mode": "stream", "codes": "both", "nearest": 8}),
    "mlp-set-seen": ("acn-mlp", 41, {"mode": "set", "codes": "seen", "nearest": 8}),
    "mlp-set-both": ("acn-mlp", 20, {"mode": "set", "codes": "both", "keep_order": True}),
    "pixelcnn-set-seen": ("acn-pixelcnn", 20, {"mode": "set", "codes": "seen"}),
    "pixelcnn-set": ("acn-pixelcnn", 20, {"mode": "set"}),
    "vae-logistic-set": ("vae-conv-logistic", 20, {"mode": "set"}),
    "vae-categorical-set": ("vae-mlp-categorical", 20, {"mode": "set"}),
    # Since latents are drawn near their means only; those above are without.
    "mlp-set-near": ("acn-mlp", 20, {"mode": "set"}),
    "vae-logistic-stream-near": ("vae-conv-logistic", 20, {"mode": "stream"}),
}


def main(folder):
    from codec_models import noise

    import keras_acn
    from keras_acn import codec

    for name, (model_name, count, options) in CASES.items():
        if (folder / f"{name}.acn").exists():
            continue
        model = keras_acn.load_model(HERE / f"{model_name}.keras")
        images = noise(count, model.image_shape, model.decoder.likelihood.levels)
        images[count // 2 :: 3] = images[0]  # copies, with which a set deals in a way of its own
        options = {"lanes": 4, "model_name": model_name, **options}
        data = codec.compress(images, model, **options)
        (folder / f"{name}.acn").write_bytes(data)
        np.save(folder / f"{name}.npy", codec.decompress(data, model))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
