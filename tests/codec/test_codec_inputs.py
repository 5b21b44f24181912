import errno
import gzip
import os
import struct

import numpy as np
import pytest
from codec_models import noise, small_model
from PIL import Image

import keras_acn
from keras_acn import codec
from keras_acn._base.errors import UserError
from keras_acn.codec.files import appearing
from keras_acn.codec.inputs import Treated, open_input
from keras_acn.codec.networks import check_lanes
from keras_acn.data.readers.base import ArraySource


def all_of(source, size=7):
    blocks = list(source.blocks(size))
    assert all(len(block) == size for block in blocks[:-1])
    assert sum(len(block) for block in blocks) == len(source)
    if not blocks:
        return np.zeros(source.shape, source.dtype)
    whole = np.concatenate(blocks)
    assert whole.shape == source.shape and whole.dtype == source.dtype
    return whole


def write_idx(path, images):
    content = struct.pack(">BBBBIII", 0, 0, 8, 3, *images.shape) + images.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


GREY = np.random.default_rng(0).integers(0, 256, (20, 6, 5)).astype(np.uint8)


@pytest.mark.parametrize("array", [GREY, GREY[..., None], np.asfortranarray(GREY), GREY[:0]])
def test_npy(array, tmp_path):
    np.save(tmp_path / "x.npy", array)
    for name in (f"npy:{tmp_path}/x.npy", f"{tmp_path}/x.npy"):
        np.testing.assert_array_equal(all_of(open_input(name)), array)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(save, tmp_path):
    path = tmp_path / "x.npz"
    save(path, x_train=GREY, x_test=GREY[:8])
    np.testing.assert_array_equal(all_of(open_input(str(path))), GREY[:8])
    np.testing.assert_array_equal(all_of(open_input(f"npz:{path}", "train")), GREY)
    assert open_input(str(path)).part == 2 and open_input(str(path), "train").part == 0
    save(path, images=GREY)
    np.testing.assert_array_equal(all_of(open_input(str(path))), GREY)
    save(path, GREY)
    np.testing.assert_array_equal(all_of(open_input(str(path))), GREY)
    save(path, a=GREY, b=GREY)
    with pytest.raises(UserError, match="holds a, b"):
        open_input(str(path))


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx(ending, tmp_path):
    write_idx(tmp_path / f"train-images-idx3-ubyte{ending}", GREY)
    write_idx(tmp_path / f"t10k-images-idx3-ubyte{ending}", GREY[:9])
    for name in (f"idx:{tmp_path}", str(tmp_path)):
        np.testing.assert_array_equal(all_of(open_input(name)), GREY[:9])
        np.testing.assert_array_equal(all_of(open_input(name, "train")), GREY)
    one = tmp_path / f"train-images-idx3-ubyte{ending}"
    np.testing.assert_array_equal(all_of(open_input(str(one))), GREY)


def test_folders(tmp_path):
    for number, image in enumerate(GREY):
        Image.fromarray(image).save(tmp_path / f"{number:03}.png")
    np.testing.assert_array_equal(all_of(open_input(f"images:{tmp_path}")), GREY)
    np.testing.assert_array_equal(all_of(open_input(str(tmp_path))), GREY)
    np.testing.assert_array_equal(all_of(open_input(str(tmp_path / "004.png"))), GREY[4:5])
    in_colour = open_input(str(tmp_path), channels=3)
    np.testing.assert_array_equal(all_of(in_colour), np.repeat(GREY[..., None], 3, -1))
    Image.fromarray(np.zeros((6, 5, 3), np.uint8)).save(tmp_path / "999.png")
    mixed = open_input(str(tmp_path))
    np.testing.assert_array_equal(all_of(mixed)[:20], np.repeat(GREY[..., None], 3, -1))
    with pytest.raises(UserError, match="--grey"):
        codec.compress(small_model(), mixed)
    Image.fromarray(np.zeros((7, 5), np.uint8)).save(tmp_path / "999.png")
    with pytest.raises(UserError, match="differ in size"):
        all_of(open_input(str(tmp_path)))


def test_names():
    source = open_input("digits")
    assert source.shape == (360, 8, 8, 1) and source.scale == 16
    assert len(open_input("digits", "train")) == 1437


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("missing.npy", None, "no file or folder"),
        ("x.npy", b"nothing", "not a readable .npy"),
        ("x.npz", b"nothing", "not a readable .npz"),
        ("x.txt", b"text", "of no kind that is known"),
        ("x-idx3-ubyte", b"text", "not an IDX file"),
        ("x-idx3-ubyte.gz", b"text", "not a sound gzip"),
        ("x.png", b"text", "cannot be read: it is no picture"),
    ],
)
def test_what_cannot_be_read(name, content, sentence, tmp_path):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        open_input(str(path))


def test_files_that_end_early(tmp_path):
    whole = struct.pack(">BBBBIII", 0, 0, 8, 3, *GREY.shape) + GREY.tobytes()
    (tmp_path / "a-idx3-ubyte").write_bytes(whole[:-1])
    with pytest.raises(UserError, match="ends before its end.* holds 599"):
        open_input(str(tmp_path / "a-idx3-ubyte"))
    (tmp_path / "a-idx3-ubyte.gz").write_bytes(gzip.compress(whole[:-1]))
    with pytest.raises(UserError, match="ends before its end"):
        all_of(open_input(str(tmp_path / "a-idx3-ubyte.gz")))
    (tmp_path / "a-idx3-ubyte.gz").write_bytes(gzip.compress(whole + b"x"))
    with pytest.raises(UserError, match="longer than"):
        all_of(open_input(str(tmp_path / "a-idx3-ubyte.gz")))
    (tmp_path / "a-idx3-ubyte.gz").write_bytes(gzip.compress(whole)[:-20])
    with pytest.raises(UserError, match="ends before its end|damaged"):
        all_of(open_input(str(tmp_path / "a-idx3-ubyte.gz")))


@pytest.mark.parametrize("size", [3, 4096, 5000])
def test_draws_are_those_of_the_loader(size, tmp_path):
    many = np.random.default_rng(0).integers(0, 256, (4500, 3, 5)).astype(np.uint8)
    write_idx(tmp_path / "train-images-idx3-ubyte", many)
    write_idx(tmp_path / "t10k-images-idx3-ubyte", many[::2])
    data = keras_acn.load_data(f"idx:{tmp_path}", binarize="static", seed=5)
    for split, part in (("train", data.train), ("test", data.test)):
        source = Treated(open_input(str(tmp_path), split), binarize="static", seed=5)
        expected = part.arrays()[0][..., 0].astype(np.uint8)
        for _ in range(2):
            np.testing.assert_array_equal(all_of(source, size), expected)
    source = Treated(open_input(str(tmp_path), "train"), binarize="threshold", threshold=0.3)
    np.testing.assert_array_equal(all_of(source, size), many / 255 > 0.3)


def test_crop_resize_grey_and_limit():
    colour = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3)).astype(np.uint8)
    source = Treated(ArraySource(colour), crop=6, resize=3, grey=True, limit=10)
    got = all_of(source, 4)
    assert got.shape == (10, 3, 3, 1) and source.scale == 255
    from keras_acn.data.transform import transform_images

    expected, _ = transform_images(colour[:10], 256, crop=(6, 6), resize=(3, 3), grey=True)
    np.testing.assert_array_equal(got, expected)
    cut = Treated(ArraySource(colour), limit=0)
    assert len(cut) == 0 and list(cut.blocks(3)) == []
    assert all_of(Treated(ArraySource(colour), limit=100)).shape == colour.shape
    cropped = Treated(ArraySource(np.full((4, 8, 8), 7, np.uint8), scale=16), crop=4)
    assert cropped.scale == 16 and all_of(cropped).shape == (4, 4, 4)


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("dtype", ["u1", "?", "f4"])
def test_arrays_come_back_as_they_were(dtype):
    model = small_model()
    for shape in ((12, 6, 5), (12, 6, 5, 1)):
        images = noise(12).reshape(shape).astype(dtype)
        again = codec.decompress(codec.compress(model, images), model)
        assert again.dtype == images.dtype and again.tobytes() == images.tobytes()
        assert again.shape == shape


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (GREY, "--binarize threshold"),
        (np.zeros((3, 28, 28)), "28x28x1, but the model codes 6x5x1: give --resize"),
        (np.zeros((3, 6, 5, 3)), "--grey"),
        (np.zeros((3, 30)), "reshape them"),
        (np.zeros((3, 6, 5), complex), "stored as numbers"),
    ],
)
def test_images_that_the_model_cannot_code(images, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence):
        codec.compress(small_model(), images, tmp_path / "x.acn")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{}, {"resize": 4}, {"binarize": "threshold"}])
@pytest.mark.parametrize("shape", [(), (5,), (2, 9), (2, 0, 8), (2, 3, 4, 1, 1)])
def test_arrays_that_are_no_images(shape, options):
    with pytest.raises(UserError, match="Images have the shape"):
        Treated(ArraySource(np.zeros(shape, np.uint8)), **options)


def test_numbers_that_make_no_sense():
    model = small_model(kind="VAE")
    for options, sentence in (
        ({"limit": -3}, "limit"),
        ({"limit": 2.5}, "limit"),
        ({"lanes": 2.5}, "lanes must be a whole number"),
        ({"lanes": 0}, "lanes must be at least 1"),
        ({"lanes": 2**16 + 1}, "lanes must be at most 65,536"),
        ({"model_name": "m" * 300}, "shorten"),
    ):
        with pytest.raises(UserError, match=sentence):
            codec.compress(model, noise(3), **options)


def test_more_lanes_than_memory():
    with pytest.raises(UserError, match="at most"):
        check_lanes(small_model("pixelcnn"), 2**26, 1)
    with pytest.raises(UserError, match="nearest"):
        check_lanes(small_model(), 2**16, 60_000)
    check_lanes(small_model(), 2**16, 128)


def test_a_full_disk(tmp_path):
    (tmp_path / "x.acn").write_bytes(b"before")
    with pytest.raises(UserError, match="x.acn cannot be written .*make room"):  # noqa: SIM117
        with appearing(tmp_path / "x.acn") as file:
            file.write(b"some")
            raise OSError(errno.ENOSPC, "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["x.acn"]
    assert (tmp_path / "x.acn").read_bytes() == b"before"


def test_a_pipe_is_told(tmp_path):
    reads, writes = os.pipe()
    os.close(writes)
    try:
        with pytest.raises(UserError, match="save it as a file"):
            codec.info(f"/dev/fd/{reads}")
    finally:
        os.close(reads)
