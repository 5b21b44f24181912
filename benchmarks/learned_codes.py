"""What latents cost under priors that learn: KL to the mixture of the codes that are there.

    python benchmarks/learned_codes.py --data idx:DIR [--model acn-mnist] [--images 3000]
        [--plot FILE.png]

For growing numbers of images that a receiver has, prints what the latents of 500 others cost in
nats an image, with the training codes, with the seen ones, and with both; for the images as they
are, and turned by a quarter, which the model was not trained on. No image is coded, so this takes
minutes where coding would take many more. `--plot` draws the table.
"""

import argparse

import numpy as np

SEEN = (0, 10, 30, 100, 300, 1000, 3000, 9000)
QUERIES = 500


def kl_nats(prior, z):
    """Returns -log p(z) less the posterior's entropy, which has deviation 1: nats, averaged."""
    from keras_acn.codec.learned import _gaussian_nats, _log_sum

    there, learned = prior.there, prior.there.learned
    parts = [_gaussian_nats(z, *there.broad)]
    if there.sizes[1]:
        parts.append(_log_sum(learned.index.densities(z)[1]))
    if there.sizes[2]:
        parts.append(_log_sum(there.densities(z)[1]))
    sizes = np.array([size for size in there.sizes if size], float)
    weights = prior.weights[np.flatnonzero(there.sizes)]
    logs = np.log(np.maximum(weights, 1e-6)) - np.log(sizes)
    return -_log_sum(np.stack(parts, axis=1) + logs).mean() - 0.5 * z.shape[1]


def rows(model, images, seed=0):
    """Yields `(images seen, {codes: nats})`."""
    from keras_acn.codec.grid import LatentGrid
    from keras_acn.codec.learned import LearnedPrior, _log_sum, scale_of
    from keras_acn.codec.networks import Networks
    from keras_acn.codec.priors import CodeIndex

    networks = Networks(model, lanes=128)
    index = CodeIndex(networks, np.asarray(model.codebook.codes), 128)
    rng = np.random.default_rng(seed)
    mean, stddev = networks.encode(images[rng.permutation(len(images))])
    grid, most = LatentGrid.around(mean, stddev), len(mean) - QUERIES
    noise = rng.standard_normal(mean[most:].shape)
    z = mean[most:] + stddev[most:] * noise
    entropy = np.log(stddev[most:]).sum(axis=1).mean()
    trained = -_log_sum(index.densities(z)[1]).mean() + np.log(index.num_codes)
    trained -= 0.5 * z.shape[1] + entropy
    priors = {
        codes: LearnedPrior(networks, grid, scale_of(mean), len(mean), 128, use)
        for codes, use in (("seen", None), ("both", index))
    }
    for prior in priors.values():
        prior.add(mean, np.arange(len(mean)))
    for count in SEEN:
        if count <= most:
            costs = {
                codes: kl_nats(prior.given(np.arange(count), len(z)), z) - entropy
                for codes, prior in priors.items()
            }
            yield count, {"training": trained, **costs}


def plot(tables, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(tables), figsize=(8, 3), sharey=True)
    for axis, (title, table) in zip(axes, tables.items(), strict=True):
        counts = [max(1, count) for count, _ in table]
        for codes, style in (("training", "k--"), ("seen", "C0o-"), ("both", "C1s-")):
            axis.semilogx(counts, [costs[codes] for _, costs in table], style, label=codes)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("images that the receiver has (1 stands for none)")
    axes[0].set_ylabel("what the latents cost, nats an image")
    axes[0].legend(title="--codes", frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="idx:DIR, npy:FILE, ...")
    parser.add_argument("--model", default="acn-mnist")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--plot", metavar="FILE.png")
    options = parser.parse_args()
    from keras_acn.codec.inputs import Treated, open_input
    from keras_acn.experiment import open_run

    model = open_run(options.model).model
    source = Treated(
        open_input(options.data, "test"), binarize="static", seed=1, limit=options.images
    )
    images = np.concatenate(list(source.blocks(4096))).reshape(-1, *model.image_shape)
    tables = {}
    for title, each in (
        ("images like the training data", images),
        ("the same, turned by a quarter", np.rot90(images, axes=(1, 2))),
    ):
        print(f"{title}\n{'seen':>8}{'training':>10}{'seen':>8}{'both':>8}")
        tables[title] = list(rows(model, np.ascontiguousarray(each)))
        for count, costs in tables[title]:
            print(f"{count:>8}" + "".join(f"{nats:>9.2f}" for nats in costs.values()), flush=True)
    if options.plot:
        plot(tables, options.plot)


if __name__ == "__main__":
    main()
