"""Files decoded in the graph are the images that training reads, to within a level."""

import io
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_acn import UserError
from keras_acn.data.readers.folder import read_image
from keras_acn.data.readers.picture import check_background
from keras_acn.data.transform import transform_image
from keras_acn.serving.images import _NO_OPTIONS, ImageDecoder

# A picture with slopes and edges, wider than high.
Y, X = np.mgrid[0:37, 0:53]
COLOUR = np.stack([X * 4 % 256, Y * 6, (X * Y) // 8], -1).astype(np.uint8)
PICTURES = {
    "rgb": Image.fromarray(COLOUR),
    "rgba": Image.fromarray(np.dstack([COLOUR, COLOUR[..., :1]])),
    "grey": Image.fromarray(COLOUR[..., 0]),
    "grey-alpha": Image.merge("LA", [Image.fromarray(COLOUR[..., c]) for c in (0, 1)]),
    "palette": Image.fromarray(COLOUR).quantize(64),
    "palette-key": Image.fromarray(COLOUR).quantize(64),
    "one-bit": Image.fromarray(COLOUR[..., 0] > 99),
}


def encoded(picture, kind="PNG", **options):
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


# One of the colours is transparent.
PICTURES["palette-key"].info["transparency"] = 7


def options(**given):
    return types.SimpleNamespace(**{**vars(_NO_OPTIONS), **given})


def as_trained(data, tmp_path, crop=None, resize=None, grey=False):
    """What `keras_acn.data` makes of a file, uint8."""
    (tmp_path / "file").write_bytes(data)
    image = read_image(str(tmp_path / "file"))
    return transform_image(image, crop, resize, grey)


def decode(decoder, *files):
    return tf.function(decoder)(tf.constant(list(files))).numpy()


@pytest.mark.fast(every=4)
@pytest.mark.slow_sample(every=3)
@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize(
    "look",
    [
        {},
        {"crop": (20, 30)},
        {"resize": (16, 12)},
        {"crop": (33, 33), "resize": (8, 8)},
        {"resize": (50, 70)},
        {"crop": "square", "resize": (8, 8)},
    ],
    ids=str,
)
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_training(kind, look, channels, tmp_path):
    data = encoded(PICTURES[kind])
    want = as_trained(data, tmp_path, **look, grey=channels == 1)
    if want.shape[-1] < channels:
        want = np.repeat(want, channels, axis=-1)
    decoder = ImageDecoder((*want.shape[:2], channels), options(**look))
    got = decode(decoder, data)[0] * 255
    assert got.shape == want.shape
    difference = np.abs(got - want)
    # A level now and then: Pillow resizes in fixed point, and a grey value of n + 1/2 is
    # rounded by what the order of its three products leaves.
    mixed = "resize" in look or (channels == 1 and kind.startswith("rgb"))
    assert difference.max() <= (1.01 if mixed else 1e-4)
    assert (difference > 0.5).mean() < 0.02


@pytest.mark.parametrize("background", ["black", "#20a0ff"])
def test_transparent_pictures_are_laid_on_the_background_of_training(tmp_path, background):
    data = encoded(PICTURES["rgba"])
    (tmp_path / "file").write_bytes(data)
    want = read_image(str(tmp_path / "file"), check_background(background))
    got = decode(ImageDecoder((37, 53, 3), options(background=background)), data)[0] * 255
    np.testing.assert_allclose(got, want, atol=1e-4)


@pytest.mark.parametrize("kind, channels", [("rgb", 3), ("grey", 1)])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_jpeg(tmp_path, kind, channels, subsampling):
    data = encoded(PICTURES[kind], "JPEG", quality=90, subsampling=subsampling)
    got = decode(ImageDecoder((37, 53, channels)), data)[0] * 255
    np.testing.assert_allclose(got, as_trained(data, tmp_path), atol=1e-4)


def test_sixteen_bits(tmp_path):
    deep = Image.fromarray((X * 1200).astype(np.uint16))
    data = encoded(deep)
    got = decode(ImageDecoder((37, 53, 1)), data)[0] * 255
    assert np.abs(got - as_trained(data, tmp_path)).max() < 1.01


def test_files_of_different_sizes_in_one_batch():
    files = [encoded(PICTURES["grey"].resize(size)) for size in ((9, 9), (30, 12), (8, 8))]
    got = decode(ImageDecoder((8, 8, 1), options(resize=8)), *files)
    assert got.shape == (3, 8, 8, 1)
    alone = decode(ImageDecoder((8, 8, 1), options(resize=8)), files[1])
    np.testing.assert_array_equal(got[1:2], alone)


def test_threshold():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    data = encoded(Image.fromarray(grey))
    decoder = ImageDecoder((16, 16, 1), options(binarize="threshold", threshold=0.3))
    want = (np.float32(grey) / np.float32(255) > 0.3)[..., None]
    np.testing.assert_array_equal(decode(decoder, data)[0], want)


@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_draws(binarize):
    decoder = ImageDecoder((64, 64, 1), options(binarize=binarize))
    grey = encoded(Image.new("L", (64, 64), 77))
    two_tone = Image.fromarray(np.where(COLOUR[:32, :32, 0] > 99, 255, 0).astype(np.uint8))
    two_tone = two_tone.resize((64, 64), Image.Resampling.NEAREST)
    first, black_and_white, again = decode(decoder, grey, encoded(two_tone), grey)
    assert set(np.unique(first)) == {0, 1}
    # 4096 pixels of probability 0.302: five standard errors.
    assert abs(first.mean() - 77 / 255) < 5 * np.sqrt(0.302 * 0.698 / 4096)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(black_and_white[..., 0], np.asarray(two_tone) / 255)


def test_options_that_do_not_fit():
    with pytest.raises(UserError, match="brought to 9x9, but the model takes 8x8"):
        ImageDecoder((8, 8, 1), options(resize=9))
    assert not ImageDecoder.can_decode((8, 8, 2))


@pytest.mark.parametrize(
    "look, words",
    [
        ({}, "refused unless 8x8"),
        ({"crop": 8}, "cropped to 8x8"),
        ({"resize": 8, "binarize": "threshold", "threshold": 0.25}, "1 above 0.25"),
        ({"binarize": "static"}, "one fixed draw"),
    ],
)
def test_the_card_says_what_is_done(look, words):
    assert words in ImageDecoder((8, 8, 1), options(**look)).describe()
