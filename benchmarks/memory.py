"""The most memory that each command takes, on MNIST and on as many images as are asked for.

Each command is a process of its own; what is printed is the highest resident size that the system
has seen of it, its children included one by one, and the seconds that it took.

    python benchmarks/memory.py --data idx:DIR
    python benchmarks/memory.py --images 1000000 [--commands train evaluate] [--limit 1000]

Images that are made up are blobs of 28 x 28 pixels in one `.npy` file. The model is the preset
blog-acn on black and white pixels, after one epoch.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

TRAIN = ["--set", "data.binarize=static", "--set", "training.epochs=1", "--no-figures"]


def commands(data, folder, limit):
    """Returns the words of each command, in an order in which they can be called."""
    run, file = str(folder / "run"), str(folder / "images.acn")
    return {
        "train": ["train", "blog-acn", "--data", data, *TRAIN, "--out", run],
        "evaluate": ["evaluate", run, *(["--limit", str(limit)] if limit else [])],
        "plot": ["plot", run],
        "report": ["report", run, "--out", str(folder / "report.html")],
        "daydream": ["daydream", run, "--out", str(folder / "dream.gif")],
        "export": ["export", run, str(folder / "exported")],
        "compress": ["compress", run, data, file, "--binarize", "static", "--mode", "set"],
        "decompress": ["decompress", file, str(folder / "images.npy"), "--model", run],
        "info": ["info", file],
    }


def made_up(count, path, seed=0):
    """Writes `count` images of one blob each to an `.npy` file, some at a time."""
    rng = np.random.default_rng(seed)
    out = np.lib.format.open_memmap(path, "w+", np.uint8, (count, 28, 28))
    rows = np.arange(28.0)
    for start in range(0, count, 10_000):
        stop = min(start + 10_000, count)
        centre = rng.uniform(6, 22, (2, stop - start, 1))
        width = rng.uniform(2, 6, (2, stop - start, 1))
        along = np.exp(-0.5 * ((rows - centre) / width) ** 2)  # [2, n, 28]
        out[start:stop] = 255 * along[0][:, :, None] * along[1][:, None, :]
    out.flush()


def measured(words):
    """Runs a command; returns its exit code, seconds, and highest resident size in MiB."""
    start = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "keras_acn", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    told = child.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(child.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code:
        print(told.strip().splitlines()[-1] if told.strip() else "", file=sys.stderr)
    return code, time.perf_counter() - start, usage.ru_maxrss / 2**10


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", help="such as idx:DIR")
    source.add_argument("--images", type=int, help="how many images to make up")
    parser.add_argument("--commands", nargs="*", help="those to be measured; by default all")
    parser.add_argument("--limit", type=int, help="how many test images evaluate measures")
    parser.add_argument("--folder", type=pathlib.Path, help="where to work, and to leave it all")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        data = arguments.data
        if data is None:
            path = folder / f"images-{arguments.images}.npy"
            if not path.is_file():
                made_up(arguments.images, path)
            data = f"npy:{path}"
        print(f"| {'command':<10} | {'MiB':>6} | {'s':>5} |\n|---|---|---|")
        for name, words in commands(data, folder, arguments.limit).items():
            if arguments.commands and name not in arguments.commands:
                continue
            code, seconds, memory = measured(words)
            failed = f" (exit code {code})" if code else ""
            print(f"| {name:<10} | {memory:>6,.0f} | {seconds:>5.0f} |{failed}", flush=True)


if __name__ == "__main__":
    main()
