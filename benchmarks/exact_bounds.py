"""What bounds on distances could spare the exact search, on the codes of a trained model.

Two ways to leave codes out without a doubt, for 512 codes that look for their five nearest:

- by blocks: codes are parted by k-means; a part whose centre is farther away than its radius and
  the fifth distance together holds none of the five;
- by directions: a distance within the first principal directions is never longer than the whole.

    python benchmarks/exact_bounds.py MODEL.keras [--seed 0]
"""

import argparse

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from keras_acn import load_model

QUERIES, NEAREST, BATCH = 512, 5, 128


def distances(query, codes):
    """Returns `[Q, N]` Euclidean distances."""
    squared = (query**2).sum(1)[:, None] + (codes**2).sum(1) - 2 * query @ codes.T
    return np.sqrt(np.maximum(squared, 0))


def blocks_left(codes, query, reach, parts, seed):
    """Returns the share of codes in parts that are not ruled out, by query and by batch."""
    clusters = MiniBatchKMeans(parts, random_state=seed, n_init=1, batch_size=4096, max_iter=30)
    part = clusters.fit_predict(codes)
    centre = clusters.cluster_centers_
    radius = np.zeros(parts)
    np.maximum.at(radius, part, np.sqrt(((codes - centre[part]) ** 2).sum(1)))
    size = np.bincount(part, minlength=parts) / len(codes)
    open_ = distances(query, centre) - radius < reach[:, None]  # [Q, parts]
    batches = open_.reshape(-1, BATCH, parts).any(1)
    return float((open_ * size).sum(1).mean()), float((batches * size).sum(1).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a .keras file of an ACN")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    codes = np.asarray(load_model(arguments.model).codebook.codes, np.float32)
    rng = np.random.default_rng(arguments.seed)
    rows = rng.choice(len(codes), QUERIES, replace=False)
    query = codes[rows]
    found = distances(query, codes)
    found[np.arange(QUERIES), rows] = np.inf
    reach = np.partition(found, NEAREST - 1, axis=1)[:, NEAREST - 1]
    print(f"{len(codes)} codes of {codes.shape[1]} dimensions; median distance to the fifth")
    print(f"nearest {np.median(reach):.2f}, to any {np.median(found):.2f}")
    print(f"{'parts':>12}{'codes left':>12}{f'for {BATCH} together':>18}")
    for parts in (64, 256, 1024, 4096):
        single, together = blocks_left(codes, query, reach, parts, arguments.seed)
        print(f"{parts:>12}{single:>12.3f}{together:>18.3f}")
    centred = codes - codes.mean(0)
    directions = np.linalg.svd(centred, full_matrices=False)[2]
    print(f"{'directions':>12}{'codes left':>12}")
    for count in (4, 8, 12):
        flat = centred @ directions[:count].T
        left = distances(flat[rows], flat) < reach[:, None]
        print(f"{count:>12}{left.mean():>12.4f}")


if __name__ == "__main__":
    main()
