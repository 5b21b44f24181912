"""Which rows go where: parts held out by a seed, and limits."""

import numbers

import numpy as np

from keras_acn._base.errors import UserError


def check_amount(amount, what):
    """Returns how much to hold out: an int (a count) or a float in (0, 1) (a share).

    Args:
      amount: 0, a count or a share.
      what: Name of the option, such as `"validation"`.

    Raises:
      UserError: If it is neither.
    """
    if not isinstance(amount, bool) and isinstance(amount, numbers.Real):
        if isinstance(amount, numbers.Integral) and amount >= 0:
            return int(amount)
        if 0 <= amount < 1:
            return float(amount) or 0
    raise UserError(
        f"{what} must be a share in [0, 1), such as 0.1, or a number of images, not {amount!r}."
    )


def _quotas(sizes, amount):
    """Shares `amount` out in proportion to `sizes` by largest remainders."""
    exact = amount * sizes / sizes.sum()
    quotas = np.floor(exact).astype(int)
    order = np.argsort(-(exact - quotas), kind="stable")
    quotas[order[: amount - quotas.sum()]] += 1
    return quotas


def held_out(count, labels, amount, seed, what):
    """Picks the rows to hold out, each class by its share where there are labels.

    Args:
      count: Number of rows.
      labels: int `[count]` or `None`.
      amount: How many: a count, or a share in (0, 1), rounded, at least one.
      seed: A sequence of ints. The same seed picks the same rows.
      what: Name of the option, for the error.

    Returns:
      `(kept, held)`: int arrays, ascending, disjoint, together all rows.

    Raises:
      UserError: If no row would be left.
    """
    wanted = max(1, round(count * amount)) if isinstance(amount, float) else amount
    if wanted >= count:
        raise UserError(
            f"{what}={amount} holds out {wanted} of {count} images and leaves none to train on: "
            "give a smaller number."
        )
    rng = np.random.default_rng(seed)
    groups = [np.arange(count)]
    if labels is not None:
        groups = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    quotas = _quotas(np.array([len(g) for g in groups]), wanted)
    held = np.zeros(count, bool)
    for rows, quota in zip(groups, quotas, strict=True):
        held[rng.permutation(rows)[:quota]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def limited(rows, limit, spread=False):
    """Returns at most `limit` of `rows`: the first, or evenly spread over all of them."""
    if limit is None or len(rows) <= limit:
        return rows
    if spread:
        return rows[np.arange(limit) * len(rows) // limit]
    return rows[:limit]
