"""Files that were changed at random, given to every parser: each is read, or refused in a sentence.

    python tests/fuzz.py --cases 10000 --seed 0

prints a table: of each parser how many files it was given, read and refused, and how many ended
otherwise: a traceback, a sentence too long, more than `--seconds`, or other pixels than were
compressed. The case of the same number is the same file each time. Those that end otherwise are
kept in the folder `--keep`; what was found so far is in `tests/corpus`, and is read by a fast test.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import gzip
import io
import json
import os
import pathlib
import signal
import struct
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from keras_acn._base.errors import UserError

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE / "codec" / "golden"
LONGEST = 5000
NUMBERS = [0, 1, 2, 3, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1]
NUMBERS += [2**40, 2**63 - 1, 2**63, 2**64 - 1]
WORDS = ["null", "true", "-1", "1e400", ".nan", "!!int x", "!!python/name:os.system", "&a [*a]"]
WORDS += [
    "*a",
    "<<: 1",
    "? [a]",
    "2001-99-99",
    "0x" + "f" * 100,
    "9" * 5000,
    "[" * 200,
    "{a: " * 100,
]
WORDS += [
    "-",
    "''",
    '"\\x00"',
    "\t",
    "---",
    "...",
    "%YAML 9.9",
    "!!binary aGk=",
    "!!set {a}",
    "@",
    "`",
]
WORDS += [
    "(-1, 8, 8)",
    "(2147483648, 4, 4)",
    "(0,)",
    "'|O'",
    "'<U1000000000'",
    "'V0'",
    "True",
    "1e9",
]


class TooLong(BaseException):
    """A parser is still at it."""


# -- changes -------------------------------------------------------------------------------


def flip(content: bytes, rng) -> bytes:
    """Change one to three places."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        if not changed:
            return rng.bytes(int(rng.integers(0, 40)))
        place, kind = int(rng.integers(len(changed))), rng.integers(7)
        size = int(rng.integers(1, 9))
        if kind == 0:
            changed[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            changed[place : place + size] = rng.bytes(len(changed[place : place + size]))
        elif kind == 2:
            del changed[place : place + size ** int(rng.integers(1, 4))]
        elif kind == 3:
            changed[place:place] = changed[max(0, place - size * 9) : place] * int(
                rng.integers(1, 9)
            )
        elif kind == 4:
            number = int(rng.choice(np.array(NUMBERS, object)))
            width = int(rng.choice([1, 2, 4, 8]))
            order = str(rng.choice(["little", "big"]))
            changed[place : place + width] = (number % 256**width).to_bytes(width, order)
        elif kind == 5:
            changed[place : place + size] = str(rng.choice(WORDS)).encode()
        else:
            del changed[place:]
    return bytes(changed)


def reworded(content: bytes, rng) -> bytes:
    """Change words of a text: cut, doubled, moved, or others in their place."""
    if rng.random() < 0.2:
        return flip(content, rng)
    words = content.decode(errors="replace").replace(":", " : ").replace("=", " = ").split(" ")
    for _ in range(rng.integers(1, 4)):
        place, kind = int(rng.integers(len(words))), rng.integers(4)
        if kind == 0:
            words[place] = str(rng.choice(WORDS))
        elif kind == 1:
            words.insert(place, str(rng.choice(WORDS)))
        elif kind == 2:
            words[place] = words[int(rng.integers(len(words)))] * int(rng.integers(1, 4))
        else:
            del words[place : place + int(rng.integers(1, 4))]
        words = words or [""]
    return " ".join(words).replace(" : ", ": ").replace(" = ", "=").encode()


def packed(content: bytes, rng) -> bytes:
    """Change a gzip file: what it holds, or itself."""
    if rng.random() < 0.3:
        return flip(content, rng)
    return gzip.compress(flip(gzip.decompress(content), rng), 1)


def archived(content: bytes, rng) -> bytes:
    """Change a zip archive: a member, which gets a checksum that fits; or the archive."""
    if rng.random() < 0.3:
        return flip(content, rng)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    name, kind = str(rng.choice(list(members))), rng.integers(8)
    if kind == 0:
        del members[name]
    elif kind == 1:
        members[str(rng.choice(["../x", "/x", "x" * 300, name + name]))] = members[name]
    elif kind == 2:
        members[name] = bytes(2**21)
    elif kind < 5:
        # The beginning, where headers are.
        head = int(rng.integers(1, 200))
        members[name] = flip(members[name][:head], rng) + members[name][head:]
    else:
        change = reworded if name.endswith(".json") else flip
        members[name] = change(members[name], rng)
    out = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if rng.random() < 0.3 else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", method) as archive:
        for each, value in members.items():
            archive.writestr(each, value)
    return out.getvalue()


def resealed(content: bytes, rng) -> bytes:
    """Change an `.acn` file: a part, whose checksum fits again; or the file."""
    from keras_acn.codec.container import Header, Reader, read_parts

    if rng.random() < 0.2:
        return flip(content, rng)
    reader = Reader(content, "x")
    header = Header.read(reader)
    edges = [0, reader._file.tell(), *(reader._file.tell() for _ in read_parts(reader, header))]
    parts = [content[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]
    place = int(rng.integers(len(parts)))
    if rng.random() < 0.1:
        parts.insert(place, parts[int(rng.integers(len(parts)))])
    else:
        body = flip(parts[place][:-4], rng)
        parts[place] = body + struct.pack("<I", zlib.crc32(body))
    return b"".join(parts)


# -- parsers -------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Parser:
    """What reads a kind of file.

    Attributes:
      name: The file's name, as the parser looks for it.
      seeds: Returns good files of the kind, as bytes.
      change: Takes `(content, rng)`, returns another file.
      parse: Takes the path of the file; raises `UserError` if it is none.
      share: How many cases there are for one of the others: those that take longer get fewer.
    """

    name: str
    seeds: Callable[[], list[bytes]]
    change: Callable
    parse: Callable[[pathlib.Path], object]
    share: float = 1.0


def _images():
    return np.random.default_rng(0).integers(0, 2, (12, 6, 4)).astype(np.uint8)


def _saved(save, *arguments, **named) -> bytes:
    out = io.BytesIO()
    save(out, *arguments, **named)
    return out.getvalue()


def _idx_seeds():
    return [bytes([0, 0, 8, 3]) + struct.pack(">3I", 12, 6, 4) + _images().tobytes()]


def _npz_seeds():
    images, labels = _images(), np.arange(12)
    return [
        _saved(np.savez, x_train=images, y_train=labels, x_test=images[:2], y_test=labels[:2]),
        _saved(np.savez_compressed, images=np.asfortranarray(images / 2.0), labels=labels),
    ]


def _picture_seeds():
    kinds = {"PNG": "RGBA", "GIF": "P", "BMP": "RGB", "JPEG": "L", "TIFF": "RGB", "WEBP": "RGBA"}
    image = Image.fromarray(_images()[0] * 255)
    return [_saved(image.convert(mode).save, format=kind) for kind, mode in kinds.items()]


def _load(form, **options):
    def parse(path):
        from keras_acn import data

        where = path.parent if form in ("idx", "images") else path
        data.load(f"{form}:{where}", **options)

    return parse


def _yaml_seeds():
    presets = HERE.parent / "keras_acn" / "experiment" / "presets"
    return [path.read_bytes() for path in sorted(presets.glob("*.yaml"))]


def _parse_config(path):
    from keras_acn.experiment import load_config

    load_config(file=path)


def _set_seeds():
    options = ["training.epochs=3", "seed=1", "encoder.hidden=[8, 8]", "model.name=VAE"]
    options += ["training.learning_rate=1e-3", "data.source=digits", "codebook.unique=true"]
    return [each.encode() for each in options]


def _parse_set(path):
    from keras_acn.experiment import load_config

    load_config("digits", overrides=[path.read_bytes().decode(errors="replace")])


def _checkpoint_seeds():
    meta = {"epoch": 1, "step": 0, "seconds": 0.0, "history": [{"epoch": 1, "loss": 2.0}]}
    meta_bytes = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    named = {"model/a": np.zeros((3, 2), np.float32), "optimizer/i": np.array(3)}
    return [_saved(np.savez, meta=meta_bytes, **named)]


def _parse_checkpoint(path):
    from keras_acn.experiment import checkpoint

    checkpoint.read(path)


def _parse_run(path):
    from keras_acn.experiment.folder import Run, read_history

    run = Run(path.parent, path.parent, path.parent / "model.keras", None)
    return run.metrics if path.suffix == ".json" else read_history(path)


def _parse_evaluation(path):
    from keras_acn.experiment.folder import Run
    from keras_acn.html_report.evaluated import read_evaluation

    read_evaluation(Run(path.parent, path.parent, path.parent / "model.keras", None))


def _sweep_seeds():
    from keras_acn.experiment import load_config, yaml

    base = load_config("digits").model_dump(exclude={"versions"}, exclude_none=True)
    return [yaml.dump({"options": ["model.beta", "seed"], "base": base}).encode()]


def _parse_sweep(path):
    from keras_acn.experiment.sweep import read_sweep, swept

    read_sweep(path.parent), swept(path.parent)


def _parse_snapshots(path):
    from keras_acn.experiment.snapshots import read_snapshots

    read_snapshots(path.parent)


def _model_seeds():
    return [(GOLDEN / "acn-mlp.keras").read_bytes()]


def _parse_model(path):
    from keras_acn import load_model

    load_model(path)


def _acn_seeds(*forms, kinds=("mlp", "vae")):
    def seeds():
        folders = [GOLDEN if form == 1 else GOLDEN / f"format-{form}" for form in forms]
        files = [path for folder in folders for path in sorted(folder.glob("*.acn"))]
        return [path.read_bytes() for path in files if path.stem.startswith(kinds)]

    return seeds


@functools.cache
def _golden_model(name):
    from keras_acn import load_model

    return load_model(GOLDEN / f"{name}.keras")


@functools.cache
def _block_codec(name, *options, **named):
    from keras_acn.codec.blocks import BlockCodec

    return BlockCodec(_golden_model(name), *options, **named)


@functools.cache
def _right_images():
    return {path.read_bytes() for path in GOLDEN.rglob("*.npy")}


def _parse_acn(path):
    from keras_acn import codec
    from keras_acn.codec import archive
    from keras_acn.codec.container import opened
    from keras_acn.codec.files import NpyWriter

    with opened(path) as (content, name):
        header, part = archive.check_whole(content, name)
        codec.info(path)
        if part is not None:
            archive.own_model(part, header, name)
            return
        if not (GOLDEN / f"{header.model_name}.keras").is_file():
            raise UserError("There is no such model.")
        archive.check_match(_golden_model(header.model_name), header, name)
        archive.check_memory(header, name, whole=True)
        # Files whose headers ask for the same codec share one: making it is most of the work.
        block_codec = _block_codec(
            header.model_name,
            header.mode,
            header.lanes,
            keep_order=header.keep_order,
            nearest=max(1, header.nearest),
            codes=header.codes,
            cut=header.cut,
        )
        out = io.BytesIO()
        images = NpyWriter(out, header.array_shape, np.dtype(header.values.dtype))
        for block in archive.blocks_of(content, name, block_codec, lambda *told: None, "x"):
            images(block)
        if out.getvalue() not in _right_images():
            raise AssertionError("other pixels than were compressed")


PARSERS = {
    "yaml": Parser("config.yaml", _yaml_seeds, reworded, _parse_config),
    "set": Parser("set.txt", _set_seeds, reworded, _parse_set),
    "idx": Parser("train-images-idx3-ubyte", _idx_seeds, flip, _load("idx")),
    "idx-gz": Parser(
        "train-images-idx3-ubyte.gz",
        lambda: [gzip.compress(each) for each in _idx_seeds()],
        packed,
        _load("idx", resize=3),
    ),
    "npy": Parser("x.npy", lambda: [_saved(np.save, _images())], flip, _load("npy")),
    "npz": Parser("x.npz", _npz_seeds, archived, _load("npz", resize=3)),
    "picture": Parser("x.png", _picture_seeds, flip, _load("images", resize=3, test=0)),
    "checkpoint": Parser("last.npz", _checkpoint_seeds, archived, _parse_checkpoint),
    "metrics": Parser(
        "metrics.json",
        lambda: [b'{"finished": true, "epochs": 2, "train": {"loss": 1.5, "kl_nats": null}}'],
        reworded,
        _parse_run,
    ),
    "evaluation": Parser(
        "evaluation.json",
        lambda: [(HERE.parent / "saved_models/acn-digits/evaluation.json").read_bytes()],
        reworded,
        _parse_evaluation,
    ),
    "sweep": Parser("sweep.yaml", _sweep_seeds, reworded, _parse_sweep),
    "history": Parser("history.csv", lambda: [b"epoch,loss\n1,2.5\n2,1.5\n"], reworded, _parse_run),
    "snapshots": Parser(
        "originals.npz",
        lambda: [_saved(np.savez, originals=_images()[..., None], labels=np.zeros(0))],
        archived,
        _parse_snapshots,
    ),
    "keras": Parser("model.keras", _model_seeds, archived, _parse_model, share=0.1),
    "acn": Parser("x.acn", _acn_seeds(1, 2), resealed, _parse_acn, share=0.5),
    # Slower to decode.
    "acn-pixelcnn": Parser(
        "x.acn", _acn_seeds(1, 2, kinds=("pixelcnn",)), resealed, _parse_acn, share=0.05
    ),
    "acn-model": Parser("x.acn", _acn_seeds(3), resealed, _parse_acn, share=0.1),
}


# -- cases ---------------------------------------------------------------------------------


@contextlib.contextmanager
def at_most(seconds: float):
    """A context that raises `TooLong` if it takes longer."""

    def stop(number, frame):
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def case_of(name: str, number: int, seed: int = 0) -> bytes:
    """Return the file of one case, a function of parser, number and seed."""
    parser = PARSERS[name]
    rng = np.random.default_rng([seed, number, zlib.crc32(name.encode())])
    seeds = parser.seeds()
    content = seeds[int(rng.integers(len(seeds)))]
    for _ in range(20):
        changed = parser.change(content, rng)
        if changed != content:
            return changed
    return content


def outcome(name: str, content: bytes, folder: pathlib.Path, seconds: float = 20.0) -> str:
    """Return `"read"`, `"refused"`, or what was wrong with how a parser took a file."""
    parser = PARSERS[name]
    path = folder / parser.name
    path.write_bytes(content)
    try:
        with at_most(seconds), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parser.parse(path)
    except UserError as error:
        sentence = str(error)
        is_one = len(sentence) <= LONGEST and "\n" not in sentence.strip()
        return "refused" if is_one else f"a sentence of {len(sentence)} letters"
    except TooLong:
        return f"more than {seconds:g} s"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:120]}"
    finally:
        path.unlink(missing_ok=True)
    return "read"


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--cases", type=int, default=1000, help="of each parser")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--in-full", action="store_true", help="no fewer of the slow parsers")
    arguments.add_argument("--seconds", type=float, default=20.0, help="that a file may take")
    arguments.add_argument("--only", nargs="+", choices=PARSERS, default=list(PARSERS))
    arguments.add_argument("--keep", type=pathlib.Path, help="folder for files that end otherwise")
    given = arguments.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print(f"{'parser':<12}{'cases':>8}{'read':>8}{'refused':>9}{'otherwise':>11}{'slowest s':>11}")
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.only:
            counts = {"read": 0, "refused": 0}
            share = 1 if given.in_full else PARSERS[name].share
            slowest, cases = 0.0, max(1, int(given.cases * share))
            kinds: dict[str, int] = {}
            # What a parser needs is imported once, which takes long and is no fault of a file.
            outcome(name, PARSERS[name].seeds()[0], pathlib.Path(scratch), 600)
            for number in range(cases):
                content = case_of(name, number, given.seed)
                began = time.monotonic()
                result = outcome(name, content, pathlib.Path(scratch), given.seconds)
                slowest = max(slowest, time.monotonic() - began)
                if result in counts:
                    counts[result] += 1
                    continue
                kinds[result] = number
                failed += 1
                if given.keep is not None:
                    (given.keep / name).mkdir(parents=True, exist_ok=True)
                    (given.keep / name / f"{given.seed}-{number}").write_bytes(content)
            otherwise = cases - sum(counts.values())
            print(
                f"{name:<12}{cases:>8}{counts['read']:>8}{counts['refused']:>9}{otherwise:>11}"
                f"{slowest:>11.2f}",
                flush=True,
            )
            for kind, number in list(kinds.items())[:10]:
                print(f"    such as case {number}: {kind}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
