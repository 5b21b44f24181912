"""Blocks of images as they are coded: posteriors, grid, order, and then step by step, by a mode."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn._base.progress import Progress
from keras_acn.codec.bits_back import Costs, Images, image_step
from keras_acn.codec.container import CODES, NEAREST, Block
from keras_acn.codec.grid import LatentGrid
from keras_acn.codec.kept import kept
from keras_acn.codec.learned import LearnedPrior, scale_of
from keras_acn.codec.modes import MODES
from keras_acn.codec.networks import (
    MAX_BIAS_FLOATS,
    Copies,
    Networks,
    check_codes,
    check_lanes,
    check_model,
    is_associative,
    most_lanes,
)
from keras_acn.codec.pixels import image_coder
from keras_acn.codec.priors import CodeIndex
from keras_acn.codec.stack import Codec, Stack, permutation_within

# Images of a lane, where the number of lanes is chosen: what a lane's beginning costs is then
# a small part of a lane.
IMAGES_PER_LANE = 64
MAX_LANES = 256


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
      mode: `"stream"`, `"set"` or `"tour"`.
      lanes: Images side by side.
      keep_order: Whether a set's original order is coded too.
      nearest: Codes that are taken to matter at a z.
      codes: `"training"`, `"seen"` or `"both"`: whose codes the prior of an image is made of. Of
        no meaning where the model's prior knows no other image.
      cut: Whether no latent is drawn far from its posterior's mean: not so in older files.
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
        codes: str = CODES[0],
        cut: bool = True,
        progress: Progress | None = None,
    ):
        kind = MODES[mode]
        Stack()  # Tells at once, and not after long work, if its library is missing.
        check_model(model)
        associative = is_associative(model)
        self._learns = associative and codes != "training"
        check_codes(model, mode, codes)
        with_training = associative and codes != "seen"
        stored = np.asarray(model.codebook.codes if with_training else [])
        candidates = min(nearest, len(stored)) + nearest * self._learns
        candidates += model.prior.components if model.prior.is_joint else 0
        check_lanes(model, lanes, candidates)
        if kind.needs_codes and not associative:
            raise UserError(
                "The prior of this model does not depend on other images, so a tour of them is "
                'worth nothing to it: take the mode "set", which saves the whole order.'
            )
        if kind.most_codes is not None and len(stored) > kind.most_codes:
            stored = stored[np.arange(kind.most_codes) * len(stored) // kind.most_codes]
        self._nearest = nearest
        made = kept(model)
        copies = made.get("copies", None, lambda: Copies(model))
        self.networks = made.get("networks", lanes, lambda: Networks(model, lanes, copies))
        self._pixels = made.get("pixels", lanes, lambda: image_coder(self.networks))
        index = None
        if with_training:
            key = hashlib.blake2b(stored.tobytes()).digest(), nearest
            options = self.networks, stored, nearest, progress
            index = made.get("codes", key, lambda: CodeIndex(*options))
            if progress is not None:
                progress(index.num_codes, index.num_codes)  # where they were there already
        self.mode = kind(self.networks, index)
        self._keeps_order = keep_order and kind.reorders
        self._cut = cut

    def encode(
        self,
        levels: np.ndarray,
        progress: Callable[[str, int, int], None] | None = None,
        extents: np.ndarray | None = None,
    ) -> Coded:
        """Return the `Coded` block of images.

        Args:
          levels: uint8 `[n, H, W, C]`, n at least 1.
          extents: Of tiles of pictures, int `[n, 3]`: see `edges`. Not in the mode `"tour"`, in
            which a receiver does not know which of them comes next.
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
        kinds = _kinds(extents, count)
        order = self.mode.arrange(images, functools.partial(stage, "tour"), kinds)
        if self._keeps_order:
            permutation_within(kinds).push(stack, order)
        if order is not None:
            images, kinds = images[order], kinds[order]
            extents = None if extents is None else extents[order]
        arrivals = self.mode.arrivals(images, kinds)
        scale = scale_of(images.mean) if self._learns else None
        told = functools.partial(stage, "compress")
        steps = self._steps(grid, scale, count, costs, told, extents)
        steps.push(stack, arrivals)
        initial_bits = costs.initial_bits + arrivals.unpaid_bits
        lane_bits = costs.lane_bits() if self.mode.lanes_differ else 0.0
        block = Block(count, grid, stack.words(), scale)
        return Coded(block, order, initial_bits, lane_bits)

    def decode(
        self,
        block: Block,
        progress: Progress | None = None,
        bits: list[tuple[float, float]] | None = None,
        extents: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the images of a block in the order in which they come out, uint8 `[n, H, W, C]`.

        Args:
          block: The block.
          progress: Called with the images done, and n.
          bits: Where to add `(initial bits, lane bits)`, as `encode` counts them.
          extents: What `encode` was given. Where the mode reorders, and the order is not kept,
            only their order by kind matters.

        Raises:
          UserError: If the block holds something else than images of this model.
        """
        stack, costs, kinds = Stack(block.words), Costs(), _kinds(extents, block.count)
        if extents is not None and self.mode.reorders:
            extents = extents[np.argsort(kinds, kind="stable")]
        steps = self._steps(block.grid, block.scale, block.count, costs, progress, extents)
        arrivals = steps.pop(stack)
        levels = arrivals.levels()
        # What was pushed last comes first.
        costs.reverse()
        if self._keeps_order:
            order = permutation_within(kinds).pop(stack)
            levels[order] = levels.copy()
        if not stack.is_empty():
            raise UserError("Something is left over at the end of a block: the file is damaged.")
        if bits is not None:
            lane_bits = costs.lane_bits() if self.mode.lanes_differ else 0.0
            bits.append((costs.initial_bits + arrivals.unpaid_bits, lane_bits))
        return levels

    def _steps(self, grid, scale, count, costs=None, progress=None, extents=None):
        """Return the codec of all steps of a block, which are arrivals."""
        rows = self.mode.rows(count, self.networks.lanes, self._learns)
        tell = progress or (lambda done, total: None)

        def learned():
            if not self._learns:
                return None
            options = grid, scale, count, self._nearest, self.mode.index
            return LearnedPrior(self.networks, *options)

        def step(arrivals, t, learned):
            """Return the codec of step t, of which all images before it are there."""
            prior = self.mode.prior(arrivals, rows, t, learned)
            pixels = self._pixels
            if extents is not None:
                pixels = functools.partial(pixels, extents=extents[rows[t]])
            return image_step(grid, self.networks.encode, pixels, prior, costs, self._cut)

        def push(stack, arrivals):
            done, teacher = 0, learned()
            if teacher is not None:
                teacher.add(arrivals.images.mean, np.arange(count))
            for t in reversed(range(len(rows))):
                images = arrivals.take(stack, rows[t])
                step(arrivals, t, teacher).push(stack, images)
                done += len(rows[t])
                tell(done, count)

        def pop(stack):
            room = Images.room(count, self.networks.image_shape, self.networks.latent_dim)
            kinds = np.sort(_kinds(extents, count))
            arrivals, done, teacher = self.mode.arrivals(room, kinds), 0, learned()
            for t in range(len(rows)):
                images = step(arrivals, t, teacher).pop(stack)
                arrivals.put(stack, rows[t], images)
                if teacher is not None:
                    teacher.add(images.mean, rows[t])
                done += len(rows[t])
                tell(done, count)
            return arrivals

        return Codec(push, pop)


def _kinds(extents, count):
    """Return for each image of a block a number that tells its extents, int64 `[n]`."""
    if extents is None:
        return np.zeros(count, np.int64)
    return np.unique(extents, axis=0, return_inverse=True)[1].reshape(count).astype(np.int64)


def default_lanes(model: Any, count: int) -> int:
    """Return the number of lanes for blocks of `count` images: a power of two, 1 to 256."""
    most = min(MAX_LANES, most_lanes(model, MAX_BIAS_FLOATS) or MAX_LANES)
    wanted = max(1.0, min(count / IMAGES_PER_LANE, most))
    return 2 ** min(round(np.log2(wanted)), int(np.log2(most)))
