"""The same ACN in PyTorch: epochs of ours against theirs, side by side.

784-512-20 with a learned variance, one Gaussian as prior, Adam, as the presets blog-vae and
blog-acn have it. PyTorch's model is trained in three ways: the VAE; the ACN with one exact
search a batch (matrix product and top-k); and the ACN as public code has it, with one
scikit-learn query an image and the tree fitted anew every epoch. The last is timed on some
steps and scaled, as one epoch takes minutes. The models take turns.

    pip install "keras-acn[bench]"
    python benchmarks/pytorch_acn.py [--data idx:DIR] [--batch-size 128] [--turns 3]
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from _setup import in_turn, training_images
from epoch_time import epochs_of

THEIRS = {
    "vae": "PyTorch vae",
    "batched": "PyTorch, one search a batch",
    "each": "PyTorch, one scikit-learn query an image",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="such as idx:DIR")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20, help="steps timed with one query an image")
    arguments = parser.parse_args()
    images, batch_size = training_images(arguments.data), arguments.batch_size
    ours = ("vae", "exact", "graph")
    functions = {f"keras-acn {name}": epochs_of(name, images, batch_size) for name in ours}
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "images.npy"
        np.save(file, images.arrays()[0])
        command = [sys.executable, str(pathlib.Path(__file__).with_name("pytorch_child.py"))]
        child = subprocess.Popen(
            [*command, str(file), str(batch_size), str(arguments.steps)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

        def ask(name):
            child.stdin.write(name + "\n")
            child.stdin.flush()
            return float(child.stdout.readline())

        for name, title in THEIRS.items():
            functions[title] = lambda name=name: ask(name)
        in_turn(functions, 1)
        seconds = in_turn(functions, arguments.turns)
        child.stdin.close()
        child.wait()
    best = {name: min(found) for name, found in seconds.items()}
    print(f"{len(images)} images, batch {batch_size}; seconds an epoch, and times ours")
    print(f"{'':<42}{'shortest':>9}{'/ exact':>9}{'/ graph':>9}")
    for name, found in best.items():
        ratios = [found / best[f"keras-acn {own}"] for own in ("exact", "graph")]
        print(f"{name:<42}{found:>9.2f}{ratios[0]:>9.2f}{ratios[1]:>9.2f}")


if __name__ == "__main__":
    main()
