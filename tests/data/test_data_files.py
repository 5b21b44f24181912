"""Sources that are files: read back exactly, and every kind of damage in a sentence."""

import gzip
import struct

import numpy as np
import pytest
from PIL import Image

from keras_acn import data
from keras_acn._base.errors import UserError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 5, 4), np.uint8)
LABELS = np.arange(12, dtype=np.uint8) % 3


def idx_bytes(array, code=8):
    head = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


def write_idx(folder, part, images=IMAGES, labels=LABELS, packed=True, dash="-"):
    folder.mkdir(exist_ok=True)
    for what, array, axes in (("images", images, 3), ("labels", labels, 1)):
        if array is not None:
            name = f"{part}-{what}{dash}idx{axes}-ubyte"
            content = array if isinstance(array, bytes) else idx_bytes(array)
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)


def write_images(folder, images=IMAGES, ending="png", mode=None):
    folder.mkdir(parents=True, exist_ok=True)
    for n, image in enumerate(images):
        Image.fromarray(image).convert(mode).save(folder / f"{n:03}.{ending}")


@pytest.mark.parametrize("packed,dash", [(True, "-"), (False, "-"), (False, ".")])
def test_idx(tmp_path, packed, dash):
    write_idx(tmp_path, "train", packed=packed, dash=dash)
    write_idx(tmp_path, "t10k", IMAGES[:5], LABELS[:5], packed=packed, dash=dash)
    got = data.load(f"idx:{tmp_path}")
    np.testing.assert_array_equal(got.train.images[..., 0], IMAGES)
    np.testing.assert_array_equal(got.train.labels, LABELS)
    np.testing.assert_array_equal(got.test.images[..., 0], IMAGES[:5])
    assert got.num_classes == 3 and got.train.levels == 256


def test_idx_with_training_images_alone(tmp_path):
    write_idx(tmp_path, "train", labels=None)
    got = data.load(f"idx:{tmp_path}", test=0)
    assert len(got.train) == 12 and got.test is None
    assert got.train.labels is None and got.num_classes is None
    assert len(data.load(f"idx:{tmp_path}").test) == 1


def test_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x_train=IMAGES, y_train=LABELS[:, None], x_test=IMAGES[:2], y_test=[1, 7])
    got = data.load(str(path))
    np.testing.assert_array_equal(got.train.images[..., 0], IMAGES)
    np.testing.assert_array_equal(got.test.labels, [1, 7])
    assert got.num_classes == 8
    np.savez(path, images=IMAGES / 255)
    got = data.load(f"npz:{path}", test=0)
    np.testing.assert_allclose(got.train.arrays()[0][..., 0], IMAGES / 255, rtol=1e-6)
    assert got.train.levels is None and got.num_classes is None


def test_npy(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.stack([IMAGES] * 3, -1))
    got = data.load(f"npy:{path}", test=0, grey=True)
    assert np.all(np.abs(got.train.images[..., 0].astype(int) - IMAGES) <= 1)


@pytest.mark.parametrize("ending,near", [("png", 0), ("jpg", 40), ("JPEG", 40)])
def test_a_folder_of_images(tmp_path, ending, near):
    smooth = np.repeat(np.arange(12, dtype=np.uint8) * 20, 20).reshape(12, 5, 4)
    write_images(tmp_path, smooth, ending)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden").mkdir()
    got = data.load(f"images:{tmp_path}", test=0)
    assert got.image_shape == (5, 4, 1) and got.num_classes is None
    assert np.all(np.abs(got.train.images[..., 0].astype(int) - smooth) <= near)


def test_class_folders(tmp_path):
    for name, rows in (("b", slice(0, 8)), ("a", slice(8, 12))):
        write_images(tmp_path / name, IMAGES[rows])
    got = data.load(f"images:{tmp_path}", test=0)
    assert got.num_classes == 2
    np.testing.assert_array_equal(got.train.labels, [0] * 4 + [1] * 8)
    np.testing.assert_array_equal(got.train.images[:4, ..., 0], IMAGES[8:])
    few = data.load(f"images:{tmp_path}", limit=3, test=0)
    np.testing.assert_array_equal(few.train.labels, [0, 1, 1])
    split = data.load(f"images:{tmp_path}", test=0.25)
    np.testing.assert_array_equal(np.bincount(split.test.labels), [1, 2])


def test_train_and_test_folders(tmp_path):
    write_images(tmp_path / "train" / "a", IMAGES[:3])
    write_images(tmp_path / "train" / "c", IMAGES[3:6])
    write_images(tmp_path / "test" / "b", np.stack([IMAGES[6:8]] * 3, -1))
    got = data.load(f"images:{tmp_path}")
    assert (len(got.train), len(got.test), got.num_classes) == (6, 2, 3)
    assert list(got.test.labels) == [1, 1] and list(got.train.labels) == [0, 0, 0, 2, 2, 2]
    # The test images are in colour, so the grey ones become so too.
    assert got.image_shape == (5, 4, 3)
    np.testing.assert_array_equal(got.train.images[0], np.stack([IMAGES[0]] * 3, -1))


def test_kinds_of_image_files(tmp_path):
    write_images(tmp_path, IMAGES[:2])
    grey = IMAGES[2]
    Image.fromarray(grey).convert("RGBA").save(tmp_path / "r.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "s.png")
    Image.fromarray(grey > 99).save(tmp_path / "t.png")
    Image.fromarray(grey).convert("P").save(tmp_path / "u.png")
    got = data.load(f"images:{tmp_path}", test=0).train.images
    assert got.shape == (6, 5, 4, 3)
    for row, expected in ((0, IMAGES[0]), (2, grey), (3, grey), (4, (grey > 99) * 255), (5, grey)):
        np.testing.assert_array_equal(got[row], np.stack([expected] * 3, -1))
    alone = tmp_path / "alone"
    alone.mkdir()
    (tmp_path / "s.png").rename(alone / "s.png")
    np.testing.assert_array_equal(data.load(f"images:{alone}").train.images[0, ..., 0], grey)


def test_images_of_different_sizes_with_resize(tmp_path):
    write_images(tmp_path, [np.full((5, 4), 9, np.uint8), np.full((8, 8), 9, np.uint8)])
    got = data.load(f"images:{tmp_path}", resize=6, test=0)
    assert got.train.images.shape == (2, 6, 6, 1) and np.all(got.train.images == 9)


def damage_idx(name):
    """Writes an idx folder with one thing wrong; returns what to load."""

    def make(tmp_path):
        folder = tmp_path / "idx"
        write_idx(folder, "train")
        images, labels = (folder / f"train-{w}-ubyte.gz" for w in ("images-idx3", "labels-idx1"))
        packed = images.read_bytes()
        if name == "truncated gzip":
            images.write_bytes(packed[:-20])
        elif name == "damaged gzip":
            images.write_bytes(packed[:30] + bytes(30) + packed[60:])
        elif name == "not gzip":
            images.write_bytes(idx_bytes(IMAGES))
        elif name == "empty gzip":
            images.write_bytes(b"")
        elif name == "is a folder":
            images.unlink()
            images.mkdir()
        elif name == "no images":
            images.unlink()
        elif name == "no test images":
            write_idx(folder, "t10k", images=None)
        elif name == "nothing":
            images.unlink()
            labels.unlink()
        else:
            changes = {
                "magic": (b"\x00\x00\x09\x03" + bytes(12), LABELS),
                "swapped": (idx_bytes(LABELS), LABELS),
                "header": (b"\x00\x00\x08\x03\x00", LABELS),
                "short": (idx_bytes(IMAGES)[:-1], LABELS),
                "long": (idx_bytes(IMAGES) + b"x", LABELS),
                "no rows": (IMAGES[:0], LABELS[:0]),
                "no pixels": (IMAGES[:, :0], LABELS),
                "few labels": (IMAGES, LABELS[:-1]),
            }
            write_idx(folder, "train", *changes[name])
        return f"idx:{folder}"

    return make


def sizes_differ_idx(tmp_path):
    write_idx(tmp_path, "train")
    write_idx(tmp_path, "t10k", IMAGES[:, :3])
    return f"idx:{tmp_path}"


def saved(name, **arrays):
    """Returns a maker of an .npy (one array, `x`) or .npz file."""

    def make(tmp_path):
        path = tmp_path / name
        if name.endswith(".npy"):
            np.save(path, arrays["x"])
        else:
            np.savez(path, **arrays)
        return f"{name[-3:]}:{path}"

    return make


def bytes_of(name, content):
    def make(tmp_path):
        (tmp_path / name).write_bytes(content)
        return f"{name[-3:]}:{tmp_path / name}"

    return make


def cut(maker, keep):
    def make(tmp_path):
        source = maker(tmp_path)
        path = source.partition(":")[2]
        with open(path, "rb") as file:
            content = file.read()
        with open(path, "wb") as file:
            file.write(content[: int(len(content) * keep)])
        return source

    return make


def renamed(maker, kind):
    return lambda tmp_path: kind + ":" + maker(tmp_path).partition(":")[2]


def folder_of(build):
    def make(tmp_path):
        folder = tmp_path / "pictures"
        folder.mkdir()
        build(folder)
        return f"images:{folder}"

    return make


def png_with(content):
    def build(folder):
        write_images(folder, IMAGES[:2])
        (folder / "zzz.png").write_bytes(content(folder / "000.png"))

    return folder_of(build)


def classes_with_nothing(folder):
    write_images(folder / "a")
    (folder / "b").mkdir()


def images_and_folders(folder):
    write_images(folder)
    write_images(folder / "b")


def deep_folders(folder):
    write_images(folder / "a" / "b")


def uneven_parts(folder):
    write_images(folder / "train" / "a")
    write_images(folder / "test")


def two_sizes(folder):
    write_images(folder, [IMAGES[0]] * 6 + [IMAGES[1][:3]] * 6)


def sized_parts(folder):
    write_images(folder / "train")
    write_images(folder / "test", IMAGES[:, :3])


NAN = np.where(IMAGES == IMAGES[3, 2, 1], np.nan, IMAGES / 255)
GOOD_NPZ = saved("a.npz", images=IMAGES)

BAD = {
    "idx: truncated gzip": (damage_idx("truncated gzip"), "ends before its end"),
    "idx: damaged gzip": (damage_idx("damaged gzip"), "not a sound gzip|ends before"),
    "idx: not gzip": (damage_idx("not gzip"), "not a sound gzip"),
    "idx: empty": (damage_idx("empty gzip"), "is empty"),
    "idx: a folder for a file": (damage_idx("is a folder"), "has no train-images"),
    "idx: no images": (damage_idx("no images"), "has no train-images"),
    "idx: no test images": (damage_idx("no test images"), "has no t10k-images"),
    "idx: nothing": (damage_idx("nothing"), "has no train-images"),
    "idx: magic": (damage_idx("magic"), "magic number 00000903 instead of 00000803"),
    "idx: labels for images": (damage_idx("swapped"), "magic number 00000801"),
    "idx: header": (damage_idx("header"), "ends inside its header"),
    "idx: short": (damage_idx("short"), r"announces \[12, 5, 4\] bytes but holds 239"),
    "idx: long": (damage_idx("long"), "holds 241"),
    "idx: no rows": (damage_idx("no rows"), "empty"),
    "idx: no pixels": (damage_idx("no pixels"), "no pixels"),
    "idx: few labels": (damage_idx("few labels"), "number 11 but the images 12"),
    "idx: sizes": (sizes_differ_idx, "test images of .* are"),
    "idx: missing": (lambda tmp: f"idx:{tmp / 'no'}", "does not exist"),
    "idx: a file": (renamed(GOOD_NPZ, "idx"), "is not a folder"),
    "npz: missing": (lambda tmp: f"npz:{tmp / 'no.npz'}", "no file"),
    "npz: a folder": (lambda tmp: f"npz:{tmp}", "is a folder"),
    "npz: cut": (cut(GOOD_NPZ, 0.6), "damaged"),
    "npz: empty": (bytes_of("a.npz", b""), "damaged"),
    "npz: text": (bytes_of("a.npz", b"hello"), "damaged"),
    "npz: keys": (saved("a.npz", pictures=IMAGES, y=LABELS), "holds pictures, y"),
    "npz: no arrays": (saved("a.npz"), "holds nothing"),
    "npz: objects": (saved("a.npz", images=np.array([{}, None])), "Python objects"),
    "npz: labels": (saved("a.npz", images=IMAGES, labels=LABELS[1:]), "number 11"),
    "npz: float labels": (saved("a.npz", images=IMAGES, labels=LABELS / 2), "astype"),
    "npz: test": (saved("a.npz", x_train=IMAGES, x_test=NAN), "x_test .* NaN"),
    "npz: dtypes": (saved("a.npz", x_train=IMAGES, x_test=IMAGES / 255), "store both alike"),
    "npz: is npy": (renamed(saved("a.npy", x=IMAGES), "npz"), 'write "npy:'),
    "npy: is npz": (renamed(GOOD_NPZ, "npy"), 'write "npz:'),
    "npy: cut": (cut(saved("a.npy", x=IMAGES), 0.9), "damaged"),
    "npy: empty": (bytes_of("a.npy", b""), "damaged"),
    "npy: NaN": (saved("a.npy", x=NAN), "NaN"),
    "npy: range": (saved("a.npy", x=IMAGES * 1.0), "divide by 255"),
    "npy: dtype": (saved("a.npy", x=IMAGES.astype(int)), "int64"),
    "npy: flat": (saved("a.npy", x=IMAGES.reshape(12, -1)), "reshape"),
    "npy: no rows": (saved("a.npy", x=IMAGES[:0]), "empty"),
    "npy: bare path": (lambda tmp: str(tmp / "no.npy"), "no file"),
    "images: missing": (lambda tmp: f"images:{tmp / 'no'}", "does not exist"),
    "images: a file": (renamed(GOOD_NPZ, "images"), "is not a folder"),
    "images: none": (folder_of(lambda f: (f / "a.txt").write_text("x")), "holds no pictures"),
    "images: empty class": (folder_of(classes_with_nothing), "holds no pictures"),
    "images: both": (folder_of(images_and_folders), "both images and folders"),
    "images: deep": (folder_of(deep_folders), "holds folders"),
    "images: uneven parts": (folder_of(uneven_parts), "Only one of"),
    "images: sizes": (folder_of(two_sizes), "differ in size: .*5x4.*3x4.*resize"),
    "images: part sizes": (folder_of(sized_parts), "give resize=SIZE"),
    "images: empty file": (png_with(lambda p: b""), r"cannot be read: zzz.png \(empty\)"),
    "images: text": (png_with(lambda p: b"hello"), r"zzz.png \(no picture"),
    "images: cut": (png_with(lambda p: p.read_bytes()[:60]), r"zzz.png \(cut off or damaged\)"),
    "images: damaged": (
        png_with(lambda p: p.read_bytes()[:45] + bytes(20) + p.read_bytes()[65:]),
        r"zzz.png \(cut off or damaged\)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_told_in_a_sentence(tmp_path, case):
    make, words = BAD[case]
    with pytest.raises(UserError, match=words) as caught:
        data.load(make(tmp_path))
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
