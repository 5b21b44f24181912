"""Sets come back as the same multiset, whatever is in them, and cost log2(N!) bits less."""

import functools
import itertools

import numpy as np
import pytest
from codec_models import as_set, noise, small_model

from keras_acn import codec
from keras_acn.codec.arrivals import FromASet, InRows, canonical_order
from keras_acn.codec.bits_back import Images
from keras_acn.codec.blocks import BlockCodec
from keras_acn.codec.container import MODES
from keras_acn.codec.modes import Set, Stream, Tour
from keras_acn.codec.stack import Stack

model_of = functools.cache(small_model)
SHAPE = (4, 4, 1)
# Five lanes, blocks of 17 images: 23 images are two blocks of 12 and 11, neither of which is full.
EDGES = {
    "none": lambda: noise(0, SHAPE),
    "one": lambda: noise(1, SHAPE),
    "two": lambda: noise(2, SHAPE),
    "all equal": lambda: np.repeat(noise(1, SHAPE), 14, axis=0),
    "half copies": lambda: np.concatenate([noise(8, SHAPE), noise(8, SHAPE)]),
    "no multiple of the lanes": lambda: noise(13, SHAPE),
    "several blocks": lambda: noise(23, SHAPE),
}
MODELS = ("ACN-mlp", "VAE-mlp", "ACN-conv", "VAE-conv", "ACN-blocks", "VAE-blocks")


def check(mode, kind, decoder, images, **options):
    model = model_of(decoder, "bernoulli", SHAPE, kind=kind)
    data = codec.compress(images, model, mode=mode, lanes=5, block_images=17, **options)
    again = codec.decompress(data, model)
    assert as_set(again) == as_set(images)
    if mode == "set" and len(images) <= 17:
        np.testing.assert_array_equal(again, images[canonical_order(images)])
    if mode != "stream":
        kept = codec.compress(
            images, model, mode=mode, lanes=5, block_images=17, keep_order=True, **options
        )
        again = codec.decompress(kept, model)
    np.testing.assert_array_equal(again, images)


@pytest.mark.fast(
    *(f"ACN-mlp-set-{edge}" for edge in list(EDGES)[::2]),
    "ACN-mlp-tour-several blocks",
    "VAE-blocks-set-several blocks",
)
@pytest.mark.slow_sample(every=3)
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model", MODELS)
def test_every_edge(model, mode, edge):
    kind, decoder = model.split("-")
    if kind == "VAE" and mode == "tour":
        pytest.skip("a tour is of use to associative models only")
    check(mode, kind, decoder, EDGES[edge]())


@pytest.mark.fast(
    *(f"mlp-set-seen-{edge}" for edge in EDGES),
    "mlp-stream-both-half copies",
    "blocks-stream-seen-several blocks",
)
@pytest.mark.slow_sample(every=3)
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("codes", ["seen", "both"])
@pytest.mark.parametrize("mode", ["stream", "set"])
@pytest.mark.parametrize("decoder", ["mlp", "conv", "blocks"])
def test_every_edge_where_the_prior_learns(decoder, mode, codes, edge):
    # Fewer codes than there are, so that they are ranked.
    check(mode, "ACN", decoder, EDGES[edge](), codes=codes, nearest=6)


@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize("mode", [Stream, Set, Tour])
def test_steps_take_every_image_once(mode, slowly):
    for count, lanes in itertools.product((0, 1, 2, 5, 16, 37, 100), (1, 2, 5, 16, 40)):
        rows = mode.rows(count, lanes, slowly) if count else []
        assert sorted(np.concatenate([[], *rows])) == list(range(count))
        assert all(1 <= len(each) <= lanes for each in rows)
    # Frames of a movie stay with those before them, but for the lanes' first.
    there: set[int] = set()
    for each in Stream.rows(100, 16, slowly=True):
        there.update(each)
    assert [len(each) for each in Stream.rows(100, 16, slowly=True)][:6] == [1, 1, 2, 4, 8, 16]
    alone = [
        row
        for before, each in itertools.pairwise(Stream.rows(100, 16, slowly=True))
        for row in each
        if len(before) == 16 and row - 1 not in before
    ]
    assert there == set(range(100)) and not alone


@pytest.mark.parametrize("seed", range(8))
def test_any_multiset_comes_out_as_it_went_in(seed):
    """Choices alone, without a model: the stack is restored to the bit, whatever was in it."""
    rng = np.random.default_rng(seed)
    count, values = int(rng.integers(1, 60)), int(rng.integers(1, 5))
    levels = rng.integers(0, values, (count, 2, 1, 1)).astype(np.uint8)
    kinds = rng.integers(0, 1 + seed % 4, count)
    order = canonical_order(levels, kinds)
    levels, kinds = levels[order], kinds[order]
    pairs = [(kind, image.tobytes()) for kind, image in zip(kinds, levels, strict=True)]
    assert pairs == sorted(pairs)
    words = rng.integers(1, 2**32, seed % 2 * rng.integers(0, 20)).astype(np.uint32)
    edges = np.unique(np.r_[0, rng.integers(0, count, 3), count])
    rows = [np.arange(*pair) for pair in zip(edges[:-1], edges[1:], strict=True)]
    stack = Stack(words)
    sender = FromASet(Images(levels, np.zeros((count, 1)), np.ones((count, 1))), kinds)
    steps = [sender.take(stack, each) for each in reversed(rows)]
    receiver = FromASet(Images.room(count, (2, 1, 1), 1), kinds)
    for each, images in zip(rows, reversed(steps), strict=True):
        receiver.put(stack, each, images)
    np.testing.assert_array_equal(stack.words(), words)
    np.testing.assert_array_equal(receiver.levels(), levels)
    assert receiver.unpaid_bits == pytest.approx(sender.unpaid_bits, abs=1e-9)


@pytest.mark.parametrize("arrivals", [InRows, FromASet])
def test_a_sender_knows_what_a_receiver_has(arrivals):
    """After each step of the one, and before that step of the other."""
    rng = np.random.default_rng(0)
    levels = np.sort(rng.integers(0, 8, 20).astype(np.uint8)).reshape(-1, 1, 1, 1)
    rows, stack, steps = np.split(np.arange(20), [3, 9, 15]), Stack(), []
    sender = arrivals(Images(levels, np.zeros((20, 1)), np.ones((20, 1))))
    for i in reversed(range(4)):
        taken = sender.take(stack, rows[i])
        steps.append((i, taken, levels[sender.there(rows[:i])]))
    receiver = arrivals(Images.room(20, (1, 1, 1), 1))
    for i, images, left in reversed(steps):
        np.testing.assert_array_equal(receiver.images.levels[receiver.there(rows[:i])], left)
        receiver.put(stack, rows[i], images)
    np.testing.assert_array_equal(receiver.levels(), levels)


def test_the_choices_take_the_bits_of_the_multisets_orders():
    """log2 of the multinomial coefficient: the orders of a multiset that can be told apart."""
    from math import factorial, log2, prod

    copies = [1, 1, 5, 20, 3, 70]
    levels = np.repeat(np.arange(len(copies), dtype=np.uint8), copies).reshape(-1, 1, 1, 1)
    count = len(levels)
    expected = log2(factorial(count) // prod(map(factorial, copies)))
    stack = Stack(np.random.default_rng(0).integers(1, 2**32, 100).astype(np.uint32))
    before = stack.bits
    sender = FromASet(Images(levels, np.zeros((count, 1)), np.ones((count, 1))))
    sender.take(stack, np.arange(count))
    # The offsets that are pushed back are drawn, so this is an expectation but for their noise.
    assert before - stack.bits == pytest.approx(expected, abs=2)
    assert sender.unpaid_bits == 0
    empty = FromASet(Images(levels, np.zeros((count, 1)), np.ones((count, 1))))
    empty.take(Stack(), np.arange(count))
    assert empty.unpaid_bits > 0


def net_bits(model, images, mode, **options):
    coded = BlockCodec(model, mode, 8, **options).encode(images)
    return 32 * len(coded.block.words) - coded.initial_bits


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("kind", ["ACN", "VAE"])
@pytest.mark.parametrize("decoder", ["mlp", "blocks"])
def test_a_set_costs_a_stream_less_its_order(kind, decoder):
    model = model_of(decoder, "bernoulli", SHAPE, kind=kind)
    images = noise(1500, SHAPE)
    assert len(np.unique(images, axis=0)) > 1450  # so that nearly all orders differ
    copies = np.unique(images, axis=0, return_counts=True)[1]
    logs = np.cumsum(np.log2(np.arange(1, len(images) + 1)))
    order = logs[-1] - logs[copies - 1].sum()
    stream, as_a_set = (net_bits(model, images, mode) for mode in ("stream", "set"))
    # Other latents are drawn: about 3.5 bits of noise an image, in each of the two.
    noise_bits = 3 * 3.5 * np.sqrt(2 * len(images))
    assert stream - as_a_set == pytest.approx(order, abs=noise_bits)
    assert order > 20 * noise_bits
