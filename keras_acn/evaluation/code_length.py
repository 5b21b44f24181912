"""What it costs to transmit images with a model, in nats: ordered and unordered."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_acn._base import lazy
from keras_acn._base.checks import check_count, check_seed
from keras_acn._base.errors import UserError
from keras_acn._base.progress import Progress, of_two, share_of
from keras_acn.evaluation.costs import (
    Posteriors,
    encode_images,
    kl_to_codes,
    kl_to_prior,
    reconstruction_nats,
)

tour_lib = lazy.module("keras_acn.codebook.tour")
codes_mixture = lazy.module("keras_acn.priors.codes_mixture")

DIAGNOSTIC = "diagnostic"
CODE_LENGTH = "code length"
BOUND = "bound"
LOSS = "training loss"


def kind_of(name: str) -> str:
    """Return what the cost `name` may be called: a code length, or only a diagnostic.

    The cost of a latent given its nearest neighbours is a diagnostic: no receiver knows
    which they are before the image has arrived.
    """
    return DIAGNOSTIC if name.startswith("kl_k") else CODE_LENGTH


@dataclasses.dataclass
class CodeLengths:
    """The costs of N images, one number each, and what follows from them.

    Attributes:
      per_image: Dict from a cost's name to its float64 `[N]` nats: `reconstruction_nats`,
        `kl_k1_nats` and so on, `kl_tour_nats`, `kl_<prior>_nats` for each unconditional
        prior, `unordered_nats`, and for an associative model `ordered_nats`.
      num_dims: Pixels times channels of an image.
      unconditional: Name of the unconditional prior that costs least: the one that
        `unordered_nats`, and the first datum of the tour, are coded with. It is one
        choice for the whole set (less than 2 bits in all). `None` where the model has a
        prior of its own, as a homoencoder has, or no code length, as an autoencoder.
      order: int64 `[N]`, the greedy tour, or `None`.
      is_loss: Whether these are costs of no code, as of grey values under Bernoulli pixels: then
        they have no bits per dimension.

    Example:
      >>> import numpy as np
      >>> from keras_acn.evaluation import CodeLengths
      >>> costs = {"reconstruction_nats": np.array([70.0, 80.0]),
      ...          "unordered_nats": np.array([80.0, 91.0])}
      >>> lengths = CodeLengths(costs, num_dims=784, unconditional="gaussian_mixture")
      >>> lengths.mean("unordered_nats"), round(lengths.bits_per_dim("unordered_nats"), 4)
      (85.5, 0.1573)
    """

    per_image: dict[str, np.ndarray]
    num_dims: int
    unconditional: str | None
    order: np.ndarray | None = None
    is_loss: bool = False

    def __len__(self) -> int:
        return len(self.per_image["reconstruction_nats"])

    def mean(self, name: str) -> float | None:
        """Return the mean of a cost over the images, or `None` if it was not measured."""
        values = self.per_image.get(name)
        return None if values is None else float(np.mean(values))

    def standard_error(self, name: str) -> float | None:
        """Return the standard error of that mean, or `None` for fewer than two images."""
        values = self.per_image.get(name)
        if values is None or len(values) < 2:
            return None
        with np.errstate(invalid="ignore", over="ignore"):  # of costs that are infinite
            return float(np.std(values, ddof=1) / math.sqrt(len(values)))

    @property
    def ordering_bound_nats(self) -> float:
        """ln(N!) / N: the most that forgetting the order of N images can save on each."""
        return ordering_bound_nats(len(self))

    @property
    def set_nats(self) -> float | None:
        """Unordered less ln(N!) / N: what an image of the set costs whose order is drawn.

        Random order coding gets there (Severo et al. 2021, arXiv 2107.09202), as
        `keras_acn.compress(..., mode="set")` does. `None` where images are not coded one by one
        with a prior that all share, as those of a homoencoder's classes.
        """
        unordered = self.mean("unordered_nats")
        if unordered is None or self.unconditional is None or self.is_loss:
            return None
        return unordered - self.ordering_bound_nats

    @property
    def gap_nats(self) -> float | None:
        """Unordered less ordered, in nats per image, or `None`."""
        unordered, ordered = self.mean("unordered_nats"), self.mean("ordered_nats")
        return None if unordered is None or ordered is None else unordered - ordered

    @property
    def warning(self) -> str | None:
        """A sentence if the gap is more than any order can save, else `None`."""
        gap, bound = self.gap_nats, self.ordering_bound_nats
        if gap is None or gap <= bound + 1e-9:
            return None
        return (
            f"The ordered cost is {gap:.2f} nats below the unordered one, more than the "
            f"ln(N!)/N = {bound:.2f} nats that the order of {len(self)} images can save: the "
            "unconditional prior fits badly, so read the unordered cost as too high."
        )

    def bits_per_dim(self, name: str) -> float | None:
        """Return the mean of a cost in bits per pixel and channel, or `None`."""
        mean = self.mean(name)
        return None if mean is None else mean / (self.num_dims * math.log(2.0))

    def summary(self) -> dict[str, Any]:
        """Return a JSON-able dict: each cost's mean, standard error, bits and kind."""
        is_loss = self.is_loss or "unordered_nats" not in self.per_image
        rows = {
            name: {
                "nats": self.mean(name),
                "standard_error": self.standard_error(name),
                "bits_per_dim": None if is_loss else self.bits_per_dim(name),
                "kind": LOSS if is_loss else kind_of(name),
            }
            for name in self.per_image
        }
        return {
            "images": len(self),
            "costs": rows,
            "unconditional_prior": self.unconditional,
            "set_nats": self.set_nats,
            "gap_nats": self.gap_nats,
            "ordering_bound_nats": self.ordering_bound_nats,
            "warning": self.warning,
        }


def ordering_bound_nats(count: int) -> float:
    """Return ln(N!) / N in nats, by `lgamma`; 0 for N = 0."""
    return math.lgamma(count + 1) / count if count else 0.0


def code_lengths(
    model: Any,
    images: np.ndarray,
    unconditional: dict[str, Any],
    *,
    q: Posteriors | None = None,
    neighbors: Sequence[int] = (1, 5, 10),
    neighbor_codes: np.ndarray | None = None,
    own_rows: np.ndarray | None = None,
    samples: int = 1,
    seed: int = 0,
    batch_size: int = 128,
    progress: Progress | None = None,
) -> CodeLengths:
    """Return the `CodeLengths` of `images`: the rows of table 2 of the ACN paper.

    Graves et al. 2018 (arXiv 1804.02476), section 4. For an associative model:

    * KL for K nearest: the mean over the K nearest codes of KL(q || p(z|c)). Neighbours
      are taken from the images themselves, an image never being its own, unless
      `neighbor_codes` are given. A diagnostic.
    * KL of the greedy tour: each prior is conditioned on the code of the image visited
      before, which the receiver has; the first image is coded with the unconditional
      prior. A code length, of the set of images in the order of the tour.
    * KL to each unconditional prior. A code length, of images in any order.

    For any other model only the last.

    Args:
      model: A model with an `encoder`, a `prior` and a `decoder`; associative where its
        `codebook` is not `None`.
      images: `[N, H, W, C]`, N >= 1, floats in [0, 1] or uint8, as the model is to code them.
      unconditional: Dict from names to priors with `log_prob(z [N, d]) -> [N]`. Nothing
        in them may come from `images`.
      q: The `Posteriors` of the images where they are known already.
      neighbors: The Ks. Those that need more images than there are are left out.
      neighbor_codes: `[M, d]`, such as the training codes, for the KL of the K nearest.
      own_rows: int `[N]`, the row of `neighbor_codes` that is each image's own code, -1 where
        it has none: needed for images among those that the codes are of, as an image's own
        code would be its nearest neighbour, and the KL a leak.
      samples: Samples of z for each image, at least 1.
      seed: Integer seed of the samples and of the start of the tour.
      batch_size: Images at a time.
      progress: Called with the part of the work that is done, and the whole.

    Raises:
      UserError: If there are no images, no unconditional prior, or less than 1 sample.

    Example, with `prior = fit_gaussian_mixture(encode_images(model, train_images))`:

        lengths = code_lengths(model, test_images, {"gaussian_mixture": prior}, samples=4)
        lengths.mean("ordered_nats"), lengths.mean("unordered_nats")
    """
    if not unconditional:
        raise UserError("A code length needs at least one unconditional prior.")
    samples = check_count(samples, "samples", 1)
    seed = check_seed(seed)
    progress = of_two(progress, "code lengths")
    parts = [share_of(progress, part, 5) for part in range(5)]
    if q is None:
        q = encode_images(model, images, batch_size, progress=parts[0])
    reconstruction = reconstruction_nats(
        model, images, q, samples, seed, batch_size, progress=parts[1]
    )
    costs = {}
    for done, (name, prior) in enumerate(unconditional.items(), start=1):
        costs[name] = kl_to_prior(q, prior, samples, seed)
        if (tell := parts[2]) is not None:
            tell(done, len(unconditional))
    best = min(costs, key=lambda name: costs[name].mean())
    per_image = {"reconstruction_nats": reconstruction}
    order = None
    if model.codebook is not None:
        table, options = codes_mixture.PriorTable(model.prior, q.mean), (samples, seed, batch_size)
        of_others = table
        if neighbor_codes is not None:
            of_others = codes_mixture.PriorTable(model.prior, neighbor_codes)
        available = len(q) - 1 if neighbor_codes is None else len(neighbor_codes)
        if own_rows is not None and neighbor_codes is not None:
            available -= 1
        wanted = [k for k in sorted(neighbors) if k <= available]
        if wanted:
            near = nearest_codes(q.mean, neighbor_codes, wanted[-1], own=own_rows)
            each = kl_to_codes(q, of_others, near, *options, progress=parts[3])
            per_image |= {f"kl_k{k}_nats": each[:, :k].mean(axis=1) for k in wanted}
        order, tour = _tour_kl(q, table, *options, progress=parts[4])
        tour[order[0]] = costs[best][order[0]]
        per_image["kl_tour_nats"] = tour
    per_image |= {f"kl_{name}_nats": cost for name, cost in costs.items()}
    if order is not None:
        per_image["ordered_nats"] = reconstruction + per_image["kl_tour_nats"]
    per_image["unordered_nats"] = reconstruction + costs[best]
    if progress is not None:
        progress(1, 1)
    return CodeLengths(per_image, int(np.prod(np.shape(images)[1:])), best, order)


def nearest_codes(
    query: np.ndarray,
    codes: np.ndarray | None = None,
    k: int = 1,
    *,
    own: np.ndarray | None = None,
) -> np.ndarray:
    """Return the rows of the `k` codes nearest to each query: int64 `[N, k]`, nearest first.

    Args:
      query: `[N, d]`.
      codes: `[M, d]`, or `None` for the queries themselves: then no row is its own neighbour.
      k: Number of neighbours, at most those that there are for each query.
      own: int `[N]`, the row of `codes` that belongs to each query itself and is no neighbour
        of it, -1 where it has none. `None` if none has.

    Raises:
      UserError: If there are not that many codes.

    Example:
      >>> import numpy as np
      >>> from keras_acn.evaluation.code_length import nearest_codes
      >>> nearest_codes(np.array([[0.0], [1.0], [5.0]]), k=1).tolist()
      [[1], [0], [1]]
    """
    from sklearn.neighbors import NearestNeighbors

    if codes is None:
        codes, own = query, np.arange(len(query))
    own = np.full(len(query), -1) if own is None else np.asarray(own)
    wanted = k + int((own >= 0).any())
    if wanted > len(codes):
        raise UserError(f"{len(codes)} codes do not have {k} neighbours each: give more images.")
    search = NearestNeighbors(n_neighbors=wanted, algorithm="brute").fit(codes)
    index = search.kneighbors(query, return_distance=False)
    if wanted == k:
        return index
    # Among duplicates a row may come anywhere in its own list, or not at all.
    left_out = index == own[:, None]
    left_out[~left_out.any(axis=1), -1] = True
    return index[~left_out].reshape(len(query), k)


def _tour_kl(q, table, samples, seed, batch_size, progress):
    """Return the greedy tour and the per-image KL along it, that of the first left open."""
    order = tour_lib.greedy_tour(q.mean, seed=seed, progress=share_of(progress, 0, 2))
    before = np.maximum(tour_lib.tour_predecessors(order), 0)[:, None]
    kl = kl_to_codes(q, table, before, samples, seed, batch_size, progress=share_of(progress, 1, 2))
    return order, kl[:, 0]
