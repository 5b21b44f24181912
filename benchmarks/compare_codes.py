"""Compares the codes of an ACN and a VAE with UMAP, principal components and pixels.

Usage: python benchmarks/compare_codes.py [--data mnist-mini] [--model RUN] [--only NAME ...]

Every row is a transformer of scikit-learn's kind, fitted to the training images without their
labels, and makes the same number of features (pixels aside); each then goes through the same
probes, `keras_acn.evaluation.feature_quality`. --model adds a trained model's row. UMAP needs
umap-learn. Prints a table for docs/comparison.md.
"""

import argparse
import importlib.util
import time

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import FunctionTransformer

from keras_acn import evaluation, experiment, load_data
from keras_acn.evaluation.representation import few_label_accuracy
from keras_acn.sklearn import ACNTransformer, VAETransformer

ENCODER = {"name": "conv", "filters": [16, 32, 64], "convolutions": 1, "dense": 128}
DECODER = {"name": "conv", "filters": [64, 32, 16]}
HEADER = ["features", "1-NN", "5-NN", "linear, 100 labels", "1,000", "all", "AMI", "CPU seconds"]


def transformers(image_shape, size, epochs):
    """Returns the transformers by name, each with as many features."""
    network = {
        "image_shape": image_shape,
        "epochs": epochs,
        "batch_size": 64,
        "learning_rate": 3e-3,
        "random_state": 0,
        "decoder": DECODER,
    }
    prior = {"name": "mixture", "components": 8, "hidden": [128, 128, 128]}
    found = {
        "pixels": FunctionTransformer(),
        "PCA": PCA(size, random_state=0),
        "VAE": VAETransformer(size, encoder={**ENCODER, "variance": "learned"}, **network),
        "ACN": ACNTransformer(
            size, encoder={**ENCODER, "variance": "unit"}, prior=prior, **network
        ),
    }
    if importlib.util.find_spec("umap") is not None:
        import umap

        found["UMAP"] = umap.UMAP(n_components=size, random_state=0, n_jobs=1)
        found["UMAP, 2"] = umap.UMAP(n_components=2, random_state=0, n_jobs=1)
    return found


def row(name, train, train_labels, test, test_labels, seconds):
    """Returns one row of the table, in words."""
    found = evaluation.feature_quality(train, train_labels, test, test_labels)
    every = few_label_accuracy(train, train_labels, test, test_labels, labels=len(train), draws=1)
    shares = [found["neighbors"][k] for k in ("1", "5")]
    shares += [found["labels"][count] for count in ("100", "1000")] + [every]
    words = [f"{100 * s['accuracy']:.1f} ± {100 * s['standard_error']:.1f}" for s in shares]
    clusters = found["clusters"]
    ami = f"{clusters['adjusted_mutual_information']:.3f} ± {clusters['standard_error']:.3f}"
    return [name, *words, ami, "" if seconds is None else f"{seconds:.0f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="mnist-mini")
    parser.add_argument("--components", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--model", help="a run, a .keras file or a name")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="such as PCA ACN")
    args = parser.parse_args()
    data = load_data(args.data, binarize="threshold")
    (images, labels), (test_images, test_labels) = data.train.arrays(), data.test.arrays()
    rows, test_rows = (np.asarray(x).reshape(len(x), -1) for x in (images, test_images))
    print("|", " | ".join(HEADER), "|\n|" + "---|" * len(HEADER), flush=True)
    for name, transformer in transformers(data.image_shape, args.components, args.epochs).items():
        if args.only and name not in args.only:
            continue
        began = time.process_time()
        codes = transformer.fit_transform(rows), transformer.transform(test_rows)
        seconds = time.process_time() - began
        found = row(name, codes[0], labels, codes[1], test_labels, seconds)
        print("|", " | ".join(found), "|", flush=True)
    if args.model:
        model = experiment.open_run(args.model).model
        codes = model.codes(images), model.codes(test_images)
        found = row(args.model, codes[0], labels, codes[1], test_labels, None)
        print("|", " | ".join(found), "|", flush=True)


if __name__ == "__main__":
    main()
