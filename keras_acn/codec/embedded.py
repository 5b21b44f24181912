"""The bytes of a model inside a file: its config as JSON, and its weights in few bits each.

Nothing here makes a model: `codec/recipe.py` does, from a config that it has checked. docs/codec.md
has the format.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.codec.container import Reader
from keras_acn.codec.sections import squeezed, unsqueezed

# Bits of a weight: a float16, or a whole number times its array's scale.
FLOAT16 = 16
WEIGHT_BITS = (4, 5, 6, 7, 8, FLOAT16)
# What a hostile file may make a reader unpack: 2^26 float32 weights.
MAX_CONFIG, MAX_SECTION = 2**16, 2**28


@dataclasses.dataclass(frozen=True)
class Layout:
    """What is known of a weight before it is read.

    Attributes:
      shape: Its shape.
      exact: Whether it keeps all 32 bits, as what no training moves does.

    Example:
      >>> Layout((3, 4), exact=False).kind(8), Layout((4,), exact=False).kind(8)
      ('whole', 'half')
    """

    shape: tuple[int, ...]
    exact: bool

    @property
    def size(self) -> int:
        """The number of its values."""
        return int(np.prod(self.shape, dtype=np.int64))

    def kind(self, bits: int) -> str:
        """Return how it is stored: `"exact"`, `"half"` (a float16) or `"whole"` (numbers).

        Biases are few and not about zero, so they are never less than a float16.
        """
        if self.exact:
            return "exact"
        return "half" if bits == FLOAT16 or len(self.shape) < 2 else "whole"


@dataclasses.dataclass(frozen=True)
class Packed:
    """A model as a file holds it.

    Attributes:
      config: What `recipe.describe` returns.
      bits: Of a weight: one of `WEIGHT_BITS`.
      sections: The bytes of the exact weights and the scales, of the low and of the high halves of
        float16s, and of the whole numbers.

    Example:
      >>> layouts = [Layout((2, 2), exact=False), Layout((2,), exact=False)]
      >>> weights = [np.float32([[1, -2], [3, 4]]), np.float32([0.5, 0.25])]
      >>> packed = Packed.of({"kind": "VAE"}, layouts, weights, bits=8)
      >>> Packed.read(packed.to_bytes(), "x.acn") == packed
      True
      >>> [each.tolist() for each in packed.arrays(layouts)][1]
      [0.5, 0.25]
    """

    config: dict[str, Any]
    bits: int
    sections: tuple[bytes, bytes, bytes, bytes]

    @classmethod
    def of(
        cls,
        config: dict[str, Any],
        layouts: Sequence[Layout],
        weights: Sequence[np.ndarray],
        bits: int = FLOAT16,
    ) -> Packed:
        """Round weights and pack them.

        Args:
          config: What `recipe.describe` returns.
          layouts: Of the weights.
          weights: float32 arrays.
          bits: Of a weight.

        Raises:
          UserError: If a weight is no number, or too large for a float16.
        """
        exact, halves, wholes = [], [], []
        for layout, weight in zip(layouts, weights, strict=True):
            weight = np.asarray(weight, np.float32)
            if not np.isfinite(weight).all():
                raise UserError("A weight of the model is no number: train it anew.")
            kind = layout.kind(bits)
            if kind == "exact":
                exact.append(weight.astype("<f4").tobytes())
            elif kind == "half":
                with np.errstate(over="ignore"):
                    rounded = weight.astype("<f2")
                if not np.isfinite(rounded).all():
                    raise UserError(
                        "A weight of the model is more than 65,504, which no 16 bits hold: "
                        "compress without embed_model (--embed-model)."
                    )
                halves.append(rounded.tobytes())
            else:
                most = 2 ** (bits - 1) - 1
                scale = np.float32(np.abs(weight).max(initial=0) / most)
                numbers = np.rint(weight / (scale or np.float32(1)))
                exact.append(scale.astype("<f4").tobytes())
                wholes.append(numbers.clip(-most, most).astype(np.int8).tobytes())
        half = b"".join(halves)
        return cls(config, bits, (b"".join(exact), half[::2], half[1::2], b"".join(wholes)))

    def arrays(self, layouts: Sequence[Layout]) -> list[np.ndarray] | None:
        """Return the weights, float32, as sender and receiver have them.

        `None` where there are not as many bytes as weights of these shapes take, or where one
        is no number.
        """
        exact, low, high, whole = self.sections
        sizes = {
            kind: sum(each.size for each in layouts if each.kind(self.bits) == kind)
            for kind in ("exact", "half", "whole")
        }
        scales = sum(each.kind(self.bits) == "whole" for each in layouts)
        wanted = (4 * (sizes["exact"] + scales), sizes["half"], sizes["half"], sizes["whole"])
        if tuple(map(len, self.sections)) != wanted:
            return None
        pairs = np.stack([np.frombuffer(each, np.uint8) for each in (low, high)], axis=-1)
        values = {
            "exact": np.frombuffer(exact, "<f4"),
            "half": pairs.reshape(-1).view("<f2").astype(np.float32),
            "whole": np.frombuffer(whole, np.int8).astype(np.float32),
        }
        at = dict.fromkeys(values, 0)

        def take(kind, count):
            at[kind] += count
            return values[kind][at[kind] - count : at[kind]]

        arrays = []
        with np.errstate(over="ignore", invalid="ignore"):
            for layout in layouts:
                kind = layout.kind(self.bits)
                scale = take("exact", 1) if kind == "whole" else np.float32(1)
                array = (take(kind, layout.size) * scale).astype(np.float32)
                arrays.append(array.reshape(layout.shape))
        return arrays if all(np.isfinite(each).all() for each in arrays) else None

    def to_bytes(self) -> bytes:
        """Return the model as bytes, each section by the compressor that suits it best."""
        config = json.dumps(self.config, separators=(",", ":"), sort_keys=True).encode()
        return bytes([self.bits]) + b"".join(squeezed(each) for each in (config, *self.sections))

    @classmethod
    def read(cls, content: bytes, name: str) -> Packed:
        """Read what `to_bytes` wrote; `name` is what to call the file in an error.

        Raises:
          UserError: If it is damaged, or more than a model may be.
        """
        reader = Reader(content, name)
        bits = reader.take(1)[0]
        config, *sections = (
            unsqueezed(reader, most, "The weights") for most in (MAX_CONFIG, *[MAX_SECTION] * 4)
        )
        if bits not in WEIGHT_BITS or not reader.at_end():
            raise reader.damaged()
        try:
            config = json.loads(config)
        except (ValueError, RecursionError):
            raise reader.damaged() from None
        if not isinstance(config, dict):
            raise reader.damaged()
        exact, low, high, whole = sections
        return cls(config, bits, (exact, low, high, whole))
