"""Make sets of small colour pictures from the photographs that Linux distributions hold.

    apt-get download $(cut -f1 tools/photographs.tsv | tail -n +2 | sort -u)
    for file in *.deb; do dpkg-deb -x $file root; done
    python tools/make_photos.py patches root OUT
    python tools/make_photos.py crops root OUT

`photographs.tsv` beside this file lists the photographs of these packages (Debian 12): who made
each, its licence as the package's copyright file says it, and what is on it. What the packages
hold besides, drawings, gradients and renderings, is not on the list; each file was looked at.

`patches` makes the folders `train`, `val` and `test` of PNG files of 32 x 32 pixels. A photograph
is in one of the three, which is decided by a seed. A patch is cut at random from a photograph
reduced to a random size: its shorter side is between 32 pixels, so that the patch is most of the
picture, and 640 pixels, the logarithm evenly spread. It is reduced twofold at least, so that
nothing is left of the blocks that JPEG works by. `crops` makes pictures of 40 to 120 pixels a
side, in a folder for each of two subjects: such a folder as people have. The files are the same
each time, up to Pillow's version.
"""

from __future__ import annotations

import argparse
import csv
import pathlib

import numpy as np
from PIL import Image

LIST = pathlib.Path(__file__).with_name("photographs.tsv")
SIDE = 32
# The shorter side of a photograph that patches are cut from, and of one that crops are cut from.
PATCHED, CROPPED = (32, 640), (200, 640)
SUBJECTS = ("land", "plants")
# Photographs that nothing is trained on.
HELD_OUT = {"val": 6, "test": 9}


def main() -> None:
    """Read the command line and make the folders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("patches", "crops"))
    parser.add_argument("root", type=pathlib.Path, help="where the packages lie unpacked")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--train", type=int, default=30_000, help="patches to train on")
    parser.add_argument("--val", type=int, default=600)
    parser.add_argument("--test", type=int, default=900)
    parser.add_argument("--count", type=int, default=300, help="crops")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    photographs = listed(args.root)
    if args.kind == "crops":
        make_crops(photographs, args.out, args.count, args.seed)
        return
    for part, chosen in split(photographs, args.seed).items():
        make_patches(chosen, args.out / part, getattr(args, part), (args.seed, len(part)))
        print(f"{part}: {', '.join(row['file'].removeprefix('usr/share/') for row in chosen)}")


def listed(root: pathlib.Path) -> list[dict[str, str]]:
    """Return the rows of the list, in its order, each with the `path` of its file."""
    with LIST.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    for row in rows:
        row["path"] = root / row["file"]
        if not row["path"].is_file():
            raise SystemExit(f"There is no {row['path']}: unpack {row['package']} in {root}.")
    return rows


def split(photographs: list, seed: int) -> dict[str, list]:
    """Return the photographs of each part."""
    order = np.random.default_rng(seed).permutation(len(photographs))
    parts, start = {}, 0
    for part, count in HELD_OUT.items():
        parts[part] = [photographs[i] for i in sorted(order[start : start + count])]
        start += count
    return {"train": [photographs[i] for i in sorted(order[start:])], **parts}


def opened(photograph: dict, least: int) -> Image.Image:
    """Return a photograph, reduced at most so that its shorter side is twice `least` or more."""
    picture = Image.open(photograph["path"])
    shorter = min(picture.size)
    picture = picture.convert("RGB")
    picture.info = {}  # among it the colour profile, which Pillow would write into each piece
    return picture.reduce(max(1, shorter // (2 * least)))


def cut(picture: Image.Image, size: tuple[int, int], shorter: float, rng) -> Image.Image:
    """Return a piece of so many pixels of a photograph reduced to a shorter side."""
    scale = min(picture.size) / shorter
    width, height = (min(n * scale, whole) for n, whole in zip(size, picture.size, strict=True))
    left = rng.uniform(0, picture.size[0] - width)
    top = rng.uniform(0, picture.size[1] - height)
    box = (left, top, left + width, top + height)
    return picture.resize(size, Image.Resampling.LANCZOS, box=box)


def between(low: float, high: float, rng) -> float:
    """Return a number whose logarithm is evenly spread."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def make_patches(photographs: list, folder: pathlib.Path, count: int, seed: tuple) -> None:
    """Write so many patches, as many of each photograph, in an order that mixes them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    places = rng.permutation(count)
    for i, photograph in enumerate(photographs):
        picture = opened(photograph, PATCHED[1])
        most = min(PATCHED[1], min(picture.size) // 2)
        for place in places[i :: len(photographs)]:
            shorter = between(PATCHED[0], most, rng)
            patch = cut(picture, (SIDE, SIDE), shorter, rng)
            patch.save(folder / f"{place:06d}.png")


def make_crops(photographs: list, folder: pathlib.Path, count: int, seed: int) -> None:
    """Write so many crops, half of them in the folder of each subject."""
    rng = np.random.default_rng(seed)
    for i, subject in enumerate(SUBJECTS):
        (folder / subject).mkdir(parents=True, exist_ok=True)
        chosen = [row for row in photographs if row["subject"] == subject]
        wanted = range(i, count, len(SUBJECTS))
        for j, photograph in enumerate(chosen):
            picture = opened(photograph, CROPPED[1])
            most = min(CROPPED[1], min(picture.size) // 2)
            for number in wanted[j :: len(chosen)]:
                width, height = (int(n) for n in rng.integers(40, 121, 2))
                piece = cut(picture, (width, height), between(CROPPED[0], most, rng), rng)
                piece.save(folder / subject / f"{subject}-{number:03d}.png")


if __name__ == "__main__":
    main()
