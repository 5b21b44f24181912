import numpy as np
import pytest
from scipy import stats

from keras_acn.codec.permutation import pop_order, push_order
from keras_acn.codec.stack import Stack


def filled(words, seed=0):
    return Stack(np.random.default_rng(seed).integers(1, 2**32, words).astype(np.uint32))


def test_costs_are_the_information():
    rng = np.random.default_rng(0)
    probability = rng.uniform(0.01, 0.99, 20_000)
    bits = (rng.random(20_000) < probability).astype(int)
    stack = filled(4)
    before = stack.bits
    stack.push_bits(bits, probability)
    expected = -np.sum(np.log2(np.where(bits, probability, 1 - probability)))
    assert stack.bits - before == pytest.approx(expected, rel=3e-4)
    np.testing.assert_array_equal(stack.pop_bits(probability), bits)
    assert stack.bits == before


def test_cells_have_the_gaussians_mass():
    rng = np.random.default_rng(1)
    mean, stddev = rng.uniform(-8, 8, 5000), rng.uniform(0.3, 5, 5000)
    cells = np.clip(np.rint(rng.normal(mean, stddev)), -20, 20)
    stack = filled(4)
    before = stack.bits
    stack.push_cells(cells, mean, stddev, 20)
    mass = stats.norm.cdf(cells + 0.5, mean, stddev) - stats.norm.cdf(cells - 0.5, mean, stddev)
    reach = stats.norm.cdf(20.5, mean, stddev) - stats.norm.cdf(-20.5, mean, stddev)
    assert stack.bits - before == pytest.approx(-np.sum(np.log2(mass / reach)), rel=1e-3)
    np.testing.assert_array_equal(stack.pop_cells(mean, stddev, 20), cells)


@pytest.mark.parametrize("words", [0, 1, 2, 30])
def test_popping_and_pushing_back_restores(words):
    # From an empty stack too: it reads as zeros without end.
    rng = np.random.default_rng(words)
    mean, stddev = rng.normal(size=20), np.exp(rng.normal(size=20))
    table = rng.dirichlet(np.ones(5), size=20)
    for seed in range(50):
        stack = filled(words, seed)
        before = stack.words()
        cells = stack.pop_cells(mean, stddev, 30)
        choice = stack.pop_choice(table)
        rest = stack.pop_uniform(np.arange(1, 20))
        stack.push_uniform(rest, np.arange(1, 20))
        stack.push_choice(choice, table)
        stack.push_cells(cells, mean, stddev, 30)
        np.testing.assert_array_equal(stack.words(), before)
        assert stack.is_empty() == (words == 0)


def test_popping_samples():
    stack = filled(20_000)
    cells = stack.pop_cells(np.full(20_000, 1.5), np.full(20_000, 3.0), 50)
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
    push_order(stack, order)
    expected = np.sum(np.log2(np.arange(1, count + 1)))
    assert stack.bits - before == pytest.approx(expected, rel=1e-3, abs=1.1)
    np.testing.assert_array_equal(pop_order(stack, count), order)
    assert stack.bits == before


def test_every_order_of_four_is_its_own():
    import itertools

    seen = set()
    for order in itertools.permutations(range(4)):
        stack = filled(2)
        push_order(stack, order)
        seen.add(stack.words().tobytes())
        np.testing.assert_array_equal(pop_order(stack, 4), order)
    assert len(seen) == 24
