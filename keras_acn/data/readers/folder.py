"""`images:DIR`: folders of PNG and JPEG files."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.data.parts import Part, Parts
from keras_acn.data.split import limited
from keras_acn.data.transform import transform_image

_ENDINGS = (".png", ".jpg", ".jpeg")
_CHUNK = 1024


class _Listing(NamedTuple):
    files: np.ndarray  # paths, ascending within a class, class by class
    names: list | None  # class of each file, None where there are no class folders


def list_folder(folder):
    """Returns the images of one part, and their classes: `files` and `names`."""
    try:
        entries = sorted(e for e in os.listdir(folder) if not e.startswith("."))
    except OSError as error:
        raise UserError(f'"{folder}" cannot be read: {error.strerror}.') from error
    paths = [os.path.join(folder, e) for e in entries]
    images = [p for p in paths if p.lower().endswith(_ENDINGS) and os.path.isfile(p)]
    classes = [p for p in paths if os.path.isdir(p)]
    if images and classes:
        raise UserError(
            f'"{folder}" holds both images and folders: give a folder of images, or of one '
            "folder a class."
        )
    if not classes:
        if not images:
            raise UserError(f'"{folder}" holds no PNG or JPEG files: give a folder of images.')
        return _Listing(np.array(images, object), None)
    files, names = [], []
    for path in classes:
        found = list_folder(path)
        if found.names is not None:
            raise UserError(
                f'"{path}" holds folders: give a folder of images, or of one folder a class.'
            )
        files += list(found.files)
        names += [os.path.basename(path)] * len(found.files)
    return _Listing(np.array(files, object), names)


def read_image(path):
    """Reads one image file.

    Colour images become RGB (an alpha channel is dropped), others grey; 16-bit grey is
    brought to 8 bits. The orientation noted by a camera is applied.

    Returns:
      uint8 `[H, W, 1]` or `[H, W, 3]`.

    Raises:
      UserError: If the file is not a readable image.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I"):
                return (np.asarray(image, np.float32) / 257 + 0.5).astype(np.uint8)[..., None]
            grey = image.mode in ("1", "L", "LA")
            array = np.asarray(image.convert("L" if grey else "RGB"))
    except Exception as error:
        # The decoders of damaged files raise OSError, SyntaxError, ValueError and more.
        raise UserError(
            f'"{path}" is not a readable PNG or JPEG image: it is empty, cut off or damaged.'
        ) from error
    return array if array.ndim == 3 else array[..., np.newaxis]


def _read_files(files, request):
    """Reads and transforms files into uint8 `[N, H, W, C]`."""

    def one(path):
        return transform_image(read_image(path), **request.look)

    images, first = None, None
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for at in range(0, len(files), _CHUNK):
            chunk = files[at : at + _CHUNK]
            for row, image in enumerate(pool.map(one, chunk), start=at):
                if images is None:
                    first = image.shape
                    images = np.empty((len(files), *first), np.uint8)
                if image.shape[:2] != images.shape[1:3]:
                    raise UserError(
                        f'The images differ in size: "{files[0]}" is {first[0]}x{first[1]}, '
                        f'"{files[row]}" is {image.shape[0]}x{image.shape[1]}: give resize=SIZE.'
                    )
                if image.shape[2] > images.shape[3]:
                    # Grey files among colour ones, as in most collections of photographs.
                    images = np.repeat(images, 3, axis=3)
                images[row] = image
    return images


def read_folder(folder, request):
    """Reads a folder of images, or of `train/` and, where it is there, `test/`.

    Files are taken in the order of their names; class folders are numbered in the order of
    theirs. Of parts given as `train/` and `test/`, other folders beside them are not read.

    Returns:
      `(Parts, whether there is a test folder)`.

    Raises:
      UserError: If a folder is missing or empty, or a file is not an image of the same
        size as the others.
    """
    if not os.path.isdir(folder):
        what = "is not a folder" if os.path.exists(folder) else "does not exist"
        raise UserError(f'"{folder}" {what}: give a folder of PNG or JPEG files after "images:".')
    train_folder, test_folder = os.path.join(folder, "train"), os.path.join(folder, "test")
    test = None
    if os.path.isdir(train_folder):
        train = list_folder(train_folder)
        test = list_folder(test_folder) if os.path.isdir(test_folder) else None
    else:
        train = list_folder(folder)
    listings = [x for x in (train, test) if x is not None]
    if len({x.names is None for x in listings}) == 2:
        raise UserError(
            f'Only one of "{train_folder}" and "{test_folder}" has class folders: '
            "arrange both alike."
        )
    classes = None
    if train.names is not None:
        classes = sorted({name for x in listings for name in x.names})

    def labels(listing):
        return np.array([classes.index(n) for n in listing.names], np.int32) if classes else None

    def part(files, values, rows):
        return Part(_read_files(files[rows], request), None if values is None else values[rows])

    values = labels(train)
    rows, test_rows = request.rows(len(train.files), values, test is not None, spread=True)
    parts = Parts(part(train.files, values, rows), levels=256)
    if classes:
        parts = parts._replace(num_classes=len(classes))
    if test is not None:
        chosen = limited(np.arange(len(test.files)), request.limit, spread=True)
        parts = parts._replace(test=part(test.files, labels(test), chosen))
    elif test_rows is not None:
        parts = parts._replace(test=part(train.files, values, test_rows))
    return _same_channels(parts), test is not None


def _same_channels(parts):
    """Gives grey images three channels where the other part has colours."""
    if parts.test is None:
        return parts
    most = max(p.images.shape[3] for p in (parts.train, parts.test))

    def widened(part):
        return part._replace(images=np.repeat(part.images, most // part.images.shape[3], axis=3))

    return parts._replace(train=widened(parts.train), test=widened(parts.test))
