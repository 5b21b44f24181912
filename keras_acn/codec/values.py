"""Between the numbers of an array and the levels that a model codes, and back bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.data.checks import white_of

# The number that stands for white: zeros and ones, 17 grey levels, 8 bits.
SCALES = (1, 255, 16)
DTYPES = ("b1", *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)), "f2", "f4", "f8")


@dataclasses.dataclass(frozen=True)
class PixelValues:
    """How an array's numbers map to levels.

    A number v is the level `round(v / white * (levels - 1))`, where white is `scale` in an
    array of integers and 1 in one of floats, whose numbers are `k / scale`.

    Attributes:
      dtype: The array's dtype as NumPy writes it, such as `"|u1"` or `"<f4"`.
      scale: See above: one of `SCALES`.
      levels: 2 or 256.

    Example:

    >>> import numpy as np
    >>> images = np.array([[0, 255], [255, 0]], "uint8")
    >>> values = PixelValues.of([images], images.dtype, levels=2)
    >>> values.scale, values.to_levels(images).tolist()
    (255, [[0, 1], [1, 0]])
    >>> values.to_array(values.to_levels(images)).tolist()
    [[0, 255], [255, 0]]
    """

    dtype: str
    scale: int
    levels: int

    def __post_init__(self):
        known = self.dtype[:1] in "<>|=" and self.dtype[1:] in DTYPES
        if not known or not 1 <= self.scale <= 255 or self.levels not in (2, 256):
            raise UserError("The kind of its numbers is none that is known: the file is damaged.")

    @classmethod
    def of(
        cls, blocks: Iterable[np.ndarray], dtype: Any, levels: int, scale: int | None = None
    ) -> PixelValues:
        """Return the mapping for an array that comes in blocks.

        Args:
          blocks: Iterable of arrays, which is run through unless the dtype says enough.
          dtype: Their dtype.
          levels: 2 or 256, what the model codes.
          scale: The integer that stands for white, where the source knows.

        Raises:
          UserError: If the numbers are none that stand for pixels.
        """
        dtype = np.dtype(dtype)
        if dtype.str[1:] not in DTYPES:
            raise UserError(
                f'Images are stored as numbers, not as {dtype}: convert them with astype("uint8").'
            )
        if scale is None:
            scale = 1 if dtype.kind == "b" else _scale_of(blocks, dtype)
        return cls(dtype.str, int(scale), int(levels))

    def to_levels(self, array: np.ndarray) -> np.ndarray:
        """Return uint8 levels of an array of this dtype.

        Raises:
          UserError: If a number is no level, with what would make it one.
        """
        dtype = np.dtype(self.dtype)
        if dtype.kind == "f":
            with np.errstate(invalid="ignore", over="ignore"):
                number = np.nan_to_num(np.rint(array.astype(np.float64) * self.scale), nan=-1.0)
        else:
            number = array.astype(np.float64)
        if number.size and not (0 <= number.min() and number.max() <= self.scale):
            raise UserError(
                f"The images hold numbers outside 0 to {self._white():g}: a pixel is a number from "
                f"0 to {self._white():g}, so scale them."
            )
        levels = np.rint(number * (self.levels - 1) / self.scale).astype(np.uint8)
        if not _same_bits(self.to_array(levels), array):
            raise UserError(self._refusal())
        return levels

    def to_array(self, levels: np.ndarray) -> np.ndarray:
        """Return the array that uint8 levels stand for: the inverse of `to_levels`."""
        dtype = np.dtype(self.dtype)
        number = np.arange(self.levels) * self.scale / (self.levels - 1)
        table = np.rint(number).astype(dtype)
        if dtype.kind == "f":
            table = table / dtype.type(self.scale)
        return table.astype(dtype)[levels]

    def _white(self):
        return 1.0 if np.dtype(self.dtype).kind == "f" else float(self.scale)

    def _refusal(self):
        if self.levels == 2:
            return (
                "The images hold grey values, but the model codes black and white: make them so "
                "with --binarize threshold or --binarize static (binarize=... in Python)."
            )
        return (
            "The images hold numbers that are no multiple of 1/255, but the model codes 8 bits a "
            'value: store them as astype("uint8").'
        )


def _scale_of(blocks, dtype):
    """Return the scale that the numbers have: the first that fits."""
    if dtype.kind != "f":
        return white_of(blocks)
    fits = dict.fromkeys(SCALES, True)
    for block in blocks:
        for scale in SCALES:
            fits[scale] = fits[scale] and _is_multiple(block, scale)
        if not any(fits.values()):
            break
    return next((scale for scale in SCALES if fits[scale]), 255)


def _is_multiple(block, scale):
    with np.errstate(invalid="ignore", over="ignore"):
        number = np.rint(block.astype(np.float64) * scale)
    return _same_bits((number.astype(block.dtype) / block.dtype.type(scale)), block)


def _same_bits(one, other):
    """Return whether two arrays are equal to the last bit, minus zero being none of zero."""
    return one.dtype == other.dtype and one.tobytes() == np.ascontiguousarray(other).tobytes()
