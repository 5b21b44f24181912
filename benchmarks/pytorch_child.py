"""The blog's VAE and ACN in PyTorch, trained an epoch at a time for `pytorch_acn.py`.

It is a process of its own, since PyTorch and TensorFlow bring their own copies of LLVM, which
do not always bear each other. It reads the name of a model from each line of its input, trains
that for an epoch, and prints the seconds.

    python benchmarks/pytorch_child.py IMAGES.npy BATCH_SIZE STEPS
"""

import sys
import time

import numpy as np
import torch
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
        self.images = torch.as_tensor(images.reshape(len(images), 784))
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
    images, batch_size, steps = np.load(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    models = {
        "vae": Torch(images, batch_size, None),
        "batched": Torch(images, batch_size, "batched"),
        "each": Torch(images, batch_size, "each", steps),
    }
    for line in sys.stdin:
        start = time.perf_counter()
        scale = models[line.strip()].epoch()
        print((time.perf_counter() - start) * scale, flush=True)


if __name__ == "__main__":
    main()
