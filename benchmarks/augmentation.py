"""Trains a small classifier on few labels, with and without samples from images' neighbourhoods.

Usage: python benchmarks/augmentation.py [MODEL] [--data idx:DIR] [--labels 1000] [--draws 3]

MODEL is an ACN, trained on the images of `--data` without their labels. Every classifier is
trained for as many steps on batches of one size. With samples, half of each batch are images
drawn by `model.sample_like`, with the label of the image that they are drawn for. Accuracies are
of the test images, the mean over draws of the labels and its standard error.
"""

import argparse
import math

import keras
import numpy as np
import tensorflow as tf

from keras_acn import experiment
from keras_acn._base.errors import UserError
from keras_acn.evaluation.representation import balanced_rows


def classifier(image_shape, classes):
    """Returns a small convolutional classifier, compiled."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(image_shape),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(classes),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss=loss, metrics=["accuracy"])
    return model


def batches(images, labels, size, seed):
    """Returns batches without an end, in a new order each time round."""
    data = tf.data.Dataset.from_tensor_slices((images, labels))
    return data.shuffle(len(images), seed=seed, reshuffle_each_iteration=True).repeat().batch(size)


def halves(one, other):
    """Returns batches of which one half are of each data set."""
    both = tf.data.Dataset.zip((one, other))
    return both.map(lambda a, b: tuple(tf.concat(pair, 0) for pair in zip(a, b, strict=True)))


def trained(data, image_shape, classes, steps, seed):
    """Returns a classifier trained for `steps` on batches."""
    keras.utils.set_random_seed(seed)
    model = classifier(image_shape, classes)
    model.fit(data, epochs=1, steps_per_epoch=steps, shuffle=False, verbose=0)
    return model


def accuracy(model, images, labels):
    """Returns the share of labels that a classifier names."""
    return float(np.mean(model.predict(images, verbose=0).argmax(axis=1) == labels))


def told(name, values, also=""):
    """Prints the mean of accuracies, and its standard error."""
    error = ""
    if len(values) > 1:
        error = f"±{100 * np.std(values, ddof=1) / math.sqrt(len(values)):.2f}"
    print(f"{name:<34}{100 * np.mean(values):>7.2f} {error:<6} {also}".rstrip(), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="acn-digits")
    parser.add_argument("--data", help="as keras-acn takes it; the data of the training by default")
    parser.add_argument("--data-dir")
    parser.add_argument("--labels", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=10, help="new images for each image")
    parser.add_argument("--k", type=int, nargs="*", default=[1, 5], help="neighbours to draw from")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    run = experiment.open_run(arguments.model)
    if run.model.codebook is None:
        raise UserError("Neighbourhoods are those of an ACN's codebook: give a trained ACN.")
    data = run.load_data(arguments.data, arguments.data_dir)
    if data.train.labels is None or data.test is None or data.test.labels is None:
        raise UserError("A classifier needs labels, of training and test images: give other data.")
    (images, labels), (test, test_labels) = data.train.arrays(), data.test.arrays()
    shape, classes = images.shape[1:], int(labels.max()) + 1
    steps, size = arguments.steps, arguments.batch_size

    # What says whether a sample still shows its image's class: a classifier with all labels.
    everything = batches(images, labels, size, arguments.seed)
    judge = trained(everything, shape, classes, 2 * steps, arguments.seed)
    found = {name: [] for name in ("plain", *arguments.k)}
    agree = {k: [] for k in arguments.k}
    for draw in range(arguments.draws):
        seed = arguments.seed + draw
        rows = balanced_rows(labels, min(arguments.labels, len(labels)), seed)
        few, known = images[rows], labels[rows]
        plain = trained(batches(few, known, size, seed), shape, classes, steps, seed)
        found["plain"].append(accuracy(plain, test, test_labels))
        for k in arguments.k:
            drawn = run.model.sample_like(few, arguments.samples, k=k, seed=seed, sample=True)
            drawn = drawn.reshape(-1, *shape)
            of_drawn = np.repeat(known, arguments.samples)
            agree[k].append(accuracy(judge, drawn, of_drawn))
            both = halves(
                batches(few, known, size // 2, seed),
                batches(drawn, of_drawn, size - size // 2, seed),
            )
            model = trained(both, shape, classes, steps, seed)
            found[k].append(accuracy(model, test, test_labels))

    print(
        f"{arguments.model}: {len(rows)} labels, {steps} steps of {size}, {arguments.draws} draws"
    )
    told("images alone", found["plain"])
    for k in arguments.k:
        also = f"{100 * np.mean(agree[k]):.1f} % of the samples are of their image's class"
        told(f"and samples of {k} nearest", found[k], also)
    told(f"all {len(labels)} labels, {2 * steps} steps", [accuracy(judge, test, test_labels)])


if __name__ == "__main__":
    main()
