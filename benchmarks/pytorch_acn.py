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

import numpy as np
import torch
from _setup import in_turn, training_images
from epoch_time import epochs_of
from sklearn.neighbors import NearestNeighbors

DIM, HIDDEN, K = 20, 512, 5


class Net(torch.nn.Module):
    """Encoder, decoder and prior network of the blog's ACN."""

    def __init__(self):
        super().__init__()
        layer = torch.nn.Linear
        self.encode = torch.nn.Sequential(layer(784, HIDDEN), torch.nn.ReLU())
        self.heads = layer(HIDDEN, 2 * DIM)
        self.decode = torch.nn.Sequential(layer(DIM, HIDDEN), torch.nn.ReLU(), layer(HIDDEN, 784))
        self.prior = torch.nn.Sequential(
            layer(DIM, HIDDEN), torch.nn.ReLU(), layer(HIDDEN, 2 * DIM)
        )

    def loss(self, image, neighbors):
        """Nats per image; `neighbors(mean)` gives the codes, `None` for a VAE."""
        mean, log_std = self.heads(self.encode(image)).chunk(2, dim=1)
        z = mean + log_std.exp() * torch.randn_like(mean)
        logits = self.decode(z)
        reconstruction = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, image, reduction="sum"
        )
        if neighbors is None:
            prior_mean, prior_log_std = torch.zeros_like(mean), torch.zeros_like(mean)
        else:
            with torch.no_grad():
                codes = neighbors(mean.detach())
            prior_mean, prior_log_std = self.prior(codes).chunk(2, dim=1)
        variance = (2 * log_std).exp() + (mean - prior_mean) ** 2
        kl = prior_log_std - log_std + 0.5 * variance / (2 * prior_log_std).exp() - 0.5
        return (reconstruction + kl.sum()) / len(image)


class Torch:
    """A PyTorch model in training; `search` is `None`, "batched" or "each"."""

    def __init__(self, images, batch_size, search, steps=None):
        torch.manual_seed(0)
        self.images = torch.as_tensor(images.arrays()[0].reshape(len(images), 784))
        self.batch_size, self.search = batch_size, search
        self.steps = steps
        self.net = Net()
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3)
        self.codes = torch.randn(len(images), DIM)

    def neighbors(self, rows, mean):
        self.codes[rows] = mean
        if self.search == "batched":
            score = mean @ self.codes.T - 0.5 * (self.codes**2).sum(dim=1)
            score[torch.arange(len(rows)), rows] = -torch.inf
            found = score.topk(K, dim=1).indices
        else:
            found = np.empty((len(rows), K), np.int64)
            for i, code in enumerate(mean.numpy()):
                found[i] = self.tree.kneighbors(code[None], K, return_distance=False)[0]
            found = torch.as_tensor(found)
        pick = torch.randint(K, (len(rows), 1))
        return self.codes[found.gather(1, pick)[:, 0]]

    def epoch(self):
        if self.search == "each":
            self.tree = NearestNeighbors(n_neighbors=K).fit(self.codes.numpy())
        order = torch.randperm(len(self.images)).split(self.batch_size)
        for rows in order[: self.steps]:
            search = None
            if self.search is not None:

                def search(mean, rows=rows):
                    return self.neighbors(rows, mean)

            loss = self.net.loss(self.images[rows], search)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return len(order) / (self.steps or len(order))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="such as idx:DIR")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20, help="steps timed with one query an image")
    arguments = parser.parse_args()
    images, batch_size = training_images(arguments.data), arguments.batch_size
    scale = {}

    def torch_epoch(name, *options):
        trained = Torch(images, batch_size, *options)

        def one():
            scale[name] = trained.epoch()

        return one

    functions = {
        f"keras-acn {n}": epochs_of(n, images, batch_size) for n in ("vae", "exact", "graph")
    }
    functions["PyTorch vae"] = torch_epoch("PyTorch vae", None)
    functions["PyTorch, one search a batch"] = torch_epoch("PyTorch, one search a batch", "batched")
    each = "PyTorch, one scikit-learn query an image"
    functions[each] = torch_epoch(each, "each", arguments.steps)
    in_turn(functions, 1)
    seconds = in_turn(functions, arguments.turns)
    print(
        f"{len(images)} images, batch {batch_size}; seconds an epoch, times those of each of ours"
    )
    print(f"{'':<42}{'shortest':>9}{'/ exact':>9}{'/ graph':>9}")
    best = {name: min(found) * scale.get(name, 1) for name, found in seconds.items()}
    for name, found in best.items():
        ratios = [found / best[f"keras-acn {ours}"] for ours in ("exact", "graph")]
        print(f"{name:<42}{found:>9.2f}{ratios[0]:>9.2f}{ratios[1]:>9.2f}")


if __name__ == "__main__":
    main()
