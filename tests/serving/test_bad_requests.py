"""A bad request gets a TensorFlow error that names the input, and the model goes on serving."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from python_answers import png
from served_models import pictures

GOOD = pictures(2)
NAN = GOOD.copy()
NAN[1, 3, 3] = np.nan
LATENT = np.zeros((2, 4), np.float32)
SEED = np.arange(2, dtype=np.int32)


def files(*data):
    return np.array(data, object)


def encoded(image, kind):
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


SMALL = encoded(Image.new("L", (4, 8)), "PNG")
BMP = encoded(Image.new("L", (8, 8)), "BMP")
CUT = png(GOOD[0])[:40]
# Its head is whole, its pixels are not.
HALF = encoded(Image.effect_noise((8, 8), 99), "JPEG")[:-20]

BAD = {
    "empty batch": ("encode", {"image": GOOD[:0]}, "image must hold at least one row"),
    "NaN": ("neighbors", {"image": NAN}, "image must hold no NaN"),
    "infinity": (
        "reconstruct",
        {"image": GOOD + np.float32(np.inf)},
        "image must hold no NaN and no inf",
    ),
    "8-bit values": ("encode", {"image": GOOD * 255}, "image must hold values in .0, 1.*255"),
    "negative": ("serving_default", {"image": GOOD - 1}, "image must hold values in"),
    "NaN latent": ("decode", {"latent": LATENT * np.nan}, "latent must hold no NaN"),
    "empty latent": ("decode", {"latent": LATENT[:0]}, "latent must hold at least one row"),
    "seeds missing": (
        "daydream_step",
        {"image": GOOD, "seed": SEED[:1]},
        "seed must have as many rows as image",
    ),
    "NaN code": (
        "sample_prior",
        {"code": LATENT * np.nan, "seed": SEED},
        "code must hold no NaN",
    ),
    "no files": ("encode_png", {"image_bytes": files()}, "image_bytes must hold at least one row"),
    "empty file": ("encode_png", {"image_bytes": files(b"")}, "image_bytes must be PNG or JPEG"),
    "text": (
        "encode_png",
        {"image_bytes": files(png(GOOD[0]), b"hello, world")},
        r"image_bytes must be PNG or JPEG files, unlike row. .1.",
    ),
    "a BMP": ("neighbors_png", {"image_bytes": files(BMP)}, "image_bytes must be PNG or JPEG"),
    "cut off": ("encode_png", {"image_bytes": files(CUT)}, "image_bytes"),
    "cut off JPEG": ("encode_png", {"image_bytes": files(HALF)}, "image_bytes"),
    "wrong size": (
        "encode_png",
        {"image_bytes": files(SMALL)},
        r"image_bytes must hold images of 8x8, not. .8 4.",
    ),
}


@pytest.mark.fast(every=4)
@pytest.mark.parametrize("case", BAD)
def test_the_error_names_the_input_and_serving_goes_on(in_session, case):
    served = in_session("acn")
    signature, inputs, sentence = BAD[case]
    with pytest.raises(tf.errors.InvalidArgumentError, match=sentence):
        served(signature, inputs)
    assert np.isfinite(served("encode", {"image": GOOD})["mean"]).all()


def test_a_wrong_shape(in_session):
    # Python's Session looks at shapes itself, so that the graph's own check, which is the
    # one a server relies on, is only reached from C: see test_c_program.py.
    with pytest.raises(ValueError, match=r"\(2, 4, 16, 1\) for Tensor encode_image"):
        in_session("acn")("encode", {"image": GOOD.reshape(2, 4, 16, 1)})


def test_rounding_is_no_reason_to_refuse(in_session):
    served = in_session("acn")
    exact = served("encode", {"image": GOOD})["mean"]
    near = served("encode", {"image": GOOD + np.float32(1e-5)})["mean"]
    np.testing.assert_allclose(near, exact, atol=1e-3)
