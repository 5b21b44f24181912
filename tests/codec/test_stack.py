import numpy as np
import pytest
from scipy import stats

from keras_acn.codec.stack import (
    Metered,
    Stack,
    bernoulli,
    categorical,
    gaussian,
    permutation,
    uniform,
)


def filled(words, seed=0):
    return Stack(np.random.default_rng(seed).integers(1, 2**32, words).astype(np.uint32))


def test_costs_are_the_information():
    rng = np.random.default_rng(0)
    probability = rng.uniform(0.01, 0.99, 20_000)
    bits = (rng.random(20_000) < probability).astype(int)
    stack = filled(4)
    before = stack.bits
    codec = bernoulli(probability)
    codec.push(stack, bits)
    expected = -np.sum(np.log2(np.where(bits, probability, 1 - probability)))
    assert stack.bits - before == pytest.approx(expected, rel=3e-4)
    np.testing.assert_array_equal(codec.pop(stack), bits)
    assert stack.bits == before


def test_cells_have_the_gaussians_mass():
    rng = np.random.default_rng(1)
    mean, stddev = rng.uniform(-8, 8, 5000), rng.uniform(0.3, 5, 5000)
    cells = np.clip(np.rint(rng.normal(mean, stddev)), -20, 20)
    stack = filled(4)
    before = stack.bits
    codec = gaussian(mean, stddev, 20)
    codec.push(stack, cells)
    mass = stats.norm.cdf(cells + 0.5, mean, stddev) - stats.norm.cdf(cells - 0.5, mean, stddev)
    reach = stats.norm.cdf(20.5, mean, stddev) - stats.norm.cdf(-20.5, mean, stddev)
    assert stack.bits - before == pytest.approx(-np.sum(np.log2(mass / reach)), rel=1e-3)
    np.testing.assert_array_equal(codec.pop(stack), cells)


@pytest.mark.parametrize("words", [0, 1, 2, 30])
def test_popping_and_pushing_back_restores(words):
    # From an empty stack too: it reads as zeros without end.
    rng = np.random.default_rng(words)
    mean, stddev = rng.normal(size=20), np.exp(rng.normal(size=20))
    table = rng.dirichlet(np.ones(5), size=20)
    for seed in range(50):
        stack = filled(words, seed)
        before = stack.words()
        codecs = gaussian(mean, stddev, 30), categorical(table), uniform(np.arange(1, 20))
        values = [codec.pop(stack) for codec in codecs]
        for codec, value in zip(reversed(codecs), reversed(values), strict=True):
            codec.push(stack, value)
        np.testing.assert_array_equal(stack.words(), before)
        assert stack.is_empty() == (words == 0)


def test_popping_samples():
    stack = filled(20_000)
    cells = gaussian(np.full(20_000, 1.5), np.full(20_000, 3.0), 50).pop(stack)
    assert (
        stats.kstest(
            cells + np.random.default_rng(0).uniform(-0.5, 0.5, 20_000), stats.norm(1.5, 3.0).cdf
        ).pvalue
        > 1e-3
    )


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000])
def test_an_order_costs_its_information(count):
    order = np.random.default_rng(count).permutation(count)
    stack = filled(3)
    before = stack.bits
    permutation(count).push(stack, order)
    expected = np.sum(np.log2(np.arange(1, count + 1)))
    assert stack.bits - before == pytest.approx(expected, rel=1e-3, abs=1.1)
    np.testing.assert_array_equal(permutation(count).pop(stack), order)
    assert stack.bits == before


def test_every_order_of_four_is_its_own():
    import itertools

    seen = set()
    for order in itertools.permutations(range(4)):
        stack = filled(2)
        permutation(4).push(stack, order)
        seen.add(stack.words().tobytes())
        np.testing.assert_array_equal(permutation(4).pop(stack), order)
    assert len(seen) == 24


def test_shapes_come_back():
    stack = filled(20)
    for codec in (bernoulli(np.full((2, 3), 0.4)), gaussian(np.zeros((2, 3)), np.ones((2, 3)), 9)):
        assert codec.pop(stack).shape == (2, 3)


def test_a_meter_counts_what_is_added_and_taken():
    stack, meter = filled(20), Metered(bernoulli(np.full(64, 0.5)))
    bits = meter.pop(stack)
    assert meter.bits == -64
    meter.push(stack, bits)
    assert meter.bits == 0


def test_one_symbol_says_nothing():
    codec, stack = categorical(np.ones((3, 1))), Stack()
    codec.push(stack, np.zeros(3, np.int32))
    assert stack.is_empty()
    np.testing.assert_array_equal(codec.pop(stack), np.zeros(3, np.int32))
