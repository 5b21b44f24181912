"""Lossless image formats that programs of their own write: JPEG XL and AVIF."""

import os
import shutil
import subprocess
import tempfile

import numpy as np
from PIL import Image

# By program: how its files end, and what reads them again.
PROGRAMS = {"cjxl": ("jxl", "djxl"), "avifenc": ("avif", "avifdec")}


def is_there(program):
    """Returns whether a program is installed, and what reads its files again."""
    return shutil.which(program) is not None and shutil.which(PROGRAMS[program][1]) is not None


def _lossless(program, grey):
    """Returns the words that make a program lossless."""
    if program == "cjxl":
        return ["-d", "0"]
    # "-l" writes three planes, of grey pictures too.
    return "-y 400 -r full --min 0 --max 0".split() if grey else ["-l"]


def by_program(program, options, image):
    """Returns the bytes of the file that a program writes, once it has been read and compared.

    Args:
      program: One of `PROGRAMS`.
      options: Words for it, beside those that make it lossless.
      image: A Pillow image.
    """
    ending, back = PROGRAMS[program]
    options = [*_lossless(program, image.mode in ("1", "L")), *options]
    with tempfile.TemporaryDirectory() as folder:
        given, made, seen = (f"{folder}/{name}" for name in ("a.png", f"a.{ending}", "b.png"))
        (image.convert("L") if image.mode == "1" else image).save(given)
        for command in ([program, *options, given, made], [back, made, seen]):
            subprocess.run(command, check=True, capture_output=True)
        with Image.open(seen) as again:
            if not np.array_equal(
                np.asarray(again.convert("RGB")), np.asarray(image.convert("RGB"))
            ):
                raise SystemExit(f"What {program} wrote is not lossless.")
        return os.path.getsize(made)
