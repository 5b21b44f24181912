"""The modes: in which order, and under which priors, the images of a block are coded.

Images are dealt out to lanes: sequences of images that are coded side by side, one of each lane in
a step. The lanes share one stack, so a lane costs no bits of its own: only where each begins. A
sender pushes the steps from the last to the first, and so a receiver pops them from the first.

A new mode is a subclass of `Mode` and an entry in `MODES`, which also gives it the number
that files know it by.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn._base.progress import Progress
from keras_acn.codebook.tour import greedy_tour
from keras_acn.codec import container
from keras_acn.codec.bits_back import Costs, Images, image_step
from keras_acn.codec.container import NEAREST, Block
from keras_acn.codec.grid import LatentGrid
from keras_acn.codec.networks import (
    MAX_BIAS_FLOATS,
    Networks,
    check_lanes,
    check_model,
    is_associative,
    most_lanes,
)
from keras_acn.codec.pixels import image_coder
from keras_acn.codec.priors import CodeIndex, CodesPrior, GivenPrior, JointPrior
from keras_acn.codec.stack import Codec, Stack, permutation

# Images of a lane, where the number of lanes is chosen: what a lane's beginning costs is then
# a small part of a lane.
IMAGES_PER_LANE = 64
MAX_LANES = 256
# Codes in the mixture that the first image of a lane is coded with, in a tour.
FIRST_CODES = 4096


class Mode:
    """Base of the modes.

    Attributes:
      needs_codes: Whether the mode is of use to associative models only.
      reorders: Whether the images come out in another order.
      lanes_differ: Whether the first image of a lane has another prior than the rest.
      codes: Training codes in the mixture of an image without a predecessor; `None` for all.

    Args:
      networks: `Networks`.
      index: The `CodeIndex` of an associative model's training codes, otherwise `None`.

    Example:
      >>> Stream.rows(7, 3)
      [array([0, 1, 2]), array([3, 4, 5]), array([6])]
      >>> Tour.rows(7, 3)
      [array([0, 3, 5]), array([1, 4, 6]), array([2])]
    """

    needs_codes = False
    reorders = False
    lanes_differ = False
    codes: int | None = None

    def __init__(self, networks: Networks, index: CodeIndex | None):
        self.networks = networks
        self.index = index

    def arrange(self, images: Images, progress: Progress | None = None) -> np.ndarray | None:
        """Return the order in which the images come out, int64 `[N]`; `None` for their own."""
        return None

    @staticmethod
    def rows(count: int, lanes: int) -> list[np.ndarray]:
        """Return the rows of the images of each step, int `[n]`, n at most `lanes`."""
        raise NotImplementedError

    def prior(self, before: np.ndarray | None, count: int) -> Any:
        """Return the prior of the latents of a step's `count` images.

        Args:
          before: The codes `[n, d]` of the images before them, each in its lane; `None` in
            the first step.
          count: Images of the step, at most n.
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

    @staticmethod
    def rows(count, lanes):
        return [np.arange(at, min(at + lanes, count)) for at in range(0, count, lanes)]

    def prior(self, before, count):
        return self.without_predecessor(count)


class Tour(Mode):
    """Images as a set: each under the prior conditioned on the code of the image before.

    The order is the greedy tour over the images' codes, cut into one segment for each lane. The
    code that a prior is conditioned on is that of an image which the receiver has just decoded
    in the same lane, so the receiver needs no codes and no order. The first image of a lane is
    coded as in `Stream`.

    Example:
      See `Mode`.
    """

    needs_codes = True
    reorders = True
    lanes_differ = True
    codes = FIRST_CODES

    def arrange(self, images, progress=None):
        return greedy_tour(images.mean, start=0 if len(images) else None, progress=progress)

    @staticmethod
    def rows(count, lanes):
        lane = np.arange(min(lanes, count))
        # One more image for each of the first lanes.
        starts = lane * (count // lanes) + np.minimum(lane, count % lanes)
        steps = -(-count // lanes)
        return [starts[: min(lanes, count - t * lanes)] + t for t in range(steps)]

    def prior(self, before, count):
        if before is None:
            return self.without_predecessor(count)
        return GivenPrior(*self.networks.given(before[:count]))


# Under their names, in the order of their numbers in a file.
MODES = dict(zip(container.MODES, (Stream, Tour), strict=True))


@dataclasses.dataclass(frozen=True)
class Coded:
    """A block as it was coded.

    Attributes:
      block: The `Block`.
      order: int64 `[n]`, the order in which its images come out; `None` for their own.
      initial_bits: Bits that the choice of latents took where the stack was empty.
      lane_bits: Bits that the first images of the lanes cost more than the others do.

    Example:
      See `BlockCodec`.
    """

    block: Block
    order: np.ndarray | None
    initial_bits: float
    lane_bits: float


class BlockCodec:
    """Code blocks of images with a model, and decode them.

    Attributes:
      mode: The `Mode`.

    Args:
      model: An `ACN` or a `VAE`.
      mode: `"stream"` or `"set"`.
      lanes: Images side by side.
      keep_order: Whether a set's original order is coded too.
      nearest: Codes that are taken to matter at a z.
      progress: Called while the priors of the training codes are worked out, with how many
        are, and their number.

    Raises:
      UserError: If the model cannot compress, or not in this mode.

    Example:
      >>> import keras_acn
      >>> model = keras_acn.load_pretrained("acn-digits")
      >>> codec = BlockCodec(model, "set", lanes=4)
      >>> images = np.random.default_rng(0).integers(0, 2, (9, 8, 8, 1)).astype(np.uint8)
      >>> coded = codec.encode(images)
      >>> np.array_equal(codec.decode(coded.block), images[coded.order])
      True
    """

    def __init__(
        self,
        model: Any,
        mode: str,
        lanes: int,
        *,
        keep_order: bool = False,
        nearest: int = NEAREST,
        progress: Progress | None = None,
    ):
        kind = MODES[mode]
        Stack()  # Tells at once, and not after long work, if its library is missing.
        check_model(model)
        associative = is_associative(model)
        codes = np.asarray(model.codebook.codes if associative else [])
        check_lanes(model, lanes, min(nearest, len(codes)))
        if kind.needs_codes and not associative:
            raise UserError(
                "The prior of this model does not depend on other images, so their order is "
                "worth nothing to it: use the stream mode."
            )
        if kind.codes is not None and len(codes) > kind.codes:
            codes = codes[np.arange(kind.codes) * len(codes) // kind.codes]
        self.networks = Networks(model, lanes)
        index = CodeIndex(self.networks, codes, nearest, progress) if associative else None
        self.mode = kind(self.networks, index)
        self._pixels = image_coder(self.networks)
        self._keeps_order = keep_order and kind.reorders

    def encode(
        self, levels: np.ndarray, progress: Callable[[str, int, int], None] | None = None
    ) -> Coded:
        """Return the `Coded` block of images.

        Args:
          levels: uint8 `[n, H, W, C]`, n at least 1.
          progress: Called with a stage (`"encode"`, `"tour"` or `"compress"`), the images
            done in it, and n.
        """
        stage = progress or (lambda *told: None)
        lanes, count = self.networks.lanes, len(levels)
        parts = []
        for start in range(0, count, lanes):
            parts.append(self.networks.encode(levels[start : start + lanes]))
            stage("encode", min(start + lanes, count), count)
        q = (np.concatenate(each) for each in zip(*parts, strict=True))
        images = Images(levels, *q)
        if not (np.isfinite(images.mean).all() and np.isfinite(images.stddev).all()):
            raise UserError("The model's codes of these images are not finite: train it anew.")
        grid, stack, costs = LatentGrid.around(images.mean, images.stddev), Stack(), Costs()
        order = self.mode.arrange(images, functools.partial(stage, "tour"))
        if order is not None:
            images = images[order]
        if self._keeps_order:
            permutation(count).push(stack, order)
        steps = self._steps(grid, count, costs, functools.partial(stage, "compress"))
        steps.push(stack, images)
        lane_bits = costs.lane_bits() if self.mode.lanes_differ else 0.0
        return Coded(Block(count, grid, stack.words()), order, costs.initial_bits, lane_bits)

    def decode(self, block: Block, progress: Progress | None = None) -> np.ndarray:
        """Return the images of a block in the order in which they come out, uint8 `[n, H, W, C]`.

        Args:
          block: The block.
          progress: Called with the images done, and n.

        Raises:
          UserError: If the block holds something else than images of this model.
        """
        stack = Stack(block.words)
        levels = self._steps(block.grid, block.count, progress=progress).pop(stack)
        if self._keeps_order:
            order = permutation(block.count).pop(stack)
            levels[order] = levels.copy()
        if not stack.is_empty():
            raise UserError("Something is left over at the end of a block: the file is damaged.")
        return levels

    def _steps(self, grid, count, costs=None, progress=None):
        """Return the codec of all steps of a block; it pushes `Images` and pops levels."""
        rows = self.mode.rows(count, self.networks.lanes)
        tell = progress or (lambda done, total: None)

        def step(before, size):
            prior = self.mode.prior(before, size)
            return image_step(grid, self.networks.encode, self._pixels, prior, costs)

        def push(stack, images):
            done = 0
            for t in reversed(range(len(rows))):
                before = images.mean[rows[t - 1]] if t else None
                step(before, len(rows[t])).push(stack, images[rows[t]])
                done += len(rows[t])
                tell(done, count)

        def pop(stack):
            levels = np.zeros((count, *self.networks.image_shape), np.uint8)
            before, done = None, 0
            for each in rows:
                images = step(before, len(each)).pop(stack)
                levels[each], before = images.levels, images.mean
                done += len(each)
                tell(done, count)
            return levels

        return Codec(push, pop)


def default_lanes(model: Any, count: int) -> int:
    """Return the number of lanes for blocks of `count` images: a power of two, 1 to 256."""
    most = min(MAX_LANES, most_lanes(model, MAX_BIAS_FLOATS) or MAX_LANES)
    wanted = max(1.0, min(count / IMAGES_PER_LANE, most))
    return 2 ** min(round(np.log2(wanted)), int(np.log2(most)))
