"""Wrote the golden files of format 4, which are of folders, once: they stay as they are.

    python tests/codec/golden/make_format_4.py FOLDER

Models are those of `make.py`, which lie beside it; files that FOLDER holds already are left alone.
Beside each file lies an archive of arrays: by the mode and path of each picture its pixels, and by
the path of each folder nothing.
"""

import pathlib
import sys
import tempfile

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

# name: (model, options)
CASES = {
    "raw": (None, {"mode": "raw"}),
    "logistic-stream": ("vae-conv-logistic", {"mode": "stream"}),
    "logistic-set": ("vae-conv-logistic", {"mode": "set", "block_images": 13}),
    "logistic-set-nameless": ("vae-conv-logistic", {"mode": "set", "names": "none"}),
    "logistic-set-sorted": ("vae-conv-logistic", {"mode": "set", "names": "none"}),
    "logistic-inside": ("vae-conv-logistic", {"mode": "set", "embed_model": True}),
    "categorical-stream": ("vae-mlp-categorical", {"mode": "stream"}),
    "mlp-set": ("acn-mlp", {"mode": "set", "codes": "both"}),
    "pixelcnn-set-seen": ("acn-pixelcnn", {"mode": "set", "codes": "seen"}),
}


def fill(root, binary):
    """Pictures of many sizes and modes; black and white in what a binary model codes."""
    rng = np.random.default_rng(0)
    for folder in ("é/à", "empty"):
        (root / folder).mkdir(parents=True)

    def values(*shape):
        return (rng.integers(0, 2, shape) * 255 if binary else rng.integers(0, 256, shape)).astype(
            np.uint8
        )

    Image.fromarray(values(7, 9, 3)).save(root / "colour.png")
    Image.fromarray(values(7, 9, 3)).save(root / "é" / "colour.png")
    Image.fromarray(values(4, 4, 4)).save(root / "é" / "à" / "alpha.png")
    Image.fromarray(values(6, 5)).save(root / "é" / "à" / "grey.png")
    Image.fromarray(values(3, 8, 2), "LA").save(root / "grey-alpha.png")
    Image.fromarray(rng.random((5, 11)) > 0.5).save(root / "bits.png")
    Image.fromarray(values(9, 4, 3)).quantize(7).save(root / "palette.png", transparency=2)
    (root / "copy.png").write_bytes((root / "colour.png").read_bytes())
    if not binary:
        deep = rng.integers(0, 2**16, (4, 7)).astype(np.uint16)
        Image.fromarray(deep).save(root / "deep.png")


def fill_with_tiles(root):
    """Pictures that are one tile each, some equal, some not whole."""
    rng = np.random.default_rng(1)
    for number in range(12):
        shape = (4 - number % 2, 3 + number % 3 // 2, 3)
        pixels = rng.integers(0, 256, shape).astype(np.uint8)
        Image.fromarray(pixels).save(root / f"{number:02d}.png")
    (root / "copy.png").write_bytes((root / "05.png").read_bytes())


def arrays_of(root):
    """What a folder holds, by the paths in it."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_dir():
            found[f"folder {name}"] = np.zeros(0)
            continue
        with Image.open(path) as image:
            found[f"{image.mode} {name}"] = np.asarray(image)
            if image.mode == "P":
                found[f"colours {name}"] = np.asarray(image.convert("RGBA"))
    return found


def main(folder):
    import keras_acn
    from keras_acn import codec
    from keras_acn.codec import folder as doors

    # The models are untrained: without them the files would be smaller.
    doors._is_larger = lambda *given: False
    for name, (model_name, options) in CASES.items():
        if (folder / f"{name}.acn").exists():
            continue
        model, binary = None, False
        if model_name is not None:
            model = keras_acn.load_model(HERE / f"{model_name}.keras")
            binary = model.decoder.likelihood.levels == 2
            options = {"lanes": 2, "model_name": model_name, **options}
        with tempfile.TemporaryDirectory() as place:
            root, back = pathlib.Path(place) / "root", pathlib.Path(place) / "back"
            root.mkdir()
            if name.endswith("sorted"):
                fill_with_tiles(root)
            else:
                fill(root, binary)
            data = codec.compress_folder(root, model, rivals=False, **options)
            given = None if options.get("embed_model") else model
            codec.decompress_folder(bytes(data), back, given)
            (folder / f"{name}.acn").write_bytes(data)
            np.savez_compressed(folder / f"{name}.npz", **arrays_of(back))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
