"""Which images of a block are coded next: fixed beforehand, or drawn from the stack.

A sender takes images out, step by step, until none is left. A receiver puts them in, step by step,
in the opposite order. So what the one has left after a step is what the other has before it.
"""

from __future__ import annotations

import bisect
import math

import numpy as np

from keras_acn.codec.bits_back import Images
from keras_acn.codec.stack import Stack, uniform


class InRows:
    """Images whose order is fixed: the rows of each step are known on both sides.

    Attributes:
      unpaid_bits: 0: a fixed order takes no bits from the stack.

    Args:
      images: `Images`: a sender's are all there, a receiver's are room for them.

    Example:
      >>> sender = InRows(Images(np.arange(3), np.zeros((3, 1)), np.ones((3, 1))))
      >>> sender.take(Stack(), np.array([0, 2])).levels, sender.levels()
      (array([0, 2]), array([0, 1, 2]))
    """

    unpaid_bits = 0.0

    def __init__(self, images: Images, kinds: np.ndarray | None = None):
        self.images = images

    def take(self, stack: Stack, rows: np.ndarray) -> Images:
        """Take the images of a step out, as a sender."""
        return self.images[rows]

    def put(self, stack: Stack, rows: np.ndarray, images: Images) -> None:
        """Put the images of a step in, as a receiver."""
        self.images[rows] = images

    def there(self, rows: list[np.ndarray]) -> np.ndarray:
        """Return the rows of the images that a receiver has after steps of the given rows."""
        return np.concatenate([np.zeros(0, np.int64), *rows])

    def levels(self) -> np.ndarray:
        """Return all images that a receiver was given, uint8 `[N, H, W, C]`, by their rows."""
        return self.images.levels


class FromASet:
    """Images of which the stack says which comes next, so that their order costs nothing.

    A set of N images has N! orders (fewer, where images are equal), and a receiver who does not
    mind in which order they come can be sent any. So the choice is left to the bits that are on the
    stack already, as bits-back does with latents (Severo et al. 2021, arXiv 2107.09202): the sender
    pops an index, uniform over the n images that are left in the order of their bytes, takes that
    image out and pushes it. This takes log2(n) bits from the stack. The receiver pops the image,
    finds its place among those that are there, and pushes its index back. All in all
    log2(N!) bits come back.

    Images may be of several kinds, where a receiver knows of what kind the image of each row is.
    Then the sender draws among those that are left of that kind: the sum of log2(n!) comes back.

    Of f equal images any one may be meant: which of them the index falls on says nothing, and is
    pushed back, uniform over f. So copies take log2(n/f) bits, the cost of their drawing.

    Attributes:
      unpaid_bits: Bits that a sender's choices would have taken, had they been on the stack. A
        receiver finds the same.

    Args:
      images: `Images`: a sender's are all there, sorted by `canonical_order`; a receiver's are room
        for them, which is filled in the order in which they come.
      kinds: Of each row, int `[N]`, ascending; all of one kind by default.

    Example:
      >>> levels = np.array([3, 3, 5, 8], np.uint8).reshape(4, 1, 1, 1)
      >>> images = Images(levels, np.zeros((4, 1)), np.ones((4, 1)))
      >>> sender, receiver = FromASet(images), FromASet(Images.room(4, (1, 1, 1), 1))
      >>> stack = Stack(np.array([7, 1 << 20], np.uint32))
      >>> first, last = sender.take(stack, [0, 1]), sender.take(stack, [2, 3])
      >>> receiver.put(stack, [0, 1], last), receiver.put(stack, [2, 3], first)
      (None, None)
      >>> receiver.levels().ravel(), stack.words()
      (array([3, 3, 5, 8], dtype=uint8), array([      7, 1048576], dtype=uint32))
    """

    def __init__(self, images: Images, kinds: np.ndarray | None = None):
        self.images = images
        self.unpaid_bits = 0.0
        given = np.zeros(len(images), np.int64) if kinds is None else np.asarray(kinds, np.int64)
        self._kinds: list[int] = given.tolist()
        # Of a sender: the rows that are left, and from where to where images are equal to a row's.
        self._left = list(range(len(images)))
        self._runs: list[tuple[int, int]] | None = None
        # Of a receiver: kinds and bytes of the images that are there, sorted, and their rows.
        self._keys: list[tuple[int, bytes]] = []
        self._rows: list[int] = []

    def take(self, stack: Stack, rows: np.ndarray) -> Images:
        """Draw as many images as there are rows and take them out, as a sender."""
        if self._runs is None:
            self._runs = _runs(self.images.levels, self._kinds)
        left, chosen, information, before = self._left, [], 0.0, stack.bits
        for row in rows:
            start, stop = self._left_of_kind(self._kinds[row])
            index = start + int(_one_of(stop - start).pop(stack)[0])
            begin, end = self._runs[left[index]]
            first = bisect.bisect_left(left, begin)
            copies = bisect.bisect_left(left, end) - first
            _one_of(copies).push(stack, [index - first])
            information += math.log2((stop - start) / copies)
            chosen.append(left.pop(index))
        if before < information + 1:
            self.unpaid_bits += max(0.0, information - (before - stack.bits))
        return self.images[chosen]

    def put(self, stack: Stack, rows: np.ndarray, images: Images) -> None:
        """Put images in, as a receiver, and push back what they were drawn with."""
        self.images[rows] = images
        keys, information, after = self._keys, 0.0, stack.bits
        for row, image in zip(reversed(rows), reversed(images.levels), strict=True):
            kind = self._kinds[row]
            key = kind, image.tobytes()
            first = bisect.bisect_left(keys, key)
            copies = bisect.bisect_right(keys, key) + 1 - first
            offset = int(_one_of(copies).pop(stack)[0])
            keys.insert(first, key)
            self._rows.insert(first, int(row))
            start, stop = (bisect.bisect_left(keys, (each,)) for each in (kind, kind + 1))
            _one_of(stop - start).push(stack, [first + offset - start])
            information += math.log2((stop - start) / copies)
        if stack.bits < information + 1:
            self.unpaid_bits += max(0.0, information - (stack.bits - after))

    def _left_of_kind(self, kind):
        """Return from where to where of `_left` the images are of a kind."""
        rows = (bisect.bisect_left(self._kinds, each) for each in (kind, kind + 1))
        return tuple(bisect.bisect_left(self._left, row) for row in rows)

    def there(self, rows: list[np.ndarray]) -> np.ndarray:
        """Return the rows of the images that a receiver has by now, in the order of their bytes.

        To a sender these are the ones that are left, once those of a step are taken out.
        """
        return np.array(self._rows if self._runs is None else self._left, np.int64)

    def levels(self) -> np.ndarray:
        """Return all images that a receiver was given, uint8 `[N, H, W, C]`, sorted."""
        return self.images.levels[self._rows]


def canonical_order(levels: np.ndarray, kinds: np.ndarray | None = None) -> np.ndarray:
    """Return the order in which images are sorted by their bytes, int64 `[N]`; equal ones stay.

    Args:
      levels: uint8 `[N, H, W, C]`.
      kinds: Of each image, int `[N]`: they are sorted by these first.

    Example:
      >>> canonical_order(np.array([5, 3, 5, 1], np.uint8).reshape(4, 1, 1, 1))
      array([3, 1, 0, 2])
    """
    keys = [image.tobytes() for image in levels]
    rows: list[int] = sorted(range(len(keys)), key=keys.__getitem__)
    if kinds is not None:
        rows.sort(key=kinds.tolist().__getitem__)
    return np.array(rows, np.int64)


def _runs(levels, kinds):
    """Return for each of sorted images the rows `(begin, end)` of those that are equal to it."""
    flat, kinds = levels.reshape(len(levels), -1), np.asarray(kinds)
    new = np.ones(len(flat) + 1, bool)
    new[1:-1] = (flat[1:] != flat[:-1]).any(axis=1) | (kinds[1:] != kinds[:-1])
    edges = np.flatnonzero(new)
    run = np.cumsum(new[:-1]) - 1
    return list(zip(edges[run].tolist(), edges[run + 1].tolist(), strict=True))


def _one_of(count):
    return uniform([count])
