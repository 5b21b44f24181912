"""From the bytes of an `.acn` file to images."""

import hashlib
import pathlib

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.codec.about import opened
from keras_acn.codec.codec import Codec
from keras_acn.codec.container import DIGEST_SIZE, Block, End, Header, Reader, read_parts
from keras_acn.codec.files import Collected, NpyWriter, appearing
from keras_acn.codec.model_hash import is_of
from keras_acn.codec.networks import check_model


def decompress(data, model=None, file=None, progress=None):
    """Gives back the images of an `.acn` file, bit for bit.

    Args:
      data: Bytes, or the path of a file.
      model: The model that they were compressed with. May be left out where it is one of
        `saved_models/`, which the file names.
      file: Path of an `.npy` file to write, block by block; by default the array is returned.
      progress: Callable `progress(stage, done, total)`.

    Returns:
      An array of the shape and dtype that were compressed, or `None` where there is a
      `file`.

    Raises:
      UserError: If the file is damaged or cut off, or the model is another one. Then
        nothing is written.
    """
    if file is not None and pathlib.Path(file).suffix != ".npy":
        raise UserError(f"The images are written as an .npy file: name it so, not {file}.")
    with opened(data) as (content, name):
        header = check_whole(content, name)
        model = _model_of(header, name) if model is None else model
        check_match(model, header, name)
        codec = Codec(model, header.mode, header.lanes, header.keep_order, max(1, header.nearest))
        dtype = np.dtype(header.values.dtype)
        if file is None:
            out = Collected(header.array_shape, dtype)
            read_images(content, name, codec, out, progress)
            return out.array
        with appearing(file) as written:
            read_images(
                content, name, codec, NpyWriter(written, header.array_shape, dtype), progress
            )
        return None


def check_whole(content, name):
    """Returns the `Header` of a file whose every part has the right checksum.

    Args:
      content: Bytes or a binary file.
      name: What to call it in an error.

    Raises:
      UserError: If it is damaged or cut off.
    """
    reader = Reader(content, name)
    header = Header.read(reader)
    for _ in read_parts(reader, header):
        pass
    return header


def read_images(content, name, codec, out, progress=None, stage="decompress"):
    """Decodes a file, block by block.

    Args:
      content: Bytes or a binary file.
      name: What to call it in an error.
      codec: The `Codec` that its header asks for.
      out: Called with the arrays `[n, ...]` of the blocks.
      progress: Callable `progress(stage, done, total)`.
      stage: What to call this.

    Raises:
      UserError: If the file is damaged or cut off, or the images are not the ones that
        were compressed.
    """
    reader = Reader(content, name)
    header = Header.read(reader)
    digest = hashlib.blake2b(header.to_bytes(), digest_size=DIGEST_SIZE)
    done = 0

    def tell(count):
        nonlocal done
        done += count
        if progress is not None:
            progress(stage, done, header.count)

    for part in read_parts(reader, header):
        if isinstance(part, Block):
            levels = codec.decode(part, tell)
            array = header.values.to_array(levels).reshape(-1, *header.array_shape[1:])
            digest.update(array.tobytes())
            out(array)
        elif isinstance(part, End) and part.digest != digest.digest():
            raise UserError(
                f"{name} does not decode to the images that were compressed: it is damaged, or was "
                "written on a machine whose arithmetic differs; decompress it there."
            )


def check_match(model, header, name):
    """Raises a `UserError` unless the file was written with this model."""
    check_model(model)
    alike = (
        tuple(model.image_shape) == header.image_shape
        and model.latent_dim == header.latent_dim
        and model.decoder.likelihood.levels == header.values.levels
    )
    if not alike or not is_of(model, header.fingerprint):
        wanted = f' "{header.model_name}"' if header.model_name else ""
        raise UserError(
            f"{name} was compressed with another model{wanted}, of images "
            f"{'x'.join(map(str, header.image_shape))}: give that one with --model."
        )


def _model_of(header, name):
    from keras_acn import models

    if not header.model_name or header.model_name not in models.pretrained_folders():
        named = f', named "{header.model_name}"' if header.model_name else ""
        raise UserError(
            f"{name} was compressed with a model that does not come with keras_acn{named}: give "
            "it with --model (model=... in Python)."
        )
    return models.load_pretrained(header.model_name)
