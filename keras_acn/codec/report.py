"""What a file costs, and how it is told."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from keras_acn.codec.container import End, Header


@dataclasses.dataclass(frozen=True)
class Report:
    """Sizes and rates of a compressed file.

    Attributes:
      images: N.
      values_per_image: H W C.
      mode: `"stream"`, `"set"` or `"tour"`.
      lanes: Images side by side.
      file_bytes: Bytes of the file, all told.
      initial_bits: Of these, bits that bits-back coding did not get back: what went into the
        choice of the first latents.
      lane_bits: Of these, what the first images of the lanes cost more than others.
      order_bits: Of these, what the order of the set cost; 0 where it is not kept, or where
        the images come out in their order anyway.
      array_bytes: Bytes of the array that was compressed.
      codes: `"training"`, `"seen"` or `"both"`: whose codes the priors were made of.
      model_bytes: Bytes of the model in the file; 0 where it is none of the file.
      seconds: Time taken, `None` where it is not known.
      verified: Whether the file was decoded and found to hold the images.

    Example:
      >>> report = Report(10, 64, "stream", 1, 100, 16, 0, 0, 640)
      >>> report.gross_bits_per_dim, report.net_bits_per_dim
      (1.25, 1.225)
    """

    images: int
    values_per_image: int
    mode: str
    lanes: int
    file_bytes: int
    initial_bits: int
    lane_bits: int
    order_bits: int
    array_bytes: int
    codes: str = "training"
    model_bytes: int = 0
    seconds: float | None = None
    verified: bool = False

    @classmethod
    def of(
        cls,
        header: Header,
        end: End,
        block_sizes: list[int],
        file_bytes: int,
        *,
        model_bytes: int = 0,
        seconds: float | None = None,
        verified: bool = False,
    ) -> Report:
        """Return the report of a file.

        Args:
          header: Its `Header`.
          end: Its `End`.
          block_sizes: The number of images of each block.
          file_bytes: Its size.
          model_bytes: See the attributes.
          seconds: See the attributes.
          verified: See the attributes.
        """
        return cls(
            images=header.count,
            values_per_image=math.prod(header.image_shape),
            mode=header.mode,
            lanes=header.lanes,
            file_bytes=file_bytes,
            initial_bits=end.initial_bits,
            lane_bits=end.lane_bits,
            order_bits=order_bits(block_sizes) if header.keep_order else 0,
            array_bytes=math.prod(header.array_shape) * np.dtype(header.values.dtype).itemsize,
            codes=header.codes,
            model_bytes=model_bytes,
            seconds=seconds,
            verified=verified,
        )

    @property
    def data_bytes(self) -> int:
        """Bytes of the file without the model: with it the two parts are the description length."""
        return self.file_bytes - self.model_bytes

    @property
    def gross_bits_per_dim(self) -> float | None:
        """Bits per pixel and channel by the file's size; `None` without images."""
        return self._per_dim(8 * self.file_bytes)

    @property
    def net_bits_per_dim(self) -> float | None:
        """The same without the model, the initial bits and the order's: what the code costs.

        `None` without images, and where a file claims more of these than it has.
        """
        bits = 8 * self.data_bytes - self.initial_bits - self.order_bits
        return self._per_dim(bits) if bits >= 0 else None

    @property
    def net_nats_per_image(self) -> float | None:
        """The net rate in nats an image, to compare with a model's negative ELBO."""
        rate = self.net_bits_per_dim
        return None if rate is None else rate * self.values_per_image * math.log(2.0)

    def _net(self):
        """Return the line of the net rate."""
        rate, nats = self.net_bits_per_dim, self.net_nats_per_image
        if rate is None or nats is None:
            return f"net      unknown: {self._left_out()} are more than the file is long"
        return f"net      {rate:.4f} without {self._left_out()} ({nats:.2f} nats an image)"

    def _left_out(self):
        """Return what the net rate leaves out, in words."""
        model = ["the model"] if self.model_bytes else []
        order = ["the order's"] if self.order_bits else []
        words = [*model, "the initial bits", *order]
        return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)

    def _per_dim(self, bits):
        values = self.images * self.values_per_image
        return bits / values if values else None

    def to_dict(self) -> dict[str, Any]:
        """Return what there is to tell, as JSON can write it."""
        rates = ("data_bytes", "gross_bits_per_dim", "net_bits_per_dim", "net_nats_per_image")
        return {**dataclasses.asdict(self), **{name: getattr(self, name) for name in rates}}

    def to_text(self) -> str:
        """Return what there is to tell, in lines."""
        size = f"{self.file_bytes:,} bytes"
        lines = [f"images   {self.images:,} in {size}; the array has {self.array_bytes:,} bytes"]
        if self.model_bytes:
            lines.append(
                f"length   {self.model_bytes:,} bytes of model + {self.data_bytes:,} of images = "
                f"{size} in two parts"
            )
        if self.images:
            lines += [
                f"rate     {self.gross_bits_per_dim:.4f} bits per dimension by the file's size",
                self._net(),
                f"bits     {self.initial_bits:,} initial, {self.lane_bits:,} for the beginnings of "
                f"{self.lanes} lanes, {self.order_bits:,} for the order",
            ]
        if self.mode == "stream" or self.images < 2:
            lines.append("order    as it was")
        elif self.order_bits:
            lines.append("order    as it was (kept beside the set)")
        else:
            order = "that of the tour" if self.mode == "tour" else "sorted"
            lines.append(f"order    {order}: the set is kept, its order is not")
        if self.codes != "training":
            whose = "of the images before, too" if self.codes == "both" else "of the images before"
            lines.append(f"codes    {whose}: the prior learned from what it had coded")
        if self.seconds:
            speed = self.images / self.seconds
            checked = ", decoded again to verify" if self.verified else ""
            lines.append(f"time     {self.seconds:.1f} s, {speed:,.0f} images a second{checked}")
        return "\n".join(lines)


def order_bits(counts: list[int]) -> int:
    """Return the bits of the orders of sets of so many images: sum of log2(N!)."""
    return round(sum(math.lgamma(count + 1) for count in counts) / math.log(2.0))
