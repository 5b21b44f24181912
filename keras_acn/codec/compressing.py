"""From a source of images to the bytes of an `.acn` file."""

import dataclasses
import hashlib
import io
import math
import numbers
import time

import numpy as np

from keras_acn import __version__
from keras_acn._base.errors import UserError
from keras_acn.codec.codec import NEAREST, Codec
from keras_acn.codec.container import (
    DIGEST_SIZE,
    MAX_BLOCK,
    MAX_BLOCK_VALUES,
    MAX_LANES,
    MODES,
    End,
    Header,
)
from keras_acn.codec.decompressing import read_images
from keras_acn.codec.files import appearing
from keras_acn.codec.inputs import Treated
from keras_acn.codec.lanes import default_lanes
from keras_acn.codec.model_hash import fingerprint
from keras_acn.codec.networks import check_model
from keras_acn.codec.report import Report
from keras_acn.codec.sources import SCAN, ArraySource, Source
from keras_acn.codec.values import PixelValues

# Images of a block at most, and its pixels: what is in memory at a time, and what the tour,
# whose time grows with the square, goes through.
BLOCK_IMAGES, BLOCK_VALUES = 2**14, 2**28
# Images that are verified by default: those that take less than a minute or so.
VERIFIED_IMAGES, VERIFIED_AUTOREGRESSIVE = 20_000, 1_000


class Compressed(bytes):
    """The bytes of an `.acn` file, with a `report` of what they cost."""

    report = None


def compress(model, images, file=None, **options):
    """Compresses images with a model: `decompress` gives them back, bit for bit.

    Example:

        data = keras_acn.compress(model, x_test)
        data.report.net_bits_per_dim
        x_test = keras_acn.decompress(data, model)

    Args:
      model: A trained `ACN` or `VAE`.
      images: `[N, H, W]` or `[N, H, W, C]` as the model codes them: zeros and ones (or 0 and
        255, or booleans) for a binary decoder, 8 bits (or multiples of 1/255) for others;
        or a `Source` of them.
      file: Path to write to; by default the bytes are returned.
      **options: `mode`: `"stream"` keeps the order; `"set"`, of an ACN only, gives the images
        back in another order and takes fewer bits. `keep_order`: in the mode `"set"`, whether
        the order is stored too. `lanes`: images coded side by side. `nearest`: codes of the
        training data that are considered for an image. `block_images`: images of a block.
        `verify`: whether to decode what was written and compare; `None` for where that
        takes little time. `binarize`, `threshold`, `seed`, `crop`, `resize`, `grey`, `limit`:
        what is done to the images first, see `Treated`. `model_name`: name of the model in
        `saved_models/`. `progress`: callable `progress(stage, done, total)`.

    Returns:
      `Compressed`, or the `Report` where there is a `file`.

    Raises:
      UserError: If the model cannot compress, or cannot represent the images, or an option
        is not as described; and if the file, decoded, were not the images. Then nothing
        is written.
    """
    treated = {
        name: options.pop(name)
        for name in ("binarize", "threshold", "seed", "crop", "resize", "grey", "limit")
        if name in options
    }
    source = images if isinstance(images, Source) else ArraySource(np.asarray(images))
    job = _Job(model=model, source=Treated(source, **treated), **options)
    if file is not None:
        with appearing(file) as out:
            return job.run(out)
    out = io.BytesIO()
    report = job.run(out)
    data = Compressed(out.getvalue())
    data.report = report
    return data


@dataclasses.dataclass
class _Job:
    """Compressing one source of images with one model."""

    model: object
    source: Source
    mode: str = "stream"
    keep_order: bool = False
    lanes: int | None = None
    nearest: int = NEAREST
    block_images: int | None = None
    verify: bool | None = None
    model_name: str = ""
    progress: object = None

    def run(self, out):
        """Writes the file to `out`, verifies it, and returns the `Report`."""
        began = time.monotonic()
        check_model(self.model)
        self._check_shape()
        self._check_options()
        likelihood = self.model.decoder.likelihood
        values = PixelValues.of(
            self.source.blocks(SCAN), self.source.dtype, likelihood.levels, self.source.scale
        )
        block = self._block_size()
        header = self._header(values, block)
        codec = Codec(self.model, self.mode, header.lanes, header.keep_order, self.nearest)
        end, sizes = self._write(out, codec, header)
        verify = self._verifies() if self.verify is None else self.verify
        file_bytes = out.tell()
        if verify:
            self._verify(out, codec, header)
        return Report.of(
            header, end, sizes, file_bytes, seconds=time.monotonic() - began, verified=verify
        )

    def _write(self, out, codec, header):
        """Writes all of the file; returns its `End` and the sizes of its blocks."""
        out.write(header.to_bytes())
        digest = hashlib.blake2b(header.to_bytes(), digest_size=DIGEST_SIZE)
        sizes, initial_bits, lane_bits = [], 0.0, 0.0
        for array in self.source.blocks(header.block):
            levels = header.values.to_levels(array).reshape(-1, *header.image_shape)
            coded = codec.encode(levels, self._of_all(sum(sizes), header.count))
            out.write(coded.block.to_bytes())
            shown = array if coded.order is None or header.keep_order else array[coded.order]
            digest.update(np.ascontiguousarray(shown).tobytes())
            sizes.append(len(array))
            initial_bits += coded.initial_bits
            lane_bits += coded.lane_bits
        if sum(sizes) != header.count:
            raise UserError(
                f"The source has {sum(sizes)} images, not the {header.count} announced."
            )
        end = End(digest.digest(), math.ceil(initial_bits), round(lane_bits))
        out.write(end.to_bytes())
        return end, sizes

    def _verify(self, out, codec, header):
        """Raises a `UserError` unless the file gives the images back."""
        out.seek(0)
        try:
            read_images(out, "The file", codec, lambda block: None, self.progress, "verify")
        except UserError as error:
            raise UserError(
                "The compressed images do not come back as they were, so nothing was written: "
                "this machine computes differently each time, or a layer of the model does."
            ) from error
        out.seek(0, 2)

    def _check_shape(self):
        shape, wanted = self.source.shape, tuple(self.model.image_shape)
        if len(shape) not in (3, 4):
            raise UserError(
                f"Images have the shape [N, H, W] or [N, H, W, C], not {list(shape)}: reshape them."
            )
        found = (*shape[1:], 1) if len(shape) == 3 else shape[1:]
        if found == wanted:
            return
        height, width, channels = wanted
        if found[2] == channels:
            fix = f"--resize {height}" if height == width else "--resize"
            fix = f"give {fix} (resize=... in Python), or another model"
        elif channels == 1:
            fix = "give --grey (grey=True in Python), or another model"
        else:
            fix = "give another model"
        raise UserError(
            f"The images are {'x'.join(map(str, found))}, but the model codes "
            f"{'x'.join(map(str, wanted))}: {fix}."
        )

    def _check_options(self):
        limits = {"lanes": MAX_LANES, "block_images": MAX_BLOCK, "nearest": MAX_BLOCK}
        for name, most in limits.items():
            value = getattr(self, name)
            whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
            if value is not None and not (whole and 1 <= value <= most):
                raise UserError(f"{name} must be from 1 to {most}, and whole, not {value}.")
        if self.nearest is None:
            self.nearest = NEAREST
        name = str(self.model_name)
        if len(name.encode(errors="replace")) > 255:
            raise UserError(
                "model_name is longer than the 255 bytes that a file has for it: shorten it."
            )
        self.model_name = "".join(c for c in name if c.isprintable())
        if self.keep_order and self.mode == "stream":
            raise UserError(
                'The mode "stream" keeps the order anyway: leave out keep_order, or take the mode '
                '"set".'
            )

    def _block_size(self):
        """Returns the images of each block but the last: blocks of about one size."""
        most = min(BLOCK_IMAGES, max(1, BLOCK_VALUES // math.prod(self.model.image_shape)))
        most = self.block_images or most
        fits = max(1, MAX_BLOCK_VALUES // math.prod(self.model.image_shape))
        most = min(most, fits)
        blocks = max(1, -(-len(self.source) // most))
        return max(1, -(-len(self.source) // blocks))

    def _header(self, values, block):
        lanes = self.lanes or default_lanes(self.model, block)
        return Header(
            mode=self.mode if self.mode in MODES else "stream",
            keep_order=self.keep_order,
            fingerprint=fingerprint(self.model),
            model_name=self.model_name,
            image_shape=tuple(self.model.image_shape),
            has_channel_axis=len(self.source.shape) == 4,
            latent_dim=self.model.latent_dim,
            count=len(self.source),
            block=block,
            lanes=min(lanes, block),
            nearest=self.nearest,
            values=values,
            writer=__version__,
        )

    def _verifies(self):
        slow = getattr(self.model.decoder, "is_autoregressive", False)
        return len(self.source) <= (VERIFIED_AUTOREGRESSIVE if slow else VERIFIED_IMAGES)

    def _of_all(self, before, count):
        """Returns `progress(stage, done, total)` of a block as one over all images."""
        if self.progress is None:
            return None

        def tell(stage, done, total):
            whole = stage in ("encode", "tour", "compress")
            self.progress(stage, done + before if whole else done, count if whole else total)

        return tell
