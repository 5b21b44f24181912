"""The modes: in which order, and under which priors, the images of a block are coded.

Images are coded in steps, some side by side in each: as many as there are lanes. The lanes share
one stack, so a lane costs no bits of its own: only where each begins. A sender pushes the steps
from the last to the first, and so a receiver pops them from the first.

A new mode is a subclass of `Mode` and an entry in `MODES`, which also gives it the number
that files know it by.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_acn._base.progress import Progress
from keras_acn.codebook.tour import greedy_tour
from keras_acn.codec import container
from keras_acn.codec.arrivals import FromASet, InRows, canonical_order
from keras_acn.codec.bits_back import Images
from keras_acn.codec.learned import LearnedPrior
from keras_acn.codec.networks import Networks
from keras_acn.codec.priors import CodeIndex, CodesPrior, GivenPrior, JointPrior

# In the first step, where later ones learn from it, a lane in so many is used.
FIRST_SHARE = 16
# Codes in the mixture that the first image of a lane is coded with, in a tour.
FIRST_CODES = 4096


class Mode:
    """Base of the modes.

    Attributes:
      arrivals: The class of what says which images are coded next: `InRows` or `FromASet`.
      needs_codes: Whether the mode is of use to associative models only.
      reorders: Whether the images come out in another order.
      lanes_differ: Whether the first image of a lane has another prior than the rest.
      most_codes: Training codes in the mixture of an image without a predecessor; `None` for all.

    Args:
      networks: `Networks`.
      index: The `CodeIndex` of an associative model's training codes, otherwise `None`.

    Example:
      >>> Stream.rows(7, 3)
      [array([0, 1, 2]), array([3, 4, 5]), array([6])]
      >>> Stream.rows(7, 3, slowly=True)
      [array([0]), array([3]), array([5]), array([1, 4, 6]), array([2])]
    """

    arrivals: type[InRows] | type[FromASet] = InRows
    needs_codes = False
    reorders = False
    lanes_differ = False
    most_codes: int | None = None

    def __init__(self, networks: Networks, index: CodeIndex | None):
        self.networks = networks
        self.index = index

    def arrange(
        self,
        images: Images,
        progress: Progress | None = None,
        kinds: np.ndarray | None = None,
    ) -> np.ndarray | None:
        """Return the order in which the images come out, int64 `[N]`; `None` for their own.

        Args:
          images: The images of a block.
          progress: Called with the images done, and N.
          kinds: Of each image, int `[N]`, where there are several.
        """
        return None

    @staticmethod
    def rows(count: int, lanes: int, slowly: bool = False) -> list[np.ndarray]:
        """Return the rows of the images of each step, int `[n]`, n at most `lanes`.

        Args:
          count: Images of the block.
          lanes: Images of a step.
          slowly: Whether later steps learn from earlier ones. Then each lane is a sequence of
            images that followed each other, which may be alike, and the first image of each
            lane is coded in smaller steps.
        """
        if not slowly:
            return [np.arange(at, min(at + lanes, count)) for at in range(0, count, lanes)]
        first, *others = lane_by_lane(count, lanes)
        sizes = [max(1, lanes // FIRST_SHARE)]
        while sum(sizes) < len(first):
            sizes.append(sum(sizes))
        return [*np.split(first, np.cumsum(sizes[:-1])), *others]

    def prior(
        self,
        arrivals: InRows | FromASet,
        rows: list[np.ndarray],
        step: int,
        learned: LearnedPrior | None,
    ) -> Any:
        """Return the prior of the latents of a step's images.

        Args:
          arrivals: The images; those of all steps before are there.
          rows: From `rows`.
          step: Which step.
          learned: What the block's images teach; `None` where they do not.
        """
        raise NotImplementedError

    def without_predecessor(self, count: int) -> Any:
        """Return the prior of images that no other image is known to resemble.

        That of an associative model is the mixture (1/N) sum_n p(z|c_n) of its training
        codes, with bits-back over n; of another model it is its own.
        """
        if self.index is not None:
            return CodesPrior(self.index, count)
        if self.networks.joint is not None:
            log_weight, mean, stddev = self.networks.joint
            return JointPrior(log_weight, mean, stddev, count)
        return GivenPrior(*self.networks.given(np.zeros((count, self.networks.latent_dim))))


class Stream(Mode):
    """Images in their order, each under a prior that knows no other image.

    Example:
      See `Mode`.
    """

    def prior(self, arrivals, rows, step, learned):
        if learned is None:
            return self.without_predecessor(len(rows[step]))
        return learned.given(arrivals.there(rows[:step]), len(rows[step]))


class Set(Stream):
    """Images as a set: which of them comes next is drawn from the stack, and so costs nothing.

    That gives back all that an order is worth, log2(N!) bits, under any prior. The images come
    out sorted by their bytes.

    Example:
      See `Mode`.
    """

    arrivals = FromASet
    reorders = True

    def arrange(self, images, progress=None, kinds=None):
        return canonical_order(images.levels, kinds)


class Tour(Mode):
    """Images as a set, in an order in which each is like the one before.

    The prior of an image is conditioned on the code of the one before. The order is the greedy tour
    over the images' codes, cut into one segment for each lane. The code that a prior is conditioned
    on is that of an image which the receiver has just decoded in the same lane, so the receiver
    needs no codes and no order. The first image of a lane is coded as in `Stream`.

    Example:
      See `Mode`.
    """

    needs_codes = True
    reorders = True
    lanes_differ = True
    most_codes = FIRST_CODES

    def arrange(self, images, progress=None, kinds=None):
        return greedy_tour(images.mean, start=0 if len(images) else None, progress=progress)

    @staticmethod
    def rows(count, lanes, slowly=False):
        return lane_by_lane(count, lanes)

    def prior(self, arrivals, rows, step, learned):
        count = len(rows[step])
        if not step:
            return self.without_predecessor(count)
        before = arrivals.images.mean[rows[step - 1][:count]]
        return GivenPrior(*self.networks.given(before))


def lane_by_lane(count: int, lanes: int) -> list[np.ndarray]:
    """Return the rows of each step where images are cut into one segment for each lane.

    Example:
      >>> lane_by_lane(7, 3)
      [array([0, 3, 5]), array([1, 4, 6]), array([2])]
    """
    lane = np.arange(min(lanes, count))
    # One more image for each of the first lanes.
    starts = lane * (count // lanes) + np.minimum(lane, count % lanes)
    steps = -(-count // lanes)
    return [starts[: min(lanes, count - t * lanes)] + t for t in range(steps)]


# Under their names, in the order of their numbers in a file.
MODES = dict(zip(container.MODES, (Stream, Tour, Set), strict=True))
