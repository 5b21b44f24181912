"""The doors of the codec: `compress`, `decompress` and `info`."""

from __future__ import annotations

import io
import math
import os
import pathlib
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from keras_acn._base.atomic import require_room
from keras_acn._base.checks import check_count, check_flag
from keras_acn._base.errors import UserError, unknown_name
from keras_acn._base.progress import Progress, is_by_stage
from keras_acn._base.shell import expanded
from keras_acn.codec.container import (
    CODES,
    LEARNS,
    MAX_BLOCK,
    MAX_LANES,
    MODES,
    NEAREST,
    NEAREST_WHERE_SLOW,
    Block,
    End,
    Header,
    ModelPart,
    Reader,
    opened,
    read_parts,
)
from keras_acn.codec.files import Collected, NpyWriter, appearing
from keras_acn.codec.folder_file import is_folder, read_folder
from keras_acn.codec.report import Report

if TYPE_CHECKING:
    from keras_acn.codec.folder_report import FolderReport
    from keras_acn.data.readers.base import Source

# Images that are verified by default: those that take less than a minute or so.
VERIFIED_IMAGES, VERIFIED_AUTOREGRESSIVE = 20_000, 1_000


class Compressed(bytes):
    """An `.acn` file: its bytes, and what they cost.

    Attributes:
      report: The `Report`.
      file: The path that it was written to, or `None`. What lies in a file is not kept in
        memory, so that these bytes are empty then.

    Example:
      >>> import keras_acn
      >>> model = keras_acn.load_pretrained("acn-digits")
      >>> data = keras_acn.compress(np.zeros((5, 8, 8), np.uint8), model)
      >>> len(data) == data.report.file_bytes
      True
    """

    report: Report
    file: pathlib.Path | None = None

    @classmethod
    def written(cls, write: Callable[[BinaryIO], Any], file: str | os.PathLike | None) -> Any:
        """Return what `write(out)` puts into bytes, or into a file; it returns the report.

        Args:
          write: Called with a binary file to write and read.
          file: The path of the file, `None` for bytes.
        """
        if file is None:
            buffer = io.BytesIO()
            report = write(buffer)
            data = cls(buffer.getvalue())
        else:
            with appearing(file) as out:
                report = write(out)
            data = cls()
            data.file = pathlib.Path(expanded(file))
        data.report = report
        return data

    def __getattr__(self, name):
        # Until version 0.1, `compress` with a `file` returned the report.
        if name in ("report", "file") or not hasattr(self.report, name):
            raise AttributeError(f'"Compressed" has no attribute "{name}".')
        _warn(f"compress(...).{name} will go: it is compress(...).report.{name} now.", 3)
        return getattr(self.report, name)


def compress(
    images: np.ndarray | Source,
    model: Any,
    file: str | os.PathLike | None = None,
    *,
    mode: str = "stream",
    keep_order: bool = False,
    lanes: int | None = None,
    nearest: int | None = None,
    codes: str | None = None,
    block_images: int | None = None,
    verify: bool | None = None,
    binarize: str = "none",
    threshold: float = 0.5,
    seed: int = 0,
    crop: int | tuple[int, int] | None = None,
    resize: int | tuple[int, int] | None = None,
    grey: bool = False,
    limit: int | None = None,
    model_name: str = "",
    embed_model: bool = False,
    weight_bits: int | None = None,
    progress: Progress | None = None,
) -> Compressed:
    """Compress images with a model: `decompress` gives them back, bit for bit.

    Args:
      images: `[N, H, W]` or `[N, H, W, C]` as the model codes them: zeros and ones (or 0 and
        255, or booleans) for a binary decoder, 8 bits (or multiples of 1/255) for others;
        or a source of them, from `open_input`.
      model: A trained `ACN` or `VAE`.
      file: Path to write to; by default the bytes are returned.
      mode: `"stream"` keeps the order. `"set"` gives the images back sorted by their bytes, and
        takes log2(N!) bits less. `"tour"`, of an ACN only, gives them back in the order
        of the greedy tour, each conditioned on the one before: the ordered compression of
        the ACN paper, which saves less.
      keep_order: In the modes `"set"` and `"tour"`, whether the order is stored too.
      lanes: Images coded side by side: more are faster, and cost some bits. By default 1 to
        256, by the number of images.
      nearest: Codes that are considered for an image: by default 512 with an autoregressive
        decoder, beside which they take little time, and 128 with any other.
      codes: Whose codes the prior of an image is made of, where the model is an ACN and the mode
        `"stream"` or `"set"`: those of the `"training"` data; those `"seen"`, of the images
        that the receiver has by then, for which a model needs no codebook and the data may
        be unlike those it was trained on; or `"both"`. By default `"training"`; or `"seen"`
        where the model goes into the file and the mode allows it.
      block_images: Images of a block: what is in memory at a time, and of how many the order
        costs nothing in the mode `"set"`. By default 16,384 at most, or 65,536 of a set.
      verify: Whether to decode what was written and compare it; by default where that takes
        little time.
      binarize: What is done to the images first: `"none"`, `"threshold"` or `"static"`, as in
        `keras_acn.load_data`.
      threshold: In [0, 1), for `binarize="threshold"`.
      seed: Seed of `binarize="static"`.
      crop: Pixels, or `(height, width)`, that are kept around the centre.
      resize: Pixels, or `(height, width)`, that images are resized to.
      grey: Whether colour images are made grey.
      limit: At most so many images.
      model_name: The model's name in `saved_models/`, which the file tells `decompress`.
      embed_model: Whether the model goes into the file, which then needs nothing else to be
        read. Its weights are rounded first. The codes of its training data go with it where
        `codes` asks for them.
      weight_bits: Of a weight of a model that goes into the file: 16 (the default), a float16;
        or 4 to 8, for a smaller file whose model is less exact.
      progress: Called with the images done and their number. Each image counts once for
        each time that it is gone through: encoding, compressing and, where that is done,
        verifying.

    Returns:
      The bytes with their `report`; without the bytes where there is a `file`.

    Raises:
      UserError: If the model cannot compress, or cannot represent the images, or an option
        is not as described; and if the file, decoded, were not the images. Then nothing
        is written.

    Example:
      >>> import keras_acn
      >>> model = keras_acn.load_pretrained("acn-digits")
      >>> images = np.tile(np.eye(8, dtype=np.uint8), (100, 1, 1))
      >>> data = keras_acn.compress(images, model)
      >>> np.array_equal(keras_acn.decompress(data, model), images)
      True
    """
    from keras_acn.codec import archive
    from keras_acn.codec.inputs import Treated
    from keras_acn.codec.networks import check_model
    from keras_acn.data.readers.base import ArraySource, Source

    images, model = _in_order(images, model)
    began = time.monotonic()
    source = images if isinstance(images, Source) else ArraySource(np.asarray(images))
    source = Treated(source, binarize, threshold, seed, crop, resize, grey, limit)
    check_model(model)
    _check_shape(source.shape, tuple(model.image_shape))
    header, model, part = prepared(
        source,
        model,
        mode=mode,
        keep_order=keep_order,
        lanes=lanes,
        nearest=nearest,
        codes=codes,
        block_images=block_images,
        model_name=model_name,
        embed_model=embed_model,
        weight_bits=weight_bits,
    )
    verify = is_quick(header.count, model) if verify is None else check_flag(verify, "verify")
    tell = Stages(progress, header.count, ["encode", "compress", *["verify"] * verify])

    def write(out):
        codec = archive.codec_of(header, model, tell)
        end, sizes = archive.write_images(out, header, codec, source, tell, part)
        size = out.tell()
        if verify:
            archive.verify(out, codec, tell)
            out.seek(0, 2)
        seconds = time.monotonic() - began
        return Report.of(
            header,
            end,
            sizes,
            size,
            model_bytes=part.size if part else 0,
            seconds=seconds,
            verified=verify,
        )

    return Compressed.written(write, file)


def nearest_of(model: Any) -> int:
    """Return how many codes are considered for an image, where it is not said."""
    return NEAREST_WHERE_SLOW if model.decoder.is_autoregressive else NEAREST


def decompress(
    data: bytes | str | os.PathLike,
    model: Any = None,
    file: str | os.PathLike | None = None,
    *,
    progress: Progress | None = None,
) -> np.ndarray:
    """Give back the images of an `.acn` file, bit for bit.

    Args:
      data: Bytes, or the path of a file.
      model: The model that they were compressed with. May be left out where it is one of
        `saved_models/`, which the file names; left out where the file holds it.
      file: Path of an `.npy` file to write the images to, block by block.
      progress: Called with the images done and their number.

    Returns:
      An array of the shape and dtype that were compressed. Where there is a `file`, its
      numbers stay on the disk, mapped into memory for reading. The pictures of a folder come as an
      array where all are of one size and mode: `[N, H, W]` or `[N, H, W, C]`, in the order of
      their names; `decompress_folder` writes them back whatever they are.

    Raises:
      UserError: If the file is damaged or cut off, or the model is another one. Then
        nothing is written.

    Example:
      See `compress`.
    """
    if file is not None and pathlib.Path(expanded(file)).suffix != ".npy":
        raise UserError(f"The images are written as an .npy file: name it so, not {file}.")
    if isinstance(data, Compressed) and data.file is not None:
        data = data.file
    from keras_acn.codec import archive

    with opened(place_of(data)) as (content, name):
        if is_folder(content):
            from keras_acn.codec.folder import array_of

            return array_of(content, name, model, file, progress)
        header, model = reading_model(content, name, model)
        archive.check_memory(header, name, whole=file is None)
        codec = archive.codec_of(header, model)
        tell = Stages(progress, header.count, ["decompress"])
        shape, dtype = header.array_shape, np.dtype(header.values.dtype)
        blocks = archive.blocks_of(content, name, codec, tell, "decompress")
        if file is None:
            collected = Collected(shape, dtype)
            for block in blocks:
                collected(block)
            return collected.array
        require_room(file, math.prod(shape) * dtype.itemsize)
        with appearing(file) as out:
            write = NpyWriter(out, shape, dtype)
            for block in blocks:
                write(block)
    # An array without elements cannot be mapped.
    return np.load(file, mmap_mode="r" if math.prod(shape) else None)


def reading_model(content: bytes | BinaryIO, name: str, model: Any) -> tuple[Header, Any]:
    """Return the header of a file whose checksums are all right, and the model that reads it.

    Args:
      content: Bytes, or a binary file.
      name: What to call it in an error.
      model: The model that was given, if any.

    Raises:
      UserError: If the file is damaged, or the model is another one.
    """
    from keras_acn.codec import archive

    header, part = archive.check_whole(content, name)
    if part is not None and model is not None:
        raise UserError(
            f"{name} holds the model that it is read with: leave --model (model=...) out."
        )
    if part is not None:
        model = archive.own_model(part, header, name)
    elif model is None:
        model = archive.named_model(header, name)
    archive.check_match(model, header, name)
    return header, model


def info(
    data: bytes | str | os.PathLike,
) -> tuple[Header, Report] | tuple[Header | None, FolderReport]:
    """Return what an `.acn` file says about itself, without decoding it.

    Args:
      data: Bytes, or the path of a file.

    Returns:
      `(header, report)`. Of a folder of pictures the header is that of their tiles, or `None` where
      no model codes them, and the report a `FolderReport`.

    Raises:
      UserError: If the file is damaged or cut off.

    Example:
      >>> import keras_acn
      >>> model = keras_acn.load_pretrained("acn-digits")
      >>> header, report = info(keras_acn.compress(np.zeros((5, 8, 8), np.uint8), model))
      >>> header.array_shape, report.mode
      ((5, 8, 8), 'stream')
    """
    with opened(place_of(data)) as (content, name):
        if is_folder(content):
            from keras_acn.codec.folder_report import FolderReport

            file = read_folder(content, name)
            return file.header(), FolderReport.of(file)
        return info_of(content, name)


def info_of(content: bytes | BinaryIO, name: str) -> tuple[Header, Report]:
    """Return what a file says about itself, given its content and what to call it in an error."""
    reader = Reader(content, name)
    header = Header.read(reader)
    parts = list(read_parts(reader, header))
    sizes = [part.count for part in parts if isinstance(part, Block)]
    (end,) = (part for part in parts if isinstance(part, End))
    model_bytes = sum(part.size for part in parts if isinstance(part, ModelPart))
    return header, Report.of(header, end, sizes, reader.size, model_bytes=model_bytes)


def prepared(
    source: Source,
    model: Any,
    *,
    mode: str,
    keep_order: bool,
    lanes: int | None,
    nearest: int | None,
    codes: str | None,
    block_images: int | None,
    model_name: str,
    embed_model: bool,
    weight_bits: int | None,
) -> tuple[Header, Any, ModelPart | None]:
    """Check the options of `compress`, and return what a file begins with.

    Returns:
      `(header, the model that codes the images, the model as it goes into the file)`; the last is
      `None` where it stays outside.
    """
    from keras_acn.codec import archive
    from keras_acn.codec.networks import check_codes, is_associative

    for name, value, most in (
        ("lanes", lanes, MAX_LANES),
        ("block_images", block_images, MAX_BLOCK),
        ("nearest", nearest, MAX_BLOCK),
    ):
        if value is not None:
            check_count(value, name, 1, most)
    keep_order = check_flag(keep_order, "keep_order")
    embed_model = check_flag(embed_model, "embed_model")
    if keep_order and mode == "stream":
        raise UserError(
            'The mode "stream" keeps the order anyway: leave out keep_order, or take the mode '
            '"set".'
        )
    if mode not in MODES:
        raise unknown_name("mode", mode, MODES)
    if codes is None:
        learns = embed_model and LEARNS[mode] and is_associative(model)
        codes = "seen" if learns else CODES[0]
    check_codes(model, mode, codes)
    part = None
    if embed_model:
        part, model = _embedded(model, codes, weight_bits)
    elif weight_bits is not None:
        raise UserError(
            "weight_bits (--weight-bits) is of a model inside the file: give embed_model "
            "(--embed-model), too, or leave it out."
        )
    header = archive.header_of(
        source,
        model,
        mode=mode,
        keep_order=keep_order,
        lanes=lanes,
        nearest=nearest or nearest_of(model),
        block_images=block_images,
        model_name=model_name,
        codes=codes,
        embedded=part is not None,
    )
    return header, model, part


def is_quick(count: int, model: Any) -> bool:
    """Return whether so many images are decoded within a minute or so, so that they may be."""
    slow = model.decoder.is_autoregressive
    return count <= (VERIFIED_AUTOREGRESSIVE if slow else VERIFIED_IMAGES)


def _embedded(model, codes, weight_bits):
    """Return a model as a file holds it, and the model that a reader makes of that."""
    from keras_acn.codec.embedded import FLOAT16, WEIGHT_BITS
    from keras_acn.codec.fingerprints import fingerprint
    from keras_acn.codec.kept import kept
    from keras_acn.codec.recipe import pack_model

    bits = FLOAT16 if weight_bits is None else weight_bits
    if isinstance(bits, bool) or bits not in WEIGHT_BITS:
        known = ", ".join(map(str, WEIGHT_BITS[:-1]))
        raise UserError(f"weight_bits is one of {known} and {FLOAT16}, not {weight_bits!r}.")

    def made():
        packed, rounded = pack_model(model, codes=with_codes, bits=bits)
        return ModelPart(packed.to_bytes()), rounded

    with_codes = codes != "seen"
    return kept(model).get("rounded", (bits, fingerprint(model, codes=with_codes)), made)


class Stages:
    """The progress of stages, `(stage, done, total)`, as one over all that are named."""

    def __init__(self, progress, count, stages):
        self._progress, self._total = progress, count * len(stages)
        self._done = dict.fromkeys(stages, 0)
        self._by_stage = progress is not None and is_by_stage(progress)
        if self._by_stage:
            _warn("progress is called with (done, total) from now on, without a stage.")

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self._progress is None:
            return
        if self._by_stage:
            self._progress(stage, done, total)
        elif stage in self._done:
            self._done[stage] = done
            self._progress(sum(self._done.values()), self._total)

    def finish(self) -> None:
        """Tell that all is done, if it was done otherwise than stage by stage."""
        if self._progress is not None and sum(self._done.values()) < self._total:
            self._progress(self._total, self._total)


def place_of(data: Any) -> Any:
    """Return where an `.acn` file lies: in the bytes given, or at a path."""
    is_written = isinstance(data, Compressed) and data.file is not None
    return data.file if is_written else data


def _in_order(images, model):
    """Return `(images, model)`, told apart where they came the other way round."""
    import keras

    if isinstance(images, keras.Model) and not isinstance(model, keras.Model):
        _warn("compress(model, images) is compress(images, model) now, as decompress has it.")
        return model, images
    return images, model


def _warn(sentence, stacklevel=4):
    warnings.warn(sentence, DeprecationWarning, stacklevel)


def _check_shape(shape, wanted):
    found = (*shape[1:], 1) if len(shape) == 3 else shape[1:]
    if found == wanted:
        return
    height, width, channels = wanted
    if found[2] == channels:
        fix = f"--resize {height}" if height == width else "--resize"
        fix = f"give {fix} (resize=... in Python), or another model"
    elif channels == 1 and found[2] >= 3:
        fix = "give --grey (grey=True in Python), or another model"
    else:
        fix = "give another model"
    raise UserError(
        f"The images are {'x'.join(map(str, found))}, but the model codes "
        f"{'x'.join(map(str, wanted))}: {fix}."
    )
