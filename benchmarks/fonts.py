"""Few-shot accuracy of a homoencoder on characters never seen, beside other codes of them.

    python tools/make_fonts.py root fonts.npz
    keras-acn train fonts --data npz:fonts.npz --out runs/fonts
    python benchmarks/fonts.py runs/fonts/model.keras npz:fonts.npz [--picture new.png]
        [--acn runs/acn-fonts/model.keras]

Accuracies are of `keras_acn.evaluation.few_shot_accuracy`: the class whose shown images make a
query cheapest to code; and the class of the nearest shown image in pixels, in principal components
(fitted to the characters of training), in the class codes (the mean of q(c|{x})), and in the codes
of an ACN, if there is one. All in the same episodes, with 95 % intervals over these.
"""

from __future__ import annotations

import argparse

import numpy as np
import tensorflow as tf
from sklearn.decomposition import PCA

import keras_acn
from keras_acn import evaluation, plots


def main() -> None:
    """Print a table for each number of ways and shots."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("source")
    parser.add_argument("--acn", help="an ACN trained on the same characters")
    parser.add_argument("--ways", type=int, nargs="*", default=[5, 20])
    parser.add_argument("--shots", type=int, nargs="*", default=[1, 5])
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--components", type=int, default=50)
    parser.add_argument("--picture", help="where new members of a class never seen are drawn")
    args = parser.parse_args()
    data = keras_acn.load_data(args.source, binarize="threshold")
    images, labels = data.test.arrays()
    model = keras_acn.load_model(args.model)
    features = {
        "principal components": principal_components(data.train, images, args.components),
        "class codes": class_codes(model, images),
    }
    if args.acn:
        features["codes of the ACN"] = keras_acn.load_model(args.acn).codes(images)
    for ways in args.ways:
        for shots in args.shots:
            result = evaluation.few_shot_accuracy(
                model,
                images,
                labels,
                ways=ways,
                shots=shots,
                episodes=args.episodes,
                samples=args.samples,
                features=features,
            )
            print(result.to_text(), flush=True)
    if args.picture:
        rng = np.random.default_rng(0)
        for_each = []
        for label in rng.choice(np.unique(labels), 6, replace=False):
            given = images[rng.choice(np.flatnonzero(labels == label), 5, replace=False)]
            for_each.append((given, np.asarray(model.generate_like(given, 10))))
        given, drawn = (np.stack(each) for each in zip(*for_each, strict=True))
        plots.members_picture(given, drawn).save(args.picture)


def principal_components(train, images: np.ndarray, count: int) -> np.ndarray:
    """Return images in principal components of the training images, [N, count]."""
    known = train.arrays()[0]
    fitted = PCA(count, random_state=0).fit(known.reshape(len(known), -1))
    return fitted.transform(images.reshape(len(images), -1))


def class_codes(model, images: np.ndarray) -> np.ndarray:
    """Return the mean of q(c|{x}) of each image, [N, class_dim]."""
    parts = np.array_split(images, -(-len(images) // 256))
    return np.concatenate(
        [model.class_posterior(tf.constant(each[:, None])).mean().numpy() for each in parts]
    )


if __name__ == "__main__":
    main()
