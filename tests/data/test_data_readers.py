"""One contract for every format: what a source says is what it gives, a block at a time."""

import struct

import numpy as np
import pytest
from PIL import Image

from keras_acn import UserError, data
from keras_acn.data.readers import open_source
from keras_acn.data.readers.base import ArraySource, StreamSource, reblocked
from keras_acn.data.readers.tfds import TfdsSource

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (23, 6, 5), np.uint8)
LABELS = np.sort(np.arange(23) % 3).astype(np.int32)


def idx_file(path, array):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(head + array.astype(np.uint8).tobytes())


class Builder:
    """As much of a TensorFlow Datasets builder as a reader asks for."""

    class info:
        class _Image:
            shape, np_dtype = (6, 5, 1), np.uint8

        class _Label:
            shape, np_dtype, num_classes, names = (), np.int64, 3, ["ant", "bee", "cat"]

        features = {"image": _Image, "label": _Label}


class Stored(TfdsSource):
    """A TfdsSource whose records are IMAGES and LABELS."""

    def _changed(self, **changes):
        new = super()._changed(**changes)
        new.__class__ = Stored
        return new

    def _examples(self, wanted):
        for at in range(self._start, self._stop, 4):
            rows = slice(at, min(at + 4, self._stop))
            batch = {"image": IMAGES[rows, ..., None], "label": LABELS[rows].astype(np.int64)}
            yield {key: batch[key] for key in wanted}


def make(kind, tmp_path):
    if kind == "array":
        return ArraySource(IMAGES, labels=LABELS)
    if kind == "npy":
        np.save(tmp_path / "a.npy", IMAGES)
        return open_source(f"npy:{tmp_path}/a.npy").train
    if kind.startswith("npz"):
        save = np.savez_compressed if kind == "npz packed" else np.savez
        images = np.asfortranarray(IMAGES) if kind == "npz fortran" else IMAGES
        save(tmp_path / "a.npz", images=images, labels=LABELS)
        return open_source(f"npz:{tmp_path}/a.npz").train
    if kind == "idx":
        idx_file(tmp_path / "train-images-idx3-ubyte", IMAGES)
        idx_file(tmp_path / "train-labels-idx1-ubyte", LABELS)
        return open_source(f"idx:{tmp_path}").train
    if kind == "images":
        for row, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
            folder = tmp_path / ["ant", "bee", "cat"][label]
            folder.mkdir(exist_ok=True)
            Image.fromarray(image).save(folder / f"{row:03}.png")
        return open_source(f"images:{tmp_path}").train
    return Stored(Builder, "stored", "train", 0, 23)


KINDS = ["array", "npy", "npz", "npz packed", "npz fortran", "idx", "images", "tfds"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_gives_what_it_says(kind, tmp_path):
    source = make(kind, tmp_path)
    assert (len(source), source.image_shape, source.dtype) == (23, (6, 5, 1), np.uint8)
    assert source.white() == 255
    expected = IMAGES.reshape(source.shape)
    for size in (1, 7, 23, 100):
        blocks = list(source.blocks(size))
        assert {len(block) for block in blocks[:-1]} <= {size}
        np.testing.assert_array_equal(np.concatenate(blocks), expected)
    if kind == "npy":
        assert source.labels is None
    else:
        np.testing.assert_array_equal(source.labels, LABELS)
        assert source.labels.dtype == np.int32
    named = kind in ("images", "tfds")
    assert source.class_names == (("ant", "bee", "cat") if named else None)


@pytest.mark.parametrize("rows", [[0], [22], [3, 4, 5], [0, 9, 10, 22], list(range(23)), []])
@pytest.mark.parametrize("kind", KINDS)
def test_some_of_the_images(kind, rows, tmp_path):
    source = make(kind, tmp_path).pick(rows)
    assert len(source) == len(rows) and source.white() == 255
    blocks = [np.zeros((0, *source.shape[1:]), np.uint8), *source.blocks(2)]
    np.testing.assert_array_equal(np.concatenate(blocks), IMAGES[rows].reshape(source.shape))
    if kind != "npy" and rows:
        np.testing.assert_array_equal(source.labels, LABELS[rows])


@pytest.mark.parametrize("kind", KINDS)
def test_smaller_images(kind, tmp_path):
    source = make(kind, tmp_path).pick([1, 2]).transformed(crop=(2, 4))
    assert source.image_shape == (2, 4, 1) and source.scale in (None, 255)
    np.testing.assert_array_equal(
        np.concatenate(list(source.blocks(1))), IMAGES[1:3, 2:4, :4].reshape(source.shape)
    )
    assert make(kind, tmp_path).transformed(resize=(3, 3)).image_shape == (3, 3, 1)


def test_no_more_is_read_than_asked_for():
    class Counting(ArraySource):
        read = 0

        def blocks(self, size):
            for block in super().blocks(size):
                self.read += len(block)
                yield block

    source = Counting(IMAGES)
    assert len(list(source.pick(range(5)).blocks(4))) == 2 and source.read == 8
    source.read = 0
    assert source.white() == 255 and source.read == 23  # one block


def test_a_header_is_checked_before_its_body(tmp_path):
    """An array announced to be of a petabyte is refused for what its file holds."""
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 2**10, 2**10) + bytes(9))
    with pytest.raises(UserError, match="ends before its end: .* but holds 9"):
        data.load(f"idx:{tmp_path}")
    stream = StreamSource("x", lambda: pytest.fail("read"), (5, 4), "i8")
    assert "[5, 4] times 8 bytes but holds 3" in str(stream.length_error(3))


@pytest.mark.parametrize("sizes", [[], [3], [1, 1, 5, 2], [10, 1]])
def test_reblocked(sizes):
    rows = np.arange(sum(sizes))
    pieces = np.split(rows, np.cumsum(sizes)[:-1]) if sizes else []
    blocks = list(reblocked(pieces, 4))
    assert all(len(block) == 4 for block in blocks[:-1])
    np.testing.assert_array_equal(np.concatenate([rows[:0], *blocks]), rows)


def test_names_of_classes_stay_with_the_images(tmp_path):
    make("images", tmp_path)
    got = data.load(f"images:{tmp_path}", validation=0.2, classes=[0, 2])
    for part in (got, got.train, got.validation, got.test):
        assert part.class_names == ("ant", "bee", "cat")
    assert set(got.train.labels) == {0, 2} and got.num_classes == 3
    assert data.load("digits").class_names is None
    assert got.train.take([0]).class_names == ("ant", "bee", "cat")


def test_what_the_codec_takes_and_training_does_not(tmp_path):
    np.savez(tmp_path / "b.npz", pictures=IMAGES)
    with pytest.raises(UserError, match="holds pictures: name the arrays x_train"):
        data.load(f"npz:{tmp_path}/b.npz")
    np.savez(tmp_path / "a.npz", x_test=IMAGES)
    with pytest.raises(UserError, match="no training images"):
        data.load(f"npz:{tmp_path}/a.npz")
