"""The doors of the codec for folders of pictures: `compress_folder` and `decompress_folder`."""

from __future__ import annotations

import itertools
import os
import pathlib
import shutil
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from keras_acn import __version__
from keras_acn._base.checks import check_count, check_flag
from keras_acn._base.errors import UserError, unknown_name
from keras_acn._base.progress import Progress
from keras_acn._base.reading import require_memory
from keras_acn._base.shell import expanded
from keras_acn.codec import archive
from keras_acn.codec.api import Compressed, Stages, is_quick, place_of, reading_model
from keras_acn.codec.archive import Tell
from keras_acn.codec.container import opened
from keras_acn.codec.files import appearing
from keras_acn.codec.folder_file import (
    Digest,
    FolderFile,
    RestWriter,
    end_part,
    index_part,
    pictures_of,
    read_folder,
    tiles_part,
    tiling_of,
)
from keras_acn.codec.folder_report import FolderReport
from keras_acn.codec.index import MAX_NAME, Index
from keras_acn.codec.networks import check_model
from keras_acn.codec.pictures import Pictures, Survey
from keras_acn.codec.planes import rest_bytes, split, values_of
from keras_acn.codec.rivals import picture_rivals
from keras_acn.codec.tiles import CodedTiles, TileCoder, Tiles
from keras_acn.codec.written import check_format, check_target, write_pictures
from keras_acn.data.readers import notices
from keras_acn.data.readers.exact import Picture, Tree, tree_of
from keras_acn.data.readers.folder import in_words
from keras_acn.data.readers.picture import check_background

FOLDER_MODES = ("auto", "stream", "set", "raw")
# Where the pixels have no more bytes than this, what they pack to is always worked out.
PACKED_RAW = 2**26


class CompressedFolder(Compressed):
    """An `.acn` file of a folder: as `Compressed`, with a `FolderReport`.

    Example:
      See `compress_folder`.
    """

    report: FolderReport  # type: ignore[assignment]


def compress_folder(
    folder: str | os.PathLike,
    model: Any = None,
    file: str | os.PathLike | None = None,
    *,
    mode: str = "auto",
    names: str = "all",
    lanes: int | None = None,
    nearest: int | None = None,
    codes: str | None = None,
    block_images: int | None = None,
    verify: bool | None = None,
    binarize: str = "none",
    threshold: float = 0.5,
    seed: int = 0,
    crop: int | tuple[int, int] | str | None = None,
    resize: int | tuple[int, int] | None = None,
    grey: bool = False,
    background: Any = None,
    skip_damaged: bool = False,
    limit: int | None = None,
    model_name: str = "",
    embed_model: bool = False,
    weight_bits: int | None = None,
    rivals: bool = True,
    progress: Progress | None = None,
) -> CompressedFolder:
    """Compress a folder of pictures: `decompress_folder` writes it back, pixel for pixel.

    Pictures may lie in folders of any depth, and be of any size. They are cut into tiles of the
    size that the model codes; what of a tile at an edge is no picture is not coded.

    Args:
      folder: The folder. Of a picture's file its pixels are kept, in their mode, and its name; no
        colour profile and no other remarks.
      model: A trained `ACN` or `VAE`; not needed in the mode `"raw"`.
      file: Path to write to; by default the bytes are returned.
      mode: `"stream"` or `"set"`, see `compress`, of the tiles of all pictures; `"raw"` leaves the
        model out. `"auto"` tries the three on some of the tiles, and takes the best. The file is
        never larger than the pixels by more than the index: where the model does not pay, it is
        written as in the mode `"raw"`, whatever was asked for.
      names: `"all"` keeps the names of files and folders. `"none"` leaves them out, and with them
        the folders without pictures; the pictures come back under numbers.
      lanes: See `compress`.
      nearest: See `compress`.
      codes: See `compress`.
      block_images: See `compress`, of tiles.
      verify: See `compress`.
      binarize: See `compress`. Where one of the options from here to `background` is given, what
        is kept is the picture as training would see it: grey or colour, of 8 bits, without alpha.
      threshold: See `compress`.
      seed: See `compress`.
      crop: See `compress`.
      resize: See `compress`.
      grey: See `compress`.
      background: What transparent pictures are laid on.
      skip_damaged: Whether to leave out pictures that cannot be read.
      limit: At most the first so many pictures.
      model_name: See `compress`.
      embed_model: See `compress`.
      weight_bits: See `compress`.
      rivals: Whether to see what zstd and WebP make of the same pictures.
      progress: See `compress`.

    Returns:
      The bytes with their `report`; without the bytes where there is a `file`.

    Raises:
      UserError: If a picture would not come back as it is, or the model does not code it; before
        any work. And if the file, decoded, were not the pictures; then nothing is written.

    Example:
      >>> import tempfile
      >>> from PIL import Image
      >>> root = tempfile.mkdtemp()
      >>> for name in "ab":
      ...     Image.new("1", (9, 7)).save(f"{root}/{name}.png")
      >>> import keras_acn
      >>> data = compress_folder(root, keras_acn.load_pretrained("acn-digits"))
      >>> back = decompress_folder(data, f"{root}/back", keras_acn.load_pretrained("acn-digits"))
      >>> sorted(path.name for path in back.iterdir())
      ['a.png', 'b.png']
    """
    began = time.monotonic()
    if mode not in FOLDER_MODES:
        raise unknown_name("mode of a folder", mode, FOLDER_MODES)
    if names not in ("all", "none"):
        raise UserError(f'names is "all" or "none", not {names!r}.')
    if limit is not None:
        check_count(limit, "The limit, a number of pictures,", 1)
    if model is None and mode != "raw":
        raise UserError('A folder is compressed with a model: give one, or take mode="raw".')
    if mode == "raw":
        model = None
    levels = None
    if model is not None:
        check_model(model)
        levels = model.decoder.likelihood.levels
    root = expanded(folder)
    said = notices.Notices(root, in_words(check_background(background)))
    tree = tree_of(root, said)
    if names == "all":
        _check_names(tree)
    pictures = Pictures(
        tree,
        said,
        background=background,
        binarize=binarize,
        threshold=threshold,
        seed=seed,
        crop=crop,
        resize=resize,
        grey=grey,
    )
    survey = pictures.survey(limit, levels=levels, skip_damaged=skip_damaged)
    notices.tell(said.sentences())
    coded, choice, count, tell = None, None, 0, Stages(progress, 0, [])
    if levels is not None:
        tiles = Tiles(pictures, survey, levels, tuple(model.image_shape))
        is_set = names == "none" and tiles.are_pictures()
        if is_set:
            # Their order means nothing, so they take the one in which a set of them comes out.
            tiles = tiles.sorted()
        survey, count = tiles.survey, len(tiles)
        options = {"lanes": lanes, "nearest": nearest, "codes": codes, "model_name": model_name}
        options |= {"block_images": block_images, "weight_bits": weight_bits}
        coder = TileCoder(model, not is_set, {**options, "embed_model": embed_model})
        coder.check(tiles, mode)
        verify = is_quick(count, model) if verify is None else check_flag(verify, "verify")
        tell = Stages(progress, count, ["encode", "compress", *["verify"] * verify])
        if count:
            coded, choice = coder.best(tiles, mode, tell)
    if coded is not None and _is_larger(coded, pictures, survey, mode):
        coded = None
    found = None
    if rivals:
        found = picture_rivals(pictures.read, survey.first, _pixel_bytes(survey))
    index = _index(tree, names, survey, coded)

    def write(out):
        _write(out, index, pictures, survey, coded)
        out.seek(0)
        written = read_folder(out, "The file")
        if verify is not False:
            _verify(written, coded, tell)
        return FolderReport.of(
            written,
            choice=choice,
            asked=mode,
            rivals=found,
            seconds=time.monotonic() - began,
            verified=verify is not False,
        )

    data = CompressedFolder.written(write, file)
    tell.finish()
    return data


def decompress_folder(
    data: bytes | str | os.PathLike,
    folder: str | os.PathLike,
    model: Any = None,
    *,
    format: str = "png",
    force: bool = False,
    progress: Progress | None = None,
) -> pathlib.Path:
    """Write the pictures of an `.acn` file back as the folder that they came from.

    Args:
      data: Bytes, or the path of a file.
      folder: The folder to write; it appears whole, or not at all.
      model: See `decompress`.
      format: `"png"`, which has every mode; or `"webp"`, lossless, whose pictures come in colour
        whatever they were. Endings of file names follow it.
      force: Whether to write into a folder that holds something, and replace files of the same
        names. All others stay.
      progress: See `decompress`.

    Returns:
      The folder's path.

    Raises:
      UserError: If the file is damaged or cut off, the model is another one, or the folder holds
        something. Then nothing is written.

    Example:
      See `compress_folder`.
    """
    target = check_target(folder, format, force)
    with opened(place_of(data)) as (content, name):
        file = read_folder(content, name)
        check_format(file.index, format, name)
        _check_memory(file)
        pictures = _decoded(file, _model_of(file, model), Stages(progress, _count(file), [_STAGE]))
        write_pictures(target, file.index, pictures, format)
    return target


def array_of(
    content: bytes | BinaryIO,
    name: str,
    model: Any,
    file: str | os.PathLike | None,
    progress: Progress | None,
) -> np.ndarray:
    """Return the pictures of a folder as an array: see `decompress`.

    Raises:
      UserError: If they are not all of one size and mode, or are those of a palette.
    """
    read = read_folder(content, name)
    kinds = {(entry.mode, entry.size) for entry in read.index.entries}
    if len(kinds) != 1 or "P" in (mode for mode, _ in kinds):
        raise UserError(
            f"{name} holds a folder of pictures that do not fit into one array: decompress it to a "
            "folder (decompress_folder() in Python)."
        )
    _check_memory(read, whole=True)
    tell = Stages(progress, _count(read), [_STAGE])
    pictures = [each.pixels for each in _decoded(read, _model_of(read, model), tell)]
    array = np.stack(pictures)[list(read.index.shown)]
    if file is None:
        return array
    with appearing(file) as out:
        np.save(out, array)
    return np.load(file, mmap_mode="r")


_STAGE = "decompress"


def _check_memory(file: FolderFile, whole: bool = False) -> None:
    """Raise a `UserError` if decoding takes more memory than is allowed."""
    sizes = [2 * values_of(entry.mode, entry.size) for entry in file.index.entries]
    header = file.header()
    if header is not None:
        archive.check_memory(header, file.name, whole=False)
    # Its tiles, its parts, and what they are put together to.
    require_memory(3 * max(sizes, default=0), f"Pictures of {file.name}")
    if whole:
        require_memory(sum(sizes[row] for row in file.index.shown), f"The pictures of {file.name}")


def _count(file):
    header = file.header()
    return 0 if header is None else header.count


def _model_of(file: FolderFile, model: Any) -> Any:
    """Return the model that a file's tiles are read with; `None` where it has none."""
    return None if file.tiles is None else reading_model(file.tiles, file.name, model)[1]


def _decoded(file: FolderFile, model: Any, tell: Tell, stage: str = _STAGE) -> Iterator[Picture]:
    """Yield the pictures of a file's entries; an error after the last, if they are not the ones."""
    header, digest = file.header(), Digest(file.index.to_bytes())
    levels: int | None = None
    modelled: Iterator[np.ndarray | None] = itertools.repeat(None, len(file.index.entries))
    if file.tiles is not None and header is not None:
        tiling = tiling_of(file, header)
        levels = header.values.levels
        codec = archive.codec_of(header, model)
        blocks = archive.blocks_of(file.tiles, file.name, codec, tell, stage, tiling)
        modelled = tiling.pasted_all(block.reshape(-1, *header.image_shape) for block in blocks)
    for picture in pictures_of(file, levels, modelled):
        digest.add(picture)
        yield picture
    if digest.value() != file.digest:
        raise UserError(
            f"{file.name} does not decode to the pictures that were compressed: it is damaged; get "
            "it, or compress its pictures, again."
        )


def _verify(file: FolderFile, coded: CodedTiles | None, tell: Tell) -> None:
    try:
        for _ in _decoded(file, coded and coded.model, tell, "verify"):
            pass
    except UserError as error:
        raise UserError(
            "The compressed pictures do not come back as they were, so nothing was written: "
            "this machine computes differently each time, or a layer of the model does."
        ) from error


def _write(out, index, pictures, survey, coded):
    out.write(index_part(index))
    if coded is not None:
        out.write(tiles_part(coded.size))
        coded.file.seek(0)
        shutil.copyfileobj(coded.file, out)
    digest, rest = Digest(index.to_bytes()), RestWriter(out.write)
    for picture in pictures.read(survey.first):
        digest.add(picture)
        rest.add(split(picture, coded and coded.levels)[1])
    rest.close()
    out.write(end_part(digest.value()))


def _is_larger(coded, pictures, survey, mode):
    """Return whether the file is larger with the model than without it."""
    rest, plain = RestWriter(len), _pixel_bytes(survey)
    weighs = mode == "auto" and plain <= PACKED_RAW
    raw = RestWriter(len)
    for picture in pictures.read(survey.first):
        rest.add(split(picture, coded.levels)[1])
        if weighs:
            raw.add(split(picture, None)[1])
    rest.close()
    raw.close()
    return coded.size + rest.size > (raw.size if weighs else plain)


def _pixel_bytes(survey: Survey) -> int:
    return sum(rest_bytes(entry.mode, entry.size, None) for entry in survey.entries)


def _index(tree: Tree, names: str, survey: Survey, coded: CodedTiles | None) -> Index:
    return Index(
        entries=tuple(survey.entries),
        shown=tuple(survey.shown),
        files=tuple(tree.files[row] for row in survey.files) if names == "all" else None,
        folders=tree.folders if names == "all" else (),
        has_tiles=coded is not None,
        writer=__version__,
    )


def _check_names(tree: Tree) -> None:
    """Raise a `UserError` where a name is no text, or longer than a file keeps."""
    for path in (*tree.folders, *tree.files):
        try:
            size = len(path.encode("utf-8"))
        except UnicodeEncodeError:
            shown = path.encode("utf-8", "backslashreplace").decode()
            raise UserError(
                f'The name "{shown}" in "{tree.root}" is not in UTF-8: rename it, or leave all '
                'names out by --names none (names="none" in Python).'
            ) from None
        if size > MAX_NAME:
            raise UserError(
                f'A path in "{tree.root}" has {size:,} bytes, more than the {MAX_NAME:,} that a '
                "file keeps: compress a folder below it."
            )
