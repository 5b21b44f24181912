"""Wrote the golden files of format 3, which hold their models, once: they stay as they are.

    python tests/codec/golden/make_format_3.py FOLDER

Models are those of `make.py`, which lie beside it; files that FOLDER holds already are left alone.
"""

import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

# name: (model, images, options)
CASES = {
    "mlp-stream": ("acn-mlp", 20, {"codes": "training", "weight_bits": 16}),
    "mlp-set-seen": ("acn-mlp", 20, {"mode": "set", "weight_bits": 8}),
    "mlp-tour-ordered": ("acn-mlp", 20, {"mode": "tour", "keep_order": True, "weight_bits": 6}),
    "pixelcnn-set-both": ("acn-pixelcnn", 20, {"mode": "set", "codes": "both", "weight_bits": 5}),
    "vae-logistic-set-ordered": ("vae-conv-logistic", 20, {"mode": "set", "keep_order": True}),
    "vae-categorical": ("vae-mlp-categorical", 20, {"weight_bits": 4}),
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
        images[count // 2 :: 3] = images[0]
        options = {"lanes": 4, "model_name": model_name, "embed_model": True, **options}
        data = codec.compress(images, model, **options)
        (folder / f"{name}.acn").write_bytes(data)
        np.save(folder / f"{name}.npy", codec.decompress(bytes(data)))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
