"""An `.acn` file as a whole: images in, block by block, and out again."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

from keras_acn import __version__
from keras_acn._base import shipped
from keras_acn._base.errors import UserError, short
from keras_acn._base.reading import require_memory
from keras_acn.codec.blocks import BlockCodec, default_lanes
from keras_acn.codec.container import (
    DIGEST_SIZE,
    FORMAT,
    FORMAT_WITH_MODEL,
    MAX_BLOCK_VALUES,
    Block,
    End,
    Header,
    ModelPart,
    Reader,
    read_parts,
)
from keras_acn.codec.embedded import Packed
from keras_acn.codec.fingerprints import fingerprint, is_of
from keras_acn.codec.kept import from_file
from keras_acn.codec.networks import check_codes, check_model
from keras_acn.codec.planes import Tiling
from keras_acn.codec.recipe import unpack_model
from keras_acn.codec.values import PixelValues
from keras_acn.data.readers.base import Source

# Images of a block at most, and its pixels: what is in memory at a time, and what the tour,
# whose time grows with the square, goes through. A set is worth the more the larger a block is.
BLOCK_IMAGES, BLOCK_VALUES = 2**14, 2**28
BLOCK_IMAGES_OF_A_SET = 2**16

# `tell(stage, done, total)`, with the images done and their number.
Tell = Callable[[str, int, int], None]


def header_of(
    source: Source,
    model: Any,
    *,
    mode: str,
    keep_order: bool,
    lanes: int | None,
    nearest: int,
    block_images: int | None,
    model_name: str,
    codes: str,
    embedded: bool = False,
) -> Header:
    """Return the header of a file of the source's images: see `compress` for the options.

    Raises:
      UserError: If the source's numbers are no pixels of the model's, or the name is too long.
    """
    if not isinstance(model_name, str):
        raise UserError(f"model_name must be a text, not {short(model_name, to_text=repr)}.")
    if len(model_name.encode(errors="replace")) > 255:
        raise UserError(
            "model_name is longer than the 255 bytes that a file has for it: shorten it."
        )
    levels = model.decoder.likelihood.levels
    values = PixelValues.of(source.scan(), source.dtype, levels, source.scale)
    pixels = math.prod(model.image_shape)
    usual = BLOCK_IMAGES_OF_A_SET if mode == "set" else BLOCK_IMAGES
    most = block_images or min(usual, max(1, BLOCK_VALUES // pixels))
    most = min(most, max(1, MAX_BLOCK_VALUES // pixels))
    # Blocks of about one size.
    blocks = max(1, -(-len(source) // most))
    block = max(1, -(-len(source) // blocks))
    return Header(
        mode=mode,
        keep_order=keep_order,
        fingerprint=fingerprint(model, codes=codes != "seen"),
        model_name="".join(c for c in model_name if c.isprintable()),
        image_shape=tuple(model.image_shape),
        has_channel_axis=len(source.shape) == 4,
        latent_dim=model.latent_dim,
        count=len(source),
        block=block,
        lanes=min(lanes or default_lanes(model, block), block),
        nearest=nearest,
        values=values,
        writer=__version__,
        codes=codes,
        cut=True,
        format=FORMAT_WITH_MODEL if embedded else FORMAT,
    )


def codec_of(header: Header, model: Any, tell: Tell | None = None) -> BlockCodec:
    """Return the codec of a file's blocks.

    Args:
      header: The file's header.
      model: The model that it is written with.
      tell: Called while the codec is made ready.
    """
    progress = None if tell is None else lambda *done: tell("priors of the codes", *done)
    return BlockCodec(
        model,
        header.mode,
        header.lanes,
        keep_order=header.keep_order,
        nearest=max(1, header.nearest),
        codes=header.codes,
        cut=header.cut,
        progress=progress,
    )


def write_images(
    out: BinaryIO,
    header: Header,
    codec: BlockCodec,
    source: Source,
    tell: Tell,
    model: ModelPart | None = None,
    extents: np.ndarray | Tiling | None = None,
) -> tuple[End, list[int]]:
    """Write a whole file.

    Args:
      out: Where to.
      header: Its header.
      codec: From `codec_of`.
      source: The images.
      tell: Called in the stages `"encode"`, `"tour"` and `"compress"`.
      model: The model, where it goes into the file.
      extents: Of tiles of pictures, int `[N, 3]`: see `edges`.

    Returns:
      `(the file's end, the images of each block)`.
    """
    out.write(header.to_bytes())
    if model is not None:
        out.write(model.to_bytes())
    digest = hashlib.blake2b(header.to_bytes(), digest_size=DIGEST_SIZE)
    sizes: list[int] = []
    initial_bits, lane_bits = 0.0, 0.0
    for array in source.blocks(header.block):
        levels = header.values.to_levels(array).reshape(-1, *header.image_shape)
        done = sum(sizes)
        these = None if extents is None else extents[done : done + len(array)]
        coded = codec.encode(levels, _after(done, header.count, tell), these)
        out.write(coded.block.to_bytes())
        shown = array if coded.order is None or header.keep_order else array[coded.order]
        digest.update(np.ascontiguousarray(shown).tobytes())
        sizes.append(len(array))
        initial_bits += coded.initial_bits
        lane_bits += coded.lane_bits
    if sum(sizes) != header.count:
        raise UserError(f"The source has {sum(sizes)} images, not the {header.count} announced.")
    end = End(digest.digest(), math.ceil(initial_bits), round(lane_bits))
    out.write(end.to_bytes())
    return end, sizes


def blocks_of(
    content: bytes | BinaryIO,
    name: str,
    codec: BlockCodec,
    tell: Tell,
    stage: str,
    extents: np.ndarray | Tiling | None = None,
) -> Iterator[np.ndarray]:
    """Decode a file: yield the arrays `[n, ...]` of its blocks.

    Args:
      content: Bytes or a binary file.
      name: What to call it in an error.
      codec: The one that its header asks for, from `codec_of`.
      tell: Called in the stage.
      stage: What to call it.
      extents: What `write_images` was given.

    Raises:
      UserError: If the file is damaged or cut off; and after the last block, if the images are not
        the ones that were compressed.
    """
    reader = Reader(content, name)
    header = Header.read(reader)
    digest = hashlib.blake2b(header.to_bytes(), digest_size=DIGEST_SIZE)
    done = 0
    bits: list[tuple[float, float]] = []
    for part in read_parts(reader, header):
        if isinstance(part, Block):
            these = None if extents is None else extents[done : done + part.count]
            told = functools.partial(_after(done, header.count, tell), stage)
            levels = codec.decode(part, told, bits, these)
            array = header.values.to_array(levels).reshape(-1, *header.array_shape[1:])
            digest.update(array.tobytes())
            done += part.count
            yield array
        elif isinstance(part, End) and part.digest != digest.digest():
            raise UserError(
                f"{name} does not decode to the images that were compressed: it is damaged, or was "
                "written on a machine whose arithmetic differs; decompress it there."
            )
        elif isinstance(part, End) and not _are_of(part, bits):
            raise UserError(
                f"{name} is damaged, as it took other numbers of bits than it says: get it, or "
                "compress its images, again."
            )


def _are_of(end: End, bits: list[tuple[float, float]]) -> bool:
    """Return whether a file's end tells the numbers of bits that its blocks had."""
    initial, lanes = (sum(each) for each in zip((0.0, 0.0), *bits, strict=True))
    # They were summed in another order before they were rounded.
    return abs(end.initial_bits - math.ceil(initial)) <= 1 and abs(end.lane_bits - lanes) <= 1


def _after(before, count, tell):
    """Return the `tell` of a block that comes after so many images."""
    return lambda stage, done, _: tell(stage, before + done, count)


def verify(content: BinaryIO, codec: BlockCodec, tell: Tell) -> None:
    """Raise a `UserError` unless a file that was just written gives its images back."""
    try:
        for _ in blocks_of(content, "The file", codec, tell, "verify"):
            pass
    except UserError as error:
        raise UserError(
            "The compressed images do not come back as they were, so nothing was written: "
            "this machine computes differently each time, or a layer of the model does."
        ) from error


def check_whole(content: bytes | BinaryIO, name: str) -> tuple[Header, ModelPart | None]:
    """Return the header, and the model if there is one, of a file whose checksums are all right.

    Args:
      content: Bytes or a binary file.
      name: What to call it in an error.

    Raises:
      UserError: If it is damaged or cut off.
    """
    reader = Reader(content, name)
    header, model = Header.read(reader), None
    for part in read_parts(reader, header):
        model = part if isinstance(part, ModelPart) else model
    return header, model


def check_memory(header: Header, name: str, *, whole: bool) -> None:
    """Raise a `UserError` if decoding takes more memory than is allowed.

    Args:
      header: The header of the file.
      name: What to call the file in an error.
      whole: Whether all images are in memory at the end, or those of a block at a time.
    """
    pixels = math.prod(header.image_shape)
    itemsize = np.dtype(header.values.dtype).itemsize
    if whole:
        require_memory(header.count * pixels * itemsize, f"The images of {name}")
    # Levels, twice, what is made of them, and what is known of the latents.
    block = min(header.block, header.count)
    of_one = pixels * (2 + itemsize) + 24 * header.latent_dim
    require_memory(block * of_one, f"The {block:,} images of a block of {name}")


def check_match(model: Any, header: Header, name: str) -> None:
    """Raise a `UserError` unless the file called `name` was written with this model."""
    check_model(model)
    check_codes(model, header.mode, header.codes)
    alike = (
        tuple(model.image_shape) == header.image_shape
        and model.latent_dim == header.latent_dim
        and model.decoder.likelihood.levels == header.values.levels
    )
    codes = header.codes != "seen"
    if not alike or not is_of(header.fingerprint, model, codes=codes):
        wanted = f' "{header.model_name}"' if header.model_name else ""
        which = "that one"
        if header.model_name in shipped.pretrained_folders():
            # A model that comes with the package may have been trained anew since.
            which = f"that one, the saved_models/{header.model_name} of the version that wrote it,"
        raise UserError(
            f"{name} was compressed with another model{wanted}, of images "
            f"{'x'.join(map(str, header.image_shape))}: give {which} with --model."
        )


def own_model(part: ModelPart, header: Header, name: str) -> Any:
    """Return the model that the file called `name` holds.

    Raises:
      UserError: If it is damaged, or none that this package makes.
    """
    told = header.codes, header.image_shape, header.latent_dim, header.values.levels
    key = hashlib.blake2b(part.content).digest(), header.fingerprint, told
    return from_file(
        "inside", key, lambda: unpack_model(Packed.read(part.content, name), header, name)
    )


def named_model(header: Header, name: str) -> Any:
    """Return the model of `saved_models/` that the file called `name` was written with."""
    from keras_acn import models

    shipped.require_weights(header.model_name)
    folders = models.pretrained_folders()
    if header.model_name not in folders:
        named = f', named "{header.model_name}"' if header.model_name else ""
        raise UserError(
            f"{name} was compressed with a model that does not come with keras_acn{named}: give "
            "it with --model (model=... in Python)."
        )
    at = (folders[header.model_name] / "model.keras").stat()
    key = header.model_name, at.st_ino, at.st_mtime_ns, at.st_size
    return from_file("named", key, lambda: models.load_pretrained(header.model_name))
