"""A model made ready to code blocks of images, in one mode."""

import dataclasses

import numpy as np

from keras_acn._base.errors import UserError, unknown_name
from keras_acn.codec.code_index import CodeIndex
from keras_acn.codec.container import MODES, Block
from keras_acn.codec.grid import LatentGrid
from keras_acn.codec.image_coder import image_coder
from keras_acn.codec.lanes import check_lanes
from keras_acn.codec.networks import Networks, check_model, is_associative
from keras_acn.codec.permutation import pop_order, push_order
from keras_acn.codec.stack import Stack
from keras_acn.codec.stream_mode import StreamMode
from keras_acn.codec.tour_mode import FIRST_CODES, TourMode

# Codes that are taken to matter at a z, of the mixture of codes. Of 50,000 codes, leaving
# out all but 128 costs 0.015 nats an image.
NEAREST = 128


@dataclasses.dataclass(frozen=True)
class Coded:
    """A block as it was coded.

    Attributes:
      block: The `Block`.
      order: int64 `[n]`, the order in which its images come out; `None` for their own.
      initial_bits: Bits that the choice of latents took where the stack was empty.
      lane_bits: Bits that the first images of the lanes cost more than the others do.
    """

    block: Block
    order: np.ndarray | None
    initial_bits: float
    lane_bits: float


class Codec:
    """Codes blocks of images with a model, and decodes them.

    Args:
      model: An `ACN` or a `VAE`.
      mode: `"stream"` or `"set"`.
      lanes: Images side by side.
      keep_order: Whether a set's original order is coded too.
      nearest: Codes that are taken to matter at a z.

    Raises:
      UserError: If the model cannot compress, or not in this mode.
    """

    def __init__(self, model, mode, lanes, keep_order=False, nearest=NEAREST):
        if mode not in MODES:
            raise unknown_name("mode", mode, MODES)
        Stack()  # Tells at once, and not after long work, if its library is missing.
        check_model(model)
        codes = model.codebook.codes.shape[0] if is_associative(model) else 0
        check_lanes(model, lanes, min(nearest, codes))
        self.networks = Networks(model, lanes)
        self.keeps_order = keep_order and mode == "set"
        self._coder = image_coder(self.networks)
        self._model = model
        self._nearest = nearest
        self._mode_name = mode
        self._made = None
        if mode == "set":
            TourMode.check(self.networks)

    def prepare(self, progress=None):
        """Works out the priors of the training codes, where the mode needs them: once.

        Args:
          progress: Optional callable `progress(done, total)`.
        """
        if self._made is not None:
            return
        index = None
        if self.networks.is_associative:
            codes = np.asarray(self._model.codebook.codes)
            if self._mode_name == "set" and len(codes) > FIRST_CODES:
                codes = codes[np.arange(FIRST_CODES) * len(codes) // FIRST_CODES]
            index = CodeIndex(self.networks, codes, self._nearest, progress)
        kind = TourMode if self._mode_name == "set" else StreamMode
        self._made = kind(self.networks, self._coder, index)

    def encode(self, levels, progress=None):
        """Returns the `Coded` block of images, uint8 `[n, H, W, C]` levels, n at least 1.

        Args:
          levels: The images.
          progress: Optional callable `progress(stage, done, total)`.
        """
        self.prepare(stage(progress, "priors of the codes"))
        tell = stage(progress, "encode", per=self.networks.lanes)
        parts = []
        for start in range(0, len(levels), self.networks.lanes):
            parts.append(self.networks.encode(levels[start : start + self.networks.lanes]))
            tell(len(parts[-1][0]), len(levels))
        q = tuple(np.concatenate(each) for each in zip(*parts, strict=True))
        if not all(np.isfinite(each).all() for each in q):
            raise UserError("The model's codes of these images are not finite: train it anew.")
        grid = LatentGrid.around(*q)
        stack = Stack()
        order = self._made.arrange(q, stage(progress, "tour"))
        if order is not None:
            levels, q = levels[order], tuple(each[order] for each in q)
        if self.keeps_order:
            push_order(stack, order)
        tell = stage(progress, "compress", per=self.networks.lanes)
        costs = self._made.push(levels, q, grid, stack, lambda n: tell(n, len(levels)))
        return Coded(
            Block(len(levels), grid, stack.words()), order, costs.initial_bits, costs.lane_bits
        )

    def decode(self, block, progress=None):
        """Returns the images of a `Block` in the order in which they come out.

        Args:
          block: The block.
          progress: Optional callable `progress(done)`, with how many more are done.

        Raises:
          UserError: If the block holds something else than images of this model.
        """
        self.prepare()
        levels = np.zeros((block.count, *self.networks.image_shape), np.uint8)
        stack = Stack(block.words)
        self._made.pop(levels, block.grid, stack, progress or (lambda n: None))
        if self.keeps_order:
            order = pop_order(stack, block.count)
            levels[order] = levels.copy()
        if not stack.is_empty():
            raise UserError("Something is left over at the end of a block: the file is damaged.")
        return levels


def stage(progress, name, per=None):
    """Returns `tell(done, total)` for a stage of `progress(stage, done, total)`.

    With `per`, `tell` takes how many more are done.
    """
    done = 0

    def tell(count, total):
        nonlocal done
        done = done + count if per else count
        if progress is not None:
            progress(name, done, total)

    return tell
