import numpy as np
import pytest
from scipy.stats import norm

from keras_acn._base.errors import UserError
from keras_acn.codec.grid import LatentGrid
from keras_acn.codec.priors import GivenPrior
from keras_acn.codec.stack import Stack


def random_stack(seed=0, words=2000):
    return Stack(np.random.default_rng(seed).integers(1, 2**32, words).astype(np.uint32))


def test_cells_are_a_quarter_of_a_stddev():
    mean = np.random.default_rng(0).normal(size=(500, 3)) * [1, 2, 30]
    grid = LatentGrid.around(mean, np.tile([1.0, 0.1, 8.0], (500, 1)))
    assert grid.exponents == (2, 6, -1)  # 1/4, 1/64 <= 0.1/4, 2
    cells = grid.nearest(grid.gaussian(mean, np.ones_like(mean))[0])
    assert np.abs(grid.values(cells) - mean).max() <= 1.0 + 1 / 64
    assert np.abs(grid.values(cells) - mean)[:, 0].max() <= 0.125 + 0.01


def test_the_coarse_grid_is_made_of_the_same_points():
    grid = LatentGrid((2, 5), 40)
    coarse = grid.coarse()
    assert coarse.values([[1, 1]]).tolist() == [[2.0, 0.25]]
    assert coarse.reach * 8 >= grid.reach


def test_gaussians_are_rounded_little():
    rng = np.random.default_rng(0)
    mean, stddev = rng.normal(size=(100, 2, 4)), np.exp(rng.normal(size=(100, 2, 4)))
    got_mean, got_stddev = LatentGrid((2, 3), 200).gaussian(mean, stddev)
    scale = np.array([4.0, 8.0])[:, None]
    assert np.abs(got_mean / scale - mean).max() <= 1 / 128 / 4 + 1e-12
    assert np.abs(got_stddev / scale / stddev - 1).max() < 0.006


def test_nothing_is_out_of_bounds():
    grid = LatentGrid((2,), 16)
    wild = np.array([[1e30], [-1e30], [np.nan], [np.inf]])
    mean, stddev = grid.gaussian(wild, np.array([[1e-30], [1e30], [np.nan], [np.inf]]))
    assert np.abs(mean).max() <= 16 and np.all((stddev > 0) & np.isfinite(stddev))
    stack = random_stack()
    before = stack.words()
    codec = grid.normal(wild, np.array([[1e-30], [1e30], [np.nan], [np.inf]]))
    cells = codec.pop(stack)
    assert np.abs(cells).max() <= 16
    codec.push(stack, cells)
    np.testing.assert_array_equal(stack.words(), before)


def test_no_latent_is_drawn_far_from_its_mean():
    # An empty stack reads as zeros, which draw the least cell that there is, or nearly so.
    grid, rng = LatentGrid((2, 2, 2), 4000), np.random.default_rng(0)
    mean = rng.uniform(-100, 100, (500, 3))
    stddev = np.exp(rng.uniform(-3, 4, (500, 3)))
    given_mean, given_stddev = grid.gaussian(mean, stddev)
    for cut in (True, False):
        cells = grid.normal(mean, stddev, cut).pop(Stack())
        far = ((given_mean - cells) / given_stddev).max()
        assert far < 9 + 2 / given_stddev.min() if cut else far > 1000


def test_cells_near_their_means_come_back_and_cost_their_mass():
    grid, rng = LatentGrid((3, 3), 100), np.random.default_rng(0)
    # Some reach beyond the end of the grid, and are on all of it.
    mean, stddev = rng.uniform(-9, 9, (3000, 2)), np.exp(rng.uniform(-3, -0.5, (3000, 2)))
    words = rng.integers(1, 2**32, 6000, dtype=np.uint64).astype(np.uint32)
    near, stack = grid.normal(mean, stddev), Stack(words)
    cells = near.pop(stack)
    taken = 32 * len(words) - stack.bits
    assert np.abs(cells).max() <= 100
    near.push(stack, cells)
    np.testing.assert_array_equal(stack.words(), words)
    m, s = grid.gaussian(mean, stddev)
    mass = norm.cdf((cells + 0.5 - m) / s) - norm.cdf((cells - 0.5 - m) / s)
    mass /= norm.cdf((100.5 - m) / s) - norm.cdf((-100.5 - m) / s)
    assert abs(taken + np.log2(mass).sum()) < 0.001 * taken
    with pytest.raises(UserError, match="damaged"):
        grid.normal(np.zeros((1, 2)), np.full((1, 2), 0.1)).push(stack, np.array([[0, 50]]))


def test_a_damaged_grid_is_refused():
    for exponents, reach in (((99,), 10), ((0,), 0), ((0,), 2**20)):
        with pytest.raises(UserError, match="out of range"):
            LatentGrid(exponents, reach)


@pytest.mark.parametrize("components", [1, 4])
def test_a_mixture_costs_its_density_and_not_a_components(components):
    rng = np.random.default_rng(0)
    n, d = 400, 3
    shape = (n, d, components)
    log_weight = np.log(rng.dirichlet(np.ones(components), size=(n, d)))
    mean, stddev = rng.normal(size=shape), rng.uniform(0.5, 1.0, shape)
    # Drawn from the mixture, whose tails are cut at the coder's 24 bits.
    which = np.argmax(log_weight + rng.gumbel(size=shape), axis=-1)[..., None]
    z = rng.normal(*(np.take_along_axis(each, which, -1)[..., 0] for each in (mean, stddev)))
    grid = LatentGrid((3,) * d, 100)
    cells = grid.nearest(grid.gaussian(z, np.ones_like(z))[0])
    prior = GivenPrior(log_weight, mean, stddev).on(grid)
    stack = random_stack()
    before, words = stack.bits, stack.words()
    prior.push(stack, cells)
    each = np.exp(log_weight - 0.5 * ((grid.values(cells)[..., None] - mean) / stddev) ** 2)
    density = np.sum(each / (stddev * np.sqrt(2 * np.pi)), axis=-1)
    assert stack.bits - before == pytest.approx(-np.sum(np.log2(density / 8)), rel=2e-3)
    np.testing.assert_array_equal(prior.pop(stack), cells)
    np.testing.assert_array_equal(stack.words(), words)
