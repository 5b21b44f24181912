"""An order of N things at its true cost, log2(N!) bits."""

import numpy as np


def push_order(stack, order):
    """Pushes a permutation, int `[N]`: N numbers, each uniform over what is left.

    They are the swaps of a Fisher-Yates shuffle that makes `order` of `0 .. N-1`.
    """
    order = np.asarray(order)
    count = len(order)
    there, place = list(range(count)), list(range(count))
    swaps = np.zeros(count, np.int32)
    for i, row in enumerate(order.tolist()):
        j = place[row]
        swaps[i] = j - i
        moved = there[i]
        there[j], place[moved] = moved, j
    stack.push_uniform(swaps, count - np.arange(count))


def pop_order(stack, count):
    """Pops a permutation: int64 `[count]`, the inverse of `push_order`."""
    swaps = stack.pop_uniform(count - np.arange(count))
    order = list(range(count))
    for i, swap in enumerate(swaps.tolist()):
        order[i], order[i + swap] = order[i + swap], order[i]
    return np.array(order, np.int64)
