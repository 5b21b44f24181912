"""A stack of bits, and codecs: pairs of functions that push values on it and pop them.

`codec.push(stack, x)` makes the stack longer by about -log2 p(x) bits, with the distribution p
that the codec stands for, and `codec.pop(stack)` undoes it. The codecs in this file are those of
single distributions; larger ones are made of smaller ones (`bits_back.py`, `priors.py`,
`pixels.py`, `modes.py`), as in craystack (github.com/j-towns/craystack).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from keras_acn._base.errors import UserError

# Deviations from the mean that `near_gaussian` reaches at least. Beyond are 2e-9 of the mass.
CUT = 6.0
# Its ranges, to either side, in integers: a few, so that many numbers have the same one.
_WIDTHS = np.sort([n << k for n in (2, 3) for k in range(24)])


class Codec(NamedTuple):
    """A pair of functions that are each other's inverse on a stack.

    Attributes:
      push: `push(stack, x)` pushes x. It may pop first, as bits-back does.
      pop: `pop(stack)` returns the x that was pushed last, and leaves the stack as it was
        before.

    Example:
      >>> coin = bernoulli(np.full(3, 0.5))
      >>> stack = Stack()
      >>> coin.push(stack, np.array([1, 0, 1]))
      >>> coin.pop(stack)
      array([1, 0, 1], dtype=int32)
    """

    push: Callable[[Stack, Any], None]
    pop: Callable[[Stack], Any]


class Stack:
    """An asymmetric numeral system as a stack (Duda 2009, arXiv 0902.0271).

    Pushing a symbol of probability p makes the stack longer by -log2 p bits. Popping with a
    distribution draws a symbol from it, as random as the bits on the stack are, and makes it
    shorter by as much; pushing that symbol with the same distribution restores the stack
    exactly. That is what bits-back coding rests on (Townsend et al. 2019, arXiv 1901.04866).

    An empty stack reads as zeros without end: popping from it gives the first symbol of a
    distribution, and pushing that back leaves it empty. So the two are each other's inverse
    there too.

    Symbols and parameters are flat arrays of one length. An array is pushed from its end, so
    that it pops in its own order. The library cuts probabilities to 24 bits, none to zero.

    Args:
      words: uint32 `[W]`, from `words()`; an empty stack by default.

    Raises:
      UserError: If the package constriction is not installed.

    Example:
      >>> Stack(np.array([1, 2, 3], np.uint32)).words()
      array([1, 2, 3], dtype=uint32)
    """

    def __init__(self, words: np.ndarray | None = None):
        coder = _library().stack.AnsCoder
        self._coder = coder() if words is None or not len(words) else coder(words)

    @property
    def bits(self) -> int:
        """The number of bits on the stack."""
        return self._coder.num_valid_bits()

    def is_empty(self) -> bool:
        """Return whether nothing is on the stack."""
        return self._coder.is_empty()

    def words(self) -> np.ndarray:
        """Return what is on the stack: uint32 `[W]`."""
        return self._coder.get_compressed()

    def push(self, symbols: np.ndarray, family: Any, *parameters: np.ndarray) -> None:
        """Push int32 symbols `[n]`, each by the family's distribution of its parameters."""
        self._coder.encode_reverse(symbols, family, *parameters)

    def pop(self, family: Any, *parameters: np.ndarray) -> np.ndarray:
        """Pop int32 symbols `[n]`: see `push`."""
        return self._coder.decode(family, *parameters)


def bernoulli(probability: np.ndarray) -> Codec:
    """Return the codec of zeros and ones, given the probabilities of a one.

    Args:
      probability: float64 of any shape; the codec's values are int32 of the same shape.
    """
    flat = _flat(probability, np.float64)

    def push(stack, bits):
        stack.push(_flat(bits, np.int32), _families().bernoulli, flat)

    def pop(stack):
        return stack.pop(_families().bernoulli, flat).reshape(np.shape(probability))

    return Codec(push, pop)


def categorical(probabilities: np.ndarray) -> Codec:
    """Return the codec of indices, int32 `[n]`, given their probabilities `[n, M]`."""
    count, size = probabilities.shape
    if size == 1:
        # The library has no distribution over one symbol, which says nothing anyway.
        return Codec(lambda stack, choice: None, lambda stack: np.zeros(count, np.int32))
    table = np.ascontiguousarray(probabilities, np.float64)

    def push(stack, choice):
        stack.push(_flat(choice, np.int32), _families().categorical, table)

    def pop(stack):
        return stack.pop(_families().categorical, table)

    return Codec(push, pop)


def gaussian(mean: np.ndarray, stddev: np.ndarray, reach: int) -> Codec:
    """Return the codec of integers in `-reach .. reach`, by a Gaussian's mass around each.

    The mass is that of the interval of length one around the integer, normalised over the
    reach.

    Args:
      mean: float64 of any shape; the codec's values are int32 of the same shape.
      stddev: The same.
      reach: The largest integer.
    """
    parameters = _flat(mean, np.float64), _flat(stddev, np.float64)

    def push(stack, cells):
        stack.push(_flat(cells, np.int32), _families().gaussian(-reach, reach), *parameters)

    def pop(stack):
        cells = stack.pop(_families().gaussian(-reach, reach), *parameters)
        return cells.reshape(np.shape(mean))

    return Codec(push, pop)


def near_gaussian(mean: np.ndarray, stddev: np.ndarray, reach: int) -> Codec:
    """Return the codec of integers as of `gaussian`, of which none is far from its mean.

    The library gives every integer of a range at least 2**-24. So of a hundred thousand numbers
    drawn from a range of hundreds, one or two have nothing to do with their means, and as latents
    they cost hundreds of nats each. Here each range is `CUT` deviations to either side, or a little
    more: numbers with like ranges are coded together. One whose range would reach beyond the end
    has all of `-reach .. reach`.

    Args:
      mean: See `gaussian`.
      stddev: See `gaussian`.
      reach: See `gaussian`.
    """
    shape, mean, stddev = np.shape(mean), _flat(mean, np.float64), _flat(stddev, np.float64)
    centre = np.rint(mean).astype(np.int32)
    width = _WIDTHS[np.searchsorted(_WIDTHS, CUT * stddev)]
    width[np.abs(centre) + width > reach] = 0
    centre[width == 0] = 0
    furthest = np.where(width == 0, reach, width)
    parts = []
    for each in np.unique(width):
        rows = np.flatnonzero(width == each)
        own = gaussian(mean[rows] - centre[rows], stddev[rows], int(each) or reach)
        parts.append((rows, own))

    def push(stack, cells):
        offsets = _flat(cells, np.int32) - centre
        if (np.abs(offsets) > furthest).any():
            # A sender has drawn none so far away.
            raise UserError("A latent is not where it should be: the file is damaged.")
        for rows, own in reversed(parts):
            own.push(stack, offsets[rows])

    def pop(stack):
        cells = centre.copy()
        for rows, own in parts:
            cells[rows] += own.pop(stack)
        return cells.reshape(shape)

    return Codec(push, pop)


def uniform(sizes: np.ndarray) -> Codec:
    """Return the codec of integers, int32 `[n]`, each one of `0 .. size - 1`.

    Args:
      sizes: int `[n]`, at most 2**24 - 1.
    """
    sizes = np.asarray(sizes, np.int32)
    some = sizes > 1
    ranges = np.ascontiguousarray(sizes[some])

    def push(stack, symbols):
        stack.push(np.asarray(symbols, np.int32)[some], _families().uniform, ranges)

    def pop(stack):
        symbols = np.zeros(sizes.shape, np.int32)
        symbols[some] = stack.pop(_families().uniform, ranges)
        return symbols

    return Codec(push, pop)


def permutation(count: int) -> Codec:
    """Return the codec of orders of N things, int64 `[N]`, at their true cost, log2(N!) bits.

    An order is pushed as N numbers, each uniform over what is left: the swaps of a
    Fisher-Yates shuffle that makes it of `0 .. N-1`.

    Example:
      >>> stack = Stack()
      >>> permutation(4).push(stack, [2, 0, 3, 1])
      >>> permutation(4).pop(stack)
      array([2, 0, 3, 1])
    """
    swaps = uniform(count - np.arange(count))

    def push(stack, order):
        there, place = list(range(count)), list(range(count))
        numbers = np.zeros(count, np.int32)
        for i, row in enumerate(np.asarray(order).tolist()):
            j = place[row]
            numbers[i] = j - i
            moved = there[i]
            there[j], place[moved] = moved, j
        swaps.push(stack, numbers)

    def pop(stack):
        order = list(range(count))
        for i, swap in enumerate(swaps.pop(stack).tolist()):
            order[i], order[i + swap] = order[i + swap], order[i]
        return np.array(order, np.int64)

    return Codec(push, pop)


def permutation_within(kinds: np.ndarray) -> Codec:
    """Return the codec of orders of N things of known kinds, by kind, int64 `[N]`.

    Those of the least kind come first, in any order, and so on: an order costs the sum of the
    log2(n!) of the kinds.

    Args:
      kinds: int `[N]`.

    Example:
      >>> stack = Stack()
      >>> permutation_within(np.array([1, 0, 1, 0])).push(stack, [1, 3, 2, 0])
      >>> permutation_within(np.array([1, 0, 1, 0])).pop(stack)
      array([1, 3, 2, 0])
    """
    groups = [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]
    starts = np.cumsum([0, *map(len, groups)])

    def push(stack, order):
        for group, start in reversed(list(zip(groups, starts[:-1], strict=True))):
            rows = np.asarray(order)[start : start + len(group)]
            permutation(len(group)).push(stack, np.searchsorted(group, rows))

    def pop(stack):
        return np.concatenate([group[permutation(len(group)).pop(stack)] for group in groups])

    return Codec(push, pop)


class Metered:
    """A codec that counts the bits which another one adds and takes.

    Attributes:
      bits: What the stack has grown by in all pushes, less what it has shrunk by in all pops.

    Args:
      codec: The other one.

    Example:
      >>> coin = Metered(bernoulli(np.full(100, 0.5)))
      >>> coin.push(Stack(np.arange(1, 9, dtype=np.uint32)), np.ones(100, int))
      >>> coin.bits
      100
    """

    def __init__(self, codec: Codec):
        self.codec = codec
        self.bits = 0

    def push(self, stack: Stack, x: Any) -> None:
        """Push x."""
        before = stack.bits
        self.codec.push(stack, x)
        self.bits += stack.bits - before

    def pop(self, stack: Stack) -> Any:
        """Pop x."""
        before = stack.bits
        x = self.codec.pop(stack)
        self.bits += stack.bits - before
        return x


class _Families(NamedTuple):
    bernoulli: Any
    categorical: Any
    uniform: Any
    gaussian: Any


@functools.cache
def _library():
    try:
        import constriction
    except ImportError as error:
        raise UserError(
            'Compressing needs the package constriction: pip install "keras-acn[codec]".'
        ) from error
    return constriction.stream


@functools.cache
def _families():
    model = _library().model
    return _Families(
        bernoulli=model.Bernoulli(perfect=False),
        categorical=model.Categorical(perfect=False),
        uniform=model.Uniform(),
        gaussian=functools.cache(model.QuantizedGaussian),
    )


def _flat(array, dtype):
    return np.ascontiguousarray(array, dtype).ravel()
