"""Compares a model's rate on held-out patches of photographs with that of image formats.

    python tools/make_photos.py patches root OUT
    python benchmarks/photos.py images:OUT [--model RUN]

Every patch of the test part is written as a file of its own, and all of them as one mosaic:
PNG, WebP (lossless) and AVIF (lossless) by Pillow and avifenc, JPEG XL by cjxl. Each file is read
back and compared, so that none is lossy unnoticed. Rates are bits per dimension, 8 times the
bytes over all values, headers included. The model's rate is `keras-acn evaluate`'s code length,
unordered: each image by itself, its latents coded by the mixture over the training codes.
"""

from __future__ import annotations

import argparse
import functools
import io
import math
from collections.abc import Callable

import numpy as np
from _image_programs import by_program, is_there
from PIL import Image

import keras_acn
from keras_acn import evaluation


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("--part", choices=("validation", "test"), default="test")
    parser.add_argument("--limit", type=int, help="patches at most")
    parser.add_argument("--model", help="a run, a .keras file or the name of a shipped model")
    args = parser.parse_args()
    data = keras_acn.load_data(args.source)
    part = getattr(data, args.part)
    images = part.images[: args.limit]
    mosaic = as_mosaic(images)
    print(f"{len(images)} patches of {images.shape[1:]}, singly and as a mosaic of {mosaic.shape}")
    print(f"{'format':<24}{'singly':>9}{'mosaic':>9}   bits per dimension")
    for name, size in formats().items():
        singly = sum(map(size, images)) * 8 / images.size
        print(f"{name:<24}{singly:>9.3f}{size(mosaic) * 8 / mosaic.size:>9.3f}", flush=True)
    if args.model:
        model = keras_acn.load_model(args.model)
        data.train.labels = None
        report = evaluation.evaluate_model(
            model, data.train, (images, None), probes=False, iwae_samples=0, samples=1
        )
        print(report.to_text())


def as_mosaic(images: np.ndarray) -> np.ndarray:
    """Return the patches as tiles of one picture, as many as fill a rectangle."""
    rows = max(n for n in range(1, math.isqrt(len(images)) + 1) if len(images) % n == 0)
    _, height, width, channels = images.shape
    tiles = images.reshape(rows, -1, height, width, channels).swapaxes(1, 2)
    return tiles.reshape(rows * height, -1, channels)


def formats() -> dict[str, Callable[[np.ndarray], int]]:
    """Return a function from a picture to bytes for each format that is installed."""
    found: dict[str, Callable[[np.ndarray], int]] = {
        "PNG": lambda image: by_pillow(image, "PNG", optimize=True),
        "WebP lossless": lambda image: by_pillow(
            image, "WEBP", lossless=True, quality=100, method=6
        ),
    }
    for name, program, options in (
        ("JPEG XL (cjxl -d 0 -e 9)", "cjxl", "-e 9"),
        ("AVIF (avifenc -l -s 0)", "avifenc", "-s 0 -j 1"),
    ):
        if is_there(program):
            write = functools.partial(by_program, program, options.split())
            found[name] = lambda image, write=write: write(Image.fromarray(image))
    return found


def by_pillow(image: np.ndarray, form: str, **options) -> int:
    """Return the bytes of a file that Pillow writes."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, form, **options)
    check(image, np.asarray(Image.open(file)), form)
    return len(file.getvalue())


def check(image: np.ndarray, back: np.ndarray, by: str) -> None:
    """Raise `SystemExit` where what comes back is another picture."""
    if not np.array_equal(image, back):
        raise SystemExit(f"What {by} wrote is not lossless.")


if __name__ == "__main__":
    main()
