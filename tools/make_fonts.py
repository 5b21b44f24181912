"""Make a set of many classes: characters, each drawn in many fonts.

    apt-get download fonts-dejavu-core fonts-lato ...    (docs/experiments.md has the list)
    for file in *.deb; do dpkg-deb -x $file root; done
    python tools/make_fonts.py root OUT.npz

A class is a character, its members are fonts: a grey picture of 28 x 28 pixels, white on black,
of a letter (Latin, Greek, Cyrillic, with and without marks), a digit or a sign. Whoever has learned
many of them knows what a class is, and can be asked about characters never seen.

- All TrueType and OpenType files under `root` are tried. One that has fewer than half of the
  characters of the list is left out, as are fonts that draw the letters a to z as another one
  does, and symbol fonts. A character is drawn only where the font says it has it.
- All are drawn at one size, on one line, in the middle of the width, so that o and O differ.
- A character that looks as one before it in most fonts (A of Greek and of Cyrillic) is left out,
  as is one that fewer than 40 fonts have.
- Characters are split by a seed: 70 % to train on, 10 % to choose by, 20 % to test on.

The file holds `x_train`, `y_train`, `x_test`, `y_test` and `fonts`, `characters`; OUT-chosen.npz
has the characters to choose by as its test part.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
import unicodedata

import numpy as np
from fontTools.ttLib import TTFont, TTLibError
from PIL import Image, ImageDraw, ImageFont

SIDE, SIZE, BASELINE = 28, 21, 20
ENDINGS = (".ttf", ".otf")
RANGES = (
    (0x21, 0x7E),  # ASCII
    (0xA1, 0x17F),  # Latin with marks, signs
    (0x386, 0x3CE),  # Greek
    (0x400, 0x45F),  # Cyrillic
    (0x2010, 0x2044),  # punctuation
    (0x20A0, 0x20BF),  # currencies
    (0x2190, 0x2199),  # arrows
    (0x2200, 0x2265),  # mathematics
)
LEAST_FONTS, SHARES = 40, (0.7, 0.1)


def main() -> None:
    """Read the command line and write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=pathlib.Path, help="where the packages lie unpacked")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--fonts", type=int, default=120, help="at most so many, drawn by the seed")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    characters = listed()
    fonts = different(args.root, characters, args.fonts, args.seed)
    drawn = all_drawn(fonts, characters)
    kept = without_lookalikes(drawn)
    write(args.out, fonts, kept, drawn, args.seed)


def listed() -> list[str]:
    """Return the characters of the ranges that can be seen by themselves."""
    found = (chr(code) for first, last in RANGES for code in range(first, last + 1))
    return [each for each in found if unicodedata.category(each)[0] in "LNPS"]


def different(root: pathlib.Path, characters: list[str], most: int, seed: int) -> list:
    """Return `(name, path, the characters it has)` of fonts of which no two are alike."""
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in ENDINGS)
    order = np.random.default_rng((seed, 0)).permutation(len(paths))
    found, seen = [], set()
    for path in (paths[i] for i in order):
        if len(found) == most:
            break
        try:
            with TTFont(path, lazy=True) as font:
                has = set(font.getBestCmap() or ())
        except (TTLibError, OSError, KeyError, AssertionError):
            continue
        own = {each for each in characters if ord(each) in has}
        if len(own) < len(characters) // 2 or not set("abcdefghijklmnopqrstuvwxyz") <= own:
            continue
        face = ImageFont.truetype(str(path), SIZE)
        # Small differences of drawing are none: two weights of a family are two fonts.
        shapes = np.stack([draw(each, face) for each in "abcdefghijklmnopqrstuvwxyz"])
        key = (shapes // 64).tobytes()
        if key in seen or not shapes.any(axis=(1, 2)).all():
            continue
        seen.add(key)
        found.append((path.name, path, own))
    return sorted(found)


def draw(character: str, face: ImageFont.FreeTypeFont) -> np.ndarray:
    """Return a character, uint8 [28, 28], its ink in the middle of the width."""
    picture = Image.new("L", (SIDE, SIDE))
    left, _, right, _ = face.getbbox(character, anchor="ls")
    at = ((SIDE - (right - left)) / 2 - left, BASELINE)
    ImageDraw.Draw(picture).text(at, character, fill=255, font=face, anchor="ls")
    return np.asarray(picture)


def all_drawn(fonts: list, characters: list[str]) -> dict[str, dict[int, np.ndarray]]:
    """Return for each character its picture in each font that has it, and draws anything."""
    drawn: dict[str, dict[int, np.ndarray]] = collections.defaultdict(dict)
    for number, (_, path, own) in enumerate(fonts):
        face = ImageFont.truetype(str(path), SIZE)
        for character in characters:
            if character in own:
                picture = draw(character, face)
                if picture.any():
                    drawn[character][number] = picture
    return {each: drawn[each] for each in characters if len(drawn[each]) >= LEAST_FONTS}


def without_lookalikes(drawn: dict[str, dict[int, np.ndarray]]) -> list[str]:
    """Return the characters of which none is drawn as an earlier one in most fonts."""
    kept: list[str] = []
    by_picture: dict[tuple[int, bytes], str] = {}
    for character, own in drawn.items():
        # Coarsely, so that a shade of grey at an edge is no difference.
        pictures = {font: (font, (picture // 64).tobytes()) for font, picture in own.items()}
        earlier = collections.Counter(by_picture.get(each) for each in pictures.values())
        del earlier[None]
        if earlier and max(earlier.values()) > len(own) / 2:
            continue
        kept.append(character)
        for picture in pictures.values():
            by_picture.setdefault(picture, character)
    return kept


def write(out: pathlib.Path, fonts: list, kept: list[str], drawn: dict, seed: int) -> None:
    """Write both files."""
    order = np.random.default_rng((seed, 1)).permutation(len(kept))
    ends = np.cumsum([round(share * len(kept)) for share in SHARES])
    parts = dict(zip(("train", "chosen", "test"), np.split(order, ends), strict=True))
    arrays = {}
    for part, labels in parts.items():
        rows = [
            (label, drawn[kept[label]][font])
            for label in sorted(labels)
            for font in sorted(drawn[kept[label]])
        ]
        arrays[part] = (np.stack([each for _, each in rows]), np.array([n for n, _ in rows]))
    names = {"fonts": np.array([name for name, *_ in fonts]), "characters": np.array(kept)}
    for path, test in ((out, "test"), (out.with_stem(f"{out.stem}-chosen"), "chosen")):
        (x_train, y_train), (x_test, y_test) = arrays["train"], arrays[test]
        np.savez_compressed(
            path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, **names
        )
    for part, labels in parts.items():
        shown = "".join(kept[label] for label in sorted(labels))
        print(f"{part}: {len(arrays[part][0])} pictures of {len(labels)} characters: {shown}")
    print(f"{len(fonts)} fonts: {', '.join(names['fonts'])}")


if __name__ == "__main__":
    main()
