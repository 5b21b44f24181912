"""Tiles that are picture in part only: what is not picture comes back, and costs nothing."""

import numpy as np
import pytest
from codec_models import noise, small_model

from keras_acn.codec import edges
from keras_acn.codec.blocks import BlockCodec

COUNT = 11


def extents_of(shape, count=COUNT, seed=0):
    rng = np.random.default_rng(seed)
    found = np.stack([rng.integers(1, size + 1, count) for size in shape], axis=1)
    found[: count // 3] = shape
    return found


def tiles(shape, extents, levels, seed=0):
    return edges.filled(noise(len(extents), shape, levels, seed), extents)


def test_the_rest_repeats_the_edge():
    shape = (5, 4, 3)
    extents = extents_of(shape, 30)
    images = noise(30, shape, 256)
    found, coded = edges.filled(images, extents), edges.inside(extents, shape)
    for image, tile, there, (h, w, c) in zip(images, found, coded, extents, strict=True):
        beyond = [(0, size - n) for size, n in zip(shape, (h, w, c), strict=True)]
        np.testing.assert_array_equal(tile, np.pad(image[:h, :w, :c], beyond, "edge"))
        assert there.sum() == h * w * c and there[:h, :w, :c].all()


MODES = [("stream", False), ("set", False), ("set", True)]


def check(decoder, family, modes, codes):
    """Tiles with a copy of one, and one of the same values of which less is picture, come back."""
    shape = (4, 6, 1) if family == "bernoulli" else (4, 4, 3)
    model = small_model(decoder, family, shape)
    extents = extents_of(shape)
    images = tiles(shape, extents, model.decoder.likelihood.levels)
    images[3], extents[3] = images[0], extents[0]
    images[4] = images[0]
    extents[4] = [2, *shape[1:]]
    images = edges.filled(images, extents)
    for mode, keep_order in modes:
        codec = BlockCodec(model, mode, 4, keep_order=keep_order, codes=codes)
        coded = codec.encode(images, extents=extents)
        decoded = codec.decode(coded.block, extents=extents)
        expected = images if coded.order is None or keep_order else images[coded.order]
        np.testing.assert_array_equal(decoded, expected)
        if mode == "set":
            # Sorted by what is picture, and then by the bytes.
            keys = [(*row, image.tobytes()) for row, image in zip(extents, images, strict=True)]
            assert sorted(range(COUNT), key=keys.__getitem__) == coded.order.tolist()


def test_there_and_back():
    check("mlp", "logistic", MODES, "training")


def test_there_and_back_pixel_by_pixel():
    check("blocks", "bernoulli", MODES[2:], "seen")


@pytest.mark.slow_sample(every=3)
@pytest.mark.parametrize("codes", ["training", "seen"])
@pytest.mark.parametrize("family", ["bernoulli", "logistic", "categorical"])
@pytest.mark.parametrize("decoder", ["mlp", "conv", "pixelcnn", "blocks"])
def test_there_and_back_by_every_decoder(decoder, family, codes):
    check(decoder, family, MODES, codes)


def test_what_is_not_picture_costs_nothing():
    # By itself each value of noise costs about 8 bits, whatever the rest of its tile is.
    shape = (6, 6, 3)
    model = small_model("mlp", "logistic", shape)
    bits = {}
    for name, extent in (("whole", shape), ("half", (6, 3, 3)), ("grey", (6, 6, 1))):
        extents = np.tile(extent, (COUNT, 1))
        codec = BlockCodec(model, "stream", 1)
        coded = codec.encode(tiles(shape, extents, 256), extents=extents)
        bits[name] = 32 * len(coded.block.words) - coded.initial_bits
    latents = 40 * COUNT
    for name, share in (("half", 1 / 2), ("grey", 1 / 3)):
        assert bits[name] < share * bits["whole"] * 1.15 + latents


def test_whole_tiles_are_coded_as_images_are():
    shape = (4, 4, 1)
    model = small_model("mlp", "bernoulli", shape)
    images, extents = noise(COUNT, shape), np.tile(shape, (COUNT, 1))
    for mode, keep_order in MODES[1:]:
        codec = BlockCodec(model, mode, 4, keep_order=keep_order)
        alone, told = codec.encode(images), codec.encode(images, extents=extents)
        assert alone.block.to_bytes() == told.block.to_bytes()


def test_an_order_by_kind_costs_what_such_orders_do():
    from math import lgamma, log

    from keras_acn.codec.stack import Stack, permutation_within

    kinds = np.random.default_rng(0).integers(0, 3, 300)
    order = np.concatenate(
        [np.random.default_rng(k).permutation(np.flatnonzero(kinds == k)) for k in range(3)]
    )
    stack = Stack()
    permutation_within(kinds).push(stack, order)
    wanted = sum(lgamma(n + 1) for n in np.bincount(kinds)) / log(2)
    assert abs(stack.bits - wanted) < 40
    np.testing.assert_array_equal(permutation_within(kinds).pop(stack), order)
    assert stack.is_empty()
